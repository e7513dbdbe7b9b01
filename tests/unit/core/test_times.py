"""Moments outside: one form, by the names of the fields."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.core.times import iso_seconds, iso_time, with_times

AT = "2023-11-14T22:13:20.000Z"


def test_one_form() -> None:
    assert iso_time(1_700_000_000_125) == "2023-11-14T22:13:20.125Z"
    assert iso_seconds(1_700_000_000) == AT
    assert iso_seconds(0) == "1970-01-01T00:00:00.000Z"


@pytest.mark.parametrize("name", ["time", "since", "sent_time", "finalized_time", "updated_at"])
def test_seconds_are_known_by_their_names(name: str) -> None:
    assert with_times({name: 1_700_000_000}) == {name: AT}
    assert with_times({name: None}) == {name: None}, "a moment that is not known stays null"


@pytest.mark.parametrize(("inside", "outside"), [("at_ms", "at"), ("until_ms", "until"), ("seen_ms", "seen_at")])
def test_milliseconds_lose_their_unit(inside: str, outside: str) -> None:
    assert with_times({inside: 1_700_000_000_000}) == {outside: AT}
    assert with_times({inside: None}) == {outside: None}


def test_it_goes_down_into_lists_and_objects() -> None:
    found = with_times({"steps": [{"time": 1_700_000_000}], "message": {"seconds": {"total": 4}}})
    assert found == {"steps": [{"time": AT}], "message": {"seconds": {"total": 4}}}


def test_fields_that_are_named_are_moments_too() -> None:
    assert with_times({"start": 1_700_000_000, "sent": 3}, ("start",)) == {"start": AT, "sent": 3}


@pytest.mark.parametrize("value", [10**20, -1, "1700000000", "soon"])
def test_what_is_no_moment_stays_as_it_is(value: object) -> None:
    assert with_times({"time": value}) == {"time": value}


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=8,
    )
)
def test_values_without_numbers_are_left_alone(value: Any) -> None:
    def renamed(found: Any) -> bool:
        if isinstance(found, dict):
            return any(name.endswith("_ms") for name in found) or any(map(renamed, found.values()))
        return isinstance(found, list) and any(map(renamed, found))

    if not renamed(value):
        assert with_times(value) == value
