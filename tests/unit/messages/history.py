"""Histories of chains in memory for tests of the tracker: blocks with facts, forks, batches; no logs and no ABI.

`FakeProtocol` finds the facts of a block by its hash, so a test says what happened in the tracker's own words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from seamark.core.ids import Address, BlockRef, ChainId, Hash32
from seamark.evm.ports import Block, Finalized, LogEvent, Reorg
from seamark.evm.types import LogFilter
from seamark.messages.model import (
    Body,
    Committed,
    Decoded,
    Evidence,
    Executed,
    LaneKey,
    Malformed,
    Notice,
    NoticeKind,
    Revoked,
    Sent,
    Sighting,
)
from seamark.messages.protocol import ChainRole, LaneNames, TokenInfo, Watch
from seamark.messages.store import ChainView, read_chains, save_progress
from seamark.messages.tracker import Applied, apply, decode
from seamark.storage.schema import metadata

A, B = ChainId(1), ChainId(2)
OUT = LaneKey("ccip", "11", "0x" + "a1" * 20, "22")
BACK = LaneKey("ccip", "22", "0x" + "b2" * 20, "11")
SENDER, RECEIVER = "0x" + "5e" * 20, "0x" + "4e" * 20
FEE_TOKEN = "0x" + "fe" * 20
CONTRACT = Address("0x" + "c0" * 20)
GENESIS_TIME = 1_700_000_000
BLOCK_TIME_S = 12
NAMES = {"11": ("alpha", A), "22": ("beta", B)}


def message_id(lane: LaneKey, sequence: int, variant: str = "") -> str:
    return "0x" + f"{lane.source}{sequence:04d}{variant}".encode().hex().rjust(64, "0")


@dataclass(frozen=True)
class Told:
    """A fact before it has a block."""

    lane: LaneKey
    sequence: int
    body: Body
    message_id: str = ""
    tx: str = ""
    version: str = "1.6.0"


def sent(
    sequence: int,
    lane: LaneKey = OUT,
    *,
    variant: str = "",
    fee: int = 5,
    size: int = 3,
    tx: str = "",
    sender: str = SENDER,
    receiver: str = RECEIVER,
    nonce: int | None = None,
) -> Told:
    body = Sent(
        sender=sender,
        receiver=receiver,
        fee_token=FEE_TOKEN,
        fee_amount=str(fee),
        fee_juels=str(fee * 2),
        size=size,
        details={"data": "0x00"},
        nonce=nonce,
    )
    return Told(lane, sequence, body, message_id(lane, sequence, variant), tx)


@dataclass(frozen=True)
class Noticed:
    """A notice before it has a block."""

    kind: NoticeKind
    subject: str = ""
    details: dict[str, Any] = field(default_factory=dict)


def committed(first: int, last: int, lane: LaneKey = OUT) -> Told:
    return Told(lane, first, Committed(last, {"root": root(first, last, lane)}))


def revoked(first: int, last: int, lane: LaneKey = OUT) -> Told:
    """The root of that commit is taken back."""
    return Told(LaneKey(lane.protocol, "", "", lane.destination), 0, Revoked(root(first, last, lane)))


def root(first: int, last: int, lane: LaneKey = OUT) -> str:
    return hash32(f"root {lane} {first} {last}")


def executed(
    sequence: int,
    lane: LaneKey = OUT,
    *,
    good: bool = True,
    variant: str = "",
    reason: str = "receiver_reverted",
    callback: bool | None = True,
    manual: bool | None = None,
) -> Told:
    success = Executed(True, callback=callback, manual=manual)
    body = success if good else Executed(False, reason=reason, error="it failed", manual=manual)
    return Told(lane, sequence, body, message_id(lane, sequence, variant))


@dataclass
class FakeProtocol:
    """CCIP's shape without contracts."""

    name: str = "ccip"
    facts: dict[str, tuple[Sighting, ...]] = field(default_factory=dict)
    malformed: dict[str, tuple[Malformed, ...]] = field(default_factory=dict)
    notices: dict[str, tuple[Notice, ...]] = field(default_factory=dict)
    left_out: list[tuple[Block, frozenset[int]]] = field(default_factory=list)

    @property
    def chains(self) -> Sequence[ChainRole]:
        return [ChainRole(A, "alpha", 0), ChainRole(B, "beta", 0)]

    def names(self, lane: LaneKey) -> LaneNames:
        source, destination = NAMES.get(lane.source), NAMES.get(lane.destination)
        return LaneNames(
            source[0] if source else lane.source,
            destination[0] if destination else lane.destination,
            source[1] if source else None,
            destination[1] if destination else None,
            source_watched=source is not None,
            destination_watched=destination is not None,
        )

    def token(self, chain_id: ChainId | None, address: str) -> TokenInfo | None:
        return TokenInfo("LINK", 1) if address == FEE_TOKEN and chain_id is not None else None

    def watch(self, *_: Any) -> Watch:
        wanted = LogFilter(("0x" + "00" * 20,), (Hash32("0x" + "00" * 32),))  # type: ignore[arg-type]
        return Watch(wanted, lambda block, _whole: self._decode(block))

    def _decode(self, block: Block) -> Decoded:
        key = block.ref.hash
        gone = next((indexes for told, indexes in self.left_out if told is block), frozenset())
        return Decoded(
            tuple(
                _alone(item) if gone else item
                for item in self.facts.get(key, ())
                if item.evidence.log_index not in gone
            ),
            (),
            self.malformed.get(key, ()),
            tuple(item for item in self.notices.get(key, ()) if item.evidence.log_index not in gone),
        )

    async def check(self, *_: Any) -> None: ...

    async def discover(self, *_: Any) -> list[Any]:
        return []

    async def identify(self, *_: Any) -> list[Any]:
        return []


def _alone(item: Sighting) -> Sighting:
    """An execution whose block lacks logs: the router's and the network's may be among them, so it looks handmade."""
    if not isinstance(item.body, Executed):
        return item
    body = msgspec.structs.replace(item.body, callback=False if item.body.succeeded else None, manual=True)
    return msgspec.structs.replace(item, body=body)


@dataclass
class FakeBatch:
    """A batch of a stream that keeps its position nowhere."""

    chain_id: ChainId
    events: Sequence[LogEvent]
    head: int
    saves: int = 0

    def save(self, connection: object) -> None:
        assert isinstance(connection, Connection)
        self.saves += 1


class World:
    """Makes blocks and feeds them to a fresh ledger."""

    def __init__(self) -> None:
        self.protocol = FakeProtocol()
        self.connection = open_memory()
        self.applied: list[Applied] = []
        self.now_ms = 1_000
        self.join("ccip")

    def join(self, protocol: str) -> None:
        """A protocol begins to read both chains."""
        for role in self.protocol.chains:
            save_progress(self.connection, ChainView(protocol, role.chain_id, 0, -1, -1, 0, 0))
        self.connection.commit()

    def block(
        self,
        chain: ChainId,
        number: int,
        facts: Iterable[Told | Noticed] = (),
        *,
        fork: str = "",
        late: int = 0,
    ) -> Block:
        """A block; `fork` names the branch it belongs to ("" is the canonical one), `late` shifts its time."""
        facts = list(facts)
        block_hash = hash32(f"{chain} {number} {fork}")
        ref = BlockRef(number, block_hash, hash32(f"{chain} {number - 1} {fork}"), block_time(number) + late)
        self.protocol.facts[block_hash] = tuple(
            Sighting(
                told.lane,
                told.version,
                Evidence(chain, number, block_hash, hash32(told.tx or f"{block_hash} {index}"), index, ref.timestamp),
                told.sequence,
                told.body,
                told.message_id,
            )
            for index, told in enumerate(facts)
            if isinstance(told, Told)
        )
        self.protocol.notices[block_hash] = tuple(
            Notice(
                kind=told.kind,
                evidence=Evidence(chain, number, block_hash, hash32(f"{block_hash} {index}"), index, ref.timestamp),
                contract=CONTRACT,
                subject=told.subject,
                details=told.details,
            )
            for index, told in enumerate(facts)
            if isinstance(told, Noticed)
        )
        return Block(ref, ())

    def lacking(self, block: Block, *indexes: int) -> Block:
        """The same block as a node tells it that has lost logs."""
        told = Block(block.ref, block.logs)
        self.protocol.left_out.append((told, frozenset(indexes)))
        return told

    def tell(self, chain: ChainId, *events: LogEvent, head: int | None = None, crash: bool = False) -> Applied:
        """One batch; with `crash` it is applied and rolled back first."""
        newest = max((event.ref.number for event in events if isinstance(event, (Block, Finalized))), default=0)
        batch = FakeBatch(chain, events, newest if head is None else head)
        for attempt in ("crash", "commit") if crash else ("commit",):
            view = next(item for item in read_chains(self.connection, self.protocol.name) if item.chain_id == chain)
            decoded = decode(batch, self.protocol.watch(), view)
            applied = apply(self.connection, decoded, self.protocol, now_ms=self.now_ms)
            (self.connection.rollback if attempt == "crash" else self.connection.commit)()
        self.applied.append(applied)
        return applied

    def close(self) -> None:
        self.connection.close()


def final(block: Block) -> Finalized:
    return Finalized(block.ref)


def reorg(ancestor: Block, *orphaned: Block) -> Reorg:
    return Reorg(ancestor.ref, tuple(block.ref for block in orphaned))


def block_time(number: int) -> int:
    return GENESIS_TIME + number * BLOCK_TIME_S


def hash32(text: str) -> Hash32:
    return Hash32("0x" + hashlib.sha256(text.encode()).hexdigest())


_TABLES = [
    table
    for name, table in metadata.tables.items()
    if name.startswith("message_") or name in ("message", "total", "event")
]

# One engine for all, because it keeps compiled statements; without a pool each connection is a database of its own.
_engine = create_engine("sqlite://", poolclass=NullPool)


def open_memory() -> Connection:
    """An empty database of the declared tables; a plain connection, because the ledger is plain functions."""
    connection = _engine.connect()
    template: Any = _template().connection.dbapi_connection
    template.backup(connection.connection.dbapi_connection)
    return connection


@cache
def _template() -> Connection:
    """The empty tables; copying them takes a fraction of the time of creating them."""
    connection = _engine.connect()
    metadata.create_all(connection, tables=_TABLES)
    connection.commit()
    return connection
