"""What a long recording keeps when it is thinned."""

from decimal import Decimal

from seamark.core.units import Ppb
from seamark.oracle.backtest.chart import draw, thin
from seamark.oracle.backtest.replay import Plan, Point, replay
from seamark.oracle.backtest.ticks import Tick
from seamark.oracle.model import AggregationPolicy, TriggerPolicy


def point(at, price, error=0):
    return Point(float(at), Decimal(price), None, Ppb(error))


def test_no_spike_is_lost():
    points = [point(at, 100) for at in range(10_000)]
    points[1234], points[5678], points[7777] = point(1234, 900), point(5678, 1), point(7777, 100, 5)
    kept = thin(points, 50)
    assert len(kept) <= 200
    assert {points[1234], points[5678], points[7777], points[-1]} <= set(kept)
    assert kept == sorted(kept, key=lambda item: item.time)


def test_few_points_are_all_kept():
    points = [point(at, at) for at in range(10)]
    assert thin(points, 3) == points


def test_one_tick_and_no_answer_can_be_drawn():
    trigger = TriggerPolicy(3600, Ppb(1))
    ticks = [Tick(1_700_000_000.0, "a", "a", Decimal(5))]
    assert "nan" not in draw(replay(ticks, Plan(AggregationPolicy(min_venues=1), trigger)))
    assert "no price" in draw(replay(ticks, Plan(AggregationPolicy(min_venues=2), trigger)))
