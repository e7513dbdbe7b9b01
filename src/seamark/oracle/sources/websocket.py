"""Listens to the venues.

One connection per address, shared by all its sources of all feeds. A connection that breaks, that tells nothing for
`SILENCE_S`, or whose subscriptions are all silent is made anew after a pause that doubles and has jitter, and all is
subscribed again. A price is handed over in the same turn of the loop in which its message came.
"""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, TypeAlias

import aiohttp

from seamark.oracle.sources.outlet import Outlet, SourceHealth, Subscriber
from seamark.oracle.sources.source import ContentError, decode_json, read_quote
from seamark.oracle.sources.streams import Reader, Reconnect, Refused, Reply, Stream, StreamSource, Ticks
from seamark.oracle.tasks import Loops, run_together
from seamark.runtime.clock import Clock
from seamark.runtime.http import RedirectRefusedError, without_redirects

__all__ = ["QuoteListener", "pause_before"]

MAX_MESSAGE_BYTES: Final = 1_000_000  # a ticker has some hundred bytes
CONNECT_S: Final = 10.0
SILENCE_S: Final = 30.0  # venues send heartbeats or answer pings at least every 20 s
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 60.0
WATCH_EVERY_S: Final = 1.0
_Socket: TypeAlias = "aiohttp.ClientWebSocketResponse[Literal[False]]"  # text comes as the bytes that JSON wants
_TEXT_PONG: Final = b"pong"  # OKX answers outside of JSON


def pause_before(attempt: int, chance: float) -> float:
    """Seconds to wait before the attempt (from 1): doubles up to a minute; `chance` in 0..1 spreads the upper half."""
    longest = min(FIRST_PAUSE_S * 2.0 ** min(attempt - 1, 10), LONGEST_PAUSE_S)
    return longest * (0.5 + chance / 2)


class _ConnectionLostError(Exception):
    """The connection is of no more use; `kind` is the class of the failure, "" where the venue asked for a new one."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


@dataclass(slots=True)
class _Listener:
    source: StreamSource
    outlet: Outlet
    heard_at: float = 0.0


class QuoteListener:
    """Holds the connections to all venues. A `SourceHub`.

    Args:
        session: Makes the connections; owned and closed by whoever made it.
        clock: Time.
        chance: A random number in 0..1, for the pauses.
    """

    name = "oracle-streams"

    def __init__(
        self, *, session: aiohttp.ClientSession, clock: Clock, chance: Callable[[], float] = random.random
    ) -> None:
        self._session = session
        self._clock = clock
        self._chance = chance
        self._connections: dict[tuple[str, str], _Connection] = {}
        self._loops = Loops()
        self._connecting = session

    def subscribe(
        self, source: StreamSource, *, interval: float, subscriber: Subscriber, feed: str = ""
    ) -> SourceHealth:
        """Listen to this source while `run()` runs; `interval` is of no meaning here."""
        del interval
        outlet = Outlet(source, subscriber, feed, self._clock)
        stream = source.stream
        key = (stream.name, stream.url)
        connection = self._connections.setdefault(key, _Connection(stream, lambda: self._connecting, self._clock))
        connection.add(_Listener(source, outlet))
        self._loops.start(key, partial(self._keep, connection))
        return outlet.health

    def drop(self, feed: str) -> None:
        """Listen no more for this feed. A market that nobody listens to is unsubscribed with the connection's end."""
        for key, connection in list(self._connections.items()):
            if not connection.drop(feed):
                del self._connections[key]
                self._loops.stop(key)

    async def run(self) -> None:
        """Until cancelled."""
        async with without_redirects(self._session) as self._connecting:
            await self._loops.run()

    async def _keep(self, connection: _Connection) -> None:
        attempt = 0
        while True:
            try:
                await connection.listen()
            except _ConnectionLostError as error:
                connection.tell_lost(error.kind, str(error))
            attempt = 1 if connection.was_useful else attempt + 1
            await self._clock.sleep(pause_before(attempt, self._chance()))


class _Connection:
    """What one address gives: connect, subscribe, read until it breaks."""

    def __init__(self, stream: Stream, session: Callable[[], aiohttp.ClientSession], clock: Clock) -> None:
        self.was_useful = False
        self._stream = stream
        self._session = session
        self._clock = clock
        self._listeners: dict[str, list[_Listener]] = {}
        self._heard_at = 0.0
        self._subscribed: set[str] = set()
        self._wanted = asyncio.Event()  # a market came while we listen
        self._reader: Reader = stream.read
        self._replies: asyncio.Queue[str] = asyncio.Queue()

    def add(self, listener: _Listener) -> None:
        listener.heard_at = self._clock.monotonic()
        self._listeners.setdefault(listener.source.symbol, []).append(listener)
        self._wanted.set()

    def drop(self, feed: str) -> bool:
        """Take a feed's listeners away; whether any others are left."""
        for symbol, listeners in list(self._listeners.items()):
            listeners[:] = [item for item in listeners if item.outlet.feed != feed]
            if not listeners:
                del self._listeners[symbol]
        return bool(self._listeners)

    def tell_lost(self, kind: str, detail: str) -> None:
        if kind:
            self._fail("", kind, detail)

    def _fail(self, symbol: str, kind: str, detail: str) -> None:
        for listener in self._all() if not symbol else self._listeners.get(symbol, []):
            listener.outlet.failure(kind, detail)

    def _all(self) -> list[_Listener]:
        return [listener for listeners in self._listeners.values() for listener in listeners]

    async def listen(self) -> None:
        """One connection from its beginning to its end.

        Raises:
            _ConnectionLostError: Always, when it ends.
        """
        self.was_useful = False
        socket = await self._connect()
        now = self._clock.monotonic()
        self._heard_at = now
        for listener in self._all():
            listener.heard_at = now
        try:
            self._subscribed.clear()
            self._reader, self._replies = self._stream.reader(), asyncio.Queue()
            await run_together(
                self._read(socket), self._ask(socket), self._answer(socket), self._watch(), self._ping(socket)
            )
        except (aiohttp.ClientError, OSError) as error:
            raise _ConnectionLostError("closed", f"connection lost ({type(error).__name__})") from None
        finally:
            await socket.close()

    async def _ask(self, socket: _Socket) -> None:
        """Subscribe to every market, also to those that come later."""
        while True:
            self._wanted.clear()
            new = [symbol for symbol in self._listeners if symbol not in self._subscribed]
            self._subscribed.update(new)
            for message in self._stream.subscribe(new) if new else ():
                await socket.send_str(message)
            await self._wanted.wait()

    async def _answer(self, socket: _Socket) -> None:
        """Say what the venue wants to hear."""
        while True:
            await socket.send_str(await self._replies.get())

    async def _connect(self) -> _Socket:
        try:
            async with asyncio.timeout(CONNECT_S):
                # The library's errors may quote the address, which may hold a key: only their class is told.
                return await self._session().ws_connect(
                    self._stream.url, max_msg_size=MAX_MESSAGE_BYTES, decode_text=False
                )
        except TimeoutError:
            raise _ConnectionLostError("timeout", f"no connection within {CONNECT_S:g} s") from None
        except RedirectRefusedError as error:  # following it would let a venue choose where we go
            raise _ConnectionLostError("redirect", f"{error}, not followed") from None
        except aiohttp.WSServerHandshakeError as error:
            raise _ConnectionLostError("handshake", f"HTTP {error.status} instead of a websocket") from None
        except (aiohttp.ClientError, OSError) as error:
            raise _ConnectionLostError("connect", f"cannot connect ({type(error).__name__})") from None

    async def _read(self, socket: _Socket) -> None:
        async for message in socket:
            self._heard_at = self._clock.monotonic()
            if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                self._take(message.data)
        raise _ConnectionLostError("closed", f"the venue closed the connection (code {socket.close_code})")

    def _take(self, data: bytes) -> None:
        if data == _TEXT_PONG:
            return
        received_at = self._clock.now()
        try:
            document = decode_json(_inflated(data) if self._stream.gzip else data)
        except ContentError as error:
            self._fail("", error.kind, str(error))
            return
        event = self._reader(document)
        if isinstance(event, Ticks):
            for symbol, record in event.items:
                self._hand_over(symbol, record, received_at)
        elif isinstance(event, Refused):
            self._fail(event.symbol, "venue", f"the venue refuses: {event.detail[:120]}")
        elif isinstance(event, Reply):
            self._replies.put_nowait(event.text)
        elif isinstance(event, Reconnect):
            raise _ConnectionLostError("", "the venue asks for a new connection")

    def _hand_over(self, symbol: str, record: object, received_at: float) -> None:
        for listener in self._listeners.get(symbol, ()):
            try:
                quote = read_quote(listener.source, record, received_at)
            except ContentError as error:
                listener.outlet.failure(error.kind, str(error))
                continue
            listener.heard_at = self._heard_at
            self.was_useful = True
            listener.outlet.quote(quote)

    async def _ping(self, socket: _Socket) -> None:
        while True:
            await self._clock.sleep(self._stream.ping_every)
            # The websocket's own ping is answered by every server, and aiohttp keeps the pong from us; so where a venue
            # has a ping of its own, that one counts as a sign of life.
            if self._stream.ping is not None:
                await socket.send_str(self._stream.ping)
            else:
                await socket.ping()

    async def _watch(self) -> None:
        while True:
            await self._clock.sleep(WATCH_EVERY_S)
            now = self._clock.monotonic()
            listeners = self._all()
            silent = [item for item in listeners if now - item.heard_at >= item.source.silence]
            if len(silent) == len(listeners):  # pongs may still come where the subscriptions are dead
                raise _ConnectionLostError("silent", "no price of any market for long; connecting again")
            if now - self._heard_at >= SILENCE_S:
                raise _ConnectionLostError("silent", f"no message for {SILENCE_S:g} s")
            for item in silent:
                item.heard_at = now  # told once per span of silence
                item.outlet.failure("silent", f"no price for {item.source.silence:g} s")


def _inflated(data: bytes) -> bytes:
    """One compressed message, whose size is bounded before it is written out.

    Raises:
        ContentError: It is not compressed, or larger than any message.
    """
    decoder = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)  # 16: with the header of gzip
    try:
        text = decoder.decompress(data, MAX_MESSAGE_BYTES)
    except zlib.error as error:
        raise ContentError("gzip", "a message that is not compressed") from error
    if decoder.unconsumed_tail:
        raise ContentError("gzip", f"a message of more than {MAX_MESSAGE_BYTES} bytes")
    return text
