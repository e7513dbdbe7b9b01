"""The journal in a real database: what goes in comes out, and the two rules hold whoever writes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import Connection, event, text
from tests.support.sending import TO

from seamark.core.errors import StopError
from seamark.core.ids import Address, ChainId, Hash32
from seamark.evm.ports import TxState
from seamark.evm.transactions.model import Attempt, Fees
from seamark.evm.transactions.store import Change, Draft, Journal, JournalConflict
from seamark.evm.types import Log, Receipt
from seamark.storage.database import Database, open_database

ME = Address("0x" + "11" * 20)
HUGE = 2**255


def hash_of(number: int) -> Hash32:
    return Hash32(f"0x{number:064x}")


def draft(number: int, nonce: int | None = None, key: str | None = None) -> Draft:
    attempt = Attempt(hash_of(number), b"\x02\xff", Fees(HUGE, 7), 1000, 42)
    return Draft(
        key or f"price-{number}", number if nonce is None else nonce, TO, b"\x00\x01", HUGE, 21_000, 999, attempt
    )


RECEIPT = Receipt(
    hash_of(1), 9, hash_of(90), True, 50_000, HUGE, (Log(TO, (hash_of(5),), "0x01", 9, hash_of(90), hash_of(1), 0),), ME
)


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    one = await open_database("sqlite://")
    yield one
    await one.close()


@pytest.fixture
def journal() -> Journal:
    return Journal(ChainId(1), ME)


async def test_what_goes_in_comes_out(database: Database, journal: Journal):
    added = await database.write(lambda c: journal.add(c, [draft(1), replace(draft(2), to=None)]))
    assert [entry.nonce for entry in added] == [1, 2]
    assert await database.read(journal.load_open) == added
    assert added[0].last.fees == Fees(HUGE, 7)
    assert added[0].value == HUGE
    assert added[1].to is None


async def test_one_live_entry_per_nonce_and_per_key(database: Database, journal: Journal):
    await database.write(lambda c: journal.add(c, [draft(1)]))
    for clash in (draft(2, nonce=1), draft(2, key="price-1")):
        with pytest.raises(JournalConflict):
            await database.write(partial(journal.add, drafts=[draft(3), clash]))
    assert len(await database.read(journal.load_open)) == 1, "all or none"


async def test_signers_and_chains_do_not_meet(database: Database, journal: Journal):
    others = [Journal(ChainId(2), ME), Journal(ChainId(1), TO)]
    for one in (journal, *others):
        await database.write(partial(one.add, drafts=[draft(1)]))
    for one in (journal, *others):
        assert len(await database.read(one.load_open)) == 1


async def test_a_foreign_one_frees_its_nonce_and_its_key(database: Database, journal: Journal):
    (entry,) = await database.write(lambda c: journal.add(c, [draft(1)]))
    await database.write(lambda c: journal.change(c, [Change(entry, TxState.FOREIGN, False, None)], 5))
    assert await database.read(lambda c: journal.known(c, ["price-1"])) == {}
    (again,) = await database.write(lambda c: journal.add(c, [draft(1)]))
    found = await database.read(lambda c: journal.find(c, "price-1"))
    assert found == again


async def test_a_receipt_survives_with_its_big_numbers(database: Database, journal: Journal):
    (entry,) = await database.write(lambda c: journal.add(c, [draft(1)]))
    await database.write(lambda c: journal.change(c, [Change(entry, TxState.CONFIRMED, True, RECEIPT)], 5))
    found = await database.read(lambda c: journal.find(c, "price-1"))
    assert found is not None
    assert (found.state, found.receipt) == (TxState.CONFIRMED, RECEIPT)
    assert await database.read(journal.load_open) == []
    assert await database.read(journal.highest_confirmed) == 1


async def test_attempts_keep_their_order(database: Database, journal: Journal):
    (entry,) = await database.write(lambda c: journal.add(c, [draft(1)]))
    second = Attempt(hash_of(77), b"\x03", Fees(9, 9, legacy=True), 2000, 43)
    await database.write(lambda c: journal.add_attempts(c, [(entry, second)]))
    (loaded,) = await database.read(journal.load_open)
    assert loaded.attempts == (entry.last, second)


async def test_accepted_never_takes_back_a_later_state(database: Database, journal: Journal):
    entries = await database.write(lambda c: journal.add(c, [draft(1), draft(2)]))
    mined = Change(entries[0], TxState.MINED, True, RECEIPT)
    await database.write(lambda c: journal.change(c, [mined], 5))
    await database.write(lambda c: journal.mark_broadcast(c, [entry.id for entry in entries]))
    assert [entry.state for entry in await database.read(journal.load_open)] == [TxState.MINED, TxState.BROADCAST]


async def test_a_newer_intent_takes_the_nonce_over(database: Database, journal: Journal):
    (old,) = await database.write(lambda c: journal.add(c, [draft(1)]))
    new = await database.write(lambda c: journal.supersede(c, old, draft(2, nonce=1)))
    loaded = await database.read(journal.load_open)
    assert [(entry.key, entry.current) for entry in loaded] == [("price-1", False), ("price-2", True)]
    assert new.nonce == old.nonce


async def test_a_replaced_one_is_loaded_with_its_unfinished_winner(database: Database, journal: Journal):
    (old,) = await database.write(lambda c: journal.add(c, [draft(1)]))
    new = await database.write(lambda c: journal.supersede(c, old, draft(2, nonce=1)))
    changes = [Change(old, TxState.REPLACED, False, None), Change(new, TxState.MINED, True, RECEIPT)]
    await database.write(lambda c: journal.change(c, changes, 5))
    assert [entry.key for entry in await database.read(journal.load_open)] == ["price-1", "price-2"]


async def test_what_was_confirmed_can_be_opened_again(database: Database, journal: Journal):
    entries = await database.write(lambda c: journal.add(c, [draft(1), draft(2), draft(3)]))
    changes = [Change(entry, TxState.CONFIRMED, True, RECEIPT) for entry in entries]
    await database.write(lambda c: journal.change(c, changes, 5))
    reopened = await database.write(lambda c: journal.reopen_from(c, 2, 6))
    assert [(entry.nonce, entry.state, entry.receipt) for entry in reopened] == [
        (2, TxState.BROADCAST, None),
        (3, TxState.BROADCAST, None),
    ]
    assert await database.read(journal.load_open) == reopened


async def test_the_first_confirmed_one_from_a_nonce_on(database: Database, journal: Journal):
    entries = await database.write(lambda c: journal.add(c, [draft(1), draft(2), draft(3), draft(4)]))
    confirmed = [Change(entry, TxState.CONFIRMED, True, RECEIPT) for entry in entries[:3]]
    await database.write(lambda c: journal.change(c, confirmed, 5))
    found = await database.read(lambda c: [journal.confirmed_from(c, nonce) for nonce in (0, 2, 3, 4)])
    assert [entry and entry.nonce for entry in found] == [1, 2, 3, None]
    assert [entry and entry.receipt for entry in found] == [RECEIPT, RECEIPT, RECEIPT, None]


async def test_the_chain_is_known_by_its_first_block(database: Database, journal: Journal):
    for _ in range(2):
        await database.write(lambda c: journal.check_genesis(c, hash_of(1)))
    with pytest.raises(StopError, match="new database"):
        await database.write(lambda c: journal.check_genesis(c, hash_of(2)))


async def test_a_failed_unit_of_work_leaves_nothing(database: Database, journal: Journal):
    def work(connection):
        journal.add(connection, [draft(1)])
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        await database.write(work)
    assert await database.read(lambda c: c.execute(text("SELECT count(*) FROM evm_attempt")).scalar()) == 0


async def test_no_question_reads_the_whole_history(database: Database, journal: Journal):
    await database.write(lambda c: journal.add(c, [draft(1), draft(2)]))

    def plans(connection: Connection) -> list[str]:
        asked: list[tuple[str, object]] = []

        def note(_connection: object, _cursor: object, statement: str, values: object, *_: object) -> None:
            asked.append((statement, values))

        event.listen(connection, "before_cursor_execute", note)
        journal.find(connection, "price-1")
        journal.find(connection, "nobody")
        journal.known(connection, ["price-1"])
        journal.load_open(connection)
        journal.highest_confirmed(connection)
        journal.confirmed_from(connection, 1)
        event.remove(connection, "before_cursor_execute", note)
        found = [row for one in asked for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {one[0]}", one[1])]  # type: ignore[arg-type]
        return [row[3] for row in found if "evm_transaction " in row[3]]

    steps = await database.read(plans)
    assert len(steps) >= 6
    wide = [step for step in steps if step.startswith("SCAN") or step.endswith("(chain_id=? AND signer=?)")]
    assert not wide, "these would read every transaction that was ever sent"
