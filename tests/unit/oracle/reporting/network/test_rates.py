"""How fast a peer is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.oracle.reporting.network.rates import Bucket


def test_a_burst_is_free_and_the_rest_waits():
    bucket = Bucket(2.0)
    assert [bucket.take(1, 10, 100.0) for _ in range(20)] == [0.0] * 20
    assert bucket.take(1, 10, 100.0) == pytest.approx(0.1)
    assert bucket.take(4, 10, 100.1) == pytest.approx(0.4)
    assert bucket.take(1, 10, 101.0) == 0.0


def test_it_never_holds_more_than_its_span():
    bucket = Bucket(2.0)
    bucket.take(1, 10, 0.0)
    assert bucket.take(20, 10, 1e6) == 0.0
    assert bucket.take(1, 10, 1e6) == pytest.approx(0.1)


def test_a_higher_rate_counts_from_then_on():
    bucket = Bucket(2.0)
    bucket.take(30, 10, 0.0)
    assert bucket.take(10, 100, 0.0) == pytest.approx(0.2)


@given(st.lists(st.floats(0.1, 50), min_size=5, max_size=60))
def test_who_waits_as_told_keeps_the_rate(amounts):
    bucket, now = Bucket(2.0), 0.0
    for amount in amounts:
        now += bucket.take(amount, 10, now)
    assert sum(amounts) <= 10 * (now + 2.0) + 1e-6
    assert now <= sum(amounts) / 10 + 1e-6, "and no longer than needed"
