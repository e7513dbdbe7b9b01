"""Blocks that hold facts, each with a small number, so that a fact need not repeat its chain, hash and time.

The *place* of a fact is one integer made of block number, log index and part: it is the fact's identity, keeps the
facts of a block together, and grows as chains are read, so facts are appended. Blocks are numbered per protocol: two
protocols may read something in the same log.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, func, select, tuple_

from seamark.core.errors import TemporaryError
from seamark.core.ids import ChainId, Hash32
from seamark.messages.model import Evidence
from seamark.messages.store import tables
from seamark.messages.store.bulk import insert_tuples
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
        for chunk in chunks(missing):
            self._take(select(*_FIELDS).where(_block.c.no.in_(chunk)))

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
        own = (_block.c.protocol == self._protocol) & (_block.c.chain_id == chain_id)
        for chunk in chunks(blocks):
            self._take(select(*_FIELDS).where(own, tuple_(_block.c.number, _block.c.hash).in_(chunk)))

    def _take(self, query: object) -> None:
        for row in self._connection.execute(query):  # type: ignore[call-overload]
            self._keep(StoredBlock(*row))

    def _keep(self, block: StoredBlock) -> None:
        self._by_hash[block.chain_id, block.hash] = block
        self._by_no[block.no] = block


_FIELDS = (_block.c.no, _block.c.chain_id, _block.c.number, _block.c.hash, _block.c.time)


def block_no_of(place: int) -> int:
    return place >> PLACE_BITS


def log_index_of(place: int) -> int:
    return place >> PART_BITS & (1 << LOG_BITS) - 1


def places_in(block_no: int) -> tuple[int, int]:
    """The first and last place in a block."""
    return block_no << PLACE_BITS, (block_no + 1 << PLACE_BITS) - 1
