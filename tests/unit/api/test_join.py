"""The oracle join over the real stores: rounds, the messages that carried them, and where they stand."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from seamark.api.readers import StoredJoin
from seamark.cli.commands import run_command
from seamark.core.ids import ChainId
from seamark.core.units import Ppb
from seamark.messages.store import ChainView, Ledger, save_progress, take_turn
from seamark.messages.store.payloads import payloads_of
from seamark.oracle.store import record_state, register_feed
from seamark.storage.database import Database, open_database
from tests.unit.api.records import (
    NAMES,
    NOW,
    REMOTE,
    SOURCE,
    committed,
    executed,
    lane_names,
    message_id,
    payload,
    sent,
    state,
)

STRANGER = "0x" + "77" * 20


class StandingClock:
    def now(self) -> float:
        return NOW

    def monotonic(self) -> float:
        return NOW

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("readers do not wait")


def told(connection: Connection, *, remote: bool = True) -> None:
    """Rounds 1 (arrived), 2 (failed), 3 (on its way) of a feed, and a message of a stranger."""
    register_feed(connection, SOURCE, heartbeat=60, deviation=Ppb(5_000_000))
    record_state(connection, SOURCE, state(3, 202_000_000_000, 1_700_000_095, 102), now=NOW)
    if remote:
        register_feed(connection, REMOTE, heartbeat=60)
        record_state(connection, REMOTE, state(1, 200_000_000_000, 1_700_000_001, 55), now=NOW)
    for chain in (138, 31337):
        save_progress(connection, ChainView("ccip", chain, 0, 1000, 1000, 1_700_000_090, 0))
    ledger = Ledger(
        connection,
        protocol="ccip",
        names=lane_names,
        heights={ChainId(138): 1000, ChainId(31337): 1000},
        next_no=take_turn(connection),
        now_ms=1,
    )
    facts = [sent(number) for number in (1, 2, 3)] + [sent(4, sender=STRANGER), committed(1, 3, 1_700_000_020)]
    ledger.record([*facts, executed(1, 1_700_000_030), executed(2, 1_700_000_031, good=False)])
    ledger.close()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await open_database(f"sqlite:///{tmp_path / 'join.db'}")
    yield opened
    await opened.close()


async def test_a_round_is_joined_with_its_message_and_its_arrival(database: Database) -> None:
    await database.write(told)
    join = await StoredJoin(database, NAMES, clock=StandingClock()).join("ETH/USD", 10)
    assert join is not None
    assert (join.source.round, join.source.price, join.source.age_seconds) == ("3", "2020.00000000", 5)
    (there,) = join.destinations
    assert (there.round, there.rounds_behind, there.drift_percent) == ("1", 2, "-0.9901")
    assert (there.waiting, there.failed, there.watched) == (1, 1, True)
    assert there.brought_by is not None
    assert there.brought_by.message == message_id(1)
    assert there.brought_by.carried_seconds == 29  # sent at 1, delivered at 30
    assert there.brought_by.lag_seconds == 29
    assert [item.round for item in join.rounds] == ["3", "2", "1"]
    assert [item.carried[0].stage for item in join.rounds] == ["committed", "failed", "executed"]
    assert [item.carried[0].arrived_at for item in join.rounds[:2]] == [None, None]
    assert join.rounds[2].tx == "0x" + f"{1001:064x}"


async def test_the_newest_rounds_are_enough(database: Database) -> None:
    await database.write(told)
    join = await StoredJoin(database, NAMES, clock=StandingClock()).join("ETH/USD", 1)
    assert join is not None
    assert [item.round for item in join.rounds] == ["3"]
    assert join.destinations[0].brought_by is not None  # looked for among all, not among those shown


async def test_a_destination_that_nobody_reads_is_known_by_its_messages(database: Database) -> None:
    await database.write(lambda connection: told(connection, remote=False))
    join = await StoredJoin(database, NAMES, clock=StandingClock()).join("ETH/USD", 10)
    assert join is not None
    (there,) = join.destinations
    assert there.watched is False
    assert (there.round, there.price, there.rounds_behind) == ("1", "2000.00000000", 2)
    assert there.chain.label == "Anvil local"
    assert there.age_seconds == 99


async def test_a_receiver_that_is_no_longer_sent_to_ends_when_nothing_is_outstanding(database: Database) -> None:
    before = "0x" + "66" * 20

    def moved(connection: Connection, *, arrived: bool) -> None:
        """Rounds 5 and 6 go to another receiver, the next ones to the old one."""
        facts = [sent(5, receiver=before, time=1_699_999_000), committed(5, 5, 1_699_999_100)]
        ledger = Ledger(
            connection,
            protocol="ccip",
            names=lane_names,
            heights={ChainId(138): 1000, ChainId(31337): 1000},
            next_no=take_turn(connection),
            now_ms=1,
        )
        ledger.record([executed(5, 1_699_999_130)] if arrived else facts)
        ledger.close()

    reader = StoredJoin(database, NAMES, clock=StandingClock())
    await database.write(told)
    await database.write(lambda connection: moved(connection, arrived=False))
    join = await reader.join("ETH/USD", 10)
    assert join is not None
    assert [(item.watched, item.waiting) for item in join.destinations] == [(True, 1), (False, 1)]
    await database.write(lambda connection: moved(connection, arrived=True))
    join = await reader.join("ETH/USD", 10)
    assert join is not None
    assert [item.watched for item in join.destinations] == [True], "its rounds go elsewhere now, and all have arrived"


async def test_no_such_feed(database: Database) -> None:
    reader = StoredJoin(database, NAMES)
    assert await reader.join("ETH/USD", 1) is None
    await database.write(lambda connection: register_feed(connection, REMOTE))
    assert await reader.join("ETH/USD", 1) is None  # seen on a destination only: nothing to join with
    assert await reader.feeds() == []


async def test_payloads_by_message(database: Database) -> None:
    await database.write(told)
    found = await database.read(lambda connection: payloads_of(connection, [message_id(1), message_id(9)]))
    assert found == {message_id(1): payload(1)}


def test_the_command_shows_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "join.db")

    async def fill() -> None:
        opened = await open_database(f"sqlite:///{path}")
        await opened.write(told)
        await opened.close()

    def seamark(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["seamark", "oracle", "lanes", *arguments, "--database", path])
        return run_command()

    asyncio.run(fill())
    assert seamark("--rounds", "5") == 0
    out = capsys.readouterr().out
    for words in ("ETH/USD", "2020", "-0.99 %", "1 (-2)", "1 failed", "1 on the way", message_id(1)[:10]):
        assert words in out
    assert seamark("eth/usd", "--json") == 0
    assert '"rounds_behind":2' in capsys.readouterr().out
    assert seamark("BTC/USD") == 2
    assert "known: ETH/USD" in capsys.readouterr().err
