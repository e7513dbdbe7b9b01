import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.oracle.sources.allowance import DAY_S, Allowance

MIDNIGHT = 19_675 * DAY_S


def test_without_limits_all_is_allowed():
    allowance = Allowance()
    assert [allowance.take(MIDNIGHT) for _ in range(100)] == [0.0] * 100
    assert allowance.pace == 0.0


def test_a_burst_of_a_second_and_then_the_rate():
    allowance = Allowance(rate=4.0)
    assert [allowance.take(MIDNIGHT) for _ in range(4)] == [0.0] * 4
    assert allowance.take(MIDNIGHT) == 0.25
    assert allowance.take(MIDNIGHT + 0.25) == 0.0
    assert allowance.take(MIDNIGHT + 0.25) == 0.25


def test_a_rate_below_one_a_second():
    allowance = Allowance(rate=0.1)
    assert allowance.take(MIDNIGHT) == 0.0
    assert allowance.take(MIDNIGHT) == pytest.approx(10.0)
    assert allowance.take(MIDNIGHT + 10.001) == 0.0


def test_tokens_do_not_pile_up():
    allowance = Allowance(rate=2.0)
    allowance.take(MIDNIGHT)
    later = MIDNIGHT + 3600
    assert [allowance.take(later) for _ in range(3)] == [0.0, 0.0, 0.5]


def test_a_new_day_has_used_nothing():
    allowance = Allowance(budget=10)
    for _ in range(3):
        allowance.take(MIDNIGHT)
    assert allowance.used_today(MIDNIGHT + DAY_S - 1) == 3
    assert allowance.used_today(MIDNIGHT + DAY_S) == 0


def test_a_budget_ends_and_comes_back_at_midnight():
    allowance = Allowance(budget=2)
    noon = MIDNIGHT + DAY_S / 2
    assert [allowance.take(noon), allowance.take(noon)] == [0.0, 0.0]
    assert allowance.is_spent
    assert allowance.take(noon) == DAY_S / 2
    assert allowance.take(MIDNIGHT + DAY_S) == 0.0
    assert allowance.used == 1


def test_a_clock_that_goes_back_gives_no_second_budget():
    allowance = Allowance(budget=1)
    assert allowance.take(MIDNIGHT + 5) == 0.0
    assert allowance.take(MIDNIGHT - 5) > 0
    assert allowance.take(MIDNIGHT + 6) > 0


def test_a_budget_is_spread_over_the_day_and_over_the_requests():
    assert Allowance(budget=1440, requests=1).pace == 60.0
    assert Allowance(budget=1440, requests=3).pace == 180.0


def test_the_strictest_limit_counts():
    allowance = Allowance()
    allowance.limit(10.0, None)
    allowance.limit(2.0, 100)
    allowance.limit(None, 500)
    assert (allowance.rate, allowance.budget) == (2.0, 100)


@given(
    rate=st.floats(0.05, 50),
    budget=st.integers(1, 500),
    steps=st.lists(st.floats(0, 600), max_size=200),
)
def test_never_more_than_allowed(rate, budget, steps):
    """In any span no more than rate x span and one second's burst, in no day more than the budget."""
    allowance = Allowance(rate=rate, budget=budget)
    now, taken = MIDNIGHT, []
    for step in steps:
        now += step
        if allowance.take(now) == 0.0:
            taken.append(now)
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            span = taken[last] - taken[first]
            assert last - first + 1 <= max(rate, 1.0) + span * rate + 1e-6 * (1 + span)
    days = [int(moment // DAY_S) for moment in taken]
    assert all(days.count(day) <= budget for day in set(days))
