"""The readers over the real stores: what the capabilities wrote is what the API shows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Connection

from seamark.api.cursors import write_cursor
from seamark.api.ports import MessageFilter
from seamark.api.problems import ParameterError
from seamark.api.readers import Observed, StoredChains, StoredFeeds, StoredMessages
from seamark.api.readers.amounts import fee_view, percent_between
from seamark.api.readers.messages import round_of_payload
from seamark.core.ids import BlockRef, ChainId, Hash32
from seamark.core.units import Ppb
from seamark.messages.store import ChainView, Ledger, save_progress, take_turn
from seamark.oracle.model import Reason
from seamark.oracle.store import record_state, register_feed
from seamark.storage.database import Database, open_database
from tests.unit.api.records import (
    AWAY,
    HOME,
    LINK,
    NAMES,
    NOW,
    RECEIVER,
    REMOTE,
    SOURCE,
    committed,
    executed,
    lane_names,
    message_id,
    payload,
    publication,
    publish,
    sent,
    state,
)


class StandingClock:
    def now(self) -> float:
        return NOW

    def monotonic(self) -> float:
        return NOW

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("readers do not wait")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await open_database(f"sqlite:///{tmp_path / 'readers.db'}")
    yield opened
    await opened.close()


# --- feeds ---


@pytest.fixture
async def priced(database: Database) -> None:
    def work(connection: Connection) -> None:
        register_feed(connection, SOURCE, heartbeat=60, deviation=Ppb(5_000_000))
        register_feed(connection, REMOTE, heartbeat=60)
        publish(connection, publication(1, 200_000_000_000, Reason.FIRST))
        publish(connection, publication(2, 202_000_000_000, Reason.DEVIATION))
        record_state(connection, SOURCE, state(2, 202_000_000_000, 1_700_000_095, 102), now=NOW)
        record_state(connection, REMOTE, state(1, 200_000_000_000, 1_700_000_010, 55), now=NOW)

    await database.write(work)


@pytest.mark.usefixtures("priced")
async def test_a_feed_with_its_remote_twin(database: Database) -> None:
    seen = {"ETH/USD": Observed(Decimal("2030.1"), 1_700_000_099.5, 3)}
    (feed,) = await StoredFeeds(database, NAMES, observed=lambda: seen, clock=StandingClock()).feeds()
    assert feed.name == "ETH/USD"
    assert feed.heartbeat_seconds == 60
    assert feed.deviation_threshold_percent == "0.5"
    assert feed.source.price == "2020.00000000"
    assert feed.source.age_seconds == 5
    assert feed.source.stale is False
    assert feed.source.address == "0x5FbDB2315678afecb367f032d93F642f64180aa3"
    assert feed.source.chain.label == "Chain 138"
    (remote,) = feed.destinations
    assert remote.rounds_behind == 1
    assert remote.drift_percent == "-0.9901"
    assert remote.stale is True
    assert remote.chain.selector == "7759470850252068959"
    assert feed.observation is not None
    assert feed.observation.deviation_percent == "0.5000"
    assert feed.observation.at == "2023-11-14T22:14:59.500Z"
    assert [point.price for point in feed.history] == ["2000.00000000", "2020.00000000"]
    assert feed.last_update is not None
    assert feed.last_update.reason == "deviation"
    assert feed.last_update.change_percent == "1.0000"
    assert feed.last_update.fee is not None
    assert feed.last_update.fee.text == "0.00018234 ETH"


@pytest.mark.usefixtures("priced")
async def test_history_follows_the_round_and_the_answer_is_shared_for_a_moment(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = StoredFeeds(database, NAMES, clock=StandingClock())
    before = await reader.feeds()
    await database.write(lambda connection: publish(connection, publication(3, 203_000_000_000, Reason.HEARTBEAT)))
    newer = state(3, 203_000_000_000, 1_700_000_099, 103)
    await database.write(lambda connection: record_state(connection, SOURCE, newer, now=NOW))
    assert await reader.feeds() is before
    monkeypatch.setattr(reader, "_shared_until", 0.0)
    (feed,) = await reader.feeds()
    assert [point.price for point in feed.history][-1] == "2030.00000000"
    assert feed.source.round == "3"


async def test_a_feed_without_an_answer(database: Database) -> None:
    await database.write(lambda connection: register_feed(connection, SOURCE, heartbeat=60, deviation=Ppb(5_000_000)))
    (feed,) = await StoredFeeds(database, NAMES).feeds()
    assert feed.source.price is None
    assert feed.source.round is None
    assert feed.source.stale is True
    assert feed.last_update is None
    assert feed.observation is None
    assert feed.description == "ETH/USD"


@pytest.mark.usefixtures("priced")
async def test_updates_know_what_they_replaced_across_pages(database: Database) -> None:
    reader = StoredFeeds(database, NAMES)
    page = await reader.updates("ETH/USD", None, 1)
    (update,) = page.items
    assert (update.previous_price, update.price) == ("2000.00000000", "2020.00000000")
    assert update.sources == 2
    assert page.next is not None
    last = await reader.updates(None, page.next, 1)
    assert last.items[0].previous_price is None
    assert last.items[0].at == "2023-11-14T22:13:21.250Z"
    assert last.next is None
    with pytest.raises(ParameterError, match="cursor"):
        await reader.updates(None, "zz!", 1)
    assert (await reader.updates(None, write_cursor(0), 5)).items == []


# --- messages ---


@pytest.fixture
async def told(database: Database) -> None:
    """Five messages: executed, failed, committed, sent, and one of a stranger."""

    def work(connection: Connection) -> None:
        register_feed(connection, SOURCE, heartbeat=60, deviation=Ppb(5_000_000))
        save_progress(connection, ChainView("ccip", 138, 0, 103, 110, 1_700_000_090, 2))
        save_progress(connection, ChainView("ccip", 31337, 0, -1, -1, 0, 0))
        ledger = Ledger(
            connection,
            protocol="ccip",
            names=lane_names,
            heights={ChainId(138): 103},
            now_ms=1_700_000_050_000,
            next_no=take_turn(connection),
        )
        ledger.record([sent(1), sent(2), sent(3), sent(4), sent(5, sender=RECEIVER)])
        ledger.record(
            [committed(1, 3, 1_700_000_020), executed(1, 1_700_000_025), executed(2, 1_700_000_026, good=False)]
        )
        ledger.close()

    await database.write(work)


@pytest.mark.usefixtures("told")
async def test_messages_with_the_feed_and_round_they_carry(database: Database) -> None:
    reader = StoredMessages(database, NAMES)
    page = await reader.search(MessageFilter(), None, 10)
    assert [item.sequence for item in page.items] == ["5", "4", "3", "2", "1"]
    stranger, fourth, third, second, first = page.items
    assert (stranger.feed, stranger.round) == (None, None)
    assert (first.feed, first.round) == ("ETH/USD", "1")
    assert [item.state for item in (fourth, third, second, first)] == ["in_flight", "in_flight", "failed", "succeeded"]
    assert first.total_seconds == 24
    assert first.lane.source.label == "Chain 138"
    assert first.fee is not None
    assert first.fee.text == "0.0412 LINK"
    assert first.sender == "0x5FbDB2315678afecb367f032d93F642f64180aa3"
    assert second.failure is not None
    assert (second.failure.kind, second.failure.text) == ("receiver_reverted", "EnforcedPause()")
    assert [stage.state for stage in second.stages] == ["done", "done", "done", "failed"]
    assert third.stages[2].state == "current"
    assert third.stages[2].seconds is not None
    assert [stage.state for stage in fourth.stages][2:] == ["waiting", "waiting"]


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (MessageFilter(stages=("failed",)), ["2"]),
        (MessageFilter(source=HOME, destination=AWAY), ["5", "4", "3", "2", "1"]),
        (MessageFilter(source=AWAY), []),
        (MessageFilter(sender=RECEIVER), ["5"]),
        (MessageFilter(feed="ETH/USD"), ["4", "3", "2", "1"]),
        (MessageFilter(feed="ETH/USD", sender=RECEIVER), []),
        (MessageFilter(feed="nope"), []),
        (MessageFilter(tx=f"0x{2001:064x}"), ["3", "2", "1"]),
        (MessageFilter(ids=(message_id(3),)), ["3"]),
        (MessageFilter(ids=(message_id(3), message_id(1), message_id(99))), ["3", "1"]),
        (MessageFilter(ids=(message_id(3), message_id(1)), stages=("executed",)), ["1"]),
        (MessageFilter(since=1_700_000_003, until=1_700_000_005), ["4", "3"]),
    ],
)
async def test_filters_reach_the_store(database: Database, wanted: MessageFilter, expected: list[str]) -> None:
    page = await StoredMessages(database, NAMES).search(wanted, None, 10)
    assert [item.sequence for item in page.items] == expected


@pytest.mark.usefixtures("told")
async def test_pages_of_messages(database: Database) -> None:
    reader = StoredMessages(database, NAMES)
    first = await reader.search(MessageFilter(), None, 3)
    second = await reader.search(MessageFilter(), first.next, 3)
    assert [item.sequence for item in second.items] == ["2", "1"]
    assert second.next is None
    with pytest.raises(ParameterError, match="cursor"):
        await reader.search(MessageFilter(), "nonsense", 3)


@pytest.mark.usefixtures("told")
async def test_details_of_a_failure(database: Database) -> None:
    found = await StoredMessages(database, NAMES).find(message_id(2))
    assert found is not None
    assert found.round == "2"
    assert found.failure is not None
    assert found.failure.raw == "0xd93c0665"
    assert [item.kind for item in found.sightings] == ["sent", "committed", "executed"]
    assert found.sightings[0].chain.label == "Chain 138"
    assert found.sightings[1].chain.label == "Anvil local"
    assert [stage.block for stage in found.stages] == ["102", None, "501", "602"]
    assert [step.after for step in found.transitions][-1] == "failed"
    assert found.transitions[0].seen_at == "2023-11-14T22:14:10.000Z"


@pytest.mark.usefixtures("told")
async def test_a_retracted_message(database: Database) -> None:
    def orphan(connection: Connection) -> None:
        ledger = Ledger(
            connection,
            protocol="ccip",
            names=lane_names,
            heights={},
            now_ms=1_700_000_060_000,
            next_no=take_turn(connection),
        )
        ledger.orphan(ChainId(138), [BlockRef(104, Hash32(f"0x{104:064x}"), Hash32("0x" + "00" * 32), 0)])
        ledger.close()

    await database.write(orphan)
    found = await StoredMessages(database, NAMES).find(message_id(4))
    assert found is not None
    assert (found.state, found.stage) == ("retracted", "retracted")
    assert found.stages[0].state == "retracted"
    assert found.sightings[0].retracted is True
    assert found.transitions[-1].step == "retracted"


async def test_an_unknown_message(database: Database) -> None:
    assert await StoredMessages(database, NAMES).find(message_id(1)) is None


@pytest.mark.usefixtures("told")
async def test_lanes_and_chains(database: Database) -> None:
    (lane,) = await StoredMessages(database, NAMES).lanes()
    assert lane.total == 5
    assert lane.stages == {"executed": 1, "failed": 1, "committed": 1, "sent": 2}
    assert lane.last_sent == "5"
    assert lane.lane.destination.selector == "7759470850252068959"
    home, away = await StoredChains(database, NAMES)()
    assert (home.block, home.finalized, home.reorgs) == ("110", "103", 2)
    assert home.block_at == "2023-11-14T22:14:50.000Z"
    assert (away.block, away.finalized) == (None, None)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (payload(7), 7),
        (payload(2**80 - 1), 2**80 - 1),
        (payload(2**80), None),
        ("0x" + f"{2:064x}" + payload(7)[66:], None),
        (payload(7) + "00", None),
        ("0x", None),
    ],
)
def test_the_round_in_a_payload(data: str, expected: int | None) -> None:
    assert round_of_payload(data) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("100", "100.5", "0.5000"),
        ("-100", "-101", "-1.0000"),
        ("0", "1", None),
        ("3", "2", "-33.3333"),
        ("1e9", "999999999.9999", "0.0000"),
    ],
)
def test_percentages_are_exact_to_four_places(before: str, after: str, expected: str | None) -> None:
    assert percent_between(Decimal(before), Decimal(after)) == expected


@pytest.mark.parametrize(
    ("amount", "token", "text"),
    [
        (0, None, "0 ETH"),
        (10**18, None, "1 ETH"),
        (182_340_000_000_000, "0x" + "00" * 20, "0.00018234 ETH"),
        (123_456_789_012_345_678_901, LINK, "123.46 LINK"),
        (1, LINK, "0.000000000000000001 LINK"),
        (12345, "0x" + "22" * 20, "12345 base units"),
    ],
)
def test_fees_as_people_read_them(amount: int, token: str | None, text: str) -> None:
    fee = fee_view(amount, token, HOME, NAMES)
    assert fee.text == text
    assert fee.amount == str(amount)
