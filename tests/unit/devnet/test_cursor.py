from __future__ import annotations

import pytest

from seamark.core.ids import Address, Hash32
from seamark.devnet.ccip import cursor as module
from seamark.devnet.ccip.cursor import LogCursor

CONTRACT = Address("0x" + "11" * 20)


class Chain:
    """Block `n` has the hash of its branch and number, and one log, its number."""

    def __init__(self) -> None:
        self.branch = "a"
        self.head = 100
        self.asked: list[tuple[int, int]] = []

    async def block_hash(self, number: int) -> Hash32 | None:
        return Hash32(f"{self.branch}{number}") if number <= self.head else None

    async def logs(self, address, topics, first, last):
        assert (address, topics) == (CONTRACT, ("t", None))
        self.asked.append((first, last))
        return list(range(first, last + 1))


@pytest.fixture
def chain():
    return Chain()


@pytest.fixture
def cursor(chain):
    return LogCursor(chain, CONTRACT, ["t", None], 5)


async def test_each_block_is_read_once(cursor, chain):
    assert await cursor.advance(7) == [5, 6, 7]
    assert await cursor.advance(7) == []
    assert await cursor.advance(4) == []
    assert await cursor.advance(9) == [8, 9]
    assert chain.asked == [(5, 7), (8, 9)]


async def test_long_ranges_are_cut(cursor, chain, monkeypatch):
    monkeypatch.setattr(module, "SCAN_BLOCKS", 3)
    assert await cursor.advance(12) == list(range(5, 13))
    assert chain.asked == [(5, 7), (8, 10), (11, 12)]


async def test_a_changed_block_is_noticed_and_read_again_after_a_rewind(cursor, chain):
    assert not await cursor.lost()
    await cursor.advance(9)
    assert not await cursor.lost()
    chain.branch = "b"
    assert await cursor.lost()
    cursor.rewind()
    assert not await cursor.lost()
    assert await cursor.advance(9) == [5, 6, 7, 8, 9]
    assert not await cursor.lost()


async def test_a_chain_that_became_shorter_is_noticed(cursor, chain):
    await cursor.advance(100)
    chain.head = 99
    assert await cursor.lost()


async def test_a_reorg_between_the_hash_and_the_logs_is_noticed(cursor, chain):
    plain = chain.logs

    async def logs(*arguments):
        chain.branch = "b"
        return await plain(*arguments)

    chain.logs = logs
    await cursor.advance(9)
    assert await cursor.lost()
