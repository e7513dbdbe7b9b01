"""OP Stack chains in memory, and an interop monitor over them without a network.

    bed = Bed(901, 902)
    log = bed[901].mine(initiating(b"hello"))          # a block; the log that others may name
    bed[902].mine(executing(log))
    await bed.follow()                                  # the monitor reads all that is new, and looks
    bed.job().status

`FakeL2` is a chain and an honest node at once; `faults` and `lies` make the node fail or leave logs out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import msgspec
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from seamark.core.errors import TemporaryError
from seamark.core.ids import Address, BlockRef, ChainId, Hash32
from seamark.evm.logs.bloom import bloom_of
from seamark.evm.ports import Block, BlockLogs, Finalized, LogEvent, Reorg
from seamark.evm.types import BlockHeader, BlockTag, Log
from seamark.messages.protocols.op_interop import events
from seamark.messages.protocols.op_interop.checker import Checker
from seamark.messages.protocols.op_interop.encodings import access_list_keys, payload_hash
from seamark.messages.protocols.op_interop.metrics import InteropMetrics
from seamark.messages.protocols.op_interop.model import Identifier, Level, Status
from seamark.messages.protocols.op_interop.network import Network
from seamark.messages.protocols.op_interop.recording import Recorded
from seamark.messages.protocols.op_interop.rules import find_executing
from seamark.messages.protocols.op_interop.store import (
    Job,
    JobBook,
    VerdictView,
    history,
    list_jobs,
    read_tallies,
)
from seamark.storage.schema import metadata
from seamark.storage.totals import read_totals
from tests.support.clock import FakeClock

T = TypeVar("T")
_engine = create_engine("sqlite://", poolclass=NullPool)  # one for all: it keeps compiled statements


def open_memory() -> Connection:
    """A fresh database of all declared tables."""
    connection = _engine.connect()
    metadata.create_all(connection)
    connection.commit()
    return connection


ORIGIN = Address("0x" + "0a" * 20)
OTHER = Address("0x" + "0b" * 20)
GENESIS_TIME = 1_750_000_000
BLOCK_TIME_S = 2
WINDOW_S = 604_800


def word(value: int) -> str:
    return f"{value:064x}"


@dataclass(frozen=True)
class Draft:
    """A log before it has a place."""

    address: Address
    topics: tuple[Hash32, ...]
    data: str
    declares: tuple[str, ...] = ()


def initiating(payload: bytes = b"hello", *, origin: Address = ORIGIN) -> Draft:
    return Draft(origin, (Hash32("0x" + hashlib.sha256(payload).hexdigest()),), "0x" + payload.hex())


@dataclass(frozen=True)
class Placed:
    """A log with all that an identifier needs."""

    chain_id: int
    time: int
    log: Log

    @property
    def identifier(self) -> Identifier:
        return Identifier(self.log.address, self.log.block_number, self.log.log_index, self.time, self.chain_id)

    @property
    def payload(self) -> Hash32:
        return payload_hash(self.log.topics, self.log.data)


def executing(of: Placed | Identifier, *, payload: Hash32 | None = None, declare: bool = True, **changes: Any) -> Draft:
    """The inbox's log for a log; `changes` are of the identifier (origin, block_number, log_index, …)."""
    told = of.identifier if isinstance(of, Placed) else of
    payload = payload or (of.payload if isinstance(of, Placed) else Hash32("0x" + "77" * 32))
    values = {name: getattr(told, name) for name in told.__struct_fields__} | changes
    told = Identifier(**values)
    data = "0x" + "".join(
        word(item) for item in (int(told.origin, 16), told.block_number, told.log_index, told.timestamp, told.chain_id)
    )
    keys = tuple(access_list_keys(told, payload)) if declare and told.block_number < 2**64 else ()
    return Draft(events.INBOX, (events.EXECUTING.topic0, payload), data, keys)


def malformed() -> Draft:
    return Draft(events.INBOX, (events.EXECUTING.topic0, Hash32("0x" + "01" * 32)), "0x" + word(1) * 3)


class FakeL2:
    """A chain and its node (`BlockLogReader`, and the `header` of a `ChainReader`)."""

    def __init__(self, chain_id: int, *, genesis_time: int = GENESIS_TIME) -> None:
        self.chain_id = ChainId(chain_id)
        self.blocks: list[Block] = []
        self.safe = self.final = -1
        self.declared: dict[Hash32, dict[str, set[str]]] = {}
        self.faults: list[Exception] = []
        self.lies: list[Callable[[BlockLogs], BlockLogs | None]] = []
        self.reads: list[tuple[int, tuple[Address, ...], bool]] = []
        self.transactions_read: list[Hash32] = []
        self._count = 0
        self._time = genesis_time - BLOCK_TIME_S
        self.mine()

    @property
    def head(self) -> Block:
        return self.blocks[-1]

    def mine(self, *drafts: Draft, time: int | None = None, count: int = 1) -> Placed:
        """A block with these logs; returns the first of them (of an empty block: nothing of use). With `count`, empty
        blocks come first.
        """
        for _ in range(count - 1):
            self._add((), None)
        return self._add(drafts, time)[0]

    def mine_all(self, *drafts: Draft, time: int | None = None) -> list[Placed]:
        return self._add(drafts, time)

    def _add(self, drafts: Sequence[Draft], time: int | None) -> list[Placed]:
        self._count += 1
        number = len(self.blocks)
        self._time = (self.blocks[-1].ref.timestamp if self.blocks else self._time) + BLOCK_TIME_S
        self._time = time if time is not None else self._time
        block_hash = _hash(f"{self.chain_id} block {self._count}")
        parent = self.blocks[-1].ref.hash if self.blocks else _hash("none")
        logs = []
        for index, draft in enumerate(drafts):
            transaction = _hash(f"{self.chain_id} transaction {self._count} {index}")
            self.declared[transaction] = {events.INBOX: set(draft.declares)}
            logs.append(Log(draft.address, draft.topics, draft.data, number, block_hash, transaction, index))
        self.blocks.append(Block(BlockRef(number, block_hash, parent, self._time), tuple(logs)))
        if not logs:
            return [Placed(int(self.chain_id), self._time, Log(ORIGIN, (), "0x", number, block_hash, block_hash, 0))]
        return [Placed(int(self.chain_id), self._time, log) for log in logs]

    def rollback(self, depth: int) -> list[Block]:
        gone, self.blocks = self.blocks[-depth:], self.blocks[:-depth]
        return gone

    # ---- the node ---------------------------------------------------------------------------------------------------

    def _answer(self) -> None:
        if self.faults:
            raise self.faults.pop(0)

    async def block_logs(
        self, number: int, addresses: Sequence[Address] = (), *, second: bool = False
    ) -> BlockLogs | None:
        self.reads.append((number, tuple(addresses), second))
        self._answer()
        if not 0 <= number < len(self.blocks):
            return None
        block = self.blocks[number]
        ref = block.ref
        bloom = bloom_of(part for log in block.logs for part in (log.address, *log.topics))
        header = BlockHeader(ref.number, ref.hash, ref.parent_hash, ref.timestamp, bloom)
        logs = tuple(log for log in block.logs if not addresses or log.address in addresses)
        found = BlockLogs(header, logs, whole=not addresses)
        return self.lies.pop(0)(found) if self.lies else found

    async def access_lists(self, transactions: Sequence[Hash32]) -> list[Mapping[str, Collection[str]] | None]:
        self.transactions_read += transactions
        return [self.declared.get(item) for item in transactions]

    async def header(self, block: BlockTag) -> BlockHeader | None:
        self._answer()
        if block != "safe" or self.safe < 0:
            return None
        ref = self.blocks[self.safe].ref
        return BlockHeader(ref.number, ref.hash, ref.parent_hash, ref.timestamp)


def without_logs(found: BlockLogs) -> BlockLogs:
    """What a node that lost its logs says; the header still tells of them."""
    return replace(found, logs=())


def without_a_trace(found: BlockLogs) -> BlockLogs:
    """The same of a node whose headers tell of no logs either."""
    return replace(found, header=msgspec.structs.replace(found.header, logs_bloom=""), logs=())


class Memory:
    """A `Database` in memory, without threads."""

    url = "memory"

    def __init__(self) -> None:
        self.connection = open_memory()

    async def read(self, work: Callable[[Connection], T]) -> T:
        found = work(self.connection)
        self.connection.rollback()
        return found

    async def write(self, work: Callable[[Connection], T], *, urgent: bool = False) -> T:
        try:
            done = work(self.connection)
        except BaseException:
            self.connection.rollback()
            raise
        self.connection.commit()
        return done

    async def close(self) -> None:
        self.connection.close()


@dataclass
class Batch:
    """A batch of a stream that keeps no position."""

    chain_id: ChainId
    events: list[LogEvent]
    head: int

    def save(self, connection: object) -> None:
        assert isinstance(connection, Connection)


@dataclass
class _Told:
    """What the monitor has been told of a chain."""

    blocks: list[Block] = field(default_factory=list)
    final: int = -1


class Bed:
    """Chains and the monitor of all of them (or of those in `read`)."""

    def __init__(
        self,
        *chain_ids: int,
        members: Collection[int] | None = None,
        read: Collection[int] | None = None,
        window_s: int = WINDOW_S,
        activation: Mapping[int, int] | None = None,
    ) -> None:
        self.chains = {chain_id: FakeL2(chain_id) for chain_id in chain_ids}
        self.network = Network(
            frozenset(members if members is not None else chain_ids),
            window_s,
            activation or {},
            {chain_id: f"l2-{chain_id}" for chain_id in chain_ids},
        )
        self.clock = FakeClock(GENESIS_TIME + 60.0)
        self.database = Memory()
        self.read = list(read if read is not None else chain_ids)
        self.start()

    def __getitem__(self, chain_id: int) -> FakeL2:
        return self.chains[chain_id]

    def start(self) -> None:
        """The process starts (again): only the database remains."""
        self.registry = CollectorRegistry()
        self.metrics = InteropMetrics(self.read, self.registry)
        self.metrics.load(read_tallies(self.database.connection), read_totals(self.database.connection, "interop_"))
        readers = {ChainId(chain_id): self.chains[chain_id] for chain_id in self.read}
        self.checkers = [
            Checker(
                chain,
                network=self.network,
                readers=readers,
                database=self.database,
                metrics=self.metrics,
                wake=lambda: None,
                told=lambda: None,
                clock=self.clock,
            )
            for chain in (*readers, None)
        ]
        if not hasattr(self, "_told"):
            self._told = {chain_id: _Told() for chain_id in self.chains}

    # ---- what the monitor does --------------------------------------------------------------------------------------

    async def follow(self, *chain_ids: int) -> None:
        """Read all that is new on these chains (none named: all that are read), then look until nothing is due."""
        for chain_id in chain_ids or self.read:
            await self.tell(chain_id)
        await self.check()

    async def tell(self, chain_id: int) -> None:
        """What a log stream would tell, as one batch."""
        chain, told = self.chains[chain_id], self._told[chain_id]
        found: list[LogEvent] = []
        same = 0
        while same < min(len(told.blocks), len(chain.blocks)) and told.blocks[same].ref == chain.blocks[same].ref:
            same += 1
        if same < len(told.blocks):
            orphaned = tuple(block.ref for block in reversed(told.blocks[same:]))
            found.append(Reorg(told.blocks[same - 1].ref, orphaned))
        found += chain.blocks[same:]
        told.blocks = list(chain.blocks)
        if chain.final > told.final:
            told.final = chain.final
            found.append(Finalized(chain.blocks[chain.final].ref))
        await self.save(Batch(chain.chain_id, found, len(chain.blocks) - 1))

    async def save(self, batch: Batch) -> None:
        recorded = Recorded(batch, self.network, self.now_ms)
        await self.database.write(recorded.save)
        assert recorded.changes is not None
        self.metrics.follow(recorded.changes)

    async def check(self, *, rounds: int = 20) -> None:
        """All checkers, until none finds anything due that can be decided."""
        for _ in range(rounds):
            done = [await checker.round() for checker in self.checkers]
            if not any(count and not again for count, again in done):
                return
        raise AssertionError("jobs stay due")

    async def safe(self, chain_id: int, number: int) -> None:
        """The chain's node calls blocks up to `number` safe, and the monitor hears of it."""

        def work(connection: Connection) -> Any:
            book = JobBook(connection, self.network, now_ms=self.now_ms)
            book.raise_level(ChainId(chain_id), Level.SAFE, number)
            return book.close()

        self.metrics.follow(await self.database.write(work))
        await self.check()

    async def finalize(self, *chain_ids: int) -> None:
        """All that is there becomes final."""
        for chain_id in chain_ids or self.chains:
            self.chains[chain_id].final = len(self.chains[chain_id].blocks) - 1
        await self.follow(*chain_ids)

    @property
    def now_ms(self) -> int:
        return int(self.clock.now() * 1000)

    # ---- what it thinks ---------------------------------------------------------------------------------------------

    def jobs(self, **wanted: Any) -> list[Job]:
        return list_jobs(self.database.connection, **wanted)

    def job(self, **wanted: Any) -> Job:
        (found,) = self.jobs(**wanted)
        return found

    def status(self) -> Status:
        return self.job().status

    def history(self, job: Job) -> list[VerdictView]:
        return history(self.database.connection, job.key)

    def steps(self, job: Job) -> list[str]:
        return [item.step for item in self.history(job)]

    def value(self, name: str, **labels: str) -> float:
        """Sum of a metric's samples with these labels."""
        return sum(
            sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def counted(self, status: str, executing: int = 902, initiating_chain: int | str = 901) -> float:
        return self.value(
            "interop_message_status",
            executing_chain_id=str(executing),
            initiating_chain_id=str(initiating_chain),
            status=status,
        )


def down(times: int = 1) -> list[Exception]:
    return [TemporaryError("the node is down") for _ in range(times)]


def decoded(block: Block, chain_id: int = 902) -> Any:
    return find_executing(ChainId(chain_id), block)


def _hash(text: str) -> Hash32:
    return Hash32("0x" + hashlib.sha256(text.encode()).hexdigest())
