"""Rows of `interop_job` as values, and back."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import Row

from seamark.core.ids import Address, BlockRef, ChainId, Hash32
from seamark.messages.protocols.op_interop.model import (
    BAD,
    ExecutingMessage,
    Identifier,
    Level,
    Rule,
    Status,
)

__all__ = ["ELSEWHERE", "Job", "contributions", "init_label", "job_key", "new_row", "to_job"]

MAX_BLOCK: Final = 2**63 - 1
ELSEWHERE: Final = "unknown"
"""The label of initiating chains that are not in the set: whoever writes a log chooses their number."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One executing message and what is thought of it."""

    key: str
    message: ExecutingMessage
    status: Status
    rule: Rule
    detail: str
    boundary: bool
    init_hash: str
    exec_level: Level
    init_level: Level
    declared: bool | None
    stale: bool
    due: bool
    touches: int
    retracted: bool
    settled: bool
    was_valid: bool
    was_bad: bool
    incident: int | None
    seen_ms: int
    decided_ms: int | None

    @property
    def changed(self) -> bool:
        """It was once called valid, and once not."""
        return self.was_valid and self.was_bad

    @property
    def tracked(self) -> bool:
        """Whether gauges still show it: until it is valid for good. An invalid one stays for ever."""
        return not self.retracted and not (self.settled and self.status not in BAD)


def job_key(message: ExecutingMessage) -> str:
    return f"{message.chain_id}:{message.block.hash}:{message.log_index}"


def init_label(chain_id: int, members: frozenset[int]) -> str:
    """How metrics call the initiating chain."""
    return str(chain_id) if chain_id in members else ELSEWHERE


def contributions(job: Job) -> tuple[str, ...]:
    """The tallies that a job counts in."""
    if not job.tracked:
        return ()
    return (job.status.value, "changed") if job.changed else (job.status.value,)


def new_row(message: ExecutingMessage, *, now_ms: int, exec_level: Level) -> dict[str, Any]:
    """A job that nobody has looked at."""
    told, block = message.identifier, message.block
    return {
        "key": job_key(message),
        "exec_chain": message.chain_id,
        "exec_block": block.number,
        "exec_hash": block.hash,
        "exec_time": block.timestamp,
        "exec_tx": message.transaction,
        "exec_log": message.log_index,
        "payload": message.payload,
        "origin": told.origin,
        "init_chain": str(told.chain_id),
        "init_block": min(told.block_number, MAX_BLOCK),
        "named_block": str(told.block_number),
        "named_time": str(told.timestamp),
        "named_log": told.log_index,
        "same_time": told.timestamp == block.timestamp,
        "status": Status.UNKNOWN.value,
        "rule": "",
        "detail": "",
        "boundary": False,
        "init_hash": "",
        "exec_level": int(exec_level),
        "init_level": int(Level.UNSAFE),
        "declared": None,
        "stale": False,
        "due": True,
        "touches": 0,
        "retracted": False,
        "settled": False,
        "was_valid": False,
        "was_bad": False,
        "incident": None,
        "seen_ms": now_ms,
        "decided_ms": None,
        "looked_ms": 0,
    }


def to_job(row: Row[Any]) -> Job:
    identifier = Identifier(
        Address(row.origin), int(row.named_block), row.named_log, int(row.named_time), int(row.init_chain)
    )
    block = BlockRef(row.exec_block, Hash32(row.exec_hash), Hash32(""), row.exec_time)
    message = ExecutingMessage(
        ChainId(row.exec_chain), block, Hash32(row.exec_tx), row.exec_log, Hash32(row.payload), identifier
    )
    return Job(
        key=row.key,
        message=message,
        status=Status(row.status),
        rule=Rule(row.rule),
        detail=row.detail,
        boundary=row.boundary,
        init_hash=row.init_hash,
        exec_level=Level(row.exec_level),
        init_level=Level(row.init_level),
        declared=row.declared,
        stale=row.stale,
        due=row.due,
        touches=row.touches,
        retracted=row.retracted,
        settled=row.settled,
        was_valid=row.was_valid,
        was_bad=row.was_bad,
        incident=row.incident,
        seen_ms=row.seen_ms,
        decided_ms=row.decided_ms,
    )
