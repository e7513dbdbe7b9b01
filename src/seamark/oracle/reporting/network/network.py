"""The connections of one process. (The interface; the body follows.)"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from seamark.oracle.reporting.messages import Message
from seamark.oracle.reporting.network.identity import Identity

__all__ = ["Link", "NetworkLimits", "NetworkObserver", "Peer", "PeerNetwork"]


@dataclass(frozen=True, slots=True)
class Peer:
    """Another node: a name for people and metrics, "host:port", its certificate (PEM)."""

    name: str
    address: str
    certificate: bytes


@dataclass(frozen=True, slots=True)
class NetworkLimits:
    """What one peer may cost, for each configuration that is joined."""

    messages_per_s: float = 100.0
    bytes_per_s: float = 1_000_000.0
    queue: int = 200


class NetworkObserver(Protocol):
    """Hears what happens between nodes. `peer` is its name, "" where nobody knows who it is."""

    def connected(self, peer: str, *, up: bool) -> None:
        """The outgoing connection."""
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
        """Somebody without a listed certificate."""
        ...


class PeerNetwork:
    """`async with PeerNetwork(identity, peers, listen="0.0.0.0:7400") as network: link = network.join(…)`"""

    def __init__(
        self,
        identity: Identity,
        peers: Sequence[Peer],
        *,
        listen: str,
        limits: NetworkLimits | None = None,
        observer: NetworkObserver | None = None,
    ) -> None:
        self._identity = identity

    @property
    def port(self) -> int:
        """Where it listens; for `listen` with port 0."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        raise NotImplementedError

    async def __aexit__(self, *_error: object) -> None:
        raise NotImplementedError

    def join(self, digest: bytes, nodes: Sequence[str]) -> Link:
        """Take part in a configuration. `nodes` are the fingerprints in the order of their index (`Node.peer`).

        Raises:
            SettingsError: This node is none of them. (Nodes that are no peers of ours are told by `Link.missing`.)
        """
        raise NotImplementedError


class Link:
    """`ports.Transport` of one configuration."""

    missing: tuple[str, ...] = ()

    def send(self, to: int, message: Message) -> None: ...

    def broadcast(self, message: Message) -> None: ...

    def receive(self) -> tuple[int, Message] | None: ...

    def on_arrival(self, notify: Callable[[], None]) -> None: ...

    def leave(self) -> None:
        """What still comes for this configuration is dropped."""
