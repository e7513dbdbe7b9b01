"""Transactions that ended long ago leave the journal. A signer's newest stays: from it the next nonce is known."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, delete, select

from seamark.evm.ports import TxState
from seamark.storage.schema import metadata

__all__ = ["trim_transactions"]

DELETED_AT_ONCE: Final = 500
_ENDED: Final = [TxState.CONFIRMED.value, TxState.REPLACED.value, TxState.FOREIGN.value]


def trim_transactions(connection: Connection, before_ms: int, *, limit: int = DELETED_AT_ONCE) -> int:
    """Delete some that ended before a time, with their attempts; how many.

    A key that was used so long ago can be used again: whoever names keys must not come back to one after that time.
    """
    transaction, attempt = metadata.tables["evm_transaction"], metadata.tables["evm_attempt"]
    columns = transaction.c
    later = transaction.alias()
    has_later = (
        select(later.c.id)
        .where(later.c.chain_id == columns.chain_id, later.c.signer == columns.signer, later.c.nonce > columns.nonce)
        .correlate(transaction)
        .exists()
    )
    query = (
        select(columns.id)
        .where(columns.state.in_(_ENDED), columns.updated_ms < before_ms, has_later)
        .order_by(columns.id)
        .limit(limit)
    )
    going = connection.execute(query).scalars().all()
    if going:
        connection.execute(delete(attempt).where(attempt.c.transaction_id.in_(going)))
        connection.execute(delete(transaction).where(transaction.c.id.in_(going)))
    return len(going)
