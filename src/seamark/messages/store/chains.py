"""How far each chain has been read, and the contracts that are watched on it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
from sqlalchemy import Connection, func, select

from seamark.core.ids import Address, ChainId
from seamark.messages.model import Contract
from seamark.messages.store.tables import chain, contract
from seamark.storage.bulk import insert_new, upsert

__all__ = [
    "ChainView",
    "mark_complete",
    "missing_from",
    "note_contracts",
    "read_chains",
    "read_contracts",
    "read_heights",
    "save_progress",
]


class ChainView(msgspec.Struct, frozen=True):
    """Where the reading of one chain stands. `scanned_time` is the timestamp of the newest block read."""

    protocol: str
    chain_id: int
    finalized: int
    scanned: int
    scanned_time: int
    reorgs: int


def read_chains(connection: Connection, protocol: str | None = None) -> list[ChainView]:
    query = select(chain).order_by(chain.c.protocol, chain.c.chain_id)
    if protocol is not None:
        query = query.where(chain.c.protocol == protocol)
    return [ChainView(*row) for row in connection.execute(query)]


def read_heights(connection: Connection, protocol: str) -> dict[ChainId, int]:
    """The final height of each chain, as far as it has been read."""
    return {ChainId(view.chain_id): view.finalized for view in read_chains(connection, protocol)}


def save_progress(connection: Connection, view: ChainView) -> None:
    """Overwrite a chain's row."""
    upsert(connection, chain, [msgspec.structs.asdict(view)])


def read_contracts(connection: Connection, protocol: str, chain_id: ChainId) -> list[Contract]:
    """Everything ever watched on a chain, in a stable order."""
    query = (
        select(contract)
        .where(contract.c.protocol == protocol, contract.c.chain_id == chain_id)
        .order_by(contract.c.role, contract.c.address)
    )
    return [
        Contract(chain_id=chain_id, address=Address(row.address), role=row.role, version=row.version)
        for row in connection.execute(query)
    ]


def note_contracts(
    connection: Connection, protocol: str, found: Sequence[Contract], *, missing_from: int | None = None
) -> None:
    """Remember contracts; those known already are left as they are.

    `missing_from` is the first block whose logs of them have not been read though the stream is past it.
    """
    rows = [{"protocol": protocol, **msgspec.structs.asdict(item), "missing_from": missing_from} for item in found]
    insert_new(connection, contract, rows)


def missing_from(connection: Connection, protocol: str, chain_id: ChainId) -> int | None:
    """The first block that has to be read again because a contract was not yet watched there."""
    query = select(func.min(contract.c.missing_from)).where(
        contract.c.protocol == protocol, contract.c.chain_id == chain_id
    )
    return connection.execute(query).scalar()


def mark_complete(connection: Connection, protocol: str, chain_id: ChainId, addresses: Collection[Address]) -> None:
    """From now on the stream reads these contracts without a gap."""
    where = (
        (contract.c.protocol == protocol)
        & (contract.c.chain_id == chain_id)
        & contract.c.address.in_(list(addresses))
        & contract.c.missing_from.is_not(None)
    )
    connection.execute(contract.update().where(where).values(missing_from=None))
