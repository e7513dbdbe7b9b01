"""Runs the machine of one configuration: events in, effects out, one at a time and in order.

    transport, answers, the clock -> step() -> outbox -> (stored) -> transport, ports

Invariants:
- Effects leave in the order of their steps, and none leaves before what its step or an earlier one must not forget is
  on disk. While the disk works the machine goes on; what it wants said gathers behind, and the newest memory of several
  steps is stored for all of them, because it holds what the older ones did.
- A port that fails costs its answer, never the node. A disk that fails silences the node until it works again.
- A message that the machine stumbles over changes nothing: the state before it is still there.
- Time never goes back and never stands still: at least as fast as a monotonic clock, at least the wall's.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final as Constant

import structlog

from seamark.core.errors import SettingsError, TemporaryError
from seamark.evm.ports import Signer
from seamark.oracle.reporting.activity import notice
from seamark.oracle.reporting.calls import Calls
from seamark.oracle.reporting.machine import (
    Broadcast,
    Context,
    Effect,
    Event,
    Pending,
    Persist,
    Received,
    Saved,
    Send,
    Woke,
)
from seamark.oracle.reporting.ports import (
    SILENT,
    ContractReader,
    ObservationSource,
    Port,
    ReportingObserver,
    ReportTransmitter,
    TimeLimits,
    Transport,
)
from seamark.oracle.reporting.protocol import State, start, step, wake_at
from seamark.oracle.reporting.store import Claim, Place, claim, save
from seamark.runtime.clock import Clock
from seamark.storage.database import Database

__all__ = ["Driver"]

SECOND: Constant = 1_000_000_000  # nanoseconds
OUTBOX_LIMIT: Constant = 1_000  # effects; with a disk that hangs the node hears no more than makes so many
FIRST_PAUSE_S: Constant = 0.1  # before a failed write is tried again
LONGEST_PAUSE_S: Constant = 5.0
SHORTEST_SLEEP: Constant = 100_000  # nanoseconds: the clock's seconds are floats, and never come out exactly

log = structlog.get_logger("seamark.oracle.reporting")


class Driver:
    """One node in one configuration, until cancelled (or until it is a person's turn: `StopError`)."""

    def __init__(
        self,
        context: Context,
        place: Place,
        *,
        transport: Transport,
        database: Database,
        source: ObservationSource,
        contract: ContractReader,
        signer: Signer,
        transmitter: ReportTransmitter,
        limits: TimeLimits,
        clock: Clock,
        observer: ReportingObserver = SILENT,
    ) -> None:
        """Take the collaborators.

        Raises:
            SettingsError: The signer's account, or the place, is not this node's.
        """
        _check(context, place, signer)
        self._context = context
        self._place = place
        self._transport = transport
        self._database = database
        self._clock = clock
        self._observer = observer
        self._calls = Calls(
            source=source,
            contract=contract,
            signer=signer,
            transmitter=transmitter,
            limits=limits,
            clock=clock,
            observer=observer,
            answer=self._answered,
            node=str(place),
        )
        self._time = _Time(clock)
        self._state: State | None = None
        self._answers: deque[Event] = deque()
        self._outbox: deque[Effect] = deque()
        self._stored: tuple[Pending, ...] = ()  # reports that wait, on disk
        self._news = asyncio.Event()  # something to think about
        self._work = asyncio.Event()  # something to store and say
        self._room = asyncio.Event()  # the outbox is not full
        self._alarm: asyncio.Task[None] | None = None
        self._alarm_at = 0

    @property
    def state(self) -> State | None:
        """What the node knows; None before its start."""
        return self._state

    async def run(self) -> None:
        """Load, start, and go on until cancelled; it may be run again.

        Raises:
            StopError: What is stored is damaged, or another process runs this node from the same database.
            TemporaryError: The database does not answer at the start.
        """
        claimed, saved = await self._database.write(lambda connection: claim(connection, self._place), urgent=True)
        view = await self._calls.first_view()
        # 0 where the contract does not say: the other nodes will
        epoch = view.at[0] if view is not None and view.digest == self._context.digest else 0
        self._forget_life()
        self._stored = saved.pending if saved is not None else ()
        self._transport.on_arrival(self._news.set)
        state, effects = start(self._context, saved, epoch, self._time.now())
        self._become(None, state, None, effects)
        parts = [asyncio.create_task(self._think()), asyncio.create_task(self._act(claimed))]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in done:
                part.result()
        finally:
            ours = [*parts, *([self._alarm] if self._alarm is not None else [])]
            for task in ours:
                task.cancel()
            await asyncio.gather(*ours, self._calls.end(), return_exceptions=True)

    def _forget_life(self) -> None:
        """What an earlier run wanted done, and was told, is void."""
        self._outbox.clear()
        self._answers.clear()
        self._room.set()
        self._alarm = None

    # ---- thinking ---------------------------------------------------------------------------------------------------

    async def _think(self) -> None:
        while True:
            await self._room.wait()
            event = self._next()
            if event is None:
                await self._pause()
                continue
            self._hear(event)
            await asyncio.sleep(0)  # the connections have their turn

    def _next(self) -> Event | None:
        """Deadlines first, so that no flood of messages delays them; then answers, then messages."""
        if wake_at(self._known()) <= self._time.now():
            return Woke()
        if self._answers:
            return self._answers.popleft()
        message = self._transport.receive()
        return None if message is None else Received(*message)

    def _hear(self, event: Event) -> None:
        before = self._known()
        try:
            state, effects = step(self._context, before, event, self._time.now())
        except Exception:
            if not isinstance(event, Received):
                raise
            log.exception("message dropped: it cannot be worked on", node=str(self._place), sender=event.sender)
            return
        self._become(before, state, event, effects)

    def _become(self, before: State | None, state: State, event: Event | None, effects: list[Effect]) -> None:
        self._state = state
        notice(self._observer, self._context, (before, state), event, effects)
        if not self._outbox and not any(isinstance(effect, Persist) for effect in effects):
            for effect in effects:
                self._do(effect)
            return
        self._outbox.extend(effects)
        if len(self._outbox) > OUTBOX_LIMIT:
            self._room.clear()
        self._work.set()

    def _known(self) -> State:
        assert self._state is not None, "a node that runs has begun"
        return self._state

    def _answered(self, event: Event) -> None:
        self._answers.append(event)
        self._news.set()

    async def _pause(self) -> None:
        """Until something arrives, or the machine's deadline."""
        self._news.clear()
        self._set_alarm(wake_at(self._known()))
        await self._news.wait()

    def _set_alarm(self, at: int) -> None:
        """One that rings too early does no harm, so an alarm is set again only for an earlier deadline."""
        if self._alarm is not None:
            if self._alarm_at <= at:
                return
            self._alarm.cancel()
        self._alarm_at = at
        self._alarm = asyncio.create_task(self._ring(at))

    async def _ring(self, at: int) -> None:
        await self._clock.sleep(max(SHORTEST_SLEEP, at - self._time.now()) / SECOND)
        self._alarm = None
        self._news.set()

    # ---- acting -----------------------------------------------------------------------------------------------------

    async def _act(self, claimed: Claim) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            while self._outbox:
                count = len(self._outbox)
                memories = [effect.saved for effect in self._outbox if isinstance(effect, Persist)]
                if memories:
                    await self._store(claimed, memories[-1])
                for _ in range(count):
                    self._do(self._outbox[0])
                    self._outbox.popleft()  # only now: what comes meanwhile stands behind it
                self._room.set()

    async def _store(self, claimed: Claim, saved: Saved) -> None:
        """Until it is on disk. Raises `StopError`, and what no later try could mend."""
        pause, stored = FIRST_PAUSE_S, self._stored
        while True:
            started = self._clock.monotonic()
            try:
                await self._database.write(lambda connection: save(connection, claimed, saved, stored), urgent=True)
            except TemporaryError as error:
                self._observer.called(Port.PERSIST, self._clock.monotonic() - started, type(error).__name__)
                log.warning("node is silent: it cannot store", node=str(self._place), error=str(error))
                await self._clock.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
            else:
                self._observer.called(Port.PERSIST, self._clock.monotonic() - started, None)
                self._stored = saved.pending
                return

    def _do(self, effect: Effect) -> None:
        match effect:
            case Send(to=to, message=message):
                self._transport.send(to, message)
            case Broadcast(message=message):
                self._transport.broadcast(message)
            case Persist():
                pass  # it is on disk
            case _:
                self._calls.begin(effect)


class _Time:
    """Nanoseconds since the epoch."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._now = round(clock.now() * SECOND)
        self._measured_at = clock.monotonic()

    def now(self) -> int:
        measured = self._clock.monotonic()
        self._now += round((measured - self._measured_at) * SECOND)
        self._measured_at = measured
        self._now = max(self._now, round(self._clock.now() * SECOND))
        return self._now


def _check(context: Context, place: Place, signer: Signer) -> None:
    if (place.digest, place.node) != (context.digest, context.me):
        raise SettingsError("reporting", f"{place} is not the memory of node {context.me}")
    ours = context.network.nodes[context.me].signer
    if signer.address != ours:
        remedy = "name the key whose account the configuration holds for this node"
        raise SettingsError("reporting.signer", f"signs as {signer.address}, not as {ours}", remedy=remedy)
