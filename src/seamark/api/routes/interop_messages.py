"""Executing messages of OP Stack interop: `/api/interop/messages`, `/api/interop/messages/{id}`,
`/api/interop/counts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Final, Protocol

from fastapi import APIRouter, Depends, Path, Query, Request

from seamark.api.names import ChainNames
from seamark.api.parameters import DEFAULT_LIMIT, After, Limit
from seamark.api.ports import Page
from seamark.api.problems import ParameterError, ProblemError
from seamark.api.times import now_iso
from seamark.api.views_interop import (
    ExecutingCount,
    ExecutingCounts,
    ExecutingDetails,
    ExecutingMessage,
    ExecutingMessages,
    ExecutingStatus,
)
from seamark.messages.protocols.op_interop.model import Status
from seamark.messages.protocols.op_interop.store import JobFilter

__all__ = ["ExecutingReader", "executing_routes"]

_MAX_CHAIN: Final = 2**256 - 1
_STATUSES: Final[tuple[ExecutingStatus, ...]] = ("unknown", "valid", "invalid", "timestamp_mismatch", "expired")
ChainText = Annotated[str | None, Query(max_length=100, examples=["902"])]
Id = Annotated[
    str,
    Path(
        pattern=r"^[0-9]{1,20}:0x[0-9a-f]{64}:[0-9]{1,10}$",
        description="Chain id, block hash and log index.",
        examples=["902:0x" + "5a" * 32 + ":0"],
    ),
]


class ExecutingReader(Protocol):
    """Executing messages."""

    async def search(self, wanted: JobFilter, cursor: str | None, limit: int) -> Page[ExecutingMessage]:
        """Those that match, newest first.

        Raises:
            ParameterError: A cursor that no page has given.
        """
        ...

    async def find(self, key: str) -> ExecutingDetails | None: ...

    async def counts(self) -> Sequence[ExecutingCount]: ...


def read_filter(
    request: Request,
    status: Annotated[list[ExecutingStatus] | None, Query(description="The verdict; may be repeated.")] = None,
    executing: Annotated[
        ChainText, Query(description="Where it was executed: settings' key, label or chain id.")
    ] = None,
    initiating: Annotated[ChainText, Query(description="The chain that it names, in the same ways.")] = None,
    retracted: Annotated[bool, Query(description="Those whose block left the chain, and only those.")] = False,
) -> JobFilter:
    """A dependency: the filters, checked."""
    names: ChainNames = request.app.state.names
    return JobFilter(
        statuses=tuple(map(Status, status or ())),
        exec_chain=_chain_id(names, "executing", executing),
        init_chain=_chain_id(names, "initiating", initiating),
        retracted=retracted,
    )


def executing_routes(reader: ExecutingReader) -> APIRouter:
    router = APIRouter(prefix="/interop", tags=["messages"])

    @router.get("/messages", response_model=ExecutingMessages, summary="Executing messages that match, newest first")
    async def get_executing_messages(
        wanted: Annotated[JobFilter, Depends(read_filter)], limit: Limit = DEFAULT_LIMIT, cursor: After = None
    ) -> ExecutingMessages:
        page = await reader.search(wanted, cursor, limit)
        return ExecutingMessages(now=now_iso(), items=page.items, next=page.next)

    @router.get("/messages/{id}", response_model=ExecutingDetails, summary="One of them with its history")
    async def get_executing_message(id: Id) -> ExecutingDetails:  # noqa: A002 - the public name
        found = await reader.find(id)
        if found is None:
            raise ProblemError(HTTPStatus.NOT_FOUND, "no executing message has this id; it may not have been seen yet")
        return found

    @router.get("/counts", response_model=ExecutingCounts, summary="Executing messages by chains and verdict")
    async def get_executing_counts() -> ExecutingCounts:
        items = list(await reader.counts())
        totals = {status: sum(item.messages for item in items if item.status == status) for status in _STATUSES}
        return ExecutingCounts(now=now_iso(), items=items, totals=totals)

    return router


def _chain_id(names: ChainNames, parameter: str, text: str | None) -> int | None:
    """The chain that a person named; a number that nobody named stands for itself.

    Raises:
        ParameterError: Neither a known name nor a number.
    """
    if text is None:
        return None
    found = names.find(text)
    if found is not None and found.chain_id is not None:
        return int(found.chain_id)
    if text.isascii() and text.isdigit() and int(text) <= _MAX_CHAIN:
        return int(text)
    known = ", ".join(chain.key for chain in names.all)
    raise ParameterError(parameter, f"no chain is called {text[:40]!r}; known: {known or 'none'}, or any chain id")
