"""What the driver of a node needs from its neighbours, and what it tells those who count.

Each port may fail or hang: the driver gives every call its time, and an answer that does not come is one of the answers
that the machine knows. (The signer is `evm.ports.Signer`.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from seamark.oracle.reporting.codec import Observation, Transmission
from seamark.oracle.reporting.config import OffchainConfig
from seamark.oracle.reporting.messages import Message
from seamark.oracle.reporting.plugin import ContractView, EpochRound

__all__ = [
    "SILENT",
    "ContractReader",
    "ObservationSource",
    "Port",
    "ReportTransmitter",
    "ReportingObserver",
    "SilentObserver",
    "TimeLimits",
    "Transport",
]


class ObservationSource(Protocol):
    """The node's own view of the price."""

    async def observe(self, at: EpochRound) -> Observation | None:
        """What the sources say now; None where there is nothing to tell. Any error counts as None."""
        ...


class ContractReader(Protocol):
    """The contract that the reports go to."""

    async def view(self) -> ContractView:
        """What it says now, from the chain and not from memory. Any error counts as "the chain cannot be asked"."""
        ...


class ReportTransmitter(Protocol):
    """The way to the contract."""

    async def transmit(self, at: EpochRound, call: Transmission) -> None:
        """Hand the call to the chain; (digest, epoch, round) is its natural key, so a second one is the same.

        Returns when the transaction is on its way: it is followed elsewhere.
        """
        ...


class Transport(Protocol):
    """The other nodes of one configuration, by their index. What is sent may be lost."""

    def send(self, to: int, message: Message) -> None:
        """Never waits."""
        ...

    def broadcast(self, message: Message) -> None:
        """To all others. Never waits."""
        ...

    def receive(self) -> tuple[int, Message] | None:
        """The next message and who sent it, in turn from each node that has some waiting; None where nobody has."""
        ...

    def on_arrival(self, notify: Callable[[], None]) -> None:
        """Call this when something has arrived, in the event loop."""
        ...


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """How long each call may take, in nanoseconds as in the configuration. `contract` is BlockchainTimeout."""

    observation: int
    report: int
    accept: int
    transmit: int
    contract: int = 20_000_000_000

    @classmethod
    def of(cls, config: OffchainConfig) -> TimeLimits:
        return cls(config.max_observation, config.max_report, config.max_accept, config.max_transmit)


class Port(StrEnum):
    """The calls of a driver, as metrics name them."""

    OBSERVE = "observe"
    READ = "read"
    SIGN = "sign"
    TRANSMIT = "transmit"
    PERSIST = "persist"


class ReportingObserver(Protocol):
    """Hears what a node does, to count it. Called in the event loop; must return at once and not raise."""

    def epoch_began(self, epoch: int, leader: int) -> None:
        """Also once at the start."""
        ...

    def round_began(self, at: EpochRound) -> None:
        """This node leads it."""
        ...

    def observed(self, at: EpochRound) -> None:
        """An observation of this node was signed for its leader."""
        ...

    def round_finished(self, at: EpochRound, *, led: bool, included: bool) -> None:
        """A report has its signatures. `led`: by this node; `included`: this node's observation is in it."""
        ...

    def called(self, port: Port, seconds: float, failure: str | None) -> None:
        """A call of a port is over. `failure`: None, "timeout", or the name of the error's class."""
        ...

    def transmitted(self, at: EpochRound) -> None:
        """The transmitter took a report over."""
        ...


class SilentObserver:
    """Counts nothing."""

    def epoch_began(self, epoch: int, leader: int) -> None: ...
    def round_began(self, at: EpochRound) -> None: ...
    def observed(self, at: EpochRound) -> None: ...
    def round_finished(self, at: EpochRound, *, led: bool, included: bool) -> None: ...
    def called(self, port: Port, seconds: float, failure: str | None) -> None: ...
    def transmitted(self, at: EpochRound) -> None: ...


SILENT = SilentObserver()
