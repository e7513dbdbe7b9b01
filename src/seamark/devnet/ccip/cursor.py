"""A place in one contract's logs.

Invariant: it remembers the hash of the last block it has read. The hash is asked for before the logs, so a reorg in
between makes the hash the one that is wrong, and the next look notices.
"""

from __future__ import annotations

from collections.abc import Sequence

from seamark.core.ids import Address, Hash32
from seamark.devnet.node_client import NodeClient
from seamark.evm.types import Log

__all__ = ["LogCursor"]

SCAN_BLOCKS = 5_000  # blocks in one question


class LogCursor:
    """Reads forward from a first block; starts again when the chain under it is no longer the same."""

    def __init__(self, node: NodeClient, address: Address, topics: Sequence[str | None], first: int) -> None:
        self._node = node
        self._address = address
        self._topics = tuple(topics)
        self._first = first
        self.rewind()

    def rewind(self) -> None:
        """Back to the first block."""
        self._next = self._first
        self._last_hash: Hash32 | None = None

    async def lost(self) -> bool:
        """Whether the last block that was read is no part of the chain any more."""
        return self._last_hash is not None and await self._node.block_hash(self._next - 1) != self._last_hash

    async def advance(self, to: int) -> list[Log]:
        """The logs of all blocks up to `to` that were not read yet."""
        logs: list[Log] = []
        while self._next <= to:
            last = min(to, self._next + SCAN_BLOCKS - 1)
            self._last_hash = await self._node.block_hash(last)
            logs += await self._node.logs(self._address, self._topics, self._next, last)
            self._next = last + 1
        return logs
