import asyncio
import os
import signal
from contextlib import suppress

import pytest

from seamark.core.errors import StopError, TemporaryError
from seamark.runtime.service import CALM_AFTER_S, LONGEST_PAUSE_S, Supervisor, stop_on_signals
from tests.support.clock import FakeClock


class Scripted:
    """Raises its errors one after the other, then runs on."""

    def __init__(self, name: str, *errors: Exception, clock: FakeClock | None = None, lasts: float = 0) -> None:
        self.name = name
        self.errors = list(errors)
        self.starts = 0
        self.settled = asyncio.Event()
        self.cancelled = False
        self.clock, self.lasts = clock, lasts

    async def run(self) -> None:
        self.starts += 1
        if self.errors:
            if self.clock:
                self.clock.advance(self.lasts)
            raise self.errors.pop(0)
        self.settled.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


async def run_until_settled(clock: FakeClock, *services: Scripted) -> Supervisor:
    supervisor = Supervisor(services, clock=clock)
    task = asyncio.create_task(supervisor.run())
    await asyncio.gather(*(service.settled.wait() for service in services))
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return supervisor


async def test_a_failing_service_is_started_again_with_growing_pauses() -> None:
    clock = FakeClock()
    flaky = Scripted("flaky", *(TemporaryError("busy") for _ in range(9)))
    supervisor = await run_until_settled(clock, flaky)
    assert flaky.starts == 10
    assert supervisor.restarts["flaky"] == 9
    assert supervisor.last_error["flaky"] == "busy"
    assert clock.slept[0] < clock.slept[3]
    assert max(clock.slept) <= LONGEST_PAUSE_S * 1.2


async def test_a_service_may_come_and_go_while_the_others_run() -> None:
    clock = FakeClock()
    first, second = Scripted("first"), Scripted("second", TemporaryError("busy"))
    supervisor = Supervisor([first], clock=clock)
    task = asyncio.create_task(supervisor.run())
    await first.settled.wait()
    supervisor.add(second)
    await second.settled.wait()
    assert (second.starts, supervisor.restarts) == (2, {"first": 0, "second": 1})
    await supervisor.remove(second)
    assert (second.cancelled, first.cancelled, task.done()) == (True, False, False)
    supervisor.add(Scripted("bad", StopError("wrong chain")))
    with pytest.raises(StopError, match="wrong chain"):
        await task
    assert first.cancelled


async def test_what_is_added_or_removed_before_the_start_counts() -> None:
    first, second = Scripted("first"), Scripted("second")
    supervisor = Supervisor([first], clock=FakeClock())
    supervisor.add(second)
    await supervisor.remove(first)
    task = asyncio.create_task(supervisor.run())
    await second.settled.wait()
    assert first.starts == 0
    await supervisor.remove(second)
    async with asyncio.timeout(2):
        await task  # nothing is left to run


async def test_a_bug_in_one_service_leaves_the_neighbour_alone() -> None:
    broken, steady = Scripted("broken", ZeroDivisionError()), Scripted("steady")
    await run_until_settled(FakeClock(), broken, steady)
    assert (broken.starts, steady.starts) == (2, 1)


async def test_a_long_calm_run_resets_the_pause() -> None:
    clock = FakeClock()
    service = Scripted("service", *(TemporaryError("x") for _ in range(4)), clock=clock, lasts=CALM_AFTER_S + 1)
    await run_until_settled(clock, service)
    assert max(clock.slept) < 1


async def test_stop_error_ends_all_and_is_raised() -> None:
    wrong, steady = Scripted("wrong", StopError("wrong chain")), Scripted("steady")
    with pytest.raises(StopError, match="wrong chain"):
        await Supervisor([steady, wrong], clock=FakeClock()).run()
    assert steady.cancelled


async def test_cancelling_stops_every_service() -> None:
    first, second = Scripted("first"), Scripted("second")
    await run_until_settled(FakeClock(), first, second)
    assert first.cancelled
    assert second.cancelled


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_signals_cancel_in_order(number: signal.Signals) -> None:
    service = Scripted("service")
    work = asyncio.create_task(Supervisor([service], clock=FakeClock()).run())
    waiting = asyncio.create_task(stop_on_signals(work))
    await service.settled.wait()
    os.kill(os.getpid(), number)
    await waiting
    assert service.cancelled
