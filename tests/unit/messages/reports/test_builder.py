"""Reports over histories whose figures can be counted by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import msgspec
import pytest

from seamark.core.ids import Address
from seamark.messages.model import Contract, NoticeKind
from seamark.messages.reports.builder import Question, build_report
from seamark.messages.reports.model import Period, Report
from seamark.messages.reports.render.document import document_of
from seamark.messages.reports.render.markdown import to_markdown
from seamark.messages.store import save_contracts
from tests.unit.messages.history import (
    BACK,
    FEE_TOKEN,
    GENESIS_TIME,
    OUT,
    A,
    B,
    Noticed,
    Told,
    World,
    block_time,
    committed,
    executed,
    final,
    message_id,
    sent,
)

HOUR = 3600
START = GENESIS_TIME // HOUR * HOUR + HOUR  # a full hour, 12 s blocks
FIRST = -(-(START - GENESIS_TIME) // 12)  # the first block in it
PERIOD = Period("daily", START, START + HOUR, 300)
LATER = START + 10 * HOUR


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def deliver(world: World, first: int, count: int, *, at: int, after: int = 2, **options: object) -> None:
    """Messages first.. of OUT, all sent in block `at`, committed and executed `after` blocks later."""
    numbers = range(first, first + count)
    world.tell(A, world.block(A, at, [sent(number, **options) for number in numbers]))  # type: ignore[arg-type]
    there = world.block(B, at + after, [committed(first, first + count - 1), *(executed(number) for number in numbers)])
    world.tell(B, there)


def report(world: World, *, now: int = LATER, period: Period = PERIOD, **options: object) -> Report:
    return build_report(world.connection, Question(period=period, now=now, **options))  # type: ignore[arg-type]


def test_an_empty_ledger_has_a_report_too(world: World) -> None:
    found = report(world)
    assert found.totals.sent == 0
    assert found.success_rate is None
    assert found.before is None
    assert found.peak_hour is None
    assert found.data_from is None
    assert len(found.buckets) == 12
    assert [len(part) for part in (found.lanes, found.outliers, found.costs, found.errors)] == [0, 0, 0, 0]


def test_what_became_of_the_messages(world: World) -> None:
    deliver(world, 1, 8, at=FIRST)
    world.tell(A, world.block(A, FIRST + 10, [sent(9), sent(10)]))
    world.tell(B, world.block(B, FIRST + 12, [committed(9, 10), executed(9, good=False)]))
    found = report(world)
    assert (found.totals.sent, found.totals.delivered, found.totals.failed, found.totals.open) == (10, 8, 1, 1)
    assert (found.totals.matured, found.totals.succeeded) == (10, 8)
    assert found.success_rate == 0.8
    (lane,) = found.lanes
    assert (lane.source, lane.destination, lane.totals.sent) == ("alpha", "beta", 10)
    assert lane.latencies["total"].count == 8
    assert lane.latencies["total"].p99 == 24
    (error,) = found.errors
    assert (error.reason, error.cause, error.messages) == ("receiver_reverted", "it failed", 1)
    assert error.examples == (message_id(OUT, 9),)


def test_messages_outside_the_period_do_not_count(world: World) -> None:
    deliver(world, 1, 3, at=FIRST - 1)
    deliver(world, 4, 2, at=FIRST)
    deliver(world, 6, 4, at=FIRST + 300)
    found = report(world)
    assert found.totals.sent == 2
    assert found.before is not None
    assert found.before.sent == 3
    assert found.before.p50 == 24
    assert report(world, compare=False).before is None


def test_young_messages_are_not_judged(world: World) -> None:
    deliver(world, 1, 4, at=FIRST)
    world.tell(A, world.block(A, FIRST + 100, [sent(5), sent(6)]))
    young = report(world, now=block_time(FIRST + 101))
    assert (young.totals.sent, young.totals.matured, young.success_rate) == (6, 0, None)
    old = report(world, now=block_time(FIRST + 100) + 3601)
    assert (old.totals.matured, old.success_rate) == (6, 4 / 6)
    between = report(world, now=block_time(FIRST) + 3601)
    assert (between.totals.matured, between.success_rate) == (4, 1.0)


def test_peaks_steps_and_hours(world: World) -> None:
    deliver(world, 1, 2, at=FIRST)
    deliver(world, 3, 5, at=FIRST + 60)
    found = report(world)
    assert found.peak_hour == (START, 7)
    assert sum(found.hours) == 7
    assert found.hours[START % 86_400 // HOUR] == 7
    steps = {bucket.start: bucket.sent for bucket in found.buckets if bucket.sent}
    assert steps == {START: 2, block_time(FIRST + 60) // 300 * 300: 5}
    assert sum(bucket.delivered for bucket in found.buckets) == 7
    assert {bucket.p95 for bucket in found.buckets} == {24, None}


def test_outliers_are_named_the_stuck_ones_first(world: World) -> None:
    for index in range(30):
        deliver(world, index + 1, 1, at=FIRST + index)
    deliver(world, 31, 1, at=FIRST + 40, after=200)
    world.tell(A, world.block(A, FIRST + 50, [sent(32)]))
    found = report(world)
    assert [item.id for item in found.outliers] == [message_id(OUT, 32), message_id(OUT, 31)]
    stuck, slow = found.outliers
    assert (stuck.stage, stuck.seconds) == ("sent", LATER - block_time(FIRST + 50))
    assert (slow.seconds, slow.bound) == (2400, 54)
    assert found.outliers_more == 0


def test_fees_are_exact_however_large(world: World) -> None:
    large = 10**29 + 7
    world.tell(A, world.block(A, FIRST, [sent(1, fee=large), sent(2, fee=large), sent(3, fee=1)]))
    save_contracts(
        world.connection,
        "ccip",
        [
            Contract(
                chain_id=A, address=Address(FEE_TOKEN), role="fee_token", details={"symbol": "LINK", "decimals": "18"}
            )
        ],
    )
    found = report(world)
    (cost,) = found.costs
    assert (cost.messages, cost.total, cost.average) == (3, str(2 * large + 1), str((2 * large + 1) // 3))
    assert (cost.symbol, cost.decimals, cost.chain) == ("LINK", 18, "alpha")
    assert found.fees_juels == str(2 * (2 * large + 1))
    assert found.contracts == ()  # a token is no contract of the protocol


def test_the_average_fee_is_compared_with_the_period_before(world: World) -> None:
    world.tell(A, world.block(A, FIRST - 10, [sent(1, fee=100)]))
    world.tell(A, world.block(A, FIRST, [sent(2, fee=150)]))
    (cost,) = report(world).costs
    assert cost.change == 0.5


def test_only_the_lanes_that_were_chosen(world: World) -> None:
    deliver(world, 1, 3, at=FIRST)
    world.tell(B, world.block(B, FIRST + 9, [sent(1, BACK), sent(2, BACK)]))
    whole = report(world)
    assert whole.totals.sent == 5
    (back,) = [lane for lane in whole.lanes if lane.source == "beta"]
    assert back.totals.sent == 2
    chosen = report(world, lanes=(2,), lanes_chosen="beta → alpha")
    assert (chosen.totals.sent, chosen.lanes_chosen) == (2, "beta → alpha")
    assert [lane.source for lane in chosen.lanes] == ["beta"]


def test_who_sent_and_whether_he_is_new(world: World) -> None:
    old, new = "0x" + "0a" * 20, "0x" + "0b" * 20
    world.tell(A, world.block(A, FIRST - 5, [sent(1, sender=old)]))
    world.tell(A, world.block(A, FIRST, [sent(2, sender=old), sent(3, sender=old), sent(4, sender=new)]))
    found = report(world)
    assert [(item.account, item.messages, item.new) for item in found.senders] == [(new, 1, True), (old, 2, False)]
    assert found.senders_in_all == 2
    assert found.receivers_in_all == 1


def test_changes_of_roles_and_configuration_within_the_period(world: World) -> None:
    role = Noticed(NoticeKind.ROLE_CHANGED, "0x" + "0c" * 20, {"event": "OwnershipTransferred"})
    paid = Noticed(NoticeKind.GAS_PAID, "0x01", {})
    world.tell(A, world.block(A, FIRST, [role, paid]))
    world.tell(A, world.block(A, FIRST + 400, [role]))
    (change,) = report(world).access
    assert (change.kind, change.time, change.chain_id) == ("role_changed", block_time(FIRST), A)
    assert change.details == {"event": "OwnershipTransferred"}


def test_odd_payload_sizes_are_named(world: World) -> None:
    world.tell(A, world.block(A, FIRST, [*(sent(number, size=224) for number in range(1, 31)), sent(31, size=9000)]))
    (odd,) = report(world).formats.sizes
    assert (odd.size, odd.usual, odd.messages, odd.examples) == (9000, 224, 1, (message_id(OUT, 31),))


def test_replays_are_looked_for_and_none_is_proved(world: World) -> None:
    deliver(world, 1, 3, at=FIRST)
    found = report(world).replays
    assert (found.checked, found.twice, found.updates) == (3, (), ())
    assert (found.same_payload, found.largest, found.payloads_known) == (1, 3, 3)  # all carry 0x00


def test_the_same_round_in_two_messages_is_a_replay_once_both_arrived(world: World) -> None:
    deliver(world, 1, 2, at=FIRST)
    world.tell(A, world.block(A, FIRST + 9, [sent(3)]))
    found = report(world, identify=lambda payload: "ETH/USD round 7" if payload == "0x00" else None)
    (group,) = found.replays.updates
    assert set(group) == {message_id(OUT, 1), message_id(OUT, 2)}
    assert report(world, identify=lambda _: None).replays.updates == ()


def test_two_successful_executions_would_be_seen(world: World) -> None:
    world.tell(A, world.block(A, FIRST, [sent(1)]))
    world.tell(B, world.block(B, FIRST + 1, [committed(1, 1), executed(1)]))
    world.tell(B, world.block(B, FIRST + 2, [executed(1)]))
    found = report(world)
    assert found.replays.twice == (message_id(OUT, 1),)
    assert found.totals.retried == 1


def test_progress_is_told_and_ends_at_one(world: World) -> None:
    deliver(world, 1, 3, at=FIRST)
    heard: list[tuple[str, float]] = []
    report(world, told=lambda what, share: heard.append((what, share)))
    shares = [share for _, share in heard]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert all(what for what, _ in heard)


def test_a_payload_that_was_retracted_is_not_compared(world: World) -> None:
    block = world.block(A, FIRST, [sent(1), sent(2)])
    world.tell(A, block, final(world.block(A, FIRST - 1)))
    assert report(world, payloads=1).replays.payloads_known == 1


def test_what_waits_for_a_hand_lowers_no_rate(world: World) -> None:
    deliver(world, 1, 3, at=FIRST)
    told = sent(4)
    waits = replace(told, body=msgspec.structs.replace(told.body, by_hand=True))
    world.tell(A, world.block(A, FIRST + 10, [waits, sent(5)]))
    totals = report(world).totals
    assert (totals.sent, totals.open, totals.matured) == (5, 2, 4)
    assert report(world).success_rate == 0.75
    assert message_id(OUT, 4) not in {item.id for item in report(world).outliers}


class TestFeesInParts:
    """Of CCIP 2.0, which charges its components apart."""

    LANE = OUT._replace(channel="0x" + "d4" * 20)

    def pay(self, number: int, **parts: int) -> Told:
        told = sent(number, self.LANE, fee=sum(parts.values()))
        fees = [{"part": name, "issuer": "0x1", "amount": str(amount)} for name, amount in parts.items()]
        body = msgspec.structs.replace(told.body, details={"data": "0x", "fees": fees})
        return replace(told, body=body, version="2.0.0")

    def test_parts_stand_behind_their_sum(self, world: World) -> None:
        first, second = self.pay(1, ccv=3, executor=10, network=2), self.pay(2, ccv=3, pool=4, executor=20, network=2)
        world.tell(A, world.block(A, FIRST, [first, second, self.pay(3)]))
        deliver(world, 50, 1, at=FIRST + 1, fee=6)  # a generation that does not tell
        whole, *parts = report(world).costs
        assert (whole.part, whole.messages, whole.total) == ("", 4, "50")
        told = [(cost.part, cost.messages, cost.total, cost.average) for cost in parts]
        assert told == [
            ("executor", 2, "30", "15"),
            ("ccv", 2, "6", "3"),
            ("network", 2, "4", "2"),
            ("pool", 1, "4", "4"),
        ]
        assert [cost.juels for cost in parts] == ["60", "12", "8", "8"], "twice the fee, in the histories"
        assert report(world).fees_juels == "100", "parts are not counted again"

    def test_other_generations_have_none(self, world: World) -> None:
        deliver(world, 1, 3, at=FIRST)
        assert [cost.part for cost in report(world).costs] == [""]

    def test_a_report_shows_them(self, world: World) -> None:
        world.tell(A, world.block(A, FIRST, [self.pay(1, ccv=3, executor=10)]))
        text = to_markdown(document_of(report(world)))
        assert "· verifiers" in text
        assert "· executor" in text
        assert "parts of the sum above them" in text
