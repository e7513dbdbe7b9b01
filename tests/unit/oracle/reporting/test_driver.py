"""The driver: effects in order and behind the disk, ports with their times, a node that nothing brings down.

Most tests run a network of one node, which is its own leader and majority, so every effect comes up. The clock is
virtual: who sleeps moves it.
"""

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from seamark.core.errors import RejectedError, SettingsError, StopError, TemporaryError
from seamark.oracle.reporting import driver as module
from seamark.oracle.reporting import protocol
from seamark.oracle.reporting.codec import Observation
from seamark.oracle.reporting.config import MILLISECOND, SECOND, OffchainConfig
from seamark.oracle.reporting.driver import Driver, _Time
from seamark.oracle.reporting.keys import SharedSecret
from seamark.oracle.reporting.messages import Message, NewEpoch, ObserveRequest
from seamark.oracle.reporting.ports import SILENT, TimeLimits
from seamark.oracle.reporting.store import Place, claim, load
from tests.support.clock import FakeClock
from tests.support.reporting import DIGEST, Contract
from tests.support.reporting_nodes import QUICK, Counts, Signers, World

LIMITS = TimeLimits(*[50 * MILLISECOND] * 5)
ONE = World(1)
FOUR = World(4)


class Wire:
    """A transport that a test plays the other nodes of."""

    def __init__(self):
        self.sent = []
        self.waiting: deque[tuple[int, Message]] = deque()
        self.notify = lambda: None

    def send(self, to, message):
        self.sent.append((to, message))

    def broadcast(self, message):
        self.sent.append((None, message))

    def receive(self):
        return self.waiting.popleft() if self.waiting else None

    def on_arrival(self, notify):
        self.notify = notify

    def say(self, sender, message):
        self.waiting.append((sender, message))
        self.notify()


class Gate:
    """A database whose writes a test holds up, or lets fail."""

    def __init__(self, inner):
        self.inner, self.url = inner, inner.url
        self.open = asyncio.Event()
        self.open.set()
        self.failures: deque[Exception] = deque()
        self.writes = 0

    async def read(self, work):
        return await self.inner.read(work)

    async def write(self, work, *, urgent=False):
        assert urgent, "somebody waits for it"
        await self.open.wait()
        if self.failures:
            raise self.failures.popleft()
        self.writes += 1
        return await self.inner.write(work)

    async def close(self):
        pass


class SlowClock(FakeClock):
    """Virtual, but each sleep lets the others run for a moment, and a test may stop it."""

    def __init__(self):
        super().__init__()
        self.running = asyncio.Event()
        self.running.set()

    async def sleep(self, seconds):
        await asyncio.sleep(0.001)
        await self.running.wait()
        await super().sleep(seconds)


class Bench:
    """One driver and its ports; each port is a method, so that a test changes one."""

    def __init__(self, world, me, database):
        self.world, self.me = world, me
        self.clock, self.wire, self.counts = SlowClock(), Wire(), Counts()
        self.database = Gate(database)
        self.contract = Contract(world.network, Signers([signer.address for signer in world.signers]))
        self.place = Place("31337:0x01", DIGEST, me)
        self.signer = world.signers[me]
        self.signer.signed.clear()
        self.price = 1000

    async def observe(self, at):
        self.price += 1
        return Observation(int(self.clock.now()), self.price, 0)

    async def view(self):
        return self.contract.view(round(self.clock.now() * SECOND))

    async def transmit(self, at, call):
        fault = self.contract.transmit(call.encode(), round(self.clock.now() * SECOND))
        if fault is not None:
            raise RejectedError(fault)

    def driver(self, **other):
        ports = _Ports(self)
        parts = {
            "transport": self.wire,
            "database": self.database,
            "source": ports,
            "contract": ports,
            "signer": self.signer,
            "transmitter": ports,
            "limits": LIMITS,
            "clock": self.clock,
            "observer": self.counts,
        }
        return Driver(self.world.context(self.me), self.place, **(parts | other))


class _Ports:
    """Looks the method up at each call."""

    def __init__(self, bench):
        self.bench = bench

    async def observe(self, at):
        return await self.bench.observe(at)

    async def view(self):
        return await self.bench.view()

    async def transmit(self, at, call):
        await self.bench.transmit(at, call)


@pytest.fixture
def bench(database):
    return Bench(ONE, 0, database)


@asynccontextmanager
async def running(driver):
    task = asyncio.create_task(driver.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(true, limit=5.0):
    async with asyncio.timeout(limit):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0)


async def stored(bench):
    return await bench.database.read(lambda c: load(c, bench.place))


# ---- rounds ---------------------------------------------------------------------------------------------------------


async def test_a_node_alone_goes_through_all_effects(bench):
    async with running(bench.driver()) as task:
        await until(lambda: len(bench.contract.accepted) >= 3)
        assert not task.done()
    answers = [answer for _, answer, _ in bench.contract.accepted]
    assert answers == sorted(answers)
    assert {"observe", "read", "sign", "transmit", "persist"} == {port for port, _ in bench.counts.calls}
    assert {failure for _, failure in bench.counts.calls} == {None}
    assert bench.counts.transmissions >= 3
    assert bench.counts.included == len(bench.counts.finished) >= 3
    assert set(bench.counts.finished) <= set(bench.counts.led)
    assert bench.counts.sent_observations >= len(bench.counts.finished)
    assert bench.counts.epochs[0] == 1


async def test_nothing_is_signed_before_it_is_on_disk(bench):
    seen = []
    real = bench.signer.sign

    class Careful:
        address = bench.signer.address

        async def sign(self, preimage):
            at = int.from_bytes(preimage[64 + 27 : 64 + 31], "big"), preimage[64 + 31]
            seen.append((at, (await stored(bench)).signed))
            return await real(preimage)

    async with running(bench.driver(signer=Careful())):
        await until(lambda: len(seen) >= 5)
    assert all(on_disk >= at for at, on_disk in seen), seen


async def test_a_disk_that_hangs_silences_the_node_and_nothing_else(bench):
    async with running(bench.driver()) as task:
        await until(lambda: bench.contract.accepted)
        bench.database.open.clear()
        await asyncio.sleep(0.02)
        signed, said = len(bench.signer.signed), len(bench.wire.sent)
        await asyncio.sleep(0.05)
        assert (len(bench.signer.signed), len(bench.wire.sent)) == (signed, said)
        assert not task.done()
        bench.database.open.set()
        count = len(bench.contract.accepted)
        await until(lambda: len(bench.contract.accepted) > count + 1)


async def test_what_gathered_behind_the_disk_is_stored_once_and_said_in_order(database):
    bench = Bench(FOUR, 0, database)
    async with running(bench.driver()):
        await until(lambda: bench.wire.sent)
        bench.database.open.clear()
        bench.clock.running.clear()
        for epoch in (5, 6, 7):
            for sender in (1, 2):
                bench.wire.say(sender, NewEpoch(epoch))
        await until(lambda: not bench.wire.waiting)
        await asyncio.sleep(0.01)
        writes, said = bench.database.writes, len(bench.wire.sent)
        bench.database.open.set()
        await until(lambda: (None, NewEpoch(7)) in bench.wire.sent)
        assert bench.database.writes - writes <= 2, "the first of them, and one for all that came after"
        epochs = [message.epoch for _, message in bench.wire.sent[said:] if isinstance(message, NewEpoch)]
        assert [epoch for epoch in epochs if epoch >= 5] == [5, 6, 7]
    assert (await stored(bench)).received[1:3] == (7, 7)


async def test_the_outbox_is_bounded(database, monkeypatch):
    monkeypatch.setattr(module, "OUTBOX_LIMIT", 10)
    bench = Bench(FOUR, 0, database)
    async with running(bench.driver()):
        await until(lambda: bench.wire.sent)
        bench.database.open.clear()
        bench.clock.running.clear()
        for epoch in range(5, 105):
            bench.wire.say(1, NewEpoch(epoch))
            bench.wire.say(2, NewEpoch(epoch))
        await asyncio.sleep(0.05)
        left = len(bench.wire.waiting)
        assert left > 150, "a node that cannot speak does not listen for ever"
        bench.database.open.set()
        await until(lambda: not bench.wire.waiting)


async def test_a_disk_that_fails_is_tried_again(bench):
    bench.database.failures = deque()
    async with running(bench.driver()) as task:
        await until(lambda: bench.contract.accepted)
        bench.database.failures.extend([TemporaryError("full")] * 3)
        count = len(bench.contract.accepted)
        await until(lambda: len(bench.contract.accepted) > count + 2)
        assert not task.done()
    assert bench.counts.calls["persist", "TemporaryError"] == 3


async def test_a_disk_that_is_broken_ends_the_node(bench):
    async with running(bench.driver()) as task:
        await until(lambda: bench.contract.accepted)
        bench.database.failures.append(StopError("corrupt"))
        await until(task.done)
        with pytest.raises(StopError, match="corrupt"):
            task.result()


# ---- lives ----------------------------------------------------------------------------------------------------------


async def test_a_restarted_node_goes_on_and_signs_no_round_twice(bench):
    driver = bench.driver()
    for life in range(4):
        count = len(bench.contract.accepted)
        async with running(driver if life % 2 else bench.driver()):
            await until(lambda count=count: len(bench.contract.accepted) > count + 1)
    rounds = [preimage[64:96] for preimage in bench.signer.signed]
    assert len(set(rounds)) == len(rounds)
    assert len(rounds) >= 8


async def test_a_second_process_silences_the_first(bench):
    async with running(bench.driver()) as task:
        await until(lambda: bench.contract.accepted)
        await bench.database.write(lambda c: claim(c, bench.place), urgent=True)
        await until(task.done)
        with pytest.raises(StopError, match="another process runs as node 0"):
            task.result()
        signed = len(bench.signer.signed)
        await asyncio.sleep(0.02)
        assert len(bench.signer.signed) == signed


async def test_without_a_contract_the_start_goes_on(bench):
    real, bench.view = bench.view, _raises(TemporaryError("no node answers"))
    async with running(bench.driver()):
        await until(lambda: bench.counts.calls["read", "TemporaryError"] >= 2)
        bench.view = real
        await until(lambda: bench.contract.accepted)


async def test_a_start_behind_the_contract_asks_for_a_later_epoch(database):
    bench = Bench(FOUR, 0, database)
    bench.contract.at = (41, 2)
    async with running(bench.driver()):
        await until(lambda: bench.wire.sent)
    assert bench.wire.sent[0] == (None, NewEpoch(42))


async def test_the_epoch_of_another_configuration_says_nothing(database, monkeypatch):
    bench = Bench(FOUR, 0, database)

    async def view():
        return replace(bench.contract.view(0), at=(41, 2), digest=b"\x09" * 32)

    monkeypatch.setattr(bench, "view", view)
    async with running(bench.driver()):
        await until(lambda: bench.wire.sent)
    assert bench.wire.sent[0] == (None, NewEpoch(1))


# ---- ports ----------------------------------------------------------------------------------------------------------


def _raises(error):
    async def call(*_):
        raise error

    return call


async def _hangs(*_):
    await asyncio.Event().wait()


@pytest.mark.parametrize("port", ["observe", "view", "transmit"])
@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (_raises(TemporaryError("away")), "TemporaryError"),
        (_raises(KeyError("bug")), "KeyError"),
        (_raises(StopError("settings")), "StopError"),
        (_hangs, "timeout"),
    ],
)
async def test_a_port_that_fails_costs_its_answer_only(bench, port, fault, name):
    async with running(bench.driver()) as task:
        await until(lambda: bench.contract.accepted)
        real = getattr(bench, port)
        setattr(bench, port, fault)
        metric = "read" if port == "view" else port
        await until(lambda: bench.counts.calls[metric, name] >= 2)
        setattr(bench, port, real)
        count = len(bench.contract.accepted)
        await until(lambda: len(bench.contract.accepted) > count)
        assert not task.done()


async def test_a_signer_that_fails_costs_its_rounds_only(bench):
    class Moody:
        address = bench.signer.address
        well = False

        async def sign(self, preimage):
            if not self.well:
                raise RejectedError("policy")
            return await bench.signer.sign(preimage)

    moody = Moody()
    async with running(bench.driver(signer=moody)) as task:
        await until(lambda: bench.counts.calls["sign", "RejectedError"] >= 2)
        assert not bench.contract.accepted
        moody.well = True
        await until(lambda: bench.contract.accepted)
        assert not task.done()


async def test_nothing_to_observe_is_no_failure(bench):
    async def nothing(at):
        return None

    bench.observe = nothing
    async with running(bench.driver()):
        await until(lambda: bench.counts.calls["observe", None] >= 2)
    assert not bench.counts.sent_observations


async def test_an_end_leaves_no_task_behind(bench):
    bench.observe = _hangs
    before = asyncio.all_tasks()
    async with running(bench.driver()):
        await until(lambda: bench.counts.epochs and bench.counts.led)
        assert len(asyncio.all_tasks()) > len(before)
    assert asyncio.all_tasks() == before


# ---- messages -------------------------------------------------------------------------------------------------------


async def test_a_message_that_the_machine_stumbles_over_changes_nothing(database, monkeypatch):
    bench = Bench(FOUR, 0, database)
    real = protocol.step

    def stumble(context, state, event, now):
        if getattr(event, "message", None) == ObserveRequest(9, 9):
            raise ZeroDivisionError
        return real(context, state, event, now)

    monkeypatch.setattr(module, "step", stumble)
    driver = bench.driver()
    async with running(driver) as task:
        await until(lambda: bench.wire.sent)
        bench.clock.running.clear()
        await asyncio.sleep(0.01)
        before = driver.state
        bench.wire.say(1, ObserveRequest(9, 9))
        await until(lambda: not bench.wire.waiting)
        assert driver.state is before
        bench.wire.say(1, NewEpoch(3))
        await until(lambda: driver.state is not before)
        assert not task.done()


async def test_a_fault_of_the_machine_itself_is_not_hidden(bench, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(module, "step", broken)
    async with running(bench.driver()) as task:
        await until(task.done)
        with pytest.raises(ZeroDivisionError):
            task.result()


async def test_a_flood_of_messages_does_not_delay_the_deadlines(database, monkeypatch):
    bench = Bench(FOUR, 0, database)

    def receive():
        bench.clock.advance(0.001)
        return 1, NewEpoch(1)

    monkeypatch.setattr(bench.wire, "receive", receive)
    async with running(bench.driver()):
        await until(lambda: (None, NewEpoch(2)) in bench.wire.sent)  # DeltaProgress is over: it wants another leader


# ---- time, and what does not fit ------------------------------------------------------------------------------------


def test_time_goes_on_whatever_the_wall_clock_does():
    clock = FakeClock(1000.0)
    time = _Time(clock)
    start = time.now()
    assert start == 1000 * SECOND
    clock.advance(2)
    assert time.now() == start + 2 * SECOND
    clock._now -= 500  # both clocks of the fake are one: the wall steps back, the other is put right again
    clock._start -= 500
    assert time.now() == start + 2 * SECOND
    clock.advance(1)
    assert time.now() == start + 3 * SECOND
    clock._now += 5000
    clock._start += 5000
    assert time.now() == round(clock.now() * SECOND) > start + 4000 * SECOND


@pytest.mark.parametrize("wrong", [Place("c", bytes(32), 0), Place("c", DIGEST, 1)])
def test_another_memory_is_refused(bench, wrong):
    bench.place = wrong
    with pytest.raises(SettingsError, match="is not the memory of node 0"):
        bench.driver()


def test_another_signer_is_refused(bench):
    with pytest.raises(SettingsError, match=r"reporting.signer: signs as 0x.*, not as 0x"):
        bench.driver(signer=FOUR.signers[1])


def test_the_limits_are_those_of_the_configuration():
    secret = SharedSecret(bytes(32), bytes(32), ())
    configured = OffchainConfig(QUICK, (), (), b"", 9, 1, 2, 3, 4, secret)
    assert TimeLimits.of(configured) == TimeLimits(1, 2, 3, 4, 20 * SECOND)


async def test_nobody_has_to_listen(bench):
    async with running(bench.driver(observer=SILENT)):
        await until(lambda: bench.contract.accepted)
