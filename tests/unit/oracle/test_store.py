from dataclasses import replace

import pytest
from sqlalchemy import inspect
from sqlalchemy.event import listen

from seamark.core.ids import Address, ChainId, Hash32
from seamark.core.units import Ppb
from seamark.oracle.model import FeedRef, FeedState, Publication, PublicationState, Reason, Role
from seamark.oracle.store import (
    _feed,
    _publication,
    add_publication,
    known_publications,
    list_feeds,
    list_publications,
    open_publications,
    recent_fees,
    record_failure,
    record_freshness,
    record_state,
    register_feed,
    settle_publication,
    unconfirmed_publications,
)
from seamark.storage.events import read_events
from seamark.storage.totals import read_totals

from .fakes import REF

REMOTE = FeedRef("ETH/USD", "besu", ChainId(138), Address("0x" + "ab" * 20), Role.REMOTE)
STATE = FeedState(
    round=2**70,
    answer=-(2**190),
    started_at=1_700_000_000,
    updated_at=1_700_000_005,
    decimals=18,
    description="ETH / USD",
    block_number=10,
    block_time=1_700_000_006,
)
SENT = Publication(
    key="k1",
    feed=REF,
    round=2**70,
    attempt=1,
    state=PublicationState.BROADCAST,
    reason=Reason.DEVIATION,
    planned_at=1_700_000_000.25,
    answer=2**190,
    decimals=8,
    observed_at=1_700_000_000,
    quotes=(("a", "2000.10"), ("b", "2000.20")),
    transaction=Hash32("0x" + "12" * 32),
)
MINED = replace(
    SENT,
    state=PublicationState.MINED,
    block_number=7,
    block_time=1_700_000_003,
    fee=10**30,
    mined_at=1_700_000_004.5,
)


async def events(database):
    return await database.read(lambda connection: read_events(connection, 0))


async def totals(database):
    found = await database.read(lambda connection: list(read_totals(connection, "oracle_")))
    return {item.metric: int(item.value) for item in found}


async def test_the_migration_makes_the_tables_that_the_code_declares(database):
    def columns(connection, table):
        found = inspect(connection).get_columns(table.name)
        return {(column["name"], column["nullable"]) for column in found}

    def indexes(connection, table):
        return {(index["name"], tuple(index["column_names"])) for index in inspect(connection).get_indexes(table.name)}

    for table in (_feed, _publication):
        there = await database.read(lambda connection, table=table: columns(connection, table))
        assert there == {(column.name, bool(column.nullable)) for column in table.columns}
        made = await database.read(lambda connection, table=table: indexes(connection, table))
        assert made == {(index.name, tuple(column.name for column in index.columns)) for index in table.indexes}
    key = await database.read(lambda connection: inspect(connection).get_pk_constraint("oracle_feed"))
    assert key["constrained_columns"] == ["name", "chain_id", "address"]
    unique = await database.read(lambda connection: inspect(connection).get_unique_constraints("oracle_publication"))
    assert [item["column_names"] for item in unique] == [["key"]]


# ---- feeds ----------------------------------------------------------------------------------------------------------


async def test_a_state_is_stored_exactly_and_told_once(database):
    await database.write(lambda c: register_feed(c, REMOTE, heartbeat=3600.5, deviation=Ppb(5)))
    assert await database.write(lambda c: record_state(c, REMOTE, STATE, now=1_700_000_010.0))
    assert not await database.write(
        lambda c: record_state(c, REMOTE, replace(STATE, block_number=11), now=1_700_000_020.0)
    )
    (row,) = await database.read(list_feeds)
    assert (row.ref, row.round, row.answer, row.heartbeat, row.deviation) == (REMOTE, 2**70, -(2**190), 3600.5, 5)
    assert (row.started_at, row.updated_at, row.block_number, row.seen_at) == (
        1_700_000_000, 1_700_000_005, 11, 1_700_000_020.0,
    )  # fmt: skip
    assert row.price == STATE.price
    (event,) = await events(database)
    assert (event.topic, event.key) == ("feed.updated", "ETH/USD")
    assert event.payload == {
        "feed": "ETH/USD",
        "chain": "besu",
        "chain_id": 138,
        "address": REMOTE.address,
        "role": "remote",
        "round": str(2**70),
        "answer": str(-(2**190)),
        "decimals": 18,
        "price": f"{STATE.price:f}",
        "started_at": 1_700_000_000,
        "updated_at": 1_700_000_005,
        "paused": False,
    }


async def test_an_older_block_changes_nothing(database):
    await database.write(lambda c: register_feed(c, REF))
    await database.write(lambda c: record_state(c, REF, STATE, now=1.0))
    assert not await database.write(lambda c: record_state(c, REF, replace(STATE, round=1, block_number=9), now=2.0))
    assert (await database.read(list_feeds))[0].round == 2**70


async def test_a_feed_that_nobody_registered_is_not_stored(database):
    assert not await database.write(lambda c: record_state(c, REF, STATE, now=1.0))
    assert await database.read(list_feeds) == []


async def test_registering_again_keeps_what_was_seen(database):
    await database.write(lambda c: register_feed(c, REF, heartbeat=60.0))
    await database.write(lambda c: record_state(c, REF, STATE, now=1.0))
    await database.write(lambda c: register_feed(c, REF, heartbeat=90.0, deviation=Ppb(1)))
    (row,) = await database.read(list_feeds)
    assert (row.heartbeat, row.deviation, row.round) == (90.0, 1, 2**70)


async def test_a_feed_stands_beside_its_remotes(database):
    for ref in (REMOTE, replace(REF, name="BTC/USD"), REF):
        await database.write(lambda c, ref=ref: register_feed(c, ref))
    rows = await database.read(list_feeds)
    assert [(row.ref.name, row.ref.role) for row in rows] == [
        ("BTC/USD", Role.SOURCE),
        ("ETH/USD", Role.SOURCE),
        ("ETH/USD", Role.REMOTE),
    ]
    assert rows[0].price is None


# ---- publications ---------------------------------------------------------------------------------------------------


async def test_a_publication_comes_back_as_it_was(database):
    await database.write(lambda c: add_publication(c, SENT))
    await database.write(lambda c: settle_publication(c, MINED))
    (row,) = await database.read(list_publications)
    assert replace(row, id=0) == MINED


async def test_settling_is_idempotent_and_counts_once(database):
    assert await database.write(lambda c: add_publication(c, SENT))
    assert not await database.write(lambda c: add_publication(c, SENT))
    first = await database.write(lambda c: settle_publication(c, MINED))
    assert sorted(int(value) for value in first.values()) == [1, 10**30]
    for again in (MINED, replace(MINED, state=PublicationState.FINAL), replace(MINED, state=PublicationState.FINAL)):
        assert await database.write(lambda c, again=again: settle_publication(c, again)) == {}
    assert await totals(database) == {"oracle_updates_sent_total": 1, "oracle_fees_paid_wei_total": 10**30}
    assert [event.topic for event in await events(database)] == ["oracle.planned", "oracle.published"]


async def test_a_publication_without_a_row_is_stored_by_its_end(database):
    await database.write(lambda c: settle_publication(c, MINED))
    await database.write(lambda c: add_publication(c, SENT))
    assert [row.state for row in await database.read(list_publications)] == [PublicationState.MINED]


async def test_a_reorg_takes_a_publication_back_and_it_counts_once(database):
    await database.write(lambda c: settle_publication(c, MINED))
    await database.write(lambda c: settle_publication(c, SENT))
    (orphan,) = await database.read(unconfirmed_publications)
    assert orphan.state is PublicationState.BROADCAST
    assert await database.write(lambda c: settle_publication(c, replace(MINED, block_number=8))) == {}
    (row,) = await database.read(unconfirmed_publications)
    assert (row.state, row.block_number) == (PublicationState.MINED, 8)
    assert [event.topic for event in await events(database)] == [
        "oracle.published",
        "oracle.orphaned",
        "oracle.published",
    ]
    assert (await totals(database))["oracle_updates_sent_total"] == 1


async def test_a_publication_that_moved_to_another_block_is_corrected_in_silence(database):
    await database.write(lambda c: settle_publication(c, MINED))
    await database.write(lambda c: settle_publication(c, replace(MINED, block_number=9)))
    assert (await database.read(list_publications))[0].block_number == 9
    assert len(await events(database)) == 1


@pytest.mark.parametrize(
    ("state", "topic", "metric"),
    [
        (PublicationState.PARKED, "oracle.parked", "oracle_answers_parked_total"),
        (PublicationState.REVERTED, "oracle.failed", "oracle_update_errors_total"),
        (PublicationState.REPLACED, "oracle.failed", "oracle_update_errors_total"),
    ],
)
async def test_ends_without_a_round(database, state, topic, metric):
    await database.write(lambda c: add_publication(c, SENT))
    await database.write(lambda c: settle_publication(c, replace(SENT, state=state)))
    assert (await events(database))[-1].topic == topic
    assert await totals(database) == {metric: 1}
    assert [row.state for row in await database.read(unconfirmed_publications)] == [state]
    await database.write(lambda c: settle_publication(c, replace(SENT, state=state, closed=True)))
    assert await totals(database) == {metric: 1}
    assert await database.read(unconfirmed_publications) == []
    assert await database.write(lambda c: settle_publication(c, MINED)) == {}
    assert (await database.read(list_publications))[0].state is state  # a closed end stays the end


@pytest.mark.parametrize("end", [PublicationState.PARKED, PublicationState.REVERTED, PublicationState.REPLACED])
async def test_an_end_that_a_reorg_undid_may_become_a_round_and_all_counts_once(database, end):
    fee = None if end is PublicationState.REPLACED else MINED.fee
    for _ in range(2):
        for now in (replace(SENT, state=end, fee=fee), SENT, MINED):
            await database.write(lambda c, now=now: settle_publication(c, now))
    found = await totals(database)
    failed = "oracle_answers_parked_total" if end is PublicationState.PARKED else "oracle_update_errors_total"
    assert found == {failed: 1, "oracle_updates_sent_total": 1, "oracle_fees_paid_wei_total": 10**30}
    topics = [event.topic for event in await events(database)]
    assert topics[1:3] == ["oracle.orphaned", "oracle.published"]


async def test_a_round_that_a_reorg_turned_into_a_failure_stays_counted_as_a_round(database):
    for now in (MINED, SENT, replace(MINED, state=PublicationState.REVERTED)):
        await database.write(lambda c, now=now: settle_publication(c, now))
    assert await totals(database) == {"oracle_updates_sent_total": 1, "oracle_fees_paid_wei_total": 10**30}


async def test_what_may_still_change_is_found_by_an_index(database):
    def plan(connection):
        asked = []
        listen(connection, "before_cursor_execute", lambda c, cur, sql, args, *_: asked.append((sql, args)))
        unconfirmed_publications(connection)
        ((sql, args),) = asked
        return [row[3] for row in connection.connection.cursor().execute(f"EXPLAIN QUERY PLAN {sql}", args)]

    (step,) = await database.read(plan)
    assert "ix_oracle_publication_open" in step


async def test_a_failure_without_a_transaction_is_counted_and_told(database):
    await database.write(lambda c: record_failure(c, REF, "no_funds", "insufficient funds"))
    (event,) = await events(database)
    assert (event.topic, event.payload["class"], event.payload["detail"]) == (
        "oracle.failed", "no_funds", "insufficient funds",
    )  # fmt: skip
    assert await totals(database) == {"oracle_update_errors_total": 1}


async def test_a_unit_of_work_that_fails_counts_nothing(database):
    def broken(connection):
        settle_publication(connection, MINED)
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        await database.write(broken)
    assert await totals(database) == {}
    assert await events(database) == []
    assert await database.read(list_publications) == []


async def test_freshness_is_told(database):
    await database.write(lambda c: record_freshness(c, REF, stale=True, detail="1 of 2 venues needed"))
    await database.write(lambda c: record_freshness(c, REF, stale=False, detail=""))
    assert [event.topic for event in await events(database)] == ["oracle.stale", "oracle.fresh"]


async def test_pages_run_newest_first_and_meet_without_gap_or_overlap(database):
    for number in range(7):
        made = replace(SENT, key=f"k{number}", round=number, feed=REF if number % 2 else replace(REF, name="BTC/USD"))
        await database.write(lambda c, made=made: add_publication(c, made))
    seen, before = [], None
    while page := await database.read(lambda c, before=before: list_publications(c, before=before, limit=3)):
        seen += [row.round for row in page]
        before = page[-1].id
    assert seen == [6, 5, 4, 3, 2, 1, 0]
    only = await database.read(lambda c: list_publications(c, feed="ETH/USD"))
    assert [row.round for row in only] == [5, 3, 1]
    assert await database.read(lambda c: list_publications(c, chain_id=1)) == []
    assert await database.read(lambda c: list_publications(c, states=(PublicationState.MINED,))) == []
    assert [row.round for row in await database.read(lambda c: known_publications(c, REF, 2))] == [5, 3]


async def test_open_ones_are_found_for_their_own_feed(database):
    other = replace(SENT, key="other", feed=replace(REF, address=Address("0x" + "01" * 20)))
    for made in (SENT, other):
        await database.write(lambda c, made=made: add_publication(c, made))
    assert [row.key for row in await database.read(lambda c: open_publications(c, REF))] == ["k1"]
    await database.write(lambda c: settle_publication(c, MINED))
    assert await database.read(lambda c: open_publications(c, REF)) == []


async def test_recent_fees_are_those_of_the_chain(database):
    for number in range(3):
        made = replace(MINED, key=f"k{number}", fee=number)
        await database.write(lambda c, made=made: settle_publication(c, made))
    assert await database.read(lambda c: recent_fees(c, ChainId(31337), 2)) == [2, 1]
    assert await database.read(lambda c: recent_fees(c, ChainId(1), 2)) == []
