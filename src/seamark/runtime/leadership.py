"""Who leads, among replicas that could all do the same work.

    Candidate.stand() -> Stand ──► Elector: `token` while this replica leads, None otherwise ──► Led services

A *term* is the time of one leader without a break. It has a *token*, a number that grows with each term; a store that
refuses older tokens than the newest it has seen (`storage.fencing`) is safe even from a leader that slept through the
end of its term.

What keeps two from leading at once, without any comparison of clocks between hosts:
- A leader stops by its own monotonic clock when `STAY` of the lease's duration has passed since it *began* its last
  successful renewal.
- Others wait for the whole duration by their own monotonic clock, since they first saw the record as it now is.
So clocks may be hours apart; only a clock that runs a quarter faster than another one could break it, and then the
token still does not let a late write pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog

from seamark.core.errors import TemporaryError
from seamark.runtime.clock import Clock
from seamark.runtime.service import Service

__all__ = [
    "Candidate",
    "Elector",
    "Leadership",
    "LeadershipEvent",
    "Led",
    "NotLeadingError",
    "Record",
    "Register",
    "RegisterCandidate",
    "Stand",
    "Terms",
]

STAY: Final = 0.8
"""Part of the duration for which a leader trusts its last renewal; the rest is for clocks that do not run alike."""

TRY_SHARE: Final = 1 / 3
"""Part of the duration after which a leader gives up one try: two may fail before it has to stop. Others have no hurry:
giving up too soon on a slow database, again and again, would never come to an end.
"""

FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 2.0
"""Between starts of a service of the leader: well below any heartbeat."""

log = structlog.get_logger("seamark.leadership")


class NotLeadingError(TemporaryError):
    """This replica does not lead (any more): another one does the work. Nothing was written."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Times, in seconds. `duration`: after so long without renewal others take over; `renew`: pause between tries."""

    duration: float
    renew: float

    @property
    def stay(self) -> float:
        """How long after the start of its last renewal a leader goes on."""
        return self.duration * STAY

    @property
    def poll(self) -> float:
        """Between looks of those who do not lead."""
        return self.renew / 2


@dataclass(frozen=True, slots=True)
class Stand:
    """What a try came to. `token` None: somebody else leads, `holder` (as far as is known), or nobody does ("")."""

    token: int | None
    holder: str


class Candidate(Protocol):
    """One replica's hand in a backend."""

    @property
    def identity(self) -> str:
        """Unique among all processes that ever stand."""
        ...

    async def stand(self, *, leads: bool) -> Stand:
        """Keep the lead (`leads`: this replica's term is unbroken), or take it where it is free.

        Raises:
            TemporaryError: The backend did not answer; what was tried may have happened.
        """
        ...

    async def resign(self) -> None:
        """Give the lead back, so that others need not wait for its end. Raises as `stand`."""
        ...

    async def close(self) -> None: ...


class Leadership(Protocol):
    """What those who work for the leader need to know."""

    @property
    def name(self) -> str:
        """Of the lease."""
        ...

    @property
    def token(self) -> int | None:
        """The term's, as long as this replica leads, judged at this very moment."""
        ...

    @property
    def holder(self) -> str:
        """Who leads, as last seen; "" for nobody."""
        ...

    async def changed(self, token: int | None) -> None:
        """Return as soon as `token` is not the current one."""
        ...

    def depose(self, why: str) -> None:
        """A store has seen a newer token: this replica's term is over."""
        ...


# ---- backends that compare and set a record --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Record:
    """A lease as it is stored. `version` is new with each write; `holder` "" means that it was given back."""

    holder: str
    token: int
    duration: float
    version: object = None


class Register(Protocol):
    """One stored record. Both methods raise `TemporaryError` where the store does not answer."""

    async def read(self) -> Record | None:
        """None: nobody ever wrote it."""
        ...

    async def write(self, record: Record, before: Record | None) -> Record | None:
        """Store it if the stored one is still `before`; returns it with its version. None: it was not, any more."""
        ...


async def _no_floor() -> int:
    return 0


class RegisterCandidate:
    """Leader election on a record, by the rules on top of this module.

    Args:
        identity: Of this process.
        register: Where the record is.
        terms: Times.
        clock: Only its monotonic side is used.
        floor: The highest token that the fenced store knows: a record that was deleted must not start again at one.
        apart: The record is not in the fenced store. Then that is asked at every renewal too: a replica that cannot
            reach its own store neither takes nor keeps the lead.
    """

    def __init__(
        self,
        identity: str,
        register: Register,
        *,
        terms: Terms,
        clock: Clock,
        floor: Callable[[], Awaitable[int]] = _no_floor,
        apart: bool = False,
    ) -> None:
        self.identity = identity
        self._register = register
        self._terms = terms
        self._clock = clock
        self._floor = floor
        self._apart = apart
        self._version: object = None
        self._seen = 0.0
        self._ours: Record | None = None  # as last written by us, and not overwritten as far as we know

    async def stand(self, *, leads: bool) -> Stand:
        if leads and self._ours is not None:
            return await self._renew(self._ours)
        record = await self._register.read()
        if record is not None and record.holder not in ("", self.identity) and not self._is_over(record):
            return Stand(None, record.holder)
        known = 0 if record is None else record.token
        return await self._write(max(known, await self._floor()) + 1, record)

    async def _renew(self, ours: Record) -> Stand:
        """One request where nobody else wrote, which is nearly always."""
        if self._apart:
            await self._floor()
        stand = await self._write(ours.token, ours)
        if stand.token is not None:
            return stand
        record = await self._register.read()
        if record is not None and (record.holder, record.token) == (self.identity, ours.token):
            return await self._write(ours.token, record)  # we had written it: the answer was lost
        return Stand(None, "" if record is None else record.holder)

    async def _write(self, token: int, before: Record | None) -> Stand:
        written = await self._register.write(Record(self.identity, token, self._terms.duration), before)
        if written is None:
            return Stand(None, "")  # somebody was faster; the next look tells who
        self._ours = written
        return Stand(token, self.identity)

    def _is_over(self, record: Record) -> bool:
        """Whether it has not changed for its whole duration, since it was first seen as it is. The time is taken after
        the answer: the holder's own time began before.
        """
        now = self._clock.monotonic()
        if record.version != self._version:
            self._version, self._seen = record.version, now
        return now - self._seen >= record.duration

    async def resign(self) -> None:
        record = await self._register.read()
        if record is not None and record.holder == self.identity:
            await self._register.write(Record("", record.token, record.duration), record)

    async def close(self) -> None:
        return


# ---- the elector -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LeadershipEvent:
    """For metrics and logs: a term began or ended. `why` is empty at a beginning."""

    token: int
    began: bool
    why: str = ""


async def _no_preparation(_token: int) -> None:
    return


def _ignore(_event: LeadershipEvent) -> None:
    return


class Elector:
    """Stands again and again, and says whether this replica leads. A `Service`, and a `Leadership`.

    Args:
        name: Of the lease.
        candidate: The backend.
        terms: Times.
        clock: Only its monotonic side is used.
        enter: Done at the beginning of a term, before anybody hears of it: raise the fence, forget what is out of date.
            A `TemporaryError` from it gives the lead back.
        observer: Told of terms; must not block or raise.
    """

    def __init__(
        self,
        name: str,
        candidate: Candidate,
        *,
        terms: Terms,
        clock: Clock,
        enter: Callable[[int], Awaitable[None]] = _no_preparation,
        observer: Callable[[LeadershipEvent], None] = _ignore,
    ) -> None:
        self.name = name
        self.terms = terms
        self.observer = observer
        self.enter = enter
        self._candidate = candidate
        self._clock = clock
        self._term: int | None = None
        self._until = 0.0
        self._holder = ""
        self._led_at = clock.monotonic()
        self._change = asyncio.Event()
        self._outage = False

    # ---- asked at any time ----

    @property
    def identity(self) -> str:
        return self._candidate.identity

    @property
    def token(self) -> int | None:
        return self._term if self._clock.monotonic() < self._until else None

    @property
    def holder(self) -> str:
        return self.identity if self.token is not None else self._holder

    @property
    def leaderless(self) -> float:
        """Seconds since somebody was seen to lead; 0 while this replica does."""
        return 0.0 if self.token is not None else self._clock.monotonic() - self._led_at

    async def changed(self, token: int | None) -> None:
        while self.token == token:
            await self._change.wait()

    def depose(self, why: str) -> None:
        self._lose(why)

    # ---- running ----

    async def run(self) -> None:
        """Until cancelled. The lead is not given back here but by `close`: what is under way may still end."""
        loops = [asyncio.create_task(self._stand_forever()), asyncio.create_task(self._expire_forever())]
        try:
            await asyncio.gather(*loops)
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)

    async def close(self) -> None:
        """Give the lead back at once; the next one need not wait."""
        led = self._term is not None
        self._lose("given back")
        try:
            if led:
                async with asyncio.timeout(self.terms.duration * TRY_SHARE):
                    await self._candidate.resign()
        except (TemporaryError, TimeoutError) as error:
            log.warning("the lead was not given back: others wait for its end", lease=self.name, error=str(error))
        finally:
            await self._candidate.close()

    async def _stand_forever(self) -> None:
        while True:
            await self.stand()
            calm = self._term is not None and not self._outage
            await self._clock.sleep(self.terms.renew if calm else self.terms.poll)

    async def stand(self) -> None:
        """One try."""
        started, token = self._clock.monotonic(), self.token
        limit = self.terms.duration * (1 if token is None else TRY_SHARE)
        try:
            async with asyncio.timeout(limit):
                stand = await self._candidate.stand(leads=token is not None)
                if stand.token is not None and stand.token != token:
                    await self._begin(stand.token)
        except (TemporaryError, TimeoutError) as error:
            self._tell_outage(str(error) or "no answer in time")
            return
        self._tell_outage("")
        self._holder = stand.holder
        if stand.holder:
            self._led_at = self._clock.monotonic()
        if stand.token is None:
            self._lose(f"{stand.holder or 'another replica'} leads")
            return
        if stand.token == token and self.token is None:  # renewed too late: the next term is another one
            self._lose("it was not renewed in time")
            return
        self._until = started + self.terms.stay
        if self._term != stand.token:
            self._announce(stand.token)

    async def _begin(self, token: int) -> None:
        self._lose("a term was broken")
        try:
            await self.enter(token)
        except TemporaryError:
            with suppress(TemporaryError):
                await self._candidate.resign()
            raise

    def _announce(self, token: int) -> None:
        self._term = token
        if self.token is None:
            return  # it took longer than a term lasts; the next try decides
        log.info("leads", lease=self.name, term=token, identity=self.identity)
        self.observer(LeadershipEvent(token, began=True))
        self._wake()

    async def _expire_forever(self) -> None:
        """Who waits for a change must hear of the end of a term also while a try hangs."""
        while True:
            if self._term is None:
                await self._change.wait()
            elif (left := self._until - self._clock.monotonic()) > 0:
                await self._clock.sleep(left)
            else:
                self._lose("it was not renewed in time")

    def _lose(self, why: str) -> None:
        if self._term is None:
            return
        token, self._term, self._until = self._term, None, 0.0
        log.warning("leads no longer", lease=self.name, term=token, why=why)
        self.observer(LeadershipEvent(token, began=False, why=why))
        self._wake()

    def _wake(self) -> None:
        self._change.set()
        self._change = asyncio.Event()

    def _tell_outage(self, problem: str) -> None:
        """Once when it begins, once when it ends."""
        if problem and not self._outage:
            log.warning("cannot stand for the lead", lease=self.name, error=problem)
        elif self._outage and not problem:
            log.info("can stand for the lead again", lease=self.name)
        self._outage = bool(problem)


# ---- services of the leader ------------------------------------------------------------------------------------------


class Led:
    """A service that runs while this replica leads, anew in each term. A `Service` itself.

    Within a term it is started again soon after a `TemporaryError`: a leader that pauses for as long as a supervisor
    lets a failing service pause keeps a lead that it does not use.

    Args:
        service: What the leader does.
        leadership: Whether it does.
        clock: To pause by.
        meanwhile: What to do while another one leads, until cancelled; nothing where missing.
    """

    def __init__(
        self,
        service: Service,
        leadership: Leadership,
        *,
        clock: Clock,
        meanwhile: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self.name = service.name
        self._service = service
        self._leadership = leadership
        self._clock = clock
        self._meanwhile = meanwhile

    async def run(self) -> None:
        """Until cancelled; raises what the service raises, but for a `TemporaryError`."""
        while True:
            token = self._leadership.token
            if token is None:
                await self._for_a_term(token, self._meanwhile() if self._meanwhile else _nothing())
            else:
                await self._for_a_term(token, self._work())

    async def _work(self) -> None:
        pause = FIRST_PAUSE_S
        while True:
            token = self._leadership.token
            try:
                await self._service.run()
            except TemporaryError as error:
                if self._leadership.token != token:
                    return
                log.warning("interrupted", service=self.name, error=str(error), retry_in_s=pause)
            await self._clock.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    async def _for_a_term(self, token: int | None, work: Coroutine[Any, Any, None]) -> None:
        working = asyncio.create_task(work, name=self.name)
        over = asyncio.create_task(self._leadership.changed(token))
        try:
            await asyncio.wait((working, over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (working, over):
                task.cancel()
            await asyncio.wait((working, over))
        if not working.cancelled() and (error := working.exception()) is not None:
            raise error


async def _nothing() -> None:
    await asyncio.Event().wait()
