"""What the receipt of a publication tells, by its events alone. Pure.

    published   AnswerUpdated                     the round has this answer (Aggregator, OCR2)
    submitted   SubmissionReceived                our part of a round is in; its answer may be there or not (Flux)
    parked      AnswerParked                      moved too far; the round is not used up (Aggregator)
    None                                          none of these: nothing was published

The events name the kind of contract, so a receipt is read without knowing what it came from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from seamark.core.ids import Address
from seamark.evm.abi import Abi, DecodeError
from seamark.evm.types import Log, Receipt
from seamark.oracle.model import Parked

__all__ = ["ABI", "ParkedLog", "PublishedLog", "SubmittedLog", "Told", "read_receipt"]

ABI: Final = Abi.parse(
    "event NewRound(uint256 indexed roundId, address indexed startedBy, uint256 startedAt)",
    "event AnswerUpdated(int256 indexed current, uint256 indexed roundId, uint256 updatedAt)",
    "event AnswerParked(uint80 indexed roundId, int256 answer, uint64 observedAt, address indexed publisher)",
    "event SubmissionReceived(int256 indexed submission, uint32 indexed round, address indexed oracle)",
)


@dataclass(frozen=True, slots=True)
class PublishedLog:
    """A round was published."""

    round: int
    answer: int
    started_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class SubmittedLog:
    """One oracle's part of a round was taken. `started`: it was the one that began the round. `published`: the answer
    that the round has with it, None while too few have answered.
    """

    round: int
    submission: int
    started: bool
    published: PublishedLog | None


@dataclass(frozen=True, slots=True)
class ParkedLog:
    """An answer was parked."""

    parked: Parked


Told: TypeAlias = PublishedLog | SubmittedLog | ParkedLog


def read_receipt(receipt: Receipt, address: Address) -> Told | None:
    """What a publication came to; None: nothing was published, and nothing parked."""
    started: dict[int, int] = {}
    submitted: Any = None
    published: PublishedLog | None = None
    for log in receipt.logs:
        name, values = _event(log, address)
        if name == "AnswerParked":
            return ParkedLog(Parked(values.roundId, values.answer, values.observedAt, values.publisher))
        if name == "NewRound":
            started[values.roundId] = values.startedAt
        elif name == "SubmissionReceived":
            submitted = values
        elif name == "AnswerUpdated":
            began = started.get(values.roundId, values.updatedAt)
            published = published or PublishedLog(values.roundId, values.current, began, values.updatedAt)
    if submitted is None:
        return published
    return SubmittedLog(submitted.round, submitted.submission, submitted.round in started, published)


def _event(log: Log, address: Address) -> tuple[str, Any]:
    """Its name and values; no name: not one of ours."""
    if log.address != address or not log.topics or log.topics[0] not in ABI.events_by_topic:
        return "", None
    try:
        event, values = ABI.decode_log(log)
    except DecodeError:
        return "", None  # another event that happens to share the name and types, with other indexes
    return event.name, values
