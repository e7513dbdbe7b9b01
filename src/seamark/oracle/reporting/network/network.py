"""The connections of one process, shared by all configurations that it takes part in.

Invariant: with each peer there is one stream out and one in, however many feeds there are; each configuration hears
only its own members, under the index that it gives them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Self

import grpc.aio

from seamark.core.errors import RejectedError, SettingsError
from seamark.oracle.reporting.network.identity import Identity, fingerprint
from seamark.oracle.reporting.network.incoming import Reader, open_server
from seamark.oracle.reporting.network.link import Link
from seamark.oracle.reporting.network.outgoing import PeerWay
from seamark.oracle.reporting.network.ports import UNCOUNTED, NetworkLimits, NetworkObserver, Peer
from seamark.runtime.clock import Clock, SystemClock

__all__ = ["PeerNetwork"]

FAREWELL_S: Final = 1.0  # for what is still queued when the process stops


class PeerNetwork:
    """`async with PeerNetwork(identity, peers, listen="0.0.0.0:7400") as network: link = network.join(…)`"""

    def __init__(
        self,
        identity: Identity,
        peers: Sequence[Peer],
        *,
        listen: str,
        limits: NetworkLimits | None = None,
        observer: NetworkObserver = UNCOUNTED,
        clock: Clock | None = None,
    ) -> None:
        """Take the peers; this node itself may be among them.

        Raises:
            SettingsError: A certificate that cannot be read, two peers with one key.
        """
        self._identity = identity
        self._listen = listen
        self._limits = limits or NetworkLimits()
        self._observer = observer
        clock = clock or SystemClock()
        self._me = identity.fingerprint
        self._peers = {node: peer for node, peer in _by_key(peers).items() if node != self._me}
        self._ways = {
            node: PeerWay(peer, identity, limits=self._limits, clock=clock, observer=observer)
            for node, peer in self._peers.items()
        }
        self._reader = Reader(
            tuple(self._peers.items()), self._take, limits=self._limits, clock=clock, observer=observer
        )
        self._links: dict[bytes, Link] = {}
        self._server: grpc.aio.Server | None = None
        self._port = 0
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def port(self) -> int:
        """Where it listens; for `listen` with port 0."""
        return self._port

    @property
    def fingerprint(self) -> str:
        """This node's."""
        return self._me

    async def __aenter__(self) -> Self:
        server, self._port = open_server(self._identity, tuple(self._peers.values()), self._reader, self._listen)
        await server.start()
        self._server = server
        self._tasks = [asyncio.create_task(way.run()) for way in self._ways.values()]
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Say what is queued to those who listen, then end all."""
        for way in self._ways.values():
            way.leave()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=FAREWELL_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        assert self._server is not None
        await self._server.stop(grace=0)

    def join(self, digest: bytes, nodes: Sequence[str]) -> Link:
        """Take part in a configuration. `nodes` are the fingerprints in the order of their index (`Node.peer`).

        Raises:
            SettingsError: This node is none of them. (Nodes that are no peers of ours are told by `Link.missing`.)
        """
        if digest in self._links:
            raise SettingsError("reporting", f"this process takes part in 0x{digest.hex()} already")
        link = Link(
            digest,
            nodes,
            me=self._me,
            ways=self._ways,
            queue=self._limits.queue,
            observer=self._observer,
            leave=self._leave,
        )
        self._links[digest] = link
        self._count()
        return link

    def _leave(self, link: Link) -> None:
        if self._links.get(link.digest) is link:
            del self._links[link.digest]
            self._count()

    def _count(self) -> None:
        """Rates and queues are for each configuration."""
        joined = max(1, len(self._links))
        self._reader.joined = joined
        for way in self._ways.values():
            way.joined = joined

    def _take(self, node: str, digest: bytes, message: bytes) -> bool:
        link = self._links.get(digest)
        if link is not None:
            link.arrived(node, message)
        return link is not None


def _by_key(peers: Sequence[Peer]) -> dict[str, Peer]:
    found: dict[str, Peer] = {}
    for peer in peers:
        try:
            node = fingerprint(peer.certificate)
        except RejectedError as error:
            raise SettingsError("reporting.peers", f"{peer.name}: {error.message}") from error
        if node in found:
            raise SettingsError("reporting.peers", f"{found[node].name} and {peer.name} have the same key")
        found[node] = peer
    return found
