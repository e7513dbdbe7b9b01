"""A chain in memory: a tree of blocks with logs, and nodes that look at it honestly, late, or wrongly.

`FakeChain` is what really happened; a `FakeReader` (an `evm.ports.ChainReader`) answers every request from one `View`:
the chain now, the chain some blocks ago, or an old fork. Faults are asked for by the test.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from seamark.core.errors import TemporaryError
from seamark.core.ids import Address, ChainId, Hash32
from seamark.evm.logs.bloom import bloom_of
from seamark.evm.types import BlockHeader, BlockTag, Call, Log, LogFilter, Receipt

BLOCK_TIME_S = 12
GENESIS_TIME = 1_700_000_000


def address(number: int) -> Address:
    return Address(f"0x{number:040x}")


def topic(number: int) -> Hash32:
    return Hash32(f"0x{number:064x}")


def digest(text: str) -> Hash32:
    return Hash32("0x" + hashlib.sha256(text.encode()).hexdigest())


@dataclass(frozen=True)
class Event:
    """A log to be mined. With a `transaction` named, the same one can be mined again on another fork."""

    address: int = 1
    topic: int = 1
    transaction: str = ""


@dataclass(frozen=True)
class FakeBlock:
    header: BlockHeader
    logs: tuple[Log, ...] = ()


@dataclass(frozen=True)
class View:
    """What one node knows."""

    path: tuple[FakeBlock, ...]
    finalized: int | None

    @property
    def head(self) -> int:
        return len(self.path) - 1


class FakeChain:
    """Blocks by number; `past` holds every earlier view, orphaned forks too."""

    def __init__(self, *, log_timestamps: bool = True, blooms: bool = True) -> None:
        self._log_timestamps = log_timestamps
        self._blooms = blooms
        self._count = 0
        self.finalized: int | None = 0
        self.path: tuple[FakeBlock, ...] = ()
        self.past: list[View] = []
        self.mine()

    @property
    def head(self) -> int:
        return len(self.path) - 1

    @property
    def view(self) -> View:
        return View(self.path, self.finalized)

    def mine(self, *blocks: Sequence[Event] | int) -> None:
        """Add blocks with these events; a number adds so many blocks with one event each; nothing adds an empty one."""
        self._remember()
        for item in blocks or ((),):
            for events in [[Event()]] * item if isinstance(item, int) else [item]:
                self.path += (self._block(len(self.path), events),)

    def empty(self, count: int) -> None:
        self.mine(*[()] * count)

    def rollback(self, depth: int) -> None:
        """The newest `depth` blocks vanish, nothing takes their place."""
        self._remember()
        self.path = self.path[: len(self.path) - depth]

    def reorg(self, depth: int, *blocks: Sequence[Event]) -> None:
        """The newest `depth` blocks are replaced by these (empty ones, and one more, where none are given)."""
        self.rollback(depth)
        self.mine(*(blocks or [()] * (depth + 1)))

    def finalize(self, behind: int) -> None:
        """Everything `behind` blocks below the head becomes final; never goes back."""
        self.finalized = max(self.finalized or 0, self.head - behind)

    def logs(self, wanted: LogFilter, first: int = 0) -> list[Log]:
        """The truth."""
        return [log for block in self.path[first:] for log in block.logs if wanted.matches(log)]

    def _remember(self) -> None:
        if self.path:
            self.past.append(self.view)

    def _block(self, number: int, events: Sequence[Event]) -> FakeBlock:
        self._count += 1
        block_hash = digest(f"block {self._count}")
        timestamp = GENESIS_TIME + number * BLOCK_TIME_S
        logs = tuple(
            Log(
                address=address(event.address),
                topics=(topic(event.topic),),
                data="0x",
                block_number=number,
                block_hash=block_hash,
                transaction_hash=digest(event.transaction or f"transaction {self._count} {index}"),
                log_index=index,
                block_timestamp=timestamp if self._log_timestamps else None,
            )
            for index, event in enumerate(events)
        )
        header = BlockHeader(
            number=number,
            hash=block_hash,
            parent_hash=self.path[-1].header.hash if self.path else Hash32("0x" + "00" * 32),
            timestamp=timestamp,
            logs_bloom=bloom_of(item for log in logs for item in (log.address, *log.topics)) if self._blooms else "",
        )
        return FakeBlock(header, logs)


class FakeReader:
    """A node, or a pool of them, on a `FakeChain`.

    Args:
        chain: What really happened.
        look: Chooses the view that answers a request; the newest one where None.
    """

    def __init__(
        self, chain: FakeChain, *, chain_id: int = 1, look: Callable[[], View] | None = None, has_tag: bool = True
    ) -> None:
        self.chain = chain
        self.chain_id = ChainId(chain_id)
        self.look = look or (lambda: chain.view)
        self.has_tag = has_tag
        self.failures: list[Exception] = []
        self.omit: Counter[Hash32] = Counter()
        """Block hash -> how many answers still leave out this block's logs."""
        self.asked: Counter[str] = Counter()
        self.ranges: list[tuple[int, int]] = []
        self.on_logs: Callable[[int, int], None] = lambda _first, _last: None
        """Called when logs are asked for, before they are read: a place to let the chain move."""

    def _request(self, kind: str) -> View:
        self.asked[kind] += 1
        if self.failures:
            raise self.failures.pop(0)
        return self.look()

    async def header(self, block: BlockTag) -> BlockHeader | None:
        view = self._request(f"header {block}")
        if block == "latest":
            return view.path[-1].header
        if block == "finalized":
            return view.path[view.finalized].header if self.has_tag and view.finalized is not None else None
        assert isinstance(block, int)
        return _header(view, block)

    async def headers(self, numbers: Sequence[int]) -> list[BlockHeader | None]:
        view = self._request("headers")
        return [_header(view, number) for number in numbers]

    async def logs(self, wanted: LogFilter, first: int, last: int, *, end: Hash32 | None = None) -> list[Log]:
        self.ranges.append((first, last))
        self.on_logs(first, last)
        view = self._request("logs")
        if last > view.head or (end is not None and view.path[last].header.hash != end):
            raise TemporaryError(f"no endpoint has block {last} {end}")
        logs = []
        for block in view.path[first : last + 1]:
            matching = [log for log in block.logs if wanted.matches(log)]
            if matching and self.omit[block.header.hash] > 0:
                self.omit[block.header.hash] -= 1
            else:
                logs.extend(matching)
        return logs

    async def call(self, call: Call) -> bytes:
        raise NotImplementedError

    async def calls(self, calls: Sequence[Call]) -> list[bytes | Exception]:
        raise NotImplementedError

    async def receipt(self, transaction: Hash32) -> Receipt | None:
        raise NotImplementedError

    async def code(self, address: Address) -> bytes:
        raise NotImplementedError

    async def balance(self, address: Address) -> int:
        raise NotImplementedError

    async def nonce(self, address: Address, block: BlockTag = "latest") -> int:
        raise NotImplementedError


def _header(view: View, number: int) -> BlockHeader | None:
    return view.path[number].header if 0 <= number <= view.head else None
