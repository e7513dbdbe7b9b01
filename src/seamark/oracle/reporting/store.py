"""What a node must not forget, on disk: one row per configuration and node. Functions of a `Connection`.

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
from seamark.oracle.reporting.machine import Saved
from seamark.oracle.reporting.saved import decode_saved, encode_saved
from seamark.storage.bulk import insert_new
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
    insert_new(connection, _memory, [{**_columns(place), "life": 0, "saved": None}])
    connection.execute(update(_memory).where(_of(place)).values(life=_memory.c.life + 1))
    life = connection.execute(select(_memory.c.life).where(_of(place))).scalar_one()
    return Claim(place, life), load(connection, place)


def load(connection: Connection, place: Place) -> Saved | None:
    """What is stored; None where nothing is. Raises `StopError`: it is damaged."""
    data = connection.execute(select(_memory.c.saved).where(_of(place))).scalar_one_or_none()
    if data is None:
        return None
    try:
        return decode_saved(bytes(data), place.seal)
    except RejectedError as error:
        raise StopError(
            f"table oracle_reporting: what {place} must not forget is damaged: {error}",
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


def save(connection: Connection, claimed: Claim, saved: Saved) -> None:
    """Store.

    Raises:
        StopError: Another process has begun a life of this node, or the configuration was forgotten.
    """
    place = claimed.place
    values = {
        "of_contract": place.contract,
        "of_digest": place.digest.hex(),
        "of_node": place.node,
        "in_life": claimed.life,
        "sealed": encode_saved(saved, place.seal),
    }
    if connection.execute(_SAVE, values).rowcount != 1:
        raise StopError(
            f"another process runs as {place} on this database",
            remedy="run each node once; this process has said nothing since the other one began",
        )


def forget_superseded(connection: Connection, contract: str, digest: bytes) -> int:
    """Delete what belongs to other configurations of this contract; call it once the block of `ConfigSet` is final.

    Not before: a reorg may bring the older configuration back, and a node that has forgotten would sign again.

    Returns:
        How many rows.
    """
    others = (_memory.c.contract == contract) & (_memory.c.digest != digest.hex())
    return connection.execute(delete(_memory).where(others)).rowcount


def _columns(place: Place) -> dict[str, object]:
    return {"contract": place.contract, "digest": place.digest.hex(), "node": place.node}


def _of(place: Place) -> ColumnElement[bool]:
    return (
        (_memory.c.contract == place.contract)
        & (_memory.c.digest == place.digest.hex())
        & (_memory.c.node == place.node)
    )
