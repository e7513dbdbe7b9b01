"""What a node must not forget, on disk: one row per configuration and node, and one per report that waits for its turn.
Functions of a `Connection`.

A row belongs to one life of its node at a time: `claim` begins a new one, and from then on the process that had the row
before can store nothing more. As a node says nothing before it is stored, two processes that run as the same node over
one database never speak both.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Integer,
    LargeBinary,
    Table,
    Text,
    bindparam,
    delete,
    select,
    update,
)

from seamark.core.errors import RejectedError, StopError
from seamark.oracle.reporting.machine import Pending, Saved
from seamark.oracle.reporting.saved import decode_pending, decode_saved, encode_pending, encode_saved
from seamark.storage.bulk import insert_new, upsert
from seamark.storage.schema import metadata

__all__ = ["Claim", "Place", "claim", "forget_superseded", "load", "save"]

_memory = Table(
    "oracle_reporting",
    metadata,
    Column("contract", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("node", Integer, primary_key=True),
    Column("life", BigInteger, nullable=False),
    Column("saved", LargeBinary),  # `encode_saved`; null before the first
)

_pending = Table(
    "oracle_reporting_pending",
    metadata,
    Column("contract", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("node", Integer, primary_key=True),
    Column("epoch", BigInteger, primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("report", LargeBinary, nullable=False),  # `encode_pending`
)


@dataclass(frozen=True, slots=True)
class Place:
    """Whose memory: the contract ("31337:0xabc…"), the configuration's digest of 32 bytes, the index of the node."""

    contract: str
    digest: bytes
    node: int

    def __str__(self) -> str:
        return f"node {self.node} of {self.contract}, configuration 0x{self.digest.hex()}"

    @property
    def seal(self) -> bytes:
        """The bytes that tie a row to its place."""
        return f"{self.contract}|{self.digest.hex()}|{self.node}".encode()


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write a row: the number of this life."""

    place: Place
    life: int


def claim(connection: Connection, place: Place) -> tuple[Claim, Saved | None]:
    """Begin a new life of this node, with what the one before stored.

    Raises:
        StopError: What is stored is damaged.
    """
    ours = _of(_memory, place)
    insert_new(connection, _memory, [{**_columns(place), "life": 0, "saved": None}])
    connection.execute(update(_memory).where(ours).values(life=_memory.c.life + 1))
    life = connection.execute(select(_memory.c.life).where(ours)).scalar_one()
    return Claim(place, life), load(connection, place)


def load(connection: Connection, place: Place) -> Saved | None:
    """What is stored; None where nothing is. Raises `StopError`: it is damaged."""
    data = connection.execute(select(_memory.c.saved).where(_of(_memory, place))).scalar_one_or_none()
    if data is None:
        return None
    waiting = select(_pending.c.report).where(_of(_pending, place)).order_by(_pending.c.epoch, _pending.c.round)
    try:
        pending = tuple(decode_pending(bytes(report), place.seal) for report in connection.scalars(waiting))
        return decode_saved(bytes(data), place.seal, pending)
    except RejectedError as error:
        raise StopError(
            f"tables oracle_reporting*: what {place} must not forget is damaged: {error}",
            remedy="restore nothing and delete nothing: this node could sign a round twice. Let the network go on "
            "without it and give it a place (keys) in a new configuration",
        ) from error


_SAVE = (
    update(_memory)
    .where(
        _memory.c.contract == bindparam("of_contract"),
        _memory.c.digest == bindparam("of_digest"),
        _memory.c.node == bindparam("of_node"),
        _memory.c.life == bindparam("in_life"),
    )
    .values(saved=bindparam("sealed"))
)


_DROP = delete(_pending).where(
    _pending.c.contract == bindparam("of_contract"),
    _pending.c.digest == bindparam("of_digest"),
    _pending.c.node == bindparam("of_node"),
    _pending.c.epoch == bindparam("of_epoch"),
    _pending.c.round == bindparam("of_round"),
)


def save(connection: Connection, claimed: Claim, saved: Saved, stored: tuple[Pending, ...] = ()) -> None:
    """Store. `stored` are the waiting reports that are on disk already: only what differs from them is written.

    Raises:
        StopError: Another process has begun a life of this node, or the configuration was forgotten.
    """
    place = claimed.place
    ours = {"of_contract": place.contract, "of_digest": place.digest.hex(), "of_node": place.node}
    values = {**ours, "in_life": claimed.life, "sealed": encode_saved(saved, place.seal)}
    if connection.execute(_SAVE, values).rowcount != 1:
        raise StopError(
            f"another process runs as {place} on this database",
            remedy="run each node once; this process has said nothing since the other one began",
        )
    before = {item.final.at: item for item in stored}
    after = {item.final.at: item for item in saved.pending}
    upsert(connection, _pending, [_row(place, item) for at, item in after.items() if before.get(at) != item])
    gone = [{**ours, "of_epoch": epoch, "of_round": round_} for epoch, round_ in before if (epoch, round_) not in after]
    if gone:
        connection.execute(_DROP, gone)


def forget_superseded(connection: Connection, contract: str, digest: bytes) -> int:
    """Delete what belongs to other configurations of this contract; call it once the block of `ConfigSet` is final.

    Not before: a reorg may bring the older configuration back, and a node that has forgotten would sign again.

    Returns:
        How many nodes' memories.
    """
    waiting = (_pending.c.contract == contract) & (_pending.c.digest != digest.hex())
    connection.execute(delete(_pending).where(waiting))
    others = (_memory.c.contract == contract) & (_memory.c.digest != digest.hex())
    return connection.execute(delete(_memory).where(others)).rowcount


def _columns(place: Place) -> dict[str, object]:
    return {"contract": place.contract, "digest": place.digest.hex(), "node": place.node}


def _row(place: Place, item: Pending) -> dict[str, object]:
    epoch, round_ = item.final.at
    return {**_columns(place), "epoch": epoch, "round": round_, "report": encode_pending(item, place.seal)}


def _of(table: Table, place: Place) -> ColumnElement[bool]:
    columns = table.c
    return (columns.contract == place.contract) & (columns.digest == place.digest.hex()) & (columns.node == place.node)
