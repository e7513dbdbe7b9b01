"""The words of the network: peers, what each may cost, who counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from seamark.oracle.reporting.network.frames import Entry

__all__ = ["UNCOUNTED", "NetworkLimits", "NetworkObserver", "Outgoing", "Peer", "Uncounted"]


@dataclass(frozen=True, slots=True)
class Peer:
    """Another node: a name for people and metrics, "host:port", its certificate (PEM)."""

    name: str
    address: str
    certificate: bytes


@dataclass(frozen=True, slots=True)
class NetworkLimits:
    """What one peer may cost, for each configuration that is joined.

    A round has four or five messages of a peer, and a request for 31 reports 5 kB, so this bears 50 rounds a second of
    a small network, ten of a large one. `queue` is in messages, each way.
    """

    messages_per_s: float = 300.0
    bytes_per_s: float = 256_000.0
    queue: int = 200


class NetworkObserver(Protocol):
    """Hears what happens between nodes. `peer` is its name. Called in the event loop; must return at once."""

    def connected(self, peer: str, *, up: bool) -> None:
        """The outgoing connection came up, or ended."""
        ...

    def sent(self, peer: str, messages: int, size: int) -> None: ...

    def received(self, peer: str, messages: int, size: int) -> None: ...

    def dropped(self, peer: str, reason: str, messages: int) -> None:
        """Reasons: "outgoing_full", "incoming_full", "malformed", "unknown_digest", "not_a_member"."""
        ...

    def slowed(self, peer: str, seconds: float) -> None:
        """A peer that sends more than its rate was not read for so long."""
        ...

    def refused(self, peer: str) -> None:
        """A connection with another key than the listed ones ("", who knows), or with an older TLS."""
        ...


class Uncounted:
    """Counts nothing."""

    def connected(self, peer: str, *, up: bool) -> None: ...
    def sent(self, peer: str, messages: int, size: int) -> None: ...
    def received(self, peer: str, messages: int, size: int) -> None: ...
    def dropped(self, peer: str, reason: str, messages: int) -> None: ...
    def slowed(self, peer: str, seconds: float) -> None: ...
    def refused(self, peer: str) -> None: ...


UNCOUNTED = Uncounted()


class Outgoing(Protocol):
    """The way to one peer."""

    @property
    def name(self) -> str: ...

    def put(self, made: Entry) -> None:
        """Never waits."""
        ...
