"""A server-sent event stream as an ASGI response (WHATWG HTML, section 9.2).

Three kinds of frames: `hello` (once, tells where the stream starts), `reset` (what the listener asked for is gone or
never
was: load everything anew) and the events themselves, which carry no name so that `onmessage` gets them all. A comment
every 15 s keeps proxies and listeners sure that the line is alive; it comes with an `id:`, which moves the browser's
Last-Event-ID past events that the listener's filter hid.

A listener that does not take its bytes within `SEND_TIMEOUT_S` is cut off; it comes back with its last id and misses
nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import msgspec
import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from seamark.api.live import EventHub, Frame

__all__ = ["DEFAULT_LIMITS", "EventStream", "StreamLimits"]

CHUNK_BYTES = 64 * 1024  # one write; about what the socket takes at once

log = structlog.get_logger("seamark.api")


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How long a stream may be silent or stuck, in seconds."""

    heartbeat_s: float = 15.0
    send_timeout_s: float = 20.0
    retry_ms: int = 1000


DEFAULT_LIMITS = StreamLimits()


class EventStream(Response):
    """Follows the hub until the listener leaves, is cut off, or the hub closes.

    Args:
        hub: Where events come from.
        after: Id that the listener has seen; None for news only.
        topics: Beginnings of the topics it wants; empty for all.
        limits: How long it may be silent or stuck.
        cut_off: Called with the scope of a listener that is stuck, to drop its connection at once.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        hub: EventHub,
        *,
        after: int | None,
        topics: tuple[str, ...],
        limits: StreamLimits,
        cut_off: Callable[[Scope], None] = lambda _: None,
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._hub = hub
        self._after = after
        self._topics = topics
        self._limits = limits
        self._cut_off = cut_off

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._hub.listeners += 1
        leaving = asyncio.create_task(_until_gone(receive))
        sending = asyncio.create_task(self._send_all(send))
        try:
            await asyncio.wait((leaving, sending), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        except TimeoutError:
            log.warning("listener cut off: it does not read", listener=(scope.get("client") or ("?",))[0])
            self._cut_off(scope)
        finally:
            self._hub.listeners -= 1
            for task in (leaving, sending):
                task.cancel()
            await asyncio.gather(leaving, sending, return_exceptions=True)

    async def _send_all(self, send: Send) -> None:
        async def put(body: bytes, *, more: bool = True) -> None:
            async with asyncio.timeout(self._limits.send_timeout_s):
                await send({"type": "http.response.body", "body": body, "more_body": more})

        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        after, opening = await self._open()
        await put(opening)
        async for seen, frames in self._hub.follow(after, self._topics, idle=self._limits.heartbeat_s):
            if not frames:
                await put(b": heartbeat\nid: %d\n\n" % seen)
            for chunk in _chunks(frames):
                await put(chunk)
        with suppress(TimeoutError):
            await put(b"", more=False)

    async def _open(self) -> tuple[int, bytes]:
        """Where to start, and the frames that tell the listener so."""
        oldest, newest = await self._hub.span()
        after = newest if self._after is None else self._after
        gone = self._after is not None and (self._after > newest or self._after < oldest - 1)
        if gone:
            after = newest
        opening = [b"retry: %d\n\n" % self._limits.retry_ms]
        if gone:
            opening.append(_control("reset", after, {"oldest": oldest, "newest": newest}))
        opening.append(_control("hello", after, {"after": after, "newest": newest}))
        return after, b"".join(opening)


def _control(name: str, at: int, body: dict[str, int]) -> bytes:
    return b"event: %b\nid: %d\ndata: %b\n\n" % (name.encode(), at, msgspec.json.encode(body))


def _chunks(frames: list[Frame]) -> Iterator[bytes]:
    chunk = bytearray()
    for frame in frames:
        chunk += frame.data
        if len(chunk) >= CHUNK_BYTES:
            yield bytes(chunk)
            chunk.clear()
    if chunk:
        yield bytes(chunk)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
