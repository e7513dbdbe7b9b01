"""The record of operations: written before anything is sent, kept for good.

An operation is begun, takes steps, and ends with an outcome. A step is recorded with the call that would take it back
before its transaction is made, so whoever comes after a crash knows all that may have happened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Index, Table, Text, func, select

from seamark.core.ids import Address, ChainId
from seamark.storage.events import Event, append_events
from seamark.storage.schema import AUTO_ID, metadata

__all__ = [
    "Operation",
    "Step",
    "add_step",
    "begin_operation",
    "end_operation",
    "list_operations",
    "spent_since",
    "steps_back",
    "unended_operation",
]

_operation = Table(
    "operation",
    metadata,
    Column("id", AUTO_ID, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("chain_id", BigInteger, nullable=False),
    Column("subject", Text, nullable=False),
    Column("operator", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("begun_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger),
    Column("outcome", Text, nullable=False),
    Column("amount", Text, nullable=False),  # base units, of what a refill sends; "0" else
    Column("steps", Text, nullable=False),  # JSON of `Step`s
    Index("ix_operation_subject", "chain_id", "subject", "id"),
    Index("ix_operation_begun", "kind", "begun_ms"),
    sqlite_autoincrement=True,
)


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """One transaction of an operation, its calldata in hex. `undo` is the one that takes it back, "" where nothing
    does.
    """

    what: str
    undo: str = ""
    by: str = ""
    call: str = ""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody did. `outcome` is "" while it has not ended, else "done", "failed" or "rolled back"."""

    id: int
    kind: str
    chain_id: int
    subject: str
    operator: str
    why: str
    begun_ms: int
    ended_ms: int | None
    outcome: str
    amount: str
    steps: tuple[Step, ...]


_encode = msgspec.json.Encoder().encode
_decode_steps = msgspec.json.Decoder(tuple[Step, ...]).decode


def begin_operation(
    connection: Connection,
    kind: str,
    chain_id: ChainId,
    subject: Address,
    *,
    operator: str,
    why: str,
    now_ms: int,
    amount: int = 0,
) -> Operation:
    """Write down what is about to be done."""
    row = {
        "kind": kind,
        "chain_id": chain_id,
        "subject": subject,
        "operator": operator,
        "why": why,
        "begun_ms": now_ms,
        "outcome": "",
        "amount": str(amount),
        "steps": "[]",
    }
    (number,) = connection.execute(_operation.insert().values(row)).inserted_primary_key or (0,)
    begun = _read(connection, number)
    _tell(connection, "begun", begun)
    return begun


def add_step(connection: Connection, operation: Operation, step: Step) -> Operation:
    """Before its transaction is made."""
    steps = (*_read(connection, operation.id).steps, step)
    where = _operation.c.id == operation.id
    connection.execute(_operation.update().where(where).values(steps=_encode(steps).decode()))
    return _read(connection, operation.id)


def end_operation(connection: Connection, operation: Operation, outcome: str, *, now_ms: int) -> Operation:
    """How it came out."""
    where = _operation.c.id == operation.id
    connection.execute(_operation.update().where(where).values(outcome=outcome, ended_ms=now_ms))
    ended = _read(connection, operation.id)
    _tell(connection, "ended", ended)
    return ended


def unended_operation(connection: Connection, chain_id: ChainId, subject: Address) -> Operation | None:
    """What was begun with a contract and has not ended: whoever did it was interrupted, or is at it."""
    query = (
        select(_operation)
        .where(_operation.c.chain_id == chain_id, _operation.c.subject == subject, _operation.c.ended_ms.is_(None))
        .order_by(_operation.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).mappings().first()
    return None if row is None else _operation_of(row)


def list_operations(connection: Connection, *, limit: int = 50) -> list[Operation]:
    """The newest first."""
    query = select(_operation).order_by(_operation.c.id.desc()).limit(limit)
    return [_operation_of(row) for row in connection.execute(query).mappings()]


def spent_since(connection: Connection, chain_id: ChainId, since_ms: int) -> int:
    """Base units that refills on a chain have sent, or may have sent, since then."""
    query = select(_operation.c.amount).where(
        _operation.c.kind == "refill",
        _operation.c.chain_id == chain_id,
        _operation.c.begun_ms >= since_ms,
        func.coalesce(_operation.c.outcome, "") != "failed",
    )
    return sum(int(amount) for amount in connection.execute(query).scalars())


def _read(connection: Connection, number: int) -> Operation:
    return _operation_of(connection.execute(select(_operation).where(_operation.c.id == number)).mappings().one())


def _operation_of(row: Mapping[Any, Any]) -> Operation:
    return Operation(**{**row, "steps": _decode_steps(row["steps"])})


def _tell(connection: Connection, what: str, operation: Operation) -> None:
    payload = {
        "id": operation.id,
        "kind": operation.kind,
        "chain_id": operation.chain_id,
        "subject": operation.subject,
        "operator": operation.operator,
        "why": operation.why,
        "outcome": operation.outcome,
        "amount": operation.amount,
        "steps": [step.what for step in operation.steps],
    }
    append_events(connection, [Event(f"operation.{what}", operation.subject, payload)])


def steps_back(operation: Operation) -> Sequence[Step]:
    """Those that can be taken back, the last one first."""
    return [step for step in reversed(operation.steps) if step.undo]
