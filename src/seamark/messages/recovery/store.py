"""What the ledger knows of a message that is to be executed by hand: reads only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from seamark.core.errors import RejectedError
from seamark.core.ids import Hash32
from seamark.messages.model import Committed, Fact, Stage
from seamark.messages.recovery.model import Case, CommittedRoot, Head, Place
from seamark.messages.store import read_contracts, tables
from seamark.messages.store.lanes import Lane, read_lanes

__all__ = ["find_cases", "find_head", "load_case"]

SHORTEST_PREFIX = 8
"""Characters of an id, with "0x": fewer hardly name a message, and are most likely a slip."""

MOST_CASES = 500
_SHOWN = 3
_DONE = (Stage.EXECUTED.value, Stage.RECOVERED.value)
_END = "\x7f"  # above every hex digit

_message, _lane, _commit = tables.message, tables.lane, tables.commit
_read_committed = msgspec.json.Decoder(Committed).decode


def load_case(connection: Connection, message_id: str) -> Case:
    """One message by its id, or by the beginning of one that is enough to tell it from all others.

    Raises:
        RejectedError: There is none, or there are several.
    """
    text = message_id.strip().lower()
    if not text.startswith("0x") or len(text) < SHORTEST_PREFIX:
        raise RejectedError(f"{message_id!r} is no message id", remedy="write 0x and at least 6 of its 64 digits")
    query = select(_message).where(_message.c.id >= text, _message.c.id < text + _END).limit(_SHOWN)
    rows = list(connection.execute(query))
    if not rows:
        raise RejectedError(
            f"the ledger knows no message {text}",
            remedy="check the id; a message from before the monitor's first block must be backfilled first",
        )
    if len(rows) > 1:
        raise RejectedError(f"several messages begin with {text}", remedy="write more of the id")
    return _case(connection, rows[0])


def find_cases(
    connection: Connection,
    *,
    source: str | None = None,
    destination: str | None = None,
    sender: str | None = None,
    limit: int = MOST_CASES,
) -> list[Case]:
    """Messages that are sent and not executed with success, oldest first within each lane.

    Args:
        connection: Where the ledger is.
        source: A selector or a chain's name; None for any.
        destination: As `source`.
        sender: An address; None for any.
        limit: How many at most.
    """
    lanes = select(_lane.c.id)
    if source is not None:
        lanes = lanes.where((_lane.c.source == source) | (_lane.c.source_name == source))
    if destination is not None:
        lanes = lanes.where((_lane.c.destination == destination) | (_lane.c.destination_name == destination))
    query = (
        select(_message)
        .where(
            _message.c.lane_id.in_(lanes),
            _message.c.stage.in_([Stage.FAILED.value, Stage.COMMITTED.value, Stage.FINALIZED.value, Stage.SENT.value]),
            _message.c.sent_block.is_not(None),
        )
        .order_by(_message.c.lane_id, _message.c.sequence)
        .limit(limit)
    )
    if sender is not None:
        query = query.where(_message.c.sender == sender.lower())
    return [_case(connection, row) for row in connection.execute(query).all()]


def find_head(connection: Connection, case: Case, nonce: int) -> Head | None:
    """The message of the case's sender, between the same chains, that has this nonce. After a migration it may be on
    the lane of the ramps before: nonces go on.
    """
    key = case.lane
    lanes = select(_lane.c.id).where(
        _lane.c.protocol == key.protocol, _lane.c.source == key.source, _lane.c.destination == key.destination
    )
    query = select(_message).where(
        _message.c.lane_id.in_(lanes),
        _message.c.sender == case.sender,
        _message.c.nonce == nonce,
        _message.c.stage != Stage.RETRACTED.value,
    )
    # Where ramps began to count anew, the nonce was used before, by one that is done.
    rows = [row for row in connection.execute(query) if row.stage not in _DONE]
    return Head(Hash32(rows[0].id), rows[0].sequence, rows[0].nonce, Stage(rows[0].stage)) if rows else None


def _case(connection: Connection, row: Any) -> Case:
    (lane,) = read_lanes(connection, select(_lane).where(_lane.c.id == row.lane_id))
    names = lane.names
    destination = names.destination_chain
    root = _root(connection, lane, row)
    contracts = () if destination is None else read_contracts(connection, lane.key.protocol, destination)
    return Case(
        id=Hash32(row.id),
        lane=lane.key,
        version=row.version,
        sequence=row.sequence,
        stage=Stage(row.stage),
        source_name=names.source,
        destination_name=names.destination,
        source_chain=names.source_chain,
        destination_chain=destination,
        sender=row.sender,
        receiver=row.receiver,
        nonce=row.nonce,
        sent=None if row.sent_block is None else Place(row.sent_block, Hash32(row.sent_tx)),
        finalized=bool(row.facts & Fact.FINALIZED),
        retracted=bool(row.facts & Fact.RETRACTED),
        root=root,
        executed_transaction=row.executed_tx or "",
        reason=row.reason,
        error=row.error,
        attempts=row.attempts,
        contracts=tuple(contracts),
        siblings={} if root is None else _siblings(connection, lane, root),
    )


def _root(connection: Connection, lane: Lane, row: Any) -> CommittedRoot | None:
    """The live commit that holds the message; the ledger's own choice where there are several."""
    query = (
        select(_commit)
        .where(
            _commit.c.lane_id == lane.id,
            _commit.c.live,
            _commit.c.first <= row.sequence,
            _commit.c.first >= row.sequence - lane.widest_commit,
            _commit.c.last >= row.sequence,
        )
        .order_by(_commit.c.first.desc())
    )
    found: Sequence[Any] = connection.execute(query).all()
    if not found:
        return None
    best = next((commit for commit in found if commit.tx == row.committed_tx), found[0])
    root = str(_read_committed(best.body).details.get("root", ""))
    return CommittedRoot(best.first, best.last, root, best.time, Hash32(best.tx)) if root else None


def _siblings(connection: Connection, lane: Lane, root: CommittedRoot) -> dict[int, Place]:
    query = select(_message.c.sequence, _message.c.sent_block, _message.c.sent_tx).where(
        _message.c.lane_id == lane.id,
        _message.c.sequence.between(root.first, root.last),
        _message.c.sent_block.is_not(None),
        _message.c.facts.op("&")(Fact.RETRACTED) == 0,
    )
    return {row.sequence: Place(row.sent_block, Hash32(row.sent_tx)) for row in connection.execute(query)}
