"""When the median plugin reports, accepts and transmits."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.core.errors import RejectedError
from seamark.core.units import Ppb
from seamark.oracle.reporting.codec import MedianSettings, Observation, OnchainConfig, Report, report_length
from seamark.oracle.reporting.plugin import (
    Accepted,
    ContractView,
    MedianPlugin,
    Requested,
    Skip,
    SkipReason,
    Why,
    deviates,
)

DIGEST = b"\0\1" + bytes(30)
SECOND = 10**9
START = 1_700_000_000
SETTINGS = MedianSettings(Ppb(5_000_000), Ppb(10_000_000), 60 * SECOND)
PLUGIN = MedianPlugin(SETTINGS, OnchainConfig(1, 10**24), DIGEST, n=4, f=1)
VIEW = ContractView(DIGEST, (3, 2), 1_000_000, START, START * SECOND)


def seen(*values, start=0):
    return [
        (start + index, Observation(START + index, value, 10 - index).encode()) for index, value in enumerate(values)
    ]


def reported(*values, view=VIEW, plugin=PLUGIN):
    return made(seen(*values), view, plugin)


def made(observations, view, plugin=PLUGIN) -> Any:
    """A report and why, or a skip: each test knows which."""
    return plugin.report(observations, view)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (1000, 1005, True),
        (1000, 1004, False),
        (1000, 995, True),
        (-1000, -1005, True),
        (-1000, -1004, False),
        (-1000, 1000, True),
        (0, 0, False),
        (0, 1, True),
        (0, -1, True),
        (2**190, 2**190 + 2**190 // 200, False),
        (2**190, 2**190 + 2**190 // 200 + 1, True),
    ],
)
def test_half_a_percent_exactly(old, new, expected):
    assert deviates(Ppb(5_000_000), old, new) is expected
    assert not deviates(None, old, new)


def test_a_threshold_of_zero_always_deviates():
    assert deviates(Ppb(0), 5, 5)
    assert not deviates(Ppb(0), 0, 0)


def test_a_report_is_sorted_and_its_other_values_are_medians_of_their_own():
    report, why = reported(1_020_000, 1_010_000, 1_030_000)
    assert why is Why.DEVIATION
    assert report == Report(START + 1, (1, 0, 2), (1_010_000, 1_020_000, 1_030_000), 9)


def test_equal_values_are_sorted_by_observer_whatever_the_order():
    observations = seen(2_000_000, 2_000_000, 2_000_000, 2_000_000)
    both = made(observations, VIEW), made(observations[::-1], VIEW)
    assert both[0] == both[1]
    assert both[0][0].observers == (0, 1, 2, 3)


def test_the_upper_of_two_middle_values():
    report, _ = reported(2, 4, 6, 8)
    assert report.median == 6


def test_reasons_to_report():
    quiet = (1_000_000,) * 3
    assert reported(*quiet) == Skip(SkipReason.UNCHANGED)
    assert reported(1_004_999, 1_004_999, 1_004_999) == Skip(SkipReason.UNCHANGED)
    assert reported(1_005_000, 1_005_000, 1_005_000)[1] is Why.DEVIATION
    assert reported(*quiet, view=replace(VIEW, at=(0, 0)))[1] is Why.FIRST
    assert reported(*quiet, view=replace(VIEW, at=(0, 0), digest=bytes(32))) == Skip(SkipReason.UNCHANGED)


def test_the_heartbeat_is_strictly_later():
    on_time = replace(VIEW, read_at=(START + 60) * SECOND)
    assert reported(1_000_000, 1_000_000, view=on_time) == Skip(SkipReason.UNCHANGED)
    late = replace(VIEW, read_at=(START + 60) * SECOND + 1)
    assert reported(1_000_000, 1_000_000, view=late)[1] is Why.HEARTBEAT


@pytest.mark.parametrize(
    ("requested", "expected"),
    [
        (Requested(DIGEST, (3, 2)), Why.REQUESTED),
        (Requested(DIGEST, (4, 1)), Why.REQUESTED),
        (Requested(DIGEST, (3, 1)), None),
        (Requested(bytes(32), (4, 1)), None),
        (None, None),
    ],
)
def test_a_request_that_no_report_has_answered(requested, expected):
    assert PLUGIN.why(1_000_000, replace(VIEW, requested=requested)) is expected


def test_never_by_deviation():
    plugin = replace(PLUGIN, settings=replace(SETTINGS, alpha_report=None))
    assert reported(9, 9, 9, plugin=plugin) == Skip(SkipReason.UNCHANGED)


@pytest.mark.parametrize("value", [0, -1, 10**24 + 1])
def test_out_of_bounds_is_no_report_and_nothing_is_clamped(value):
    assert reported(value, value, value) == Skip(SkipReason.OUT_OF_BOUNDS)
    assert reported(1, 1, value)[0].observations[1] == 1


def test_unreadable_observations_are_left_out_and_f_are_borne():
    observations = [*seen(2_000_000, 2_100_000), (2, b"junk"), (3, b"")]
    report, _ = made(observations, VIEW)
    assert report.observers == (0, 1)
    with pytest.raises(RejectedError, match="2 are needed"):
        PLUGIN.report(observations[1:], VIEW)


# ---- accepting and transmitting -------------------------------------------------------------------------------------


def encoded(*values):
    return Report(START, tuple(range(len(values))), values, 0).encode()


def test_a_newer_report_is_accepted_while_nothing_is_pending():
    assert PLUGIN.should_accept((3, 3), encoded(5, 6, 7), Accepted(), VIEW) == Accepted((3, 3), 6)
    assert PLUGIN.should_accept((3, 3), encoded(5, 6, 7), Accepted((3, 2), 6), VIEW) == Accepted((3, 3), 6)


def test_while_one_is_pending_only_a_deviation_is_accepted():
    pending = Accepted((3, 3), 1_000_000)
    assert PLUGIN.should_accept((3, 4), encoded(1_009_999), pending, VIEW) is None
    assert PLUGIN.should_accept((3, 4), encoded(1_010_000), pending, VIEW) == Accepted((3, 4), 1_010_000)
    never = replace(PLUGIN, settings=replace(SETTINGS, alpha_accept=None))
    assert never.should_accept((3, 4), encoded(9_000_000), pending, VIEW) is None


@pytest.mark.parametrize(
    ("at", "report", "accepted", "view"),
    [
        ((3, 3), encoded(5), Accepted((3, 3), 1), VIEW),
        ((3, 2), encoded(5), Accepted(), VIEW),
        ((3, 3), encoded(5), Accepted(), replace(VIEW, digest=bytes(32))),
        ((3, 3), b"junk", Accepted(), VIEW),
        ((3, 3), encoded(1, 2, 3, 4, 5), Accepted(), VIEW),
    ],
    ids=["accepted already", "on chain already", "another configuration", "unreadable", "too long"],
)
def test_not_accepted(at, report, accepted, view):
    assert PLUGIN.should_accept(at, report, accepted, view) is None


def test_transmitted_while_the_contract_would_take_it():
    assert PLUGIN.should_transmit((3, 3), VIEW)
    assert PLUGIN.should_transmit((4, 1), VIEW)
    assert not PLUGIN.should_transmit((3, 2), VIEW)
    assert not PLUGIN.should_transmit((2, 9), VIEW)
    assert not PLUGIN.should_transmit((3, 3), replace(VIEW, digest=bytes(32)))


values = st.integers(-(2**191), 2**191 - 1)


@given(st.data(), st.integers(1, 10))
def test_f_liars_cannot_move_the_median_out_of_the_honest_range(data, f):
    honest = data.draw(st.lists(values, min_size=f + 1, max_size=2 * f + 1))
    liars = max(0, 2 * f + 1 - len(honest))
    lies = data.draw(st.lists(st.one_of(values, st.none()), min_size=liars, max_size=f))
    raw = [Observation(START, value, 0).encode() for value in honest]
    raw += [b"junk" if value is None else Observation(START, value, 0).encode() for value in lies]
    observations = data.draw(st.permutations(list(enumerate(raw))))
    plugin = MedianPlugin(SETTINGS, OnchainConfig(-(2**191), 2**191 - 1), DIGEST, 3 * f + 1, f)
    report, _ = made(observations, replace(VIEW, at=(0, 0)), plugin)
    assert min(honest) <= report.median <= max(honest)
    assert report.is_sorted
    assert Report.decode(report.encode()) == report
    assert len(report.encode()) <= report_length(3 * f + 1)
