"""A chain in memory, all of it final, with an executing message in every tenth block."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from seamark.core.ids import ChainId, Hash32
from seamark.evm.types import BlockHeader, BlockTag, Log, LogFilter
from seamark.messages.protocols.op_interop import events

BLOCKS = 20_000
EVERY = 10
START = 1_750_000_000


def block_hash(number: int) -> Hash32:
    return Hash32(f"0x{number + 1:064x}")


class HistoryReader:
    """The part of a `ChainReader` that a log stream uses."""

    def __init__(self, chain_id: ChainId) -> None:
        self.chain_id = chain_id
        self.blocks = BLOCKS
        self.messages = len(range(0, BLOCKS, EVERY))

    @staticmethod
    @cache
    def _header(number: int) -> BlockHeader:
        return BlockHeader(number, block_hash(number), block_hash(number - 1), START + 2 * number)

    async def header(self, block: BlockTag) -> BlockHeader | None:
        return self._header(block if isinstance(block, int) else BLOCKS - 1)

    async def headers(self, numbers: Sequence[int]) -> list[BlockHeader | None]:
        return [self._header(number) for number in numbers]

    async def logs(self, wanted: LogFilter, first: int, last: int, *, end: Hash32 | None = None) -> list[Log]:  # noqa: ARG002 - of the port
        begin = -(-first // EVERY) * EVERY
        return [self._log(number) for number in range(begin, last + 1, EVERY)]

    @staticmethod
    def _log(number: int) -> Log:
        words = (int("0a" * 20, 16), number, 0, START + 2 * number, 901)
        return Log(
            events.INBOX,
            (events.EXECUTING.topic0, Hash32(f"0x{number:064x}")),
            "0x" + "".join(f"{item:064x}" for item in words),
            number,
            block_hash(number),
            Hash32(f"0x{number + 7:064x}"),
            0,
            START + 2 * number,
        )
