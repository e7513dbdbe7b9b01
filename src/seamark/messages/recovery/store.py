"""What the ledger knows of a message that is to be executed by hand: reads only."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Select, select

from seamark.core.errors import RejectedError
from seamark.core.ids import ChainId, Hash32
from seamark.messages.model import Fact, LaneKey, Sent, Stage
from seamark.messages.recovery.model import Case, CommittedRoot, Head, Place, Told
from seamark.messages.store import MessageDetail, find_message, read_contracts, tables

__all__ = ["find_cases", "find_head", "load_case", "load_told"]

SHORTEST_PREFIX = 8
"""Characters of an id, with "0x": fewer hardly name a message, and are most likely a slip."""

MOST_CASES = 500
_SHOWN = 3
_DONE = (Stage.EXECUTED.value, Stage.RECOVERED.value)
_END = "\x7f"  # above every hex digit

_message, _lane = tables.message, tables.lane


def load_case(connection: Connection, message_id: str) -> Case:
    """One message by its id, or by the beginning of one that is enough to tell it from all others.

    Raises:
        RejectedError: There is none, or there are several.
    """
    text = message_id.strip().lower()
    if not text.startswith("0x") or len(text) < SHORTEST_PREFIX:
        raise RejectedError(f"{message_id!r} is no message id", remedy="write 0x and at least 6 of its 64 digits")
    query = select(_message.c.id).where(_message.c.id >= text, _message.c.id < text + _END).limit(_SHOWN)
    found = list(connection.execute(query).scalars())
    if not found:
        raise RejectedError(
            f"the ledger knows no message {text}",
            remedy="check the id; a message from before the monitor's first block must be backfilled first",
        )
    if len(found) > 1:
        raise RejectedError(f"several messages begin with {text}", remedy="write more of the id")
    return _case(connection, found[0])


def find_cases(
    connection: Connection,
    *,
    source: str | None = None,
    destination: str | None = None,
    sender: str | None = None,
    protocols: Collection[str] = (),
    limit: int = MOST_CASES,
) -> list[Case]:
    """Messages that are sent and not executed with success, oldest first within each lane.

    Args:
        connection: Where the ledger is.
        source: A selector or a chain's name; None for any.
        destination: As `source`.
        sender: An address; None for any.
        protocols: Only these; empty for any.
        limit: How many at most.
    """
    lanes = select(_lane.c.id)
    if source is not None:
        lanes = lanes.where((_lane.c.source == source) | (_lane.c.source_name == source))
    if destination is not None:
        lanes = lanes.where((_lane.c.destination == destination) | (_lane.c.destination_name == destination))
    if protocols:
        lanes = lanes.where(_lane.c.protocol.in_(protocols))
    query = (
        select(_message.c.id)
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
    return [_case(connection, found) for found in list(connection.execute(query).scalars())]


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


def load_told(connection: Connection, case: Case) -> dict[int, Told]:
    """What the ledger has kept of the sends of a message's root (of the message alone, where it knows no root)."""
    first, last = (case.root.first, case.root.last) if case.root else (case.sequence, case.sequence)
    query = _live_sends(case.lane, first, last).with_only_columns(_message.c.id)
    found = {}
    for message_id in list(connection.execute(query).scalars()):
        detail = find_message(connection, message_id)
        bodies = [seen.body for seen in detail.sightings if seen.kind == "sent" and seen.live] if detail else []
        if detail and bodies:
            found[detail.message.sequence] = Told(Hash32(message_id), detail.message.sequence, _sent(bodies[-1]))
    return found


def _sent(body: dict[str, Any]) -> Sent:
    known = {name: body[name] for name in Sent.__struct_fields__ if name in body}
    return Sent(**known)


def _case(connection: Connection, message_id: str) -> Case:
    detail = find_message(connection, message_id)
    assert detail is not None  # its row was just read
    view = detail.message
    root = _root(detail)
    lane = LaneKey(view.protocol, view.source, view.channel, view.destination)
    chain = None if view.destination_chain is None else ChainId(view.destination_chain)
    return Case(
        id=Hash32(view.id),
        lane=lane,
        version=view.version,
        sequence=view.sequence,
        stage=Stage(view.stage),
        source_name=view.source_name,
        destination_name=view.destination_name,
        source_chain=None if view.source_chain is None else ChainId(view.source_chain),
        destination_chain=chain,
        sender=view.sender,
        receiver=view.receiver,
        nonce=view.nonce,
        sent=None if view.sent_block is None else Place(view.sent_block, Hash32(view.sent_tx or "")),
        finalized=view.finalized,
        retracted=view.retracted,
        root=root,
        executed_transaction=view.executed_tx or "",
        reason=view.reason,
        error=view.error,
        attempts=view.attempts,
        contracts=() if chain is None else tuple(read_contracts(connection, view.protocol, chain)),
        siblings={} if root is None else _siblings(connection, lane, root),
    )


def _root(detail: MessageDetail) -> CommittedRoot | None:
    """The commit that counts, where its event names a root."""
    for seen in detail.sightings:
        root = seen.body.get("details", {}).get("root", "")
        if seen.kind == "committed" and seen.live and root:
            return CommittedRoot(seen.body["first"], seen.body["last"], root, seen.time, Hash32(seen.tx))
    return None


def _siblings(connection: Connection, lane: LaneKey, root: CommittedRoot) -> dict[int, Place]:
    query = _live_sends(lane, root.first, root.last)
    return {row.sequence: Place(row.sent_block, Hash32(row.sent_tx)) for row in connection.execute(query)}


def _live_sends(lane: LaneKey, first: int, last: int) -> Select[Any]:
    number = select(_lane.c.id).where(
        _lane.c.protocol == lane.protocol,
        _lane.c.source == lane.source,
        _lane.c.channel == lane.channel,
        _lane.c.destination == lane.destination,
    )
    return select(_message.c.sequence, _message.c.sent_block, _message.c.sent_tx).where(
        _message.c.lane_id == number.scalar_subquery(),
        _message.c.sequence.between(first, last),
        _message.c.sent_block.is_not(None),
        _message.c.facts.op("&")(Fact.RETRACTED) == 0,
    )
