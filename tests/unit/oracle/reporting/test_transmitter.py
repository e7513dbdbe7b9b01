"""One transaction for a round; a newer report may take its nonce; what becomes of each is counted."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.ids import Address, Hash32
from seamark.evm.ports import Intent, Outcome, TxState
from seamark.evm.types import Receipt
from seamark.oracle.model import FeedRef
from seamark.oracle.reporting.codec import ReportContext, Transmission
from seamark.oracle.reporting.metrics import ReportingMeter, ReportingMetrics
from seamark.oracle.reporting.transmitter import ReportSender, report_key, report_spender
from tests.support.clock import FakeClock
from tests.support.reporting_config import CHAIN, CONTRACT

DIGEST = b"\0\1" + b"\7" * 30
REF = FeedRef("ETH/USD", "besu", CHAIN, CONTRACT)


@dataclass
class FakeSender:
    """Knows what it was asked; transactions are mined when the test says so."""

    submitted: list[Intent] = field(default_factory=list)
    replaced: list[tuple[str, Intent]] = field(default_factory=list)
    known: dict[str, Outcome] = field(default_factory=dict)
    ends: dict[str, asyncio.Future[Outcome]] = field(default_factory=dict)
    refuse: Exception | None = None
    refuse_replacing: bool = True
    journals_first: bool = False

    address = Address("0x" + "99" * 20)

    async def submit(self, intent: Intent) -> Outcome:
        self.submitted.append(intent)
        if self.refuse is not None:
            if self.journals_first:
                self._take(intent)
            raise self.refuse
        return self._take(intent)

    async def replace(self, key: str, intent: Intent) -> Outcome:
        self.replaced.append((key, intent))
        if self.refuse_replacing:
            raise RejectedError("it is mined")
        return self._take(intent)

    async def find(self, key: str) -> Outcome | None:
        return self.known.get(key)

    async def wait(self, key: str, *, until: TxState = TxState.MINED) -> Outcome:
        return await self.ends.setdefault(key, asyncio.get_running_loop().create_future())

    def limit_spending(self, owner: str, wei: int | None) -> None: ...

    def spent(self, owner: str) -> int:
        return 0

    def _take(self, intent: Intent) -> Outcome:
        outcome = Outcome(intent.key, len(self.known), TxState.BROADCAST)
        return self.known.setdefault(intent.key, outcome)

    async def mine(self, key: str, *, succeeded: bool | None = True) -> None:
        receipt = None
        if succeeded is not None:
            receipt = Receipt(Hash32("0x" + "ab" * 32), 5, Hash32("0x" + "cd" * 32), succeeded, 90_000, 2, ())
        state = TxState.REPLACED if succeeded is None else TxState.MINED
        future = self.ends.setdefault(key, asyncio.get_running_loop().create_future())
        future.set_result(Outcome(key, 0, state, (), receipt))
        await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@dataclass
class Bench:
    registry: CollectorRegistry
    sender: FakeSender
    reports: ReportSender

    def count(self, outcome: str) -> float | None:
        return self.registry.get_sample_value(
            "reporting_transmissions_total", {"feed": "ETH/USD", "chain": "besu", "outcome": outcome}
        )


@pytest.fixture
async def bench():
    registry, sender = CollectorRegistry(), FakeSender()
    meter = ReportingMeter(ReportingMetrics(registry), REF, clock=FakeClock())
    reports = ReportSender(sender=sender, chain_id=CHAIN, contract=CONTRACT, meter=meter)
    yield Bench(registry, sender, reports)
    await reports.close()


def call(at: tuple[int, int]) -> Transmission:
    return Transmission(ReportContext(DIGEST, *at, b"\0" * 32), b"report", (1, 2), (3, 4), (0, 1))


def key(at: tuple[int, int]) -> str:
    return report_key(CHAIN, CONTRACT, DIGEST, at)


def test_the_key_names_the_round_and_its_owner_the_feed() -> None:
    assert key((3, 7)) == f"31337:{CONTRACT}:report:{DIGEST.hex()}.3.7"
    assert key((3, 7)).rpartition(":")[0] == report_spender(CHAIN, CONTRACT)
    keys = {key((3, 7)), key((37, 0)), key((3, 8)), report_key(CHAIN, CONTRACT, b"\0\1" + b"\6" * 30, (3, 7))}
    assert len(keys) == 4


async def test_a_report_goes_out_once_and_its_end_is_counted(bench: Bench) -> None:
    await bench.reports.transmit((1, 2), call((1, 2)))
    (intent,) = bench.sender.submitted
    assert (intent.to, intent.data, intent.key) == (CONTRACT, call((1, 2)).encode(), key((1, 2)))
    await settle()
    await bench.sender.mine(key((1, 2)))
    assert bench.count("mined") == 1
    assert bench.registry.get_sample_value(
        "reporting_transmission_fees_wei_total", {"feed": "ETH/USD", "chain": "besu"}
    ) == 180_000  # fmt: skip


async def test_a_second_call_for_a_round_is_the_same_one(bench: Bench) -> None:
    await bench.reports.transmit((1, 2), call((1, 2)))
    await bench.reports.transmit((1, 2), call((1, 2)))
    assert {intent.key for intent in bench.sender.submitted} == {key((1, 2))}
    assert bench.sender.replaced == []
    await bench.sender.mine(key((1, 2)))
    assert bench.count("mined") == 1


async def test_a_newer_report_takes_the_nonce_of_one_that_waits(bench: Bench) -> None:
    bench.sender.refuse_replacing = False
    await bench.reports.transmit((1, 2), call((1, 2)))
    await bench.reports.transmit((1, 5), call((1, 5)))
    assert [(old, intent.key) for old, intent in bench.sender.replaced] == [(key((1, 2)), key((1, 5)))]
    assert len(bench.sender.submitted) == 1
    await settle()
    await bench.sender.mine(key((1, 2)), succeeded=None)
    await bench.sender.mine(key((1, 5)))
    assert (bench.count("replaced"), bench.count("mined")) == (1, 1)


async def test_one_that_cannot_be_replaced_is_followed_by_another_transaction(bench: Bench) -> None:
    await bench.reports.transmit((1, 2), call((1, 2)))
    await bench.reports.transmit((1, 5), call((1, 5)))
    assert [intent.key for intent in bench.sender.submitted] == [key((1, 2)), key((1, 5))]


async def test_nothing_is_replaced_once_the_older_one_is_mined(bench: Bench) -> None:
    await bench.reports.transmit((1, 2), call((1, 2)))
    await settle()
    await bench.sender.mine(key((1, 2)))
    await bench.reports.transmit((1, 5), call((1, 5)))
    assert bench.sender.replaced == []


async def test_a_revert_is_counted_as_what_it_is(bench: Bench) -> None:
    await bench.reports.transmit((1, 2), call((1, 2)))
    await settle()
    await bench.sender.mine(key((1, 2)), succeeded=False)
    assert (bench.count("reverted"), bench.count("mined")) == (1, None)


async def test_a_refusal_is_told_and_nothing_is_followed(bench: Bench) -> None:
    bench.sender.refuse = RejectedError("reverted: signature error")
    with pytest.raises(RejectedError, match="signature error"):
        await bench.reports.transmit((1, 2), call((1, 2)))
    await settle()
    assert bench.sender.ends == {}
    assert bench.count("needless") is None


@pytest.mark.parametrize("words", ["stale report", "configDigest mismatch"])
async def test_a_report_that_is_no_longer_needed_is_no_failure(bench: Bench, words: str) -> None:
    bench.sender.refuse = RejectedError(f"reverted: {words}")
    await bench.reports.transmit((1, 2), call((1, 2)))
    await settle()
    assert bench.sender.ends == {}
    assert bench.count("needless") == 1


async def test_one_that_is_journalled_but_not_accepted_is_followed(bench: Bench) -> None:
    bench.sender.refuse, bench.sender.journals_first = TemporaryError("no node takes it"), True
    with pytest.raises(TemporaryError):
        await bench.reports.transmit((1, 2), call((1, 2)))
    await settle()
    await bench.sender.mine(key((1, 2)))
    assert bench.count("mined") == 1


async def test_one_that_was_not_journalled_is_not_followed(bench: Bench) -> None:
    bench.sender.refuse = TemporaryError("no database")
    with pytest.raises(TemporaryError):
        await bench.reports.transmit((1, 2), call((1, 2)))
    await settle()
    assert bench.sender.ends == {}


async def test_waiting_is_bounded_and_ends_with_the_feed(bench: Bench) -> None:
    for round_ in range(40):
        await bench.reports.transmit((1, round_), call((1, round_)))
    await settle()
    waiting = [task for task in asyncio.all_tasks() if task.get_name().startswith("31337:")]
    assert len(waiting) <= 16
    await bench.reports.close()
    assert all(task.done() for task in waiting)
