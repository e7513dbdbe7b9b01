"""Totals: exact, atomic with what they count, on every engine."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from sqlalchemy import Connection

from seamark.storage.database import Database, open_database
from seamark.storage.totals import Total, add_totals, read_totals, total_key

SENT = total_key("messages_sent_total", {"source": "a", "dest": "b"})
FEES = total_key("fees_total", {"token": "LINK"})


def totals(prefix: str = ""):
    return lambda connection: list(read_totals(connection, prefix))


async def test_a_total_starts_at_zero_and_grows(database: Database) -> None:
    await database.write(lambda c: add_totals(c, {SENT: 2}))
    await database.write(lambda c: add_totals(c, {SENT: 3, FEES: Decimal("0.1")}))
    assert await database.read(totals()) == [
        Total("fees_total", {"token": "LINK"}, Decimal("0.1")),
        Total("messages_sent_total", {"dest": "b", "source": "a"}, Decimal(5)),
    ]


def test_the_order_of_labels_does_not_matter() -> None:
    assert total_key("m", {"a": "1", "b": "2"}) == total_key("m", {"b": "2", "a": "1"})


async def test_sums_of_256_bit_fees_stay_exact(database: Database) -> None:
    big = 2**256 - 1
    for _ in range(3):
        await database.write(lambda c: add_totals(c, {FEES: big}))
    await database.write(lambda c: add_totals(c, {FEES: Decimal("0.000000000000000001")}))
    (total,) = await database.read(totals())
    assert total.value == Decimal(f"{3 * big}.000000000000000001")


async def test_totals_are_found_by_the_beginning_of_their_name_taken_literally(database: Database) -> None:
    names = ["ccip_a", "ccipXa", "ccip_b", "oracle"]
    await database.write(lambda c: add_totals(c, {total_key(name, {}): 1 for name in names}))
    assert [total.metric for total in await database.read(totals("ccip_"))] == ["ccip_a", "ccip_b"]


async def test_a_count_of_a_failed_write_was_never_made(database: Database) -> None:
    def work(connection: Connection) -> None:
        add_totals(connection, {SENT: 1})
        raise KeyError

    with pytest.raises(KeyError):
        await database.write(work)
    assert await database.read(totals()) == []


async def test_nothing_to_add_is_no_statement(database: Database) -> None:
    await database.write(lambda c: add_totals(c, {}))
    assert await database.read(totals()) == []


async def test_thousands_of_totals_at_once(database: Database) -> None:
    many = {total_key("m", {"n": str(number)}): number for number in range(1300)}
    for _ in range(2):
        await database.write(lambda c: add_totals(c, many))
    found = await database.read(totals())
    assert {total.labels["n"]: int(total.value) for total in found} == {str(n): 2 * n for n in range(1300)}


async def test_writers_side_by_side_lose_no_count_not_even_the_first(shared_url: str) -> None:
    """Two processes that both start a total must not both start from zero."""
    one, other = await asyncio.gather(open_database(shared_url), open_database(shared_url))
    await asyncio.gather(*((one, other)[n % 2].write(lambda c: add_totals(c, {SENT: 1, FEES: 2})) for n in range(30)))
    values = {total.metric: int(total.value) for total in await one.read(totals())}
    assert values == {"messages_sent_total": 30, "fees_total": 60}
    await one.close()
    await other.close()
