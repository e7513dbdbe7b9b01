"""The words of the protocol's machine: what happens to a node (events), and what it wants done (effects).

The machine does nothing itself: it has no clock, network, disk or remote key. Effects are carried out in their order.
`Persist` comes first in its step, and the others may be carried out only once it is on disk: that is what keeps a node
from contradicting itself after a crash. Deadlines are no effects: the state says when it wants to be woken.

Times are nanoseconds since the epoch that never go back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

from seamark.oracle.reporting.codec import ReportContext, Transmission
from seamark.oracle.reporting.config import Network
from seamark.oracle.reporting.messages import Final, Message
from seamark.oracle.reporting.plugin import ContractView, EpochRound, MedianPlugin
from seamark.oracle.reporting.schedule import Schedule
from seamark.oracle.reporting.signatures import ReportSignature

__all__ = [
    "Broadcast",
    "ChangeLeader",
    "Context",
    "ContractRead",
    "Crypto",
    "Effect",
    "Event",
    "Finished",
    "MakeObservation",
    "Observed",
    "Output",
    "Pending",
    "Persist",
    "Progress",
    "Purpose",
    "ReadContract",
    "Received",
    "ReportSigned",
    "Saved",
    "Send",
    "SignReport",
    "Signal",
    "Switched",
    "Transmit",
    "Woke",
]


class Crypto(Protocol):
    """The signatures that cost no waiting. (A report may be signed elsewhere: that is an effect.)"""

    def sign_observation(self, payload: bytes) -> bytes: ...

    def verify_observation(self, node: int, payload: bytes, signature: bytes) -> bool: ...

    def verify_report(self, node: int, context: ReportContext, report: bytes, signature: ReportSignature) -> bool: ...


@dataclass(frozen=True, slots=True)
class Context:
    """What does not change while a configuration lasts."""

    network: Network
    me: int
    schedule: Schedule
    plugin: MedianPlugin
    crypto: Crypto

    @property
    def n(self) -> int:
        return self.network.n

    @property
    def f(self) -> int:
        return self.network.f

    @property
    def digest(self) -> bytes:
        return self.network.digest

    def verifier(self, context: ReportContext, report: bytes) -> Callable[[int, ReportSignature], bool]:
        """Whether a node's signature under this report is right."""
        return lambda node, signature: self.crypto.verify_report(node, context, report, signature)


# ---- what a node must not forget ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pending:
    """A final report that this node transmits at `due`, if the contract still wants it then."""

    final: Final
    due: int


@dataclass(frozen=True, slots=True)
class Saved:
    """What a node needs after a restart.

    The epoch, the highest epoch it asked for and those that others did; the newest round it signed a report of; what it
    has yet to transmit.
    """

    epoch: int
    sent: int
    received: tuple[int, ...]
    signed: EpochRound
    pending: tuple[Pending, ...]


# ---- events ---------------------------------------------------------------------------------------------------------


class Purpose(StrEnum):
    """What the contract is read for."""

    REPORT = "report"
    ACCEPT = "accept"
    TRANSMIT = "transmit"


@dataclass(frozen=True, slots=True)
class Received:
    """A message from a node whose connection proves who it is."""

    sender: int
    message: Message


@dataclass(frozen=True, slots=True)
class Woke:
    """A deadline may have come."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The answer to `MakeObservation`: encoded, or None where there is nothing to tell."""

    at: EpochRound
    observation: bytes | None


@dataclass(frozen=True, slots=True)
class ContractRead:
    """The answer to `ReadContract`; None where the chain could not be asked."""

    purpose: Purpose
    at: EpochRound
    view: ContractView | None


@dataclass(frozen=True, slots=True)
class ReportSigned:
    """The answer to `SignReport`; None where the signer refused or failed."""

    at: EpochRound
    signature: ReportSignature | None


Event: TypeAlias = Received | Woke | Observed | ContractRead | ReportSigned

# ---- effects --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """To one other node."""

    to: int
    message: Message


@dataclass(frozen=True, slots=True)
class Broadcast:
    """To all other nodes."""

    message: Message


@dataclass(frozen=True, slots=True)
class Persist:
    """On disk before anything else of this step is done."""

    saved: Saved


@dataclass(frozen=True, slots=True)
class MakeObservation:
    """Look at the sources now; answered by `Observed`."""

    at: EpochRound


@dataclass(frozen=True, slots=True)
class ReadContract:
    """Answered by `ContractRead`."""

    purpose: Purpose
    at: EpochRound


@dataclass(frozen=True, slots=True)
class SignReport:
    """Sign keccak256 of these 128 bytes; answered by `ReportSigned`."""

    at: EpochRound
    preimage: bytes


@dataclass(frozen=True, slots=True)
class Transmit:
    """Send this call. (digest, epoch, round) is its natural key: a second one of a round is the same."""

    at: EpochRound
    call: Transmission


Effect: TypeAlias = Send | Broadcast | Persist | MakeObservation | ReadContract | SignReport | Transmit

# ---- what the parts of one machine tell each other ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Progress:
    """A round was completed: the leader does its work."""


@dataclass(frozen=True, slots=True)
class ChangeLeader:
    """The leader had its rounds."""


@dataclass(frozen=True, slots=True)
class Switched:
    """A new epoch has begun."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Finished:
    """A final report whose signatures are right."""

    final: Final


Signal: TypeAlias = Progress | ChangeLeader | Switched | Finished
Output: TypeAlias = Effect | Signal
