"""Blocks that hold facts, each with a small number, so that a fact need not repeat its chain, hash and time.

The *place* of a fact is one integer made of block number, log index and part: it is the fact's identity, keeps the
facts of a block together, and grows as chains are read, so facts are appended. Blocks are numbered per protocol: two
protocols may read something in the same log.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from seamark.core.errors import TemporaryError
from seamark.core.ids import ChainId, Hash32
from seamark.messages.model import Evidence
from seamark.messages.store import tables
from seamark.messages.store.bulk import find_rows, insert_tuples, plain_rows
from seamark.storage.bulk import chunks

__all__ = ["PLACE_BITS", "Blocks", "StoredBlock", "block_no_of", "log_index_of", "place_of", "places_in"]

LOG_BITS, PART_BITS = 20, 12
"""A million logs in one block, 4,096 facts in one log: many times what a block's gas pays for."""

PLACE_BITS = LOG_BITS + PART_BITS  # of a place, below the number of its block
_COLUMNS = ("no", "protocol", "chain_id", "number", "hash", "time")
_block = tables.block


class StoredBlock(NamedTuple):
    no: int
    chain_id: ChainId
    number: int
    hash: Hash32
    time: int


def place_of(block_no: int, log_index: int, part: int) -> int:
    """Raises:
    TemporaryError: A log index beyond any real one: the node is wrong, another may answer.
    """
    if log_index >> LOG_BITS or part >> PART_BITS:
        raise TemporaryError(f"log index {log_index}, part {part}: beyond any real block")
    return block_no << PLACE_BITS | log_index << PART_BITS | part


class Blocks:
    """The blocks that one unit of work touches, each read once."""

    def __init__(self, connection: Connection, protocol: str) -> None:
        self._connection = connection
        self._protocol = protocol
        self._by_hash: dict[tuple[int, str], StoredBlock] = {}
        self._by_no: dict[int, StoredBlock] = {}

    def ensure(self, facts: Iterable[Evidence]) -> None:
        """Make the blocks of facts known, numbering new ones."""
        wanted = {(at.chain_id, at.block_hash): at for at in facts}
        missing = [at for key, at in wanted.items() if key not in self._by_hash]
        if not missing:
            return
        self._load(missing[0].chain_id, [(at.block_number, at.block_hash) for at in missing])
        new = [at for at in missing if (at.chain_id, at.block_hash) not in self._by_hash]
        if not new:
            return
        last = self._connection.execute(select(func.max(_block.c.no))).scalar() or 0
        for number, at in enumerate(new, last + 1):
            self._keep(StoredBlock(number, at.chain_id, at.block_number, at.block_hash, at.time))
        rows = [
            (number, self._protocol, at.chain_id, at.block_number, at.block_hash, at.time)
            for number, at in enumerate(new, last + 1)
        ]
        insert_tuples(self._connection, _block, _COLUMNS, rows)

    def fetch(self, numbers: Collection[int]) -> None:
        """Make blocks known by their own numbers."""
        missing = [number for number in numbers if number not in self._by_no]
        self._take(find_rows(self._connection, _FIELDS, _block.c.no, missing))

    def find(self, chain_id: ChainId, blocks: Sequence[tuple[int, str]]) -> list[StoredBlock]:
        """Those of (number, hash) that hold facts."""
        self._load(chain_id, blocks)
        known = (self._by_hash.get((chain_id, block_hash)) for _, block_hash in blocks)
        return [block for block in known if block is not None]

    def place(self, at: Evidence, part: int) -> int:
        """Of a fact whose block is known."""
        return place_of(self._by_hash[at.chain_id, at.block_hash].no, at.log_index, part)

    def of_place(self, place: int) -> tuple[StoredBlock, int, int]:
        """(block, log index, part); the block is known."""
        return self._by_no[place >> PLACE_BITS], log_index_of(place), place & (1 << PART_BITS) - 1

    def _load(self, chain_id: int, blocks: Sequence[tuple[int, str]]) -> None:
        """By ranges of their numbers: one short statement, whatever their count. Few blocks between them hold facts
        that are not asked for, and in a range that is read for the first time none does.
        """
        text = _of_numbers(self._connection.dialect.name)
        for chunk in chunks(sorted(number for number, _ in blocks)):
            self._take(plain_rows(self._connection, text, (self._protocol, chain_id, chunk[0], chunk[-1])))

    def _take(self, rows: Iterable[tuple[Any, ...]]) -> None:
        for no, chain_id, number, block_hash, time in rows:
            self._keep(StoredBlock(no, ChainId(chain_id), number, Hash32(block_hash), time))

    def _keep(self, block: StoredBlock) -> None:
        self._by_hash[block.chain_id, block.hash] = block
        self._by_no[block.no] = block


_FIELDS = (_block.c.no, _block.c.chain_id, _block.c.number, _block.c.hash, _block.c.time)


@cache
def _of_numbers(dialect: str) -> str:
    marks = ("$1", "$2", "$3", "$4") if dialect == "postgresql" else "????"
    names = ", ".join(column.name for column in _FIELDS)
    where = "protocol = {} AND chain_id = {} AND number BETWEEN {} AND {}".format(*marks)
    return f"SELECT {names} FROM {_block.name} WHERE {where}"  # noqa: S608 - names of our own columns


def block_no_of(place: int) -> int:
    return place >> PLACE_BITS


def log_index_of(place: int) -> int:
    return place >> PART_BITS & (1 << LOG_BITS) - 1


def places_in(block_no: int) -> tuple[int, int]:
    """The first and last place in a block."""
    return block_no << PLACE_BITS, (block_no + 1 << PLACE_BITS) - 1
