from __future__ import annotations

import math
import statistics
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.devnet.market import (
    DEFAULT_ASSETS,
    Asset,
    Market,
    MarketModel,
    VenueFault,
    VenueFaultKind,
    VenueModel,
)

BTC = DEFAULT_ASSETS[0]
START = 1_800_000_000.0
VENUE = VenueModel("somewhere", lag_s=0.5, noise=0.0001, spread=0.0004, share=0.25)
CALM = MarketModel(seed=5, jump_chance=0.0)

moments = st.floats(min_value=0, max_value=4e9, allow_nan=False)


def path(market: Market, seconds: int, step: float = 1.0) -> list[float]:
    return [float(market.price(BTC, START + number * step)) for number in range(int(seconds / step))]


def test_the_same_seed_and_moment_give_the_same_price_whatever_was_asked_before():
    one, other = Market(MarketModel(seed=7)), Market(MarketModel(seed=7))
    forward = path(one, 200)
    backward = [float(other.price(BTC, START + second)) for second in reversed(range(200))]
    assert forward == backward[::-1]


def test_golden_prices_do_not_drift_between_versions_and_machines():
    market = Market(MarketModel(seed=1))
    prices = [market.price(asset, START) for asset in DEFAULT_ASSETS]
    assert prices == [Decimal("72856.19"), Decimal("3334.41"), Decimal("14.6278")]


def test_seeds_and_symbols_give_different_paths():
    assert path(Market(MarketModel(seed=1)), 20) != path(Market(MarketModel(seed=2)), 20)
    other = Asset("OTHER/USD", BTC.start, BTC.daily_volume, BTC.tick)
    market = Market(MarketModel(seed=1), (BTC, other))
    assert market.price(BTC, START) != market.price(other, START)


@given(moments)
def test_prices_are_positive_multiples_of_the_tick(at):
    for asset in DEFAULT_ASSETS:
        price = Market().price(asset, at)
        assert price >= asset.tick
        assert price % asset.tick == 0


def test_a_cheap_thing_never_costs_less_than_a_tick():
    dust = Asset("DUST/USD", Decimal("0.000001"), Decimal(1), Decimal("0.01"))
    assert Market(CALM, (dust,)).price(dust, START) == Decimal("0.01")


@pytest.mark.parametrize("span", [1, 4, 16, 64])
def test_returns_deviate_like_a_brownian_motion_of_the_given_volatility(span):
    market = Market(CALM)
    logs = [math.log(price) for price in path(market, 6000)]
    moves = [logs[at + span] - logs[at] for at in range(0, len(logs) - span, span)]
    assert statistics.pstdev(moves) == pytest.approx(CALM.volatility * math.sqrt(span), rel=0.25)


def test_half_a_percent_is_crossed_every_ten_to_twenty_seconds_by_default():
    prices = path(Market(), 5000, 0.5)
    crossings, last = 0, prices[0]
    for price in prices:
        if abs(price / last - 1) >= 0.005:
            crossings, last = crossings + 1, price
    assert 10 <= 5000 / crossings <= 20


def test_it_stays_near_its_start_for_years():
    market = Market(CALM)
    prices = [float(market.price(BTC, START + hour * 3600)) for hour in range(0, 20_000, 7)]
    assert float(BTC.start) * 0.6 < min(prices)
    assert max(prices) < float(BTC.start) * 1.6


def test_no_volatility_no_movement():
    still = Market(MarketModel(volatility=0.0, jump_chance=0.0))
    assert set(path(still, 100)) == {float(BTC.start)}


def test_drift_compounds_by_the_day():
    model = MarketModel(volatility=0.0, jump_chance=0.0, drift_per_day=0.1, epoch_s=START)
    market = Market(model)
    assert market.price(BTC, START) == BTC.start
    assert market.price(BTC, START + 86_400) == Decimal("70400.00")
    assert market.price(BTC, START + 2 * 86_400) == Decimal("77440.00")


def test_jumps_come_at_once_and_fade():
    model = MarketModel(seed=3, volatility=0.0, jump_every_s=600.0, jump_chance=1.0, jump_size=0.05)
    prices = path(Market(model), 1200)
    steps = [abs(b / a - 1) for a, b in pairwise(prices)]
    jumps = [step for step in steps if step > 0.03]
    assert len(jumps) == 2
    calm = [step for step in steps if step <= 0.03]
    assert max(calm) < 0.002


def test_chance_decides_how_often_it_jumps():
    model = MarketModel(seed=3, volatility=0.0, jump_every_s=10.0, jump_chance=0.3, jump_size=0.05)
    prices = path(Market(model), 4000)
    jumps = sum(abs(b / a - 1) > 0.03 for a, b in pairwise(prices))
    assert 70 <= jumps <= 170  # 400 windows, 0.3 of them


# ---- venues ----------------------------------------------------------------------------------------------------------


def test_a_venue_is_late_and_a_little_off():
    market = Market(CALM)
    ticker = market.ticker(VENUE, BTC, START)
    truth = market.price(BTC, START - VENUE.lag_s)
    assert ticker.time == START - VENUE.lag_s
    assert ticker.last != truth
    assert abs(ticker.last / truth - 1) < Decimal("0.001")


@given(moments)
def test_bid_is_below_ask_and_the_spread_is_the_venues(at):
    ticker = Market().ticker(VENUE, BTC, at)
    assert ticker.bid < ticker.ask
    assert ticker.bid <= ticker.last <= ticker.ask
    assert float((ticker.ask - ticker.bid) / ticker.last) == pytest.approx(VENUE.spread, rel=0.01)


def test_volumes_follow_the_share():
    ticker = Market().ticker(VENUE, BTC, START)
    assert ticker.volume == BTC.daily_volume / 4
    assert ticker.quote_volume == (ticker.volume * ticker.vwap).quantize(Decimal("0.01"))


def test_venues_disagree_with_each_other():
    market = Market(CALM)
    one, other = VenueModel("one", lag_s=0), VenueModel("other", lag_s=0)
    assert market.ticker(one, BTC, START).last != market.ticker(other, BTC, START).last


def test_a_stale_venue_stands_still_in_price_and_time():
    market = Market(CALM)
    fault = VenueFault(VenueFaultKind.STALE, since=START)
    first = market.ticker(VENUE, BTC, START + 10, fault)
    assert first == market.ticker(VENUE, BTC, START + 500, fault)
    assert first.time == START - 0.5


def test_a_frozen_venue_stands_still_in_price_alone():
    market = Market(CALM)
    fault = VenueFault(VenueFaultKind.FROZEN, since=START)
    first, second = (market.ticker(VENUE, BTC, START + after, fault) for after in (10, 500))
    assert first.last == second.last
    assert (first.time, second.time) == (START + 9.5, START + 499.5)


@pytest.mark.parametrize("factor", [0.001, 0.9, 1.1, 1000.0])
def test_a_lying_venue_is_off_by_its_factor(factor):
    market = Market(CALM)
    honest = market.ticker(VENUE, BTC, START)
    lie = market.ticker(VENUE, BTC, START, VenueFault(VenueFaultKind.LIE, factor=factor))
    assert float(lie.last / honest.last) == pytest.approx(factor, rel=0.001)
    assert lie.bid < lie.ask


def test_faults_of_the_connection_do_not_touch_the_price():
    market = Market(CALM)
    assert market.ticker(VENUE, BTC, START, VenueFault(VenueFaultKind.DELAY)) == market.ticker(VENUE, BTC, START)


def test_an_asset_is_found_by_its_symbol():
    assert Market().asset("BTC/USD") is BTC
    with pytest.raises(KeyError):
        Market().asset("BTC/EUR")
    assert BTC.base == "BTC"
