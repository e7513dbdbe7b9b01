"""Missing numbers: what is found in pieces is what a look at everything would find."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from seamark.messages.judgement.model import SequenceCheck
from seamark.messages.judgement.sequences import MAX_GAPS, advanced, holes, refilled


def missing(check: SequenceCheck) -> set[int]:
    return {number for first, last in check.gaps for number in range(first, last + 1)}


@given(st.sets(st.integers(0, 200), min_size=1), st.integers(1, 20))
def test_in_pieces_as_at_once(present: set[int], size: int) -> None:
    numbers = sorted(present)
    check = SequenceCheck(numbers[0], numbers[0])
    for start in range(0, len(numbers), size):
        check = advanced(check, numbers[start : start + size])
    assert (check.first, check.upto) == (numbers[0], numbers[-1])
    assert missing(check) == set(range(numbers[0], numbers[-1])) - present
    assert check.missing == len(missing(check))


@given(st.sets(st.integers(0, 100), min_size=1), st.sets(st.integers(0, 100)))
def test_what_comes_later_leaves_its_gap(present: set[int], late: set[int]) -> None:
    numbers = sorted(present)
    check = advanced(SequenceCheck(numbers[0], numbers[0]), numbers)
    for first, last in check.gaps:
        check = refilled(check, sorted(late & set(range(first, last + 1))))
    assert missing(check) == set(range(numbers[0], numbers[-1])) - present - late
    assert list(check.gaps) == sorted(check.gaps)
    assert all(first <= last for first, last in check.gaps)


@given(st.integers(0, 50), st.integers(0, 50), st.sets(st.integers(0, 60)))
def test_holes(first: int, last: int, present: set[int]) -> None:
    inside = sorted(number for number in present if first <= number <= last)
    found = {number for a, b in holes(first, last, inside) for number in range(a, b + 1)}
    assert found == set(range(first, last + 1)) - present


def test_a_filter_that_is_wrong_does_not_fill_the_memory() -> None:
    check = advanced(SequenceCheck(0, 0), range(0, 10 * MAX_GAPS, 2))
    assert len(check.gaps) == MAX_GAPS
    assert check.upto == 2 * MAX_GAPS
    assert advanced(check, [check.upto + 2]).upto == check.upto
    whole = refilled(check, [1])
    assert advanced(whole, [check.upto + 2]).upto == check.upto + 2


def test_nothing_new() -> None:
    check = SequenceCheck(3, 9, ((5, 6),))
    assert advanced(check, []) == check
    assert refilled(check, []) == check
    assert advanced(check, [8, 9]) == check
