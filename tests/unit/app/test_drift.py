"""Age and drift of destinations as metrics."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection

from seamark.app.drift import DriftMeter, pairings
from seamark.core.errors import TemporaryError
from seamark.oracle.store import list_feeds, record_state, register_feed
from seamark.storage.database import Database, open_database
from tests.support.clock import FakeClock
from tests.unit.api.records import REMOTE, SOURCE, state

LABELS = {"feed": "ETH/USD", "source": "home", "dest": "away"}


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await open_database(f"sqlite:///{tmp_path / 'drift.db'}")
    yield opened
    await opened.close()


def both(connection: Connection) -> None:
    for ref in (SOURCE, REMOTE):
        register_feed(connection, ref)
    record_state(connection, SOURCE, state(4, 202_000_000_000, 1_700_000_000, 1), now=1.0)
    record_state(connection, REMOTE, state(3, 200_000_000_000, 1_699_999_970, 1), now=1.0)


async def test_age_drift_and_rounds_behind(database: Database) -> None:
    registry, clock = CollectorRegistry(), FakeClock(1_700_000_010.0)
    meter = DriftMeter(database, registry, clock)
    await meter.look()
    assert registry.get_sample_value("oracle_destination_age_seconds", LABELS) is None
    await database.write(both)
    await meter.look()
    assert registry.get_sample_value("oracle_destination_age_seconds", LABELS) == 40
    clock.advance(5)
    assert registry.get_sample_value("oracle_destination_age_seconds", LABELS) == 45
    drift = registry.get_sample_value("oracle_price_drift_ratio", LABELS)
    assert drift == pytest.approx(-0.0099, abs=1e-4)
    assert registry.get_sample_value("oracle_destination_rounds_behind", LABELS) == 1


async def test_what_has_no_price_yet_is_no_number(database: Database) -> None:
    def work(connection: Connection) -> None:
        for ref in (SOURCE, REMOTE):
            register_feed(connection, ref)

    await database.write(work)
    registry = CollectorRegistry()
    await DriftMeter(database, registry, FakeClock()).look()
    for name in ("oracle_destination_age_seconds", "oracle_price_drift_ratio", "oracle_destination_rounds_behind"):
        value = registry.get_sample_value(name, LABELS)
        assert value is not None
        assert math.isnan(value)


async def test_a_destination_without_a_source_is_left_out(database: Database) -> None:
    await database.write(lambda connection: register_feed(connection, REMOTE))
    assert pairings(await database.read(list_feeds)) == []


async def test_a_busy_database_leaves_the_last_values(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await database.write(both)
    registry = CollectorRegistry()
    meter = DriftMeter(database, registry, FakeClock(1_700_000_010.0))
    await meter.look()

    async def busy(_work: object) -> None:
        raise TemporaryError("busy")

    monkeypatch.setattr(database, "read", busy)
    await meter.look()
    assert registry.get_sample_value("oracle_destination_age_seconds", LABELS) == 40
