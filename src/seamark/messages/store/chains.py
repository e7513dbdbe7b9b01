"""How far each chain has been read, and the contracts that are watched on it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, bindparam, select

from seamark.core.ids import Address, ChainId
from seamark.messages.model import Contract
from seamark.messages.store.tables import chain, contract
from seamark.storage.bulk import upsert

__all__ = [
    "ChainView",
    "read_chains",
    "read_contracts",
    "read_heights",
    "save_contracts",
    "save_progress",
]


class ChainView(msgspec.Struct, frozen=True):
    """Where the reading of one chain stands: the first block asked for, the newest final one, the newest one read and
    its timestamp.
    """

    protocol: str
    chain_id: int
    started: int
    finalized: int
    scanned: int
    scanned_time: int
    reorgs: int


def read_chains(connection: Connection, protocol: str | None = None) -> list[ChainView]:
    found = connection.execute(_ALL) if protocol is None else connection.execute(_OF, {"of": protocol})
    return [ChainView(*row) for row in found]


# Built once: they run with every batch of every chain, and building them takes longer than running them.
_ALL = select(chain).order_by(chain.c.protocol, chain.c.chain_id)
_OF = select(chain).where(chain.c.protocol == bindparam("of")).order_by(chain.c.chain_id)


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
        Contract(
            chain_id=chain_id,
            address=Address(row.address),
            role=row.role,
            version=row.version,
            details=msgspec.json.decode(row.details, type=dict[str, str]),
        )
        for row in connection.execute(query)
    ]


def save_contracts(connection: Connection, protocol: str, found: Sequence[Contract]) -> None:
    """Remember contracts. None is ever forgotten: messages may still be on their way through a removed one."""
    rows = [
        {"protocol": protocol, **msgspec.structs.asdict(item), "details": msgspec.json.encode(item.details).decode()}
        for item in found
    ]
    upsert(connection, contract, rows)
