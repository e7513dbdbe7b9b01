"""Finding sends again: the ledger's places first, then between and beyond them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.ids import Address, Hash32
from seamark.evm.types import BlockHeader, Log, LogFilter
from seamark.messages.recovery.model import Place
from seamark.messages.recovery.sends import NEAR_BLOCKS, find_sends

RAMP, TOPIC = Address("0x" + "01" * 20), Hash32("0x" + "02" * 32)
WANTED = LogFilter((RAMP,), (TOPIC,))


def log_of(number: int, block: int, lane: int = 1) -> Log:
    data = f"0x{lane:064x}{number:064x}"
    return Log(RAMP, (TOPIC,), data, block, Hash32("0x" + "ab" * 32), Hash32(f"0x{number:064x}"), 0)


def number_of(log: Log) -> int | None:
    return int(log.data[66:], 16) if int(log.data[2:66], 16) == 1 else None


class Source:
    """A chain with these sends: (number, block); asked ranges are remembered."""

    def __init__(self, sends: Iterable[tuple[int, int]], *, head: int = 10_000, pruned_below: int = 0) -> None:
        self.all = [log_of(number, block) for number, block in sends]
        self.head, self.pruned_below = head, pruned_below
        self.asked: list[tuple[int, int]] = []

    async def logs(self, wanted: LogFilter, first: int, last: int, *, end: Any = None) -> list[Log]:
        assert wanted == WANTED
        assert 0 <= first <= last <= self.head
        self.asked.append((first, last))
        return [log for log in self.all if max(first, self.pruned_below) <= log.block_number <= last]

    async def header(self, block: Any) -> BlockHeader:
        return BlockHeader(self.head, Hash32("0x"), Hash32("0x"), 0)


async def find(source: Any, numbers: range, known: dict[int, int]) -> list[int]:
    places = {number: Place(block, Hash32("0x")) for number, block in known.items()}
    logs = await find_sends(source, WANTED, numbers, places, number_of, chain="home")
    return [number for log in logs if (number := number_of(log)) is not None]


async def test_what_the_ledger_knows_is_read_where_it_is() -> None:
    source = Source([(1, 100), (2, 5_000), (3, 5_002)])
    assert await find(source, range(1, 4), {1: 100, 2: 5_000, 3: 5_002}) == [1, 2, 3]
    assert source.asked == [(100, 100), (5_000, 5_002)]  # near ones in one question


async def test_a_gap_lies_between_its_neighbours() -> None:
    source = Source([(1, 100), (2, 2_000), (3, 9_000)])
    assert await find(source, range(1, 4), {1: 100, 3: 9_000}) == [1, 2, 3]
    assert source.asked == [(100, 100), (9_000, 9_000), (100, 9_000)]


async def test_the_first_ones_are_looked_for_backward_in_growing_steps() -> None:
    source = Source([(1, 100), (2, 8_000), (3, 9_000)])
    assert await find(source, range(1, 4), {3: 9_000}) == [1, 2, 3]
    assert source.asked[1] == (8_000, 8_999)
    assert len(source.asked) <= 4


async def test_the_last_ones_are_looked_for_forward_up_to_the_head() -> None:
    source = Source([(1, 100), (2, 8_000), (3, 10_000)])
    assert await find(source, range(1, 4), {1: 100}) == [1, 2, 3]


async def test_the_search_ends_where_the_numbers_have_passed() -> None:
    source = Source([(1, 50), (2, 8_500), (5, 8_990), (6, 9_000)])
    with pytest.raises(RejectedError, match="#4"):
        await find(source, range(4, 7), {6: 9_000})
    assert min(first for first, _ in source.asked) == 8_000  # 2 was seen: 4 cannot be below


async def test_sends_of_other_lanes_do_not_count() -> None:
    source = Source([(1, 100)])
    source.all.append(log_of(1, 100, lane=9))
    source.all.insert(0, log_of(2, 100, lane=9))
    assert await find(source, range(1, 2), {1: 100}) == [1]


async def test_old_logs_that_are_gone_are_told_with_a_remedy() -> None:
    source = Source([(1, 100), (2, 9_000)], pruned_below=5_000)
    with pytest.raises(RejectedError, match=r"home have no log of the sends #1 \(block 100\)") as caught:
        await find(source, range(1, 3), {1: 100, 2: 9_000})
    assert "keeps old logs" in caught.value.remedy


async def test_nothing_at_all_names_a_few() -> None:
    with pytest.raises(RejectedError, match=r"#1, #2, #3, #4, #5, … \(block 7\)"):
        await find(Source([]), range(1, 9), {1: 7})


async def test_a_node_that_refuses_is_told_with_the_same_remedy() -> None:
    class Refusing(Source):
        async def logs(self, wanted: LogFilter, first: int, last: int, *, end: Any = None) -> list[Log]:
            raise RejectedError("history has been pruned")

    with pytest.raises(RejectedError, match="do not give the logs of block 100: history has been pruned") as caught:
        await find(Refusing([]), range(1, 2), {1: 100})
    assert "keeps old logs" in caught.value.remedy


async def test_a_node_that_is_down_is_worth_another_try() -> None:
    class Down(Source):
        async def logs(self, wanted: LogFilter, first: int, last: int, *, end: Any = None) -> list[Log]:
            raise TemporaryError("no answer")

    with pytest.raises(TemporaryError):
        await find(Down([]), range(1, 2), {1: 100})


@given(
    st.lists(st.integers(0, 3_000), min_size=1, max_size=12),
    st.data(),
)
async def test_all_are_found_whatever_is_known(steps: list[int], data: st.DataObject) -> None:
    blocks, block = [], 0
    for step in steps:
        block += step
        blocks.append(block)
    sends = list(enumerate(blocks, start=1))
    first = data.draw(st.integers(1, len(sends)))
    last = data.draw(st.integers(first, len(sends)))
    known = data.draw(st.sets(st.sampled_from(range(first, last + 1)), min_size=1))
    source = Source(sends, head=block + NEAR_BLOCKS)
    found = await find(source, range(first, last + 1), {number: blocks[number - 1] for number in known})
    assert found == list(range(first, last + 1))
