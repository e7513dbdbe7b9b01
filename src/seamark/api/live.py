"""Live events: one reader of the event log per process, any number of listeners.

The hub polls the log (woken by a `Signal` in the same process), encodes each event once and keeps the newest frames in
a ring that all listeners share. A listener is nothing but the id it has seen: it takes what is newer from the ring, or
from the log where the ring no longer reaches back. So nothing is queued per listener, a slow one costs no memory, and a
listener that comes back with its last id gets every event once, in order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import islice

import msgspec
import structlog
from sqlalchemy import Connection

from seamark.api.times import iso_time, with_times
from seamark.core.errors import TemporaryError
from seamark.runtime.events import Signal
from seamark.storage.database import Database
from seamark.storage.events import Event, last_event_id, read_events

__all__ = ["EventHub", "Frame", "encode_event"]

RING_FRAMES = 4096  # about 2 MB; minutes of a busy demo, so that a short break is served from memory
BATCH_EVENTS = 500
POLL_S = 0.25  # how late an event of another process may be
BROKEN_PAUSE_S = 1.0  # between tries while the database cannot be read

log = structlog.get_logger("seamark.api")


@dataclass(frozen=True, slots=True)
class Frame:
    """One event as it goes over the wire."""

    id: int
    topic: str
    data: bytes


def encode_event(event: Event) -> Frame:
    """As a server-sent event (WHATWG HTML, 9.2): `id:` to resume from, `data:` one line of JSON."""
    body = {
        "id": event.id,
        "topic": event.topic,
        "key": event.key,
        "at": iso_time(event.at_ms),
        "payload": with_times(event.payload),
    }
    return Frame(event.id, event.topic, b"id: %d\ndata: %b\n\n" % (event.id, msgspec.json.encode(body)))


class EventHub:
    """Reads the event log once for all listeners.

    Args:
        database: Where the log is.
        signal: Fired when something was stored in this process.
        ring: How many frames are kept in memory.
        poll: Longest time in seconds between two looks at the log.
    """

    def __init__(self, database: Database, signal: Signal, *, ring: int = RING_FRAMES, poll: float = POLL_S) -> None:
        self._database = database
        self._signal = signal
        self._poll = poll
        self._frames: deque[Frame] = deque(maxlen=ring)
        self._news = Signal()
        self._ready = asyncio.Event()
        self.position = 0
        self.floor = 0
        self.closing = False
        self.listeners = 0

    async def run(self) -> None:
        """Follow the log until cancelled; a database that cannot be read for a while delays events and loses none."""
        while True:
            try:
                if not self._ready.is_set():
                    self.position = self.floor = await self._database.read(last_event_id)
                    self._ready.set()
                more = await self._take_batch()
            except TemporaryError as error:
                log.warning("live events wait for the database", error=str(error))
                await asyncio.sleep(BROKEN_PAUSE_S)
                continue
            if not more:
                await self._signal.wait(self._poll)

    async def _take_batch(self) -> bool:
        events = await self._read(self.position, ())
        if not events:
            return False
        for event in events:
            if len(self._frames) == self._frames.maxlen:
                self.floor = self._frames[0].id
            self._frames.append(encode_event(event))
        self.position = events[-1].id
        self._news.fire()
        return len(events) == BATCH_EVENTS

    async def _read(self, after: int, topics: tuple[str, ...]) -> list[Event]:
        def work(connection: Connection) -> list[Event]:
            return read_events(connection, after, topics=topics, limit=BATCH_EVENTS)

        return await self._database.read(work)

    async def ready(self) -> None:
        """Return once the end of the log is known."""
        await self._ready.wait()

    def reopen(self) -> None:
        """Take listeners again (a service may be started anew after a failure)."""
        self.closing = False

    def close(self) -> None:
        """End every listener's stream."""
        self.closing = True
        self._news.fire()

    async def span(self) -> tuple[int, int]:
        """Ids of the oldest event that is still kept (0: none) and of the newest that was taken."""
        await self.ready()

        def work(connection: Connection) -> int:
            first = read_events(connection, 0, limit=1)
            return first[0].id if first else 0

        return await self._database.read(work), self.position

    async def follow(
        self, after: int, topics: tuple[str, ...], *, idle: float
    ) -> AsyncIterator[tuple[int, list[Frame]]]:
        """Frames above `after` in batches, with the id up to which the log has been looked through.

        An empty batch comes after `idle` seconds in which nothing else did. Ends when the hub closes.
        """
        await self.ready()
        loop = asyncio.get_running_loop()
        quiet_since = loop.time()
        while not self.closing:
            after, frames = await self._newer(after, topics)
            if frames or loop.time() - quiet_since >= idle:
                yield after, frames
                quiet_since = loop.time()
            elif after >= self.position:
                await self._news.wait(max(0.0, quiet_since + idle - loop.time()))

    async def _newer(self, after: int, topics: tuple[str, ...]) -> tuple[int, list[Frame]]:
        if after >= self.floor:
            return max(after, self.position), [
                frame for frame in self._ring_after(after) if _wanted(frame.topic, topics)
            ]
        floor = self.floor
        events = [event for event in await self._read(after, topics) if event.id <= floor]
        whole = len(events) == BATCH_EVENTS
        return events[-1].id if whole else floor, [encode_event(event) for event in events]

    def _ring_after(self, after: int) -> list[Frame]:
        """The newest frames; found from the right, because listeners are nearly always at the end."""
        count = 0
        for frame in reversed(self._frames):
            if frame.id <= after:
                break
            count += 1
        return list(islice(self._frames, len(self._frames) - count, None))


def _wanted(topic: str, topics: tuple[str, ...]) -> bool:
    return not topics or topic.startswith(topics)
