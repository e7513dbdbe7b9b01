"""Who leads: by one's own clock only, with tokens that grow, and services that follow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from seamark.core.errors import StopError, TemporaryError
from seamark.runtime.leadership import (
    Elector,
    LeadershipEvent,
    Led,
    NotLeadingError,
    RegisterCandidate,
    Terms,
)
from tests.support.replicas import HostClock, MemoryRegister, MemoryStore, World

TERMS = Terms(duration=6.0, renew=1.5)


class Replica:
    """An elector on its own host."""

    def __init__(self, name: str, world: World, store: MemoryStore, *, ahead: float = 0.0, apart: bool = False) -> None:
        self.clock = HostClock(world, ahead)
        self.register = MemoryRegister(store)
        self.floor = 0
        self.entered: list[int] = []
        self.refuses = False
        self.events: list[LeadershipEvent] = []
        candidate = RegisterCandidate(
            name, self.register, terms=TERMS, clock=self.clock, floor=self._floor, apart=apart
        )
        self.elector = Elector(
            "lease", candidate, terms=TERMS, clock=self.clock, enter=self._enter, observer=self.events.append
        )

    async def _floor(self) -> int:
        if self.floor < 0:
            raise TemporaryError("the database does not answer")
        return self.floor

    async def _enter(self, token: int) -> None:
        if self.refuses:
            raise TemporaryError("the database does not answer")
        self.entered.append(token)

    @property
    def token(self) -> int | None:
        return self.elector.token

    async def stand(self) -> int | None:
        await self.elector.stand()
        return self.token


class Stage:
    def __init__(self) -> None:
        self.world, self.store = World(), MemoryStore()
        self.one = Replica("one", self.world, self.store)
        self.two = Replica("two", self.world, self.store, ahead=-7200.0)

    async def pass_time(self, seconds: float) -> None:
        """In small steps, with whatever sleeps woken."""
        end = self.world.time + seconds
        while self.world.time < end - 1e-9:
            self.world.time = min(end, self.world.time + 0.25)
            for replica in (self.one, self.two):
                replica.clock.wake()
            for _ in range(6):
                await asyncio.sleep(0)


@pytest.fixture
def stage() -> Stage:
    return Stage()


# ---- taking and keeping ----------------------------------------------------------------------------------------------


async def test_the_first_leads_and_the_second_hears_who(stage: Stage) -> None:
    assert await stage.one.stand() == 1
    assert await stage.two.stand() is None
    assert stage.two.elector.holder == "one"
    assert stage.one.elector.holder == "one"
    assert stage.one.entered == [1]


async def test_a_renewal_keeps_the_token(stage: Stage) -> None:
    await stage.one.stand()
    for _ in range(10):
        stage.world.time += 1.5
        assert await stage.one.stand() == 1
        assert await stage.two.stand() is None
    assert stage.one.entered == [1]


async def test_a_leader_stops_by_its_own_clock_before_others_may_take_over(stage: Stage) -> None:
    await stage.one.stand()
    await stage.two.stand()  # sees the record for the first time
    stage.world.time += TERMS.stay - 0.01
    assert stage.one.token == 1
    stage.world.time += 0.02
    assert stage.one.token is None, "nobody told it: its own clock did"
    assert await stage.two.stand() is None, "and the other one still waits"
    stage.world.time = TERMS.duration
    assert await stage.two.stand() == 2


async def test_others_wait_for_a_whole_lease_since_they_first_saw_the_record(stage: Stage) -> None:
    await stage.one.stand()
    stage.world.time += 5 * TERMS.duration  # the second one's host was down for so long
    assert await stage.two.stand() is None
    stage.world.time += TERMS.duration - 0.01
    assert await stage.two.stand() is None
    stage.world.time += 0.01
    assert await stage.two.stand() == 2


async def test_time_counts_from_before_the_request_that_renewed(stage: Stage) -> None:
    """A slow answer is no reason to lead for longer than the others think."""
    await stage.one.stand()
    slow = 1.9

    async def gate() -> None:
        stage.world.time += slow / 2  # before and after the one request of a renewal

    stage.one.register.gate = gate
    began = stage.world.time
    await stage.one.stand()
    assert stage.world.time == pytest.approx(began + slow)
    stage.world.time = began + TERMS.stay
    assert stage.one.token is None


@pytest.mark.parametrize("ahead", [-86_400.0, 0.0, 86_400.0])
async def test_clocks_of_hosts_need_not_agree(ahead: float) -> None:
    world, store = World(), MemoryStore()
    one, two = Replica("one", world, store), Replica("two", world, store, ahead=ahead)
    await one.stand()
    for _ in range(20):
        world.time += 1.0
        await one.stand()
        assert await two.stand() is None
    assert one.token == 1


async def test_a_record_given_back_is_free_at_once_with_a_new_token(stage: Stage) -> None:
    await stage.one.stand()
    assert await stage.two.stand() is None
    await stage.one.elector.close()
    assert stage.one.token is None
    assert await stage.two.stand() == 2


async def test_what_is_given_back_must_be_ours(stage: Stage) -> None:
    await stage.one.stand()
    await stage.two.stand()
    stage.world.time += TERMS.duration
    await stage.two.stand()
    await stage.one.elector.close()
    assert stage.store.record is not None
    assert stage.store.record.holder == "two"


async def test_closing_without_the_store_takes_no_longer_than_a_try(stage: Stage) -> None:
    await stage.one.stand()
    stage.one.register.cut = True
    await stage.one.elector.close()
    assert stage.one.token is None


# ---- trouble ---------------------------------------------------------------------------------------------------------


async def test_a_leader_that_is_cut_off_stops_in_time_and_takes_another_token_when_it_comes_back(stage: Stage) -> None:
    await stage.one.stand()
    stage.one.register.cut = True
    stage.world.time += 3.0
    assert await stage.one.stand() == 1, "two tries may fail"
    stage.world.time += 3.0
    assert await stage.one.stand() is None
    stage.one.register.cut = False
    assert await stage.one.stand() == 2, "nobody else took it, but the term was broken"
    assert stage.one.entered == [1, 2]


async def test_a_renewal_that_arrived_without_an_answer_does_not_prolong(stage: Stage) -> None:
    await stage.one.stand()
    stage.one.register.deaf = True
    stage.world.time += 2.0
    await stage.one.stand()
    stage.world.time = TERMS.stay
    assert stage.one.token is None
    assert await stage.two.stand() is None, "the record has changed: the others wait for longer, never shorter"


async def test_of_two_that_are_equally_fast_one_leads(stage: Stage) -> None:
    assert sorted(await asyncio.gather(stage.one.stand(), stage.two.stand()), key=str) == [1, None]


async def test_a_record_that_was_deleted_does_not_start_its_tokens_again(stage: Stage) -> None:
    await stage.one.stand()
    stage.store.record = None
    stage.two.floor = 41
    assert await stage.two.stand() == 42


async def test_a_replica_without_its_own_store_neither_takes_nor_keeps_the_lead() -> None:
    world, store = World(), MemoryStore()
    replica = Replica("one", world, store, apart=True)
    replica.floor = -1
    assert await replica.stand() is None
    assert store.record is None
    replica.floor = 0
    assert await replica.stand() == 1
    replica.floor = -1
    world.time += TERMS.stay
    assert await replica.stand() is None


async def test_a_renewal_whose_answer_was_lost_is_found_again(stage: Stage) -> None:
    await stage.one.stand()
    stage.one.register.deaf = True
    await stage.one.stand()
    stage.one.register.deaf = False
    stage.world.time += 3.0
    assert await stage.one.stand() == 1
    stage.world.time += TERMS.stay - 0.1
    assert stage.one.token == 1, "renewed from then on"


async def test_a_renewal_that_comes_after_another_one_took_over_is_none(stage: Stage) -> None:
    await stage.one.stand()
    await stage.two.stand()
    assert stage.store.record is not None
    stage.two.clock.world = World(100.0)  # its clock has gone mad
    assert await stage.two.stand() == 2
    assert await stage.one.stand() is None
    assert stage.one.elector.holder == "two"
    assert stage.one.events[-1].why == "two leads"


async def test_who_cannot_begin_its_term_gives_the_lead_back(stage: Stage) -> None:
    stage.one.refuses = True
    assert await stage.one.stand() is None
    assert await stage.two.stand() == 2, "at once"


async def test_a_deposed_leader_leads_no_longer_and_says_why(stage: Stage) -> None:
    await stage.one.stand()
    stage.one.elector.depose("a newer term")
    assert stage.one.token is None
    assert stage.one.events == [
        LeadershipEvent(1, began=True),
        LeadershipEvent(1, began=False, why="a newer term"),
    ]
    stage.one.elector.depose("again")
    assert len(stage.one.events) == 2


async def test_how_long_nobody_was_seen_to_lead(stage: Stage) -> None:
    stage.world.time = 10.0
    assert stage.two.elector.leaderless == 10.0
    await stage.one.stand()
    await stage.two.stand()
    assert stage.one.elector.leaderless == stage.two.elector.leaderless == 0.0
    stage.two.register.cut = True
    stage.world.time += 4.0
    await stage.two.stand()
    assert stage.two.elector.leaderless == 4.0


# ---- the service -----------------------------------------------------------------------------------------------------


@pytest.fixture
async def running(stage: Stage) -> AsyncIterator[Stage]:
    tasks = [asyncio.create_task(replica.elector.run()) for replica in (stage.one, stage.two)]
    await stage.pass_time(0.5)
    yield stage
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_loop_renews_and_hands_over_within_a_lease_and_a_look(running: Stage) -> None:
    assert (running.one.token, running.two.token) == (1, None)
    await running.pass_time(30.0)
    assert (running.one.token, running.two.token) == (1, None)
    running.one.register.cut = True
    await running.pass_time(TERMS.renew + TERMS.duration + TERMS.poll)
    assert (running.one.token, running.two.token) == (None, 2)


async def test_whoever_waits_hears_of_the_end_while_a_try_hangs(running: Stage) -> None:
    hanging = asyncio.Event()
    running.one.register.gate = hanging.wait  # type: ignore[assignment]
    waiting = asyncio.create_task(running.one.elector.changed(1))
    await running.pass_time(TERMS.renew + TERMS.stay + 0.5)
    assert waiting.done()
    assert running.one.events[-1].why == "it was not renewed in time"
    hanging.set()


async def test_a_graceful_end_hands_over_within_a_look(running: Stage) -> None:
    await running.one.elector.close()
    running.one.register.cut = True  # its process is gone
    await running.pass_time(TERMS.poll + 0.25)
    assert running.two.token == 2


# ---- services of the leader ------------------------------------------------------------------------------------------


class Work:
    name = "work"

    def __init__(self) -> None:
        self.running = 0
        self.standing_by = 0
        self.runs = 0
        self.error: Exception | None = None
        self.poke = asyncio.Event()

    async def run(self) -> None:
        self.running, self.runs = self.running + 1, self.runs + 1
        try:
            await self.poke.wait()
            if self.error is not None:
                raise self.error
        finally:
            self.running -= 1

    async def stand_by(self) -> None:
        self.standing_by += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.standing_by -= 1


@pytest.fixture
async def led(stage: Stage) -> AsyncIterator[tuple[Stage, Work, asyncio.Task[None]]]:
    work = Work()
    task = asyncio.create_task(Led(work, stage.one.elector, clock=stage.one.clock, meanwhile=work.stand_by).run())
    await asyncio.sleep(0)
    yield stage, work, task
    task.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await task


async def breathe() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


async def test_a_service_of_the_leader_runs_once_per_term(led: tuple[Stage, Work, asyncio.Task[None]]) -> None:
    stage, work, _ = led
    await breathe()
    assert (work.running, work.standing_by) == (0, 1)
    await stage.one.stand()
    await breathe()
    assert (work.running, work.standing_by) == (1, 0)
    stage.one.elector.depose("a newer term")
    await breathe()
    assert (work.running, work.standing_by) == (0, 1)
    await stage.one.stand()
    await breathe()
    assert (work.running, work.runs) == (1, 2)


async def test_its_own_errors_come_through(led: tuple[Stage, Work, asyncio.Task[None]]) -> None:
    stage, work, task = led
    await stage.one.stand()
    work.error = StopError("wrong chain")
    await breathe()
    work.poke.set()
    with pytest.raises(StopError, match="wrong chain"):
        await task


async def test_a_refusal_because_the_lead_was_lost_is_no_failure(led: tuple[Stage, Work, asyncio.Task[None]]) -> None:
    stage, work, task = led
    await stage.one.stand()
    work.error = NotLeadingError("another one leads")
    await breathe()
    stage.one.elector.depose("a newer term")  # lost in the very moment in which the service notices
    work.poke.set()
    await breathe()
    assert not task.done()
    assert work.standing_by == 1


async def test_within_a_term_it_is_started_again_soon(led: tuple[Stage, Work, asyncio.Task[None]]) -> None:
    stage, work, task = led
    await stage.one.stand()
    work.error = TemporaryError("the node does not answer")
    await breathe()
    work.poke.set()
    await stage.pass_time(3.0)
    assert work.runs > 3
    work.error, work.poke = None, asyncio.Event()
    await stage.pass_time(2.5)
    assert (work.running, task.done()) == (1, False)


async def test_cancelling_ends_the_service(led: tuple[Stage, Work, asyncio.Task[None]]) -> None:
    stage, work, task = led
    await stage.one.stand()
    await breathe()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.running == 0
