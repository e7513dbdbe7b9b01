"""Circles among messages of one timestamp, against a plain definition of "has an order"."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from seamark.messages.protocols.op_interop.cycles import Link, Place, circular


def link(executing: tuple[int, int], initiating: tuple[int, int]) -> Link:
    """(chain, log); one block per chain."""
    return Link(Place(executing[0], 1, executing[1]), Place(initiating[0], 1, initiating[1]))


def found(*links: Link) -> set[tuple[int, int]]:
    return {(place.chain_id, place.log_index) for place in circular(links)}


def test_nothing() -> None:
    assert circular([]) == frozenset()


def test_a_chain_of_messages_has_an_order() -> None:
    assert found(link((2, 0), (1, 0)), link((3, 0), (2, 1)), link((1, 5), (3, 1))) == set()


def test_two_that_execute_each_other() -> None:
    assert found(link((1, 0), (2, 0)), link((2, 0), (1, 0))) == {(1, 0), (2, 0)}


def test_the_order_within_a_block_counts() -> None:
    # Log 0 of chain 1 executes log 1 of chain 2, log 0 of chain 2 executes log 1 of chain 1.
    assert found(link((1, 0), (2, 1)), link((2, 0), (1, 1))) == {(1, 0), (2, 0)}
    # The other way round each comes after what it needs.
    assert found(link((1, 1), (2, 0)), link((2, 1), (1, 0))) == set()


def test_a_message_that_names_itself_or_a_later_log_of_its_block() -> None:
    assert found(link((1, 3), (1, 3))) == {(1, 3)}
    assert found(link((1, 3), (1, 5))) == {(1, 3)}
    assert found(link((1, 5), (1, 3))) == set()


def test_blocks_of_one_chain_with_one_timestamp_are_apart() -> None:
    first = Link(Place(1, 1, 0), Place(2, 1, 1))
    second = Link(Place(2, 1, 0), Place(1, 2, 1))
    assert circular([first, second]) == frozenset()


def test_what_only_follows_from_a_circle_is_no_part_of_it() -> None:
    circle = [link((1, 0), (2, 0)), link((2, 0), (1, 0))]
    assert found(*circle, link((3, 0), (1, 0))) == {(1, 0), (2, 0)}


places = st.builds(Place, st.integers(1, 3), st.just(1), st.integers(0, 4))


@given(st.lists(st.builds(Link, places, places), max_size=8))
def test_there_is_an_order_exactly_if_nothing_is_circular(links: list[Link]) -> None:
    assert (circular(links) == frozenset()) == _has_order(links)


def _has_order(links: list[Link]) -> bool:
    """By taking away, as long as it goes, whatever has nothing before it."""
    left = {place for item in links for place in item}
    edges = {(item.initiating, item.executing) for item in links}
    edges |= {(one, two) for one, two in pairwise(sorted(left)) if one[:2] == two[:2]}
    while free := {place for place in left if not any(b == place and a in left for a, b in edges)}:
        left -= free
    return not left
