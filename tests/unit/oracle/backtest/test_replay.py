"""The replay against a count by hand, and what the figures mean."""

from decimal import Decimal
from fractions import Fraction

import pytest

from seamark.core.units import PPB_PER_UNIT, Ppb, parse_ratio
from seamark.oracle.backtest.replay import Costs, Plan, replay
from seamark.oracle.backtest.ticks import Tick
from seamark.oracle.model import AggregationPolicy, TriggerPolicy

START = 1_700_000_000.0
MINUTE = 60


def market(minutes=3_000, seed=7):
    """A price per minute that wanders by up to 0.15 %, and leaps now and then; the same on every machine."""
    state, price = seed, Decimal(23_000)
    for minute in range(minutes):
        state = (state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) % 2**64
        move = Decimal((state >> 33) % 301 - 150) / 100_000
        if (state >> 20) % 400 == 0:
            move *= 15
        price = (price * (1 + move)).quantize(Decimal("0.01"))
        yield Tick(START + minute * MINUTE, "binance", "binance", price)


def plan(deviation="0.5%", heartbeat=3600.0, **changes):
    trigger = TriggerPolicy(heartbeat, parse_ratio(deviation), heartbeat_margin=Ppb(0), **changes)
    return Plan(AggregationPolicy(min_venues=1), trigger)


def count_by_hand(ticks, threshold, heartbeat):
    """Publish the first, then whenever |p / last - 1| >= threshold or the round is as old as the heartbeat."""
    count, last, at = 0, None, 0.0
    for tick in ticks:
        price = Fraction(tick.price)
        if last is None or abs(price - last) >= last * threshold or tick.time - at >= heartbeat:
            count, last, at = count + 1, price, tick.time
    return count


@pytest.mark.parametrize(
    ("deviation", "heartbeat", "expected"), [("0.5%", 3600, 98), ("1%", 86_400, 30), ("0.1%", 3600, 1_073)]
)
def test_updates_are_those_counted_by_hand(deviation, heartbeat, expected):
    ticks = list(market())
    figures = replay(ticks, plan(deviation, float(heartbeat)))
    threshold = Fraction(parse_ratio(deviation), PPB_PER_UNIT)
    assert len(figures.updates) == count_by_hand(ticks, threshold, heartbeat) == expected
    assert sum(figures.by_reason.values()) == expected
    assert figures.by_reason["first"] == 1


def steady(*prices, every=MINUTE, source="a"):
    return [Tick(START + at * every, source, source, Decimal(price)) for at, price in enumerate(prices)]


def test_the_error_is_measured_after_each_tick():
    figures = replay(steady(100, "100.4", "100.6"), plan())
    assert [str(update.reason) for update in figures.updates] == ["first", "deviation"]
    assert figures.worst_error == 3_984_063  # 0.4 of 100.4
    assert figures.worst_at == START + MINUTE
    assert figures.points[-1].error == 0


def test_a_round_takes_its_time_and_the_error_shows():
    slow = Plan(AggregationPolicy(min_venues=1), plan().trigger, delay=90.0)
    figures = replay(steady(100, 100, 100, 110, 110, 110), slow)
    assert [update.time - START for update in figures.updates] == [90, 270]
    assert figures.worst_error == 90_909_090  # 10 of 110
    assert figures.points[0].error is None  # nothing on chain yet


def test_the_heartbeat_falls_due_between_ticks():
    policy = Plan(AggregationPolicy(min_venues=1, max_age=10**6), TriggerPolicy(3600, Ppb(5_000_000)))
    figures = replay(steady(100, 100, 100, every=3500), policy)
    assert [str(update.reason) for update in figures.updates] == ["first", "heartbeat", "heartbeat"]
    assert figures.expired_seconds == 0


def test_a_feed_without_fresh_ticks_expires():
    figures = replay(steady(100, 100, every=10_000), plan())
    assert figures.worst_age == 10_000
    assert figures.expired_seconds == 6_400


def test_against_a_reference():
    truth = [Tick(START, "truth", "truth", Decimal(200)), Tick(START + MINUTE, "truth", "truth", Decimal(100))]
    figures = replay(steady(100, 100, 100), plan(), truth)
    assert [point.error for point in figures.points] == [500_000_000, 0, 0]
    assert figures.worst_at == START


def test_moments_without_an_answer_are_counted():
    policy = Plan(AggregationPolicy(min_venues=2), plan().trigger)
    figures = replay(steady(100, 100), policy)
    assert (figures.rejected, figures.updates, figures.points) == ({"too_few_venues": 2}, (), ())


def test_a_jump_is_held_until_it_is_confirmed():
    prices = [100, 150, 150, 150]
    assert len(replay(steady(*prices), plan()).updates) == 2
    careful = plan(max_step=Ppb(100_000_000), confirm_after=90)
    figures = replay(steady(*prices), careful)
    assert figures.held == 2
    assert [update.time - START for update in figures.updates] == [0, 180]


def test_cost_is_gas_times_its_price():
    figures = replay(
        steady(100, 101), Plan(AggregationPolicy(min_venues=1), plan().trigger, costs=Costs(90_000, 10**9))
    )
    assert figures.cost_wei == 2 * 90_000 * 10**9


def test_a_depegged_venue_does_not_move_the_feed():
    """One of three prices a stablecoin at 0.87: what it says is an outlier vote, and the median stays."""
    ticks = []
    for minute in range(20):
        at = START + minute * MINUTE
        ticks += [
            Tick(at, name, name, Decimal(price)) for name, price in zip("abc", ("100", "100.1", "115"), strict=True)
        ]
    figures = replay(ticks, Plan(AggregationPolicy(min_venues=2), plan().trigger))
    assert {update.price for update in figures.updates} == {Decimal("100.1")}


def test_nothing_to_replay_is_an_error():
    with pytest.raises(ValueError, match="no ticks"):
        replay([], plan())
