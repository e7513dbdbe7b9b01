"""The API over the real stores, as a process of its own runs: no signal fires, everything comes from the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest
from sqlalchemy import Connection

from seamark.api.app import create_app
from seamark.api.readers import StoredChains, StoredFeeds, StoredMessages
from seamark.api.service import ApiService
from seamark.api.settings import ApiSettings
from seamark.core.ids import BlockRef, ChainId, Hash32
from seamark.core.units import Ppb
from seamark.messages.store import ChainView, Ledger, save_progress, take_turn
from seamark.oracle.model import PublicationState, Reason
from seamark.oracle.store import add_publication, record_state, register_feed, settle_publication
from seamark.runtime.events import Signal
from seamark.runtime.health import Health, HealthRegistry
from seamark.storage.database import Database, open_database
from tests.unit.api.records import (
    NAMES,
    REMOTE,
    SOURCE,
    committed,
    executed,
    lane_names,
    message_id,
    publication,
    sent,
    state,
)
from tests.unit.api.streams import listening

NOW_S = 1_700_000_050


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await open_database(f"sqlite:///{tmp_path / 'api.db'}")
    yield opened
    await opened.close()


@asynccontextmanager
async def running(database: Database) -> AsyncIterator[str]:
    registry = CollectorRegistry()
    Counter("oracle_updates_sent_total", "Updates sent.", registry=registry)
    health = HealthRegistry()

    async def check() -> Health:
        await database.read(lambda connection: connection.exec_driver_sql("SELECT 1").scalar())
        return Health.ok(database.url)

    health.register("database", check)
    app = create_app(
        database=database,
        feeds=StoredFeeds(database, NAMES),
        messages=StoredMessages(database, NAMES),
        chains=StoredChains(database, NAMES),
        health=health,
        metrics=lambda: generate_latest(registry),
        signal=Signal(),
        names=NAMES,
        version="0.0.0",
        web_root=None,
    )
    service = ApiService(ApiSettings(port=0), app)
    service.bind()
    task = asyncio.create_task(service.run())
    try:
        yield service.url.rstrip("/")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def get(client: aiohttp.ClientSession, url: str) -> Any:
    async with client.get(url) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def record(database: Database, *sightings: Any) -> None:
    def work(connection: Connection) -> None:
        ledger = Ledger(
            connection,
            protocol="ccip",
            names=lane_names,
            heights={ChainId(138): 100},
            now_ms=NOW_S * 1000,
            next_no=take_turn(connection),
        )
        ledger.record(list(sightings))
        ledger.close()

    await database.write(work)


async def test_a_message_from_send_to_execution_live_and_at_rest(database: Database) -> None:
    await database.write(lambda connection: register_feed(connection, SOURCE, heartbeat=60, deviation=Ppb(5_000_000)))
    async with running(database) as url, aiohttp.ClientSession() as client:
        async with listening(client, url, "?topics=message.") as reader:
            await reader.hello()
            seen: list[tuple[str, str]] = []
            for sighting in (sent(1), committed(1, 1, 1_700_000_010), executed(1, 1_700_000_012)):
                await record(database, sighting)
                (event,) = await reader.events(1)
                body = await get(client, f"{url}/api/messages/{event['key']}")
                seen.append((event["topic"], body["stage"]))
        assert seen == [("message.sent", "sent"), ("message.committed", "committed"), ("message.executed", "executed")]
        assert (body["feed"], body["round"]) == ("ETH/USD", "1")
        assert [stage["state"] for stage in body["stages"]] == ["done"] * 4
        (lane,) = (await get(client, f"{url}/api/lanes"))["items"]
        assert lane["stages"] == {"executed": 1}


async def test_a_price_on_both_chains_live_and_at_rest(database: Database) -> None:
    def register(connection: Connection) -> None:
        register_feed(connection, SOURCE, heartbeat=60, deviation=Ppb(5_000_000))
        register_feed(connection, REMOTE)

    await database.write(register)
    async with running(database) as url, aiohttp.ClientSession() as client:
        async with listening(client, url, "?topics=oracle.,feed.") as reader:
            await reader.hello()
            item = publication(1, 200_000_000_000, Reason.FIRST)
            await database.write(lambda c: add_publication(c, replace(item, state=PublicationState.BROADCAST)))
            await database.write(
                lambda c: settle_publication(c, item, state=state(1, 200_000_000_000, 1_700_000_001, 101), now=NOW_S)
            )
            remote = state(1, 200_000_000_000, 1_700_000_001, 7)
            await database.write(lambda c: record_state(c, REMOTE, remote, now=NOW_S))
            topics = [event["topic"] for event in await reader.events(4)]
        assert sorted(topics) == ["feed.updated", "feed.updated", "oracle.planned", "oracle.published"]
        (feed,) = (await get(client, f"{url}/api/feeds"))["items"]
        assert feed["source"]["price"] == feed["destinations"][0]["price"] == "2000.00000000"
        assert feed["destinations"][0]["drift_percent"] == "0.0000"
        (update,) = (await get(client, f"{url}/api/feeds/ETH/USD/updates"))["items"]
        assert (update["reason"], update["state"]) == ("first", "mined")


async def test_every_page_of_a_growing_ledger_shows_each_message_once(database: Database) -> None:
    await record(database, *(sent(number) for number in range(1, 101)))
    async with running(database) as url, aiohttp.ClientSession() as client:
        seen: list[int] = []
        cursor = ""
        while True:
            body = await get(client, f"{url}/api/messages?limit=9{cursor}")
            seen += [int(item["sequence"]) for item in body["items"]]
            await record(database, sent(1000 + len(seen)), committed(1, len(seen), 1_700_000_200))
            if body["next"] is None:
                break
            cursor = f"&cursor={body['next']}"
    assert seen == list(range(100, 0, -1))


async def test_a_reorg_retracts_in_the_open(database: Database) -> None:
    await record(database, sent(1), sent(2))
    async with running(database) as url, aiohttp.ClientSession() as client:
        async with listening(client, url) as reader:
            await reader.hello()

            def orphan(connection: Connection) -> None:
                ledger = Ledger(
                    connection,
                    protocol="ccip",
                    names=lane_names,
                    heights={},
                    now_ms=(NOW_S + 1) * 1000,
                    next_no=take_turn(connection),
                )
                ledger.orphan(ChainId(138), [BlockRef(102, Hash32(f"0x{102:064x}"), Hash32("0x" + "00" * 32), 0)])
                ledger.close()

            await database.write(orphan)
            (event,) = await reader.events(1)
        assert (event["topic"], event["key"]) == ("message.retracted", message_id(2))
        found = (await get(client, f"{url}/api/messages?stage=retracted"))["items"]
        assert [item["id"] for item in found] == [message_id(2)]
        body = await get(client, f"{url}/api/messages/{message_id(2)}")
        assert body["state"] == "retracted"
        assert body["sightings"][0]["retracted"] is True


async def test_a_restarted_api_resumes_the_stream_where_it_broke(database: Database) -> None:
    async with aiohttp.ClientSession() as client:
        async with running(database) as url, listening(client, url) as reader:
            await reader.hello()
            await record(database, sent(1))
            (first,) = await reader.events(1)
        await record(database, sent(2))
        await record(database, sent(3))
        async with (
            running(database) as url,
            listening(client, url, **{"Last-Event-ID": str(first["id"])}) as reader,
        ):
            await record(database, sent(4))
            rest = await reader.events(3)
    assert [event["key"] for event in [first, *rest]] == [message_id(number) for number in range(1, 5)]
    assert len({event["id"] for event in [first, *rest]}) == 4


async def test_operations(database: Database) -> None:
    await database.write(lambda c: save_progress(c, ChainView("ccip", 31337, 0, 5, 9, 1_700_000_000, 1)))
    async with running(database) as url, aiohttp.ClientSession() as client:
        status = await get(client, f"{url}/api/status")
        assert status["ready"] is True
        assert status["chains"][0]["block"] == "9"
        assert status["chains"][0]["chain"]["label"] == "Anvil local"
        assert (await get(client, f"{url}/health"))["checks"]["database"]["detail"] == database.url
        async with client.get(f"{url}/metrics") as response:
            assert "oracle_updates_sent_total 0.0" in await response.text()
        async with client.get(f"{url}/") as response:
            assert response.status == 404
