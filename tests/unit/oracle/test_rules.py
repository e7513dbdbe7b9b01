"""Each rule by a table. The names of the defects come from how other publishers failed."""

from decimal import Decimal

import pytest

from seamark.core.units import Ppb
from seamark.oracle.model import (
    AggregationPolicy,
    Answer,
    FeedState,
    Hold,
    HoldReason,
    MedianKind,
    Parked,
    Quote,
    QuoteFault,
    Reason,
    Rejected,
    RejectedWhy,
    Streak,
    Trigger,
    TriggerPolicy,
)
from seamark.oracle.rules import (
    aggregate,
    check_quote,
    decide,
    deviates,
    deviation,
    follow_streaks,
    heartbeat_due_at,
    is_frozen,
    median,
    outliers,
)

from .fakes import SIGNER, START, quote

POLICY = AggregationPolicy(min_venues=1)


def decimals(*numbers):
    return [Decimal(number) for number in numbers]


# ---- one quote ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, None),
        ({"price": Decimal("NaN")}, QuoteFault.NOT_FINITE),
        ({"price": Decimal("sNaN")}, QuoteFault.NOT_FINITE),
        ({"price": Decimal("Infinity")}, QuoteFault.NOT_FINITE),
        ({"volume": Decimal("NaN")}, QuoteFault.NOT_FINITE),
        ({"price": Decimal(0)}, QuoteFault.NOT_POSITIVE),
        ({"price": Decimal(-5)}, QuoteFault.NOT_POSITIVE),
        ({"volume": Decimal(0)}, QuoteFault.NO_VOLUME),
        ({"volume": Decimal("0.0001")}, None),
        ({"bid": Decimal(101), "ask": Decimal(100)}, QuoteFault.CROSSED),
        ({"bid": Decimal(100), "ask": Decimal(100)}, None),
        ({"bid": Decimal(99), "ask": Decimal(101)}, None),  # exactly 2 %
        ({"bid": Decimal(99), "ask": Decimal("101.0000001")}, QuoteFault.WIDE_SPREAD),
        ({"bid": Decimal(99)}, None),
        ({"observed_at": START - 120}, None),
        ({"observed_at": START - 120.5}, QuoteFault.TOO_OLD),
        ({"received_at": START - 121}, QuoteFault.TOO_OLD),
        ({"observed_at": START + 10}, None),
        ({"observed_at": START + 10.5}, QuoteFault.FROM_FUTURE),
    ],
)
def test_a_quote_is_judged_by_itself(changes, fault):
    assert check_quote(quote("a", 100, **changes), START, POLICY) is fault


def test_prices_below_zero_can_be_allowed():
    allowing = AggregationPolicy(min_venues=1, allow_negative=True)
    assert check_quote(quote("a", -37), START, allowing) is None
    result = aggregate(
        [quote("a", -37), quote("b", "-37.1"), quote("c", "-36.9")], now=START, policy=allowing, decimals=2
    )
    assert isinstance(result, Answer)
    assert result.value == -3700


def test_a_spread_check_can_be_switched_off():
    policy = AggregationPolicy(max_spread=None)
    assert check_quote(quote("a", 100, bid=Decimal(1), ask=Decimal(999)), START, policy) is None


# ---- standing still -------------------------------------------------------------------------------------------------


def polls(*rounds):
    """Streaks after several polls; each round gives the prices of a, b and c."""
    streaks: dict[str, Streak] = {}
    quotes: list[Quote] = []
    for number, prices in enumerate(rounds):
        quotes = [quote(name, price, START + number) for name, price in zip("abc", prices, strict=True)]
        streaks = follow_streaks(streaks, quotes)
    return streaks, quotes


@pytest.mark.parametrize(
    ("rounds", "frozen"),
    [
        ([(100, 100 + n, 100 + n) for n in range(3)], False),  # not often enough
        ([(100, 100 + n, 100 + n) for n in range(4)], True),
        ([(100, 100, 100) for _ in range(9)], False),  # a calm market
        ([(100, 100 + n, 100) for n in range(9)], False),  # one of two peers moved: it may be the one that is wrong
        ([(100, "100.09", "100.09") for _ in range(9)], False),  # peers stood elsewhere and did not move
        ([(100, f"100.0{n % 2}", f"100.0{n % 2}") for n in range(9)], False),  # moves below the limit
    ],
)
def test_a_source_that_stands_still_while_peers_move_is_frozen(rounds, frozen):
    streaks, quotes = polls(*rounds)
    assert is_frozen(quotes[0], streaks, AggregationPolicy(frozen_polls=4)) is frozen


def test_a_frozen_source_counts_again_once_it_moves():
    streaks, quotes = polls(*[(100, 100 + n, 100 + n) for n in range(9)], (109, 109, 109))
    assert not is_frozen(quotes[0], streaks, AggregationPolicy(frozen_polls=4))


def test_looking_at_a_quote_twice_is_one_poll():
    quotes = [quote("a", 100), quote("b", 101)]
    once = follow_streaks({}, quotes)
    assert follow_streaks(once, quotes) == once


def test_a_frozen_source_is_left_out_of_the_answer():
    streaks, quotes = polls(*[(100, 100 + n, 100 + n) for n in range(4)])
    policy = AggregationPolicy(min_venues=2, frozen_polls=4)
    result = aggregate(quotes, now=START + 3, policy=policy, decimals=0, streaks=streaks)
    assert isinstance(result, Answer)
    assert [item.fault for item in result.rejected] == [QuoteFault.FROZEN]
    assert result.value == 103


# ---- median, outliers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prices", "upper", "mean"),
    [
        ([5], "5", "5"),
        ([1, 2], "2", "1.5"),
        ([3, 1, 2], "2", "2"),
        ([4, 1, 3, 2], "3", "2.5"),
        (["0.1", "0.2"], "0.2", "0.15"),
        ([-1, -2, -3, -4], "-2", "-2.5"),
    ],
)
def test_the_median_of_an_even_number_is_a_choice(prices, upper, mean):
    assert median(decimals(*prices)) == Decimal(upper)
    assert median(decimals(*prices), MedianKind.MEAN) == Decimal(mean)


def test_the_median_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="does not exist"):
        median([])


def test_the_median_leaves_its_argument_alone():
    prices = decimals(3, 1, 2)
    median(prices)
    assert prices == decimals(3, 1, 2)


@pytest.mark.parametrize(
    ("prices", "far"),
    [
        ([100, 101, 102, 900], [False] * 4),  # fewer than five: nobody is called wrong
        ([100, 101, 102, 103, 900], [False] * 4 + [True]),
        ([100, 100, 100, 100, 900], [False] * 4 + [True]),  # MAD 0: the floor decides
        ([100, 100, 100, 100, "100.5"], [False] * 5),  # exactly at the floor of 0.5 %
        ([100, 100, 100, 100, "100.5001"], [False] * 4 + [True]),
        ([100, 100, 100, 100, 100], [False] * 5),
        ([-100, -100, -100, -100, -100.5], [False] * 5),  # the floor is a distance, also below zero
        ([1, 2, 3, 4, 5], [False] * 5),
    ],
)
def test_outliers(prices, far):
    assert outliers(decimals(*prices), POLICY) == far


def test_the_limit_is_k_times_1_4826_times_the_mad():
    # The median is 100, distances are 0 1 1 2 x: MAD 1, so the limit is 5 * 1.4826 = 7.413.
    assert outliers(decimals(99, 100, 101, 98, "107.413"), POLICY)[-1] is False
    assert outliers(decimals(99, 100, 101, 98, "107.414"), POLICY)[-1] is True


# ---- aggregate ------------------------------------------------------------------------------------------------------


def run(*quotes, **changes):
    policy = AggregationPolicy(**{"min_venues": 2, **changes})
    return aggregate(quotes, now=START, policy=policy, decimals=8)


def test_an_answer_is_the_median_in_the_feeds_decimals():
    result = run(quote("a", "2000.123456789"), quote("b", "1999"), quote("c", "2001"))
    assert isinstance(result, Answer)
    assert (result.value, result.price) == (200_012_345_679, Decimal("2000.123456789"))
    assert result.spread == 999_938  # 2 / 2000.12…, in parts per billion


@pytest.mark.parametrize(
    ("price", "value"),
    [
        ("0.000000005", 0),
        ("0.000000015", 2),
        ("0.000000025", 2),
        ("0.0000000150000001", 2),
        ("9007199254740993", 9007199254740993 * 10**8),
    ],
)
def test_rounding_is_half_to_even_and_no_digit_goes_through_a_float(price, value):
    result = run(quote("a", price), min_venues=1)
    assert isinstance(result, Answer)
    assert result.value == value


def test_eighteen_decimals_survive():
    result = aggregate([quote("a", "123456789.123456789012345678")], now=START, policy=POLICY, decimals=18)
    assert isinstance(result, Answer)
    assert result.value == 123456789123456789012345678


def test_one_zero_does_not_kill_the_feed():
    result = run(quote("a", 0), quote("b", 100), quote("c", 101))
    assert isinstance(result, Answer)
    assert [item.fault for item in result.rejected] == [QuoteFault.NOT_POSITIVE]


def test_too_few_venues_is_no_answer():
    result = run(quote("a", 100), quote("b", 100, observed_at=START - 999))
    assert isinstance(result, Rejected)
    assert (result.why, result.detail) == (RejectedWhy.TOO_FEW_VENUES, "1 of 2 venues needed")


def test_two_sources_of_one_venue_are_one_vote():
    result = run(quote("a1", 100, venue="a"), quote("a2", 102, START - 1, venue="a"))
    assert isinstance(result, Rejected)
    result = run(quote("a1", 100, venue="a"), quote("a2", 102, START - 1, venue="a"), quote("b", 100))
    assert isinstance(result, Answer)
    assert [item.quote.source for item in result.rejected] == ["a2"]  # the older one


def test_no_quotes_is_no_answer():
    assert isinstance(run(), Rejected)


def test_outliers_do_not_count_as_venues():
    quotes = [quote(name, 100) for name in "abcd"] + [quote("e", 900)]
    assert isinstance(run(*quotes, min_venues=4), Answer)
    assert isinstance(run(*quotes, min_venues=5), Rejected)


def test_venues_that_disagree_are_no_answer():
    result = run(quote("a", 97), quote("b", 100))
    assert isinstance(result, Rejected)
    assert (result.why, result.detail) == (RejectedWhy.DISPERSED, "half of the venues are 3% or more from the median")
    assert isinstance(run(quote("a", 97), quote("b", 100), max_dispersion=None), Answer)
    assert isinstance(run(quote("a", 98), quote("b", 100)), Answer)  # exactly 2 %


@pytest.mark.parametrize("honest", [2, 3, 4])
def test_a_lying_minority_cannot_stop_the_feed(honest):
    truth = [quote(name, 100 + number) for number, name in enumerate("abcd"[:honest])]
    lies = [quote(f"liar{number}", 10**6) for number in range(honest - 1)]
    result = run(*truth, *lies)
    assert isinstance(result, Answer)
    assert 100 <= result.price < 100 + honest


@pytest.mark.parametrize(("price", "answered"), [("0.9999", False), ("1", True), ("10", True), ("10.0001", False)])
def test_out_of_bounds_is_no_answer_and_never_clamped(price, answered):
    result = run(quote("a", price), quote("b", price), min_price=Decimal(1), max_price=Decimal(10))
    assert isinstance(result, Answer) is answered
    if not answered:
        assert result.why is RejectedWhy.OUT_OF_BOUNDS


@pytest.mark.parametrize(("price", "answered"), [(1, False), (2, True), (3, True), (4, False)])
def test_the_contracts_own_bounds_hold_too(price, answered):
    result = aggregate([quote("a", price)], now=START, policy=POLICY, decimals=0, feed_bounds=(2, 3))
    assert isinstance(result, Answer) is answered


def test_an_answer_is_observed_when_the_newest_used_quote_was_received():
    late = quote("c", 500, START, observed_at=START - 500)  # not used: too old a trade
    result = run(quote("a", 100, START - 8), quote("b", 100, START - 3.5), late)
    assert isinstance(result, Answer)
    assert result.observed_at == START - 4


def test_a_quiet_venue_still_observes():
    """The last trade was a minute ago, but the venue tells its price now: the heartbeat can go on."""
    result = run(quote("a", 100, observed_at=START - 60), quote("b", 100, observed_at=START - 60))
    assert isinstance(result, Answer)
    assert result.observed_at == START


def test_an_observation_is_never_from_the_future():
    result = run(quote("a", 100, START + 5), quote("b", 100))
    assert isinstance(result, Answer)
    assert result.observed_at == START


# ---- decide ---------------------------------------------------------------------------------------------------------

TRIGGER = TriggerPolicy(heartbeat=3600, deviation=Ppb(5_000_000))


def state(**changes):
    base = {
        "round": 7,
        "answer": 100_000,
        "started_at": int(START) - 100,
        "updated_at": int(START) - 99,
        "decimals": 3,
        "description": "X / USD",
        "block_number": 10,
        "block_time": int(START) - 1,
    }
    return FeedState(**{**base, **changes})


def answer(value, observed_at=int(START)):
    return Answer(value, 3, Decimal(value) / 1000, observed_at, (), (), Ppb(0))


EMPTY = {"round": 0, "answer": 0, "started_at": 0, "updated_at": 0}


@pytest.mark.parametrize(
    ("chain", "value", "decision"),
    [
        (EMPTY, 1, Trigger(Reason.FIRST)),
        ({}, 100_499, Hold(HoldReason.CURRENT)),
        ({}, 100_500, Trigger(Reason.DEVIATION)),  # exactly the threshold
        ({}, 99_500, Trigger(Reason.DEVIATION)),
        ({}, 99_501, Hold(HoldReason.CURRENT)),
        ({"answer": -100_000}, -100_499, Hold(HoldReason.CURRENT)),  # a signed division would never trigger
        ({"answer": -100_000}, -100_500, Trigger(Reason.DEVIATION)),
        ({"answer": -100_000}, 100_000, Trigger(Reason.DEVIATION)),
        ({"answer": 0}, 1, Trigger(Reason.DEVIATION)),
        ({"answer": 0}, 0, Hold(HoldReason.CURRENT)),
        ({"updated_at": int(START) - 3239}, 100_000, Hold(HoldReason.CURRENT)),
        ({"updated_at": int(START) - 3240}, 100_000, Trigger(Reason.HEARTBEAT)),  # a tenth early
        ({"updated_at": int(START) - 3240}, 200_000, Trigger(Reason.DEVIATION)),
        ({"updated_at": int(START) + 500, "block_time": int(START) + 3740}, 100_000, Trigger(Reason.HEARTBEAT)),
        ({"started_at": int(START)}, 200_000, Hold(HoldReason.SAME_OBSERVATION)),
        ({"started_at": int(START) + 9}, 200_000, Hold(HoldReason.SAME_OBSERVATION)),
        ({"paused": True}, 200_000, Hold(HoldReason.FEED_PAUSED)),
    ],
)
def test_when_to_publish(chain, value, decision):
    assert decide(state(**chain), answer(value), START, TRIGGER) == decision


def parked(value, *, at=-20, round_id=8):
    return {"parked": Parked(round_id, value, int(START) + at, SIGNER), "max_step_bps": 1000}


@pytest.mark.parametrize(
    ("chain", "value", "decision"),
    [
        (parked(150_000), 149_000, Trigger(Reason.CONFIRM)),
        (parked(150_000, at=-5), 149_000, Hold(HoldReason.PARKED)),  # too soon: it would only park again
        (parked(150_000, at=0), 149_000, Hold(HoldReason.PARKED)),
        (parked(150_000), 200_000, Trigger(Reason.DEVIATION)),  # the price moved on: park the new one
        (parked(150_000), 101_000, Trigger(Reason.DEVIATION)),  # it was a glitch, and a normal step is due
        (parked(150_000), 100_001, Hold(HoldReason.CURRENT)),  # it was a glitch
        (parked(150_000, round_id=7), 149_000, Trigger(Reason.DEVIATION)),  # of a round that is over
    ],
)
def test_a_parked_answer_is_confirmed_by_a_later_observation(chain, value, decision):
    assert decide(state(**chain), answer(value), START, TRIGGER) == decision


@pytest.mark.parametrize(
    ("old", "new", "ppb", "expected"),
    [
        (3, 4, 333_333_333, True),  # 1/3 is more than 0.333333333
        (3, 4, 333_333_334, False),
        (10**76, 10**76 + 10**67, 1, True),
        (10**76, 10**76 + 10**67 - 1, 1, False),
        (2**53, 2**53 + 1, 1, False),
    ],
)
def test_the_threshold_is_exact(old, new, ppb, expected):
    assert deviates(old, new, Ppb(ppb)) is expected
    assert deviates(-old, -new, Ppb(ppb)) is expected


@pytest.mark.parametrize(
    ("old", "new", "ppb"),
    [(100, 101, 10_000_000), (-100, -101, 10_000_000), (0, 5, 10**9), (0, 0, 0), (3, 4, 333_333_333)],
)
def test_deviation_for_display(old, new, ppb):
    assert deviation(old, new) == ppb


def test_the_heartbeat_is_counted_from_the_chains_own_time():
    assert heartbeat_due_at(state(updated_at=1_000), TRIGGER) == 1_000 + 3240
