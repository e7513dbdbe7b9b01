"""What a signer has spent lately, read from the journal of transactions: so a limit survives a restart, and holds for
every process that signs with the key.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, and_, or_, select

from seamark.core.ids import Address, ChainId
from seamark.evm.ports import TxState
from seamark.evm.signers.spending import Cost
from seamark.storage.database import Database
from seamark.storage.schema import metadata

__all__ = ["JournalLedger", "costs_since"]

_OPEN: Final = [TxState.SIGNED.value, TxState.BROADCAST.value, TxState.MINED.value]


class JournalLedger:
    """`spending.SpendLedger` on the database that holds the journal."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def costs(self, chain_id: ChainId, signer: Address, since_ms: int) -> Mapping[int, Cost]:
        return await self._database.read(lambda connection: costs_since(connection, chain_id, signer, since_ms))


def costs_since(connection: Connection, chain_id: ChainId, signer: Address, since_ms: int) -> dict[int, Cost]:
    """By nonce, for each that was signed since, or that is not settled yet.

    A nonce costs what its receipt says once that is final, and until then the most that any version signed for it may.
    Only one of them can be mined. What somebody else used is none of ours.

    Reads by the indexes over nonces and states alone: nonces grow with time.
    """
    transaction, attempt = metadata.tables["evm_transaction"], metadata.tables["evm_attempt"]
    columns = transaction.c
    ours = and_(columns.chain_id == chain_id, columns.signer == signer)
    older = (
        select(columns.nonce)
        .where(ours, columns.is_current, columns.created_ms < since_ms)
        .order_by(columns.nonce.desc())
        .limit(1)
    )
    floor = connection.execute(older).scalar()
    recent = columns.nonce > (-1 if floor is None else floor)
    query = (
        select(
            columns.nonce, columns.gas, columns.value, columns.state, columns.receipt, attempt.c.cap, attempt.c.at_ms
        )
        .join_from(transaction, attempt, attempt.c.transaction_id == columns.id)
        .where(ours, columns.state != TxState.FOREIGN.value, or_(recent, columns.state.in_(_OPEN)))
    )
    rows: dict[int, list[Any]] = defaultdict(list)
    for row in connection.execute(query):
        rows[row.nonce].append(row)
    return {nonce: _cost(versions) for nonce, versions in rows.items()}


def _cost(versions: list[Any]) -> Cost:
    at_ms = max(row.at_ms for row in versions)
    for row in versions:
        if row.state == TxState.CONFIRMED.value and row.receipt:
            return Cost(at_ms, _paid(json.loads(row.receipt), int(row.value)), settled=True)
    return Cost(at_ms, max(row.gas * int(row.cap) + int(row.value) for row in versions))


def _paid(receipt: dict[str, Any], value: int) -> int:
    fee: int = receipt["gas_used"] * receipt["effective_gas_price"]
    return fee + (value if receipt["succeeded"] else 0)
