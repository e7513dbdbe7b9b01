"""What nodes say to each other: frozen values. Who said it is told by the connection, never by the message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from seamark.oracle.reporting.plugin import EpochRound
from seamark.oracle.reporting.signatures import AttestedReport, ReportSignature

__all__ = [
    "Final",
    "FinalEcho",
    "Message",
    "NewEpoch",
    "Observe",
    "ObserveRequest",
    "ReportReply",
    "ReportRequest",
    "RoundMessage",
    "SignedObservation",
]


@dataclass(frozen=True, slots=True)
class NewEpoch:
    """I want this epoch to begin."""

    epoch: int


@dataclass(frozen=True, slots=True)
class ObserveRequest:
    """The leader begins a round. The median plugin's query is empty."""

    epoch: int
    round: int
    query: bytes = b""


@dataclass(frozen=True, slots=True)
class SignedObservation:
    """An encoded observation, signed with ed25519 for one round."""

    observation: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Observe:
    """A follower's answer."""

    epoch: int
    round: int
    signed: SignedObservation


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """The leader shows all observations, (node, what it signed), and asks for signatures under their report."""

    epoch: int
    round: int
    query: bytes
    observations: tuple[tuple[int, SignedObservation], ...]


@dataclass(frozen=True, slots=True)
class ReportReply:
    """A follower's report and its signature; both None where it sees no reason for a report."""

    epoch: int
    round: int
    report: bytes | None
    signature: ReportSignature | None


@dataclass(frozen=True, slots=True)
class Final:
    """A report with f + 1 signatures, and the hash of what it was made from."""

    epoch: int
    round: int
    extra_hash: bytes
    attested: AttestedReport

    @property
    def at(self) -> EpochRound:
        return self.epoch, self.round


@dataclass(frozen=True, slots=True)
class FinalEcho:
    """Everybody repeats a final report, so that a leader cannot keep it from some."""

    final: Final


RoundMessage: TypeAlias = ObserveRequest | Observe | ReportRequest | ReportReply | Final
Message: TypeAlias = NewEpoch | RoundMessage | FinalEcho
