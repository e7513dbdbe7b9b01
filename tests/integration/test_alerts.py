"""Alerts as processes: two that share a database, one that is killed, a receiver that is away; told once, by whoever
lives.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from seamark.core.findings import Finding, Severity
from seamark.monitoring.alerts import store
from seamark.monitoring.notifications.looking import LEASE_MS
from seamark.storage.database import Database, open_database
from tests.support.process import Seamark, write_settings
from tests.support.receivers import Recorder, recorder

FIRING = Finding(
    kind="cursed",
    subject="138/*",
    severity=Severity.CRITICAL,
    group="curse of besu",
    title="besu is cursed: all lanes stand still",
    labels={"chain": "besu"},
)


def settings(folder: Path, url: str, database: str) -> dict[str, Any]:
    folder.mkdir()
    secret = folder / "url"
    secret.write_text(url)
    secret.chmod(0o600)
    return {
        "database": database,
        "api": {"port": 0},
        "metrics": {"port": 0},
        "health": {"port": 0},
        "logs": {"form": "json"},
        "alerts": {"wait": "0s", "receivers": [{"name": "ops", "webhook": {"file": str(secret)}}]},
    }


async def start(folder: Path, url: str, database: str) -> Seamark:
    write_settings(folder, settings(folder, url, database))
    process = await Seamark("run", "api", folder=folder).start()
    await process.running()
    return process


async def report(database: Database, *findings: Finding) -> None:
    await database.write(lambda c: store.report(c, "checks", findings, int(time.time() * 1000)))


async def until(condition: Callable[[], bool], limit_s: float = 60.0) -> None:
    async with asyncio.timeout(limit_s):
        while True:
            if condition():
                return
            await asyncio.sleep(0.05)


def told(server: Recorder) -> list[tuple[str, int]]:
    bodies = [msgspec.json.decode(request.body) for request in server.requests]
    return [(body["event"], body["delivery"]) for body in bodies]


def leads(process: Seamark) -> bool:
    return any(line.get("event") == "sends alerts" for line in process.lines())


async def test_the_leader_is_killed_and_the_other_goes_on(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/seamark.db"
    database = await open_database(url)
    async with recorder() as server:
        one = await start(tmp_path / "one", server.url, url)
        await until(lambda: leads(one))
        two = await start(tmp_path / "two", server.url, url)
        try:
            await report(database, FIRING)
            await until(lambda: len(told(server)) == 1)
            await one.kill()
            killed_at = time.monotonic()
            await report(database)
            await until(lambda: len(told(server)) == 2)
            assert leads(two)
            assert time.monotonic() - killed_at > LEASE_MS / 1000 - 8, "not before the lease of the killed one ended"
            assert told(server) == [("firing", 1), ("resolved", 2)]
            assert await two.stop() == 0
        finally:
            await one.kill()
            await two.kill()
    await database.close()


async def test_killed_in_the_middle_of_sending_it_is_sent_again_under_the_same_number(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/seamark.db"
    database = await open_database(url)
    async with recorder() as server:
        server.gate.clear()
        one = await start(tmp_path / "one", server.url, url)
        try:
            await report(database, FIRING)
            await until(lambda: len(told(server)) == 1)
            await one.kill()  # the receiver has it; nobody has noted that
            server.gate.set()
            two = await start(tmp_path / "two", server.url, url)
            await until(lambda: len(told(server)) == 2)
            assert told(server) == [("firing", 1), ("firing", 1)]
            first, second = (msgspec.json.decode(request.body) for request in server.requests)
            assert first["dedup_key"] == second["dedup_key"]
            await two.stop()
        finally:
            await one.kill()
    await database.close()


async def test_a_process_that_ends_in_order_hands_over_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/seamark.db"
    database = await open_database(url)
    async with recorder() as server:
        one = await start(tmp_path / "one", server.url, url)
        await until(lambda: leads(one))
        assert await one.stop() == 0
        two = await start(tmp_path / "two", server.url, url)
        try:
            await report(database, FIRING)
            await until(lambda: len(told(server)) == 1)
            assert "hook" not in two.text()
        finally:
            await two.kill()
    await database.close()
