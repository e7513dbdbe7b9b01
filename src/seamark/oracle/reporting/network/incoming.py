"""What peers send: each over one stream, read no faster than its rate.

Invariants:
- Who sends is who holds the key of the connection: TLS lets nobody in who is not listed, and the leaf's key is looked
  up again here.
- A peer is read by one stream at a time, the newest one. One that is too fast is not read for a while, so that its
  messages wait in its own connection's window, on its side.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

import grpc
import grpc.aio
import structlog

from seamark.core.errors import RejectedError, SettingsError
from seamark.oracle.reporting.network.frames import LARGEST_FRAME, read_frame
from seamark.oracle.reporting.network.identity import Identity, fingerprint
from seamark.oracle.reporting.network.ports import NetworkLimits, NetworkObserver, Peer
from seamark.oracle.reporting.network.rates import Bucket
from seamark.runtime.clock import Clock

__all__ = ["Reader", "open_server"]

SERVICE: Final = "seamark.Reporting"
TLS: Final = b"TLSv1.3"
BURST_S: Final = 2.0  # what a peer may send at once, in seconds of its rate

_OPTIONS: Final = (
    ("grpc.so_reuseport", 0),  # a second process on the same port must fail, not take half of the peers
    ("grpc.max_receive_message_length", LARGEST_FRAME),
    ("grpc.max_concurrent_streams", 2),  # of one connection: the one that ends, and its successor
    ("grpc.max_metadata_size", 8 * 1024),
    ("grpc.http2.bdp_probe", 0),  # the window stays small: a peer that is not read fills 64 kB, not megabytes
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
)

log = structlog.get_logger("seamark.oracle.reporting.network")

Take = Callable[[str, bytes, bytes], bool]  # (fingerprint, digest, message): whether anybody wants it


class _Sender:
    """What is known of one peer."""

    __slots__ = ("bytes", "messages", "name", "node", "stream")

    def __init__(self, name: str, node: str) -> None:
        self.name = name
        self.node = node
        self.messages = Bucket(BURST_S)
        self.bytes = Bucket(BURST_S)
        self.stream: asyncio.Task[Any] | None = None


class Reader:
    """Serves `Deliver`."""

    def __init__(
        self,
        peers: Sequence[tuple[str, Peer]],
        take: Take,
        *,
        limits: NetworkLimits,
        clock: Clock,
        observer: NetworkObserver,
    ) -> None:
        """Take the peers by fingerprint."""
        self.joined = 1  # configurations: a peer's rate is for each
        self._senders = {node: _Sender(peer.name, node) for node, peer in peers}
        self._take = take
        self._limits = limits
        self._clock = clock
        self._observer = observer

    def handlers(self) -> Any:
        return grpc.method_handlers_generic_handler(
            SERVICE, {"Deliver": grpc.stream_unary_rpc_method_handler(self._deliver)}
        )

    async def _deliver(self, frames: AsyncIterator[bytes], context: Any) -> bytes:
        sender = self._who(context)
        if sender is None:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "not a node of this network")
            raise AssertionError("abort raises")
        if sender.stream is not None:
            sender.stream.cancel()
        sender.stream = asyncio.current_task()
        try:
            await context.send_initial_metadata(())
            async for frame in frames:
                await self._read(sender, frame)
        except RejectedError as error:
            log.warning("peer sends no frames", peer=sender.name, error=error.message)
            self._observer.dropped(sender.name, "malformed", 1)
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
        finally:
            if sender.stream is asyncio.current_task():
                sender.stream = None
        return b""

    def _who(self, context: Any) -> _Sender | None:
        proof = context.auth_context()
        certificates, versions = proof.get("x509_pem_cert", ()), proof.get("ssl_tls_version", ())
        try:
            sender = self._senders.get(fingerprint(certificates[0])) if len(certificates) == 1 else None
        except RejectedError:
            sender = None
        if sender is None or tuple(versions) != (TLS,):
            self._observer.refused("" if sender is None else sender.name)
            log.warning("connection refused", peer=context.peer(), name=None if sender is None else sender.name)
            return None
        return sender

    async def _read(self, sender: _Sender, frame: bytes) -> None:
        found = read_frame(frame)
        self._observer.received(sender.name, len(found), len(frame))
        unknown = sum(not self._take(sender.node, digest, message) for digest, message in found)
        if unknown:
            self._observer.dropped(sender.name, "unknown_digest", unknown)
        now = self._clock.monotonic()
        pause = max(
            sender.messages.take(len(found), self._limits.messages_per_s * self.joined, now),
            sender.bytes.take(len(frame), self._limits.bytes_per_s * self.joined, now),
        )
        if pause:
            self._observer.slowed(sender.name, pause)
            await self._clock.sleep(pause)


def open_server(identity: Identity, peers: Sequence[Peer], reader: Reader, listen: str) -> tuple[grpc.aio.Server, int]:
    """A server that is not started, and its port. Raises `SettingsError`: it cannot listen there."""
    roots = b"\n".join(peer.certificate for peer in peers) or identity.certificate
    credentials = grpc.ssl_server_credentials(
        [(identity.key, identity.certificate)], root_certificates=roots, require_client_auth=True
    )
    server = grpc.aio.server(options=_OPTIONS)
    server.add_generic_rpc_handlers((reader.handlers(),))
    try:
        return server, server.add_secure_port(listen, credentials)
    except RuntimeError as error:
        raise SettingsError("reporting.listen", f"cannot listen on {listen}", remedy="name a free port") from error
