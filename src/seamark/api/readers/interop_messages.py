"""Executing messages of OP Stack interop, from their store."""

from __future__ import annotations

from typing import Any, Final, cast

from sqlalchemy import Connection

from seamark.api.cursors import BAD_CURSOR
from seamark.api.names import ChainName, ChainNames
from seamark.api.ports import Page, chain_view
from seamark.api.problems import ParameterError
from seamark.api.readers.amounts import account_text
from seamark.api.times import iso_seconds, iso_time
from seamark.api.views import Chain
from seamark.api.views_interop import (
    ExecutingCount,
    ExecutingDetails,
    ExecutingMessage,
    ExecutingPlace,
    ExecutingStatus,
    InitiatingPlace,
    Level,
    Thought,
)
from seamark.core.errors import RejectedError
from seamark.core.ids import ChainId
from seamark.messages.protocols.op_interop import store
from seamark.messages.protocols.op_interop.model import Status
from seamark.storage.database import Database

__all__ = ["StoredExecuting"]

_MAX_EXACT: Final = 2**53  # larger numbers are not told as numbers: a browser would round them
_STATUSES: Final = frozenset(status.value for status in Status)


class StoredExecuting:
    """An `ExecutingReader`."""

    def __init__(self, database: Database, names: ChainNames) -> None:
        self._database = database
        self._names = names

    async def search(self, wanted: store.JobFilter, cursor: str | None, limit: int) -> Page[ExecutingMessage]:
        try:
            page = await self._database.read(lambda c: store.page_jobs(c, wanted, limit=limit, cursor=cursor))
        except RejectedError as error:
            raise ParameterError("cursor", BAD_CURSOR) from error
        return Page([ExecutingMessage(**self._fields(item)) for item in page.jobs], page.next)

    async def find(self, key: str) -> ExecutingDetails | None:
        def work(connection: Connection) -> tuple[store.Job | None, list[store.VerdictView]]:
            return store.find_job(connection, key), store.history(connection, key)

        job, steps = await self._database.read(work)
        return (
            None if job is None else ExecutingDetails(**self._fields(job), history=[_thought(item) for item in steps])
        )

    async def counts(self) -> list[ExecutingCount]:
        rows = await self._database.read(store.read_tallies)
        return [
            ExecutingCount(
                executing=self._chain(row.exec_chain),
                initiating=None if row.init_chain == store.ELSEWHERE else self._chain(int(row.init_chain)),
                status=cast("ExecutingStatus", row.kind),
                messages=row.jobs,
            )
            for row in sorted(rows)
            if row.jobs and row.kind in _STATUSES
        ]

    def _fields(self, item: store.Job) -> dict[str, Any]:
        return {
            "id": item.key,
            "status": item.status.value,
            "rule": item.rule.value,
            "detail": item.detail,
            "executing": self._executing(item),
            "initiating": self._initiating(item),
            "settled": item.settled,
            "stale": item.stale,
            "changed": item.changed,
            "boundary": item.boundary,
            "declared": item.declared,
            "retracted": item.retracted,
            "incident": item.incident,
            "seen_at": iso_time(item.seen_ms),
            "decided_at": None if item.decided_ms is None else iso_time(item.decided_ms),
        }

    def _executing(self, item: store.Job) -> ExecutingPlace:
        message, block = item.message, item.message.block
        return ExecutingPlace(
            chain=self._chain(int(message.chain_id)),
            block=str(block.number),
            block_hash=block.hash,
            block_at=iso_seconds(block.timestamp),
            tx=message.transaction,
            log_index=message.log_index,
            level=cast("Level", item.exec_level.name.lower()),
        )

    def _initiating(self, item: store.Job) -> InitiatingPlace:
        told = item.message.identifier
        return InitiatingPlace(
            chain=self._chain(told.chain_id),
            block=str(told.block_number),
            log_index=told.log_index,
            timestamp=str(told.timestamp),
            origin=account_text(told.origin),
            payload=item.message.payload,
            block_hash=item.init_hash or None,
            level=cast("Level", item.init_level.name.lower()),
        )

    def _chain(self, chain_id: int) -> Chain:
        if chain_id < _MAX_EXACT:
            return chain_view(self._names.by_chain_id(ChainId(chain_id)))
        return chain_view(ChainName(str(chain_id), f"chain {chain_id}"))


def _thought(item: store.VerdictView) -> Thought:
    return Thought(
        at=iso_time(item.at_ms), step=item.step, rule=item.rule, detail=item.detail, block_hash=item.init_hash or None
    )
