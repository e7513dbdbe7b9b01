"""The journal forgets what ended long ago, and never what it needs for the next nonce."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import func, select
from tests.unit.evm.transactions.test_store import ME, RECEIPT, draft

from seamark.core.ids import ChainId
from seamark.evm.ports import TxState
from seamark.evm.transactions.retention import trim_transactions
from seamark.evm.transactions.store import Change, Journal
from seamark.storage.database import Database, open_database
from seamark.storage.schema import metadata


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    one = await open_database("sqlite://")
    yield one
    await one.close()


@pytest.fixture
def journal() -> Journal:
    return Journal(ChainId(1), ME)


async def count(database: Database, name: str) -> int:
    table = metadata.tables[name]
    return await database.read(lambda c: c.execute(select(func.count()).select_from(table)).scalar_one())


async def trim(database: Database, before_ms: int, limit: int = 500) -> int:
    return await database.write(lambda c: trim_transactions(c, before_ms, limit=limit))


async def test_what_ended_goes_and_the_newest_stays(database: Database, journal: Journal) -> None:
    entries = await database.write(lambda c: journal.add(c, [draft(1), draft(2), draft(3), draft(4)]))
    ended = [Change(entry, TxState.CONFIRMED, True, RECEIPT) for entry in (entries[0], entries[1], entries[3])]
    await database.write(lambda c: journal.change(c, ended, 5))
    assert await trim(database, 1) == 0, "younger"
    assert await trim(database, 10**15, limit=1) == 1
    assert await trim(database, 10**15) == 1
    assert await trim(database, 10**15) == 0
    left = [entry.key for entry in await database.read(journal.load_open)]
    assert left == ["price-3"], "what is open stays whatever its age"
    assert (await count(database, "evm_transaction"), await count(database, "evm_attempt")) == (2, 2)
