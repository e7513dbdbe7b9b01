"""Between values and rows: how sightings, commits and states are written down, and what the world sees of a message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from seamark.core.ids import ChainId, Hash32
from seamark.messages.model import (
    STAGES,
    Body,
    Committed,
    Evidence,
    Executed,
    Fact,
    MessageState,
    Revoked,
    Sent,
    Sighting,
    Stage,
)
from seamark.messages.rules import nonce_of
from seamark.messages.store.lanes import Lane

__all__ = [
    "MESSAGE_COLUMNS",
    "SIGHTING_COLUMNS",
    "STAGE_TEXTS",
    "MessageView",
    "Seconds",
    "commit_row",
    "decode_body",
    "evidence_of",
    "message_values",
    "revocation_row",
    "sighting_values",
    "view_of",
]

_encode = msgspec.json.Encoder().encode
_decode_body = msgspec.json.Decoder(Sent | Executed).decode


class Seconds(msgspec.Struct, frozen=True):
    """Time spent: sent to final, sent to committed, committed to executed, sent to executed. Never negative; None where
    an end is not known.
    """

    finality: int | None = None
    commit: int | None = None
    execution: int | None = None
    total: int | None = None


class MessageView(msgspec.Struct, frozen=True, kw_only=True):
    """A message as lists, events and the API show it. Times are seconds since the epoch by the chains' own blocks;
    selectors and amounts are text.

    `finalized_time` can be None though the message is past that stage: nobody saw when. `callback`: whether the
    receiver's code ran. An end of the lane that is not watched (`source_watched`, `destination_watched`) leaves its
    stages unknown.
    """

    id: str
    protocol: str
    version: str
    source: str
    destination: str
    source_name: str
    destination_name: str
    source_chain: int | None
    destination_chain: int | None
    source_watched: bool
    destination_watched: bool
    channel: str
    sequence: int
    stage: str
    retracted: bool
    finalized: bool
    time: int
    sender: str
    receiver: str
    size: int
    fee_token: str
    fee_amount: str
    fee_juels: str | None
    nonce: int | None = None  # of an ordered message: its sender's own count
    by_hand: bool = False  # nobody executes it by himself
    sent_tx: str | None
    sent_block: int | None
    sent_time: int | None
    finalized_time: int | None
    committed_tx: str | None
    committed_time: int | None
    verified: bool = False  # the stage "committed" was reached by what verifiers said off chain
    executed_tx: str | None
    executed_time: int | None
    attempts: int
    reason: str
    error: str
    callback: bool | None
    manual: bool | None
    conflicting: bool
    seconds: Seconds


SIGHTING_COLUMNS = ("place", "live", "message_no", "lane_id", "tx", "version", "sequence", "body")


def sighting_values(item: Sighting, place: int, message_no: int, lane_id: int) -> tuple[Any, ...]:
    """Of a live fact, in the order of `SIGHTING_COLUMNS`."""
    body = _encode(item.body).decode()
    return place, True, message_no, lane_id, item.evidence.transaction, item.version, item.sequence, body


def _fact_row(item: Sighting) -> dict[str, Any]:
    at = item.evidence
    return {
        "chain_id": at.chain_id,
        "block_number": at.block_number,
        "block_hash": at.block_hash,
        "log_index": at.log_index,
        "part": item.part,
        "live": True,
        "tx": at.transaction,
        "time": at.time,
        "version": item.version,
        "body": _encode(item.body).decode(),
    }


def commit_row(item: Sighting, lane_id: int, last: int) -> dict[str, Any]:
    root = item.body.details.get("root") if isinstance(item.body, Committed) else None
    return {**_fact_row(item), "lane_id": lane_id, "first": item.sequence, "last": last, "root": root}


def revocation_row(item: Sighting, protocol: str) -> dict[str, Any]:
    return {"protocol": protocol, **_fact_row(item), "root": cast(Revoked, item.body).root}


def evidence_of(row: Any) -> Evidence:
    return Evidence(
        ChainId(row.chain_id), row.block_number, Hash32(row.block_hash), Hash32(row.tx), row.log_index, row.time
    )


def decode_body(text: str) -> Body:
    body: Body = _decode_body(text)
    return body


MESSAGE_COLUMNS = (
    "no",
    "id",
    "lane_id",
    "version",
    "sequence",
    "facts",
    "counted",
    "stage",
    "time",
    "sender",
    "receiver",
    "size",
    "fee_token",
    "fee_amount",
    "fee_juels",
    "nonce",
    "by_hand",
    "source_chain",
    "sent_block",
    "sent_tx",
    "sent_time",
    "pending_block",
    "finalized_time",
    "committed_tx",
    "committed_time",
    "executed_tx",
    "executed_time",
    "attempts",
    "steps",
    "reason",
    "error",
    "callback",
    "manual",
    "conflicting",
)


def told_values(told: Sent) -> tuple[Any, ...]:
    """What its sender said of it, in the order of `MESSAGE_COLUMNS` from `sender` to `by_hand`."""
    return (
        told.sender,
        told.receiver,
        told.size,
        told.fee_token,
        told.fee_amount,
        told.fee_juels,
        nonce_of(told),
        told.by_hand or None,
    )


def message_values(
    state: MessageState, no: int, lane_id: int, *, time: int, counted: int, steps: int
) -> tuple[Any, ...]:
    """A message's row, in the order of `MESSAGE_COLUMNS`. Positions instead of names: this runs for every log."""
    sent, committed, told, facts = state.sent, state.committed, state.told, state.facts
    ran = state.executed or state.failed
    outcome = state.success or state.failure
    broken = state.failure if state.success is None else None
    return (
        no,
        state.message_id,
        lane_id,
        state.version,
        state.sequence,
        facts,
        counted,
        STAGE_TEXTS[facts],
        time,
        *(told_values(told) if told else _NOTHING_TOLD),
        *(
            (
                sent.chain_id,
                sent.block_number,
                sent.transaction,
                sent.time,
                None if facts & Fact.FINALIZED else sent.block_number,
            )
            if sent
            else _NOT_SENT
        ),
        state.finalized_time,
        committed.transaction if committed else None,
        committed.time if committed else state.verified_time,
        ran.transaction if ran else None,
        ran.time if ran else None,
        state.attempts,
        steps,
        broken.reason if broken else "",
        broken.error if broken else "",
        outcome.callback if outcome else None,
        outcome.manual if outcome else None,
        state.conflicting,
    )


_NOTHING_TOLD = ("", "", 0, "", "0", None, None, None)
_NOT_SENT = (None, None, None, None, None)

STAGE_TEXTS = tuple(stage.value for stage in STAGES)
"""Plain text for every combination of facts: drivers take longer over an enum."""

# Columns that a view shows as they are.
_PLAIN = [
    "id",
    "version",
    "sequence",
    "stage",
    "time",
    "sender",
    "receiver",
    "size",
    "fee_token",
    "fee_amount",
    "fee_juels",
    "nonce",
    "sent_tx",
    "sent_block",
    "sent_time",
    "finalized_time",
    "committed_tx",
    "committed_time",
    "executed_tx",
    "executed_time",
    "attempts",
    "reason",
    "error",
    "callback",
    "manual",
    "conflicting",
]


def view_of(row: Mapping[str, Any], lane: Lane) -> MessageView:
    """A row of the message table and its lane, for the world."""
    key, names, facts = lane.key, lane.names, row["facts"]
    return MessageView(
        **{name: row[name] for name in _PLAIN},
        protocol=key.protocol,
        source=key.source,
        destination=key.destination,
        channel=key.channel,
        source_name=names.source,
        destination_name=names.destination,
        source_chain=names.source_chain,
        destination_chain=names.destination_chain,
        source_watched=names.source_watched,
        destination_watched=names.destination_watched,
        retracted=bool(facts & Fact.RETRACTED),
        finalized=bool(facts & Fact.FINALIZED),
        by_hand=bool(row["by_hand"]),
        verified=row["committed_time"] is not None and row["committed_tx"] is None,
        seconds=_seconds(row),
    )


_DELIVERED = (Stage.EXECUTED.value, Stage.RECOVERED.value)


def _seconds(row: Mapping[str, Any]) -> Seconds:
    def span(start: int | None, end: int | None) -> int | None:
        return None if start is None or end is None else max(end - start, 0)

    sent, committed = row["sent_time"], row["committed_time"]
    executed = row["executed_time"] if row["stage"] in _DELIVERED else None
    return Seconds(
        finality=span(sent, row["finalized_time"]),
        commit=span(sent, committed),
        execution=span(committed, executed),
        total=span(sent, executed),
    )
