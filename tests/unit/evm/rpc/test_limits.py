from __future__ import annotations

import asyncio

import pytest

from seamark.evm.rpc.limits import CEILING_LASTS_S, GROW_AFTER, BlockRange, InFlight, StepLimit
from tests.support.clock import FakeClock


def succeed(limit: StepLimit, rounds: int = 1) -> None:
    for _ in range(rounds * GROW_AFTER):
        limit.accepted(limit.value)


def test_refusal_halves_what_was_asked() -> None:
    limit = StepLimit(100, 1000, FakeClock())
    limit.refused(100)
    assert limit.value == 50
    limit.refused(30)
    assert limit.value == 15


def test_a_suggestion_is_taken() -> None:
    limit = StepLimit(500, 1000, FakeClock())
    limit.refused(500, suggested=100)
    assert limit.value == 100


def test_a_useless_suggestion_still_makes_it_smaller() -> None:
    limit = StepLimit(500, 1000, FakeClock())
    limit.refused(500, suggested=500)
    assert limit.value == 250


@pytest.mark.parametrize("suggested", [None, 0, -5])
def test_never_below_one(suggested: int | None) -> None:
    limit = StepLimit(4, 1000, FakeClock())
    for _ in range(10):
        limit.refused(limit.value, suggested=suggested)
    assert limit.value == 1


def test_growth_is_slow_and_needs_full_sized_requests() -> None:
    limit = StepLimit(100, 1000, FakeClock())
    for _ in range(1000):
        limit.accepted(99)
    assert limit.value == 100
    for _ in range(GROW_AFTER - 1):
        limit.accepted(100)
    assert limit.value == 100
    limit.accepted(100)
    assert limit.value == 126
    succeed(limit, 100)
    assert limit.value == 1000


def test_easy_answers_double_it() -> None:
    limit = BlockRange(FakeClock())
    first = limit.value
    for _ in range(GROW_AFTER):
        limit.accepted(limit.value, easily=True)
    assert limit.value == 2 * first + 1


def test_a_lasting_refusal_is_a_ceiling_for_a_while() -> None:
    clock = FakeClock()
    limit = StepLimit(500, 10_000, clock)
    limit.refused(500, suggested=300)
    succeed(limit, 50)
    assert limit.value == 300
    clock.advance(CEILING_LASTS_S)
    succeed(limit)
    assert limit.value > 300


def test_a_passing_refusal_is_no_ceiling() -> None:
    limit = StepLimit(500, 10_000, FakeClock())
    limit.refused(500, lasting=False)
    assert limit.value == 250
    succeed(limit, 10)
    assert limit.value > 500


async def test_in_flight_is_bounded_and_nobody_is_forgotten() -> None:
    limiter = InFlight(FakeClock())
    limiter.limit = 3.0
    running, most, done = 0, 0, 0

    async def work() -> None:
        nonlocal running, most, done
        async with limiter:
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1
            done += 1

    await asyncio.gather(*(work() for _ in range(50)))
    assert (most, done, limiter.running) == (3, 50, 0)


async def test_a_cancelled_waiter_passes_its_turn_on() -> None:
    limiter = InFlight(FakeClock())
    limiter.limit = 1.0
    release = asyncio.Event()

    async def hold() -> None:
        async with limiter:
            await release.wait()

    first, second, third = (asyncio.create_task(hold()) for _ in range(3))
    await asyncio.sleep(0)
    second.cancel()
    release.set()
    await asyncio.gather(first, second, third, return_exceptions=True)
    assert second.cancelled()
    assert third.exception() is None
    assert limiter.running == 0


def test_rate_limits_halve_and_pause() -> None:
    clock = FakeClock()
    limiter = InFlight(clock)
    start = limiter.limit
    assert limiter.rate_limited(4.0) == 4.0
    assert limiter.limit == start / 2
    assert limiter.pause_left == 4.0
    clock.advance(4)
    assert limiter.pause_left == 0
    pauses = [limiter.rate_limited(None) for _ in range(8)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 30
    assert limiter.limit == 1.0


def test_success_raises_the_limit_slowly() -> None:
    limiter = InFlight(FakeClock())
    limiter.limit = 1.0
    for _ in range(10):
        limiter.succeeded()
    assert 3 < limiter.limit < 6
    for _ in range(10_000):
        limiter.succeeded()
    assert limiter.limit == 32
