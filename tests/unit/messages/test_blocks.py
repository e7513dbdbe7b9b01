"""The place of a fact: one integer that says block, log and part."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from seamark.core.errors import TemporaryError
from seamark.messages.model import Evidence
from seamark.messages.store.blocks import LOG_BITS, PART_BITS, Blocks, block_no_of, log_index_of, place_of, places_in
from tests.unit.messages.history import A, B, World, hash32


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


def at(number: int, *, fork: str = "", log_index: int = 0) -> Evidence:
    return Evidence(A, number, hash32(f"{number}{fork}"), hash32("tx"), log_index, 1_700_000_000 + number)


@pytest.mark.parametrize("block", [1, 7, 2**31 - 1])
@pytest.mark.parametrize("log", [0, 5, 2**LOG_BITS - 1])
@pytest.mark.parametrize("part", [0, 3, 2**PART_BITS - 1])
def test_there_and_back(block: int, log: int, part: int) -> None:
    place = place_of(block, log, part)
    assert place < 2**63, "a signed integer of the databases"
    assert (block_no_of(place), log_index_of(place), place & (1 << PART_BITS) - 1) == (block, log, part)
    first, last = places_in(block)
    assert first <= place <= last
    assert block_no_of(last + 1) == block + 1


def test_facts_of_a_block_are_in_the_order_of_its_logs() -> None:
    places = [place_of(3, log, part) for log in range(3) for part in range(2)]
    assert places == sorted(places)
    assert max(places) < place_of(4, 0, 0)


@pytest.mark.parametrize(("log", "part"), [(2**LOG_BITS, 0), (0, 2**PART_BITS)])
def test_what_no_block_can_hold_is_not_believed(log: int, part: int) -> None:
    with pytest.raises(TemporaryError, match="beyond any real block"):
        place_of(1, log, part)


def test_a_block_has_one_number_however_often_it_is_told(world: World) -> None:
    first = Blocks(world.connection, "ccip")
    first.ensure([at(5), at(5, log_index=9), at(6)])
    again = Blocks(world.connection, "ccip")
    again.ensure([at(6), at(7)])
    assert again.place(at(6), 0) == first.place(at(6), 0)
    assert len({block_no_of(again.place(fact, 0)) for fact in (at(6), at(7))}) == 2
    assert block_no_of(first.place(at(5), 0)) == block_no_of(first.place(at(5, log_index=9), 0))


def test_blocks_are_found_by_number_and_hash_within_their_protocol(world: World) -> None:
    blocks = Blocks(world.connection, "ccip")
    blocks.ensure([at(5), at(5, fork="b")])
    fresh = Blocks(world.connection, "ccip")
    (found,) = fresh.find(A, [(5, hash32("5b")), (9, hash32("9"))])
    assert (found.number, found.hash, found.time) == (5, hash32("5b"), 1_700_000_005)
    assert fresh.find(B, [(5, hash32("5"))]) == []
    assert Blocks(world.connection, "hyperlane").find(A, [(5, hash32("5"))]) == []
    fresh.fetch({found.no})
    assert fresh.of_place(place_of(found.no, 4, 2)) == (found, 4, 2)
