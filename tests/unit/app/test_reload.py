"""What a changed file does to a process: what can change now, what waits for a restart, what is refused."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from seamark.app.names import API, CCIP_MONITOR, ORACLE
from seamark.app.reload import RETRY_S, Reloader, SettingsFile, in_force, restart_needed
from seamark.core.errors import SettingsError, TemporaryError
from seamark.oracle.service import Changes
from seamark.runtime.health import HealthRegistry, Status
from seamark.runtime.service import Service
from seamark.runtime.settings import validate_settings
from seamark.settings import Settings
from tests.unit.oracle.fakes import FakeClock, breathe, until

ADDRESS = "0x" + "fe" * 20
FEED = {"chain": "home", "aggregator": ADDRESS, "heartbeat": "1h", "deviation": "0.5%"}
CHAINS = {"home": {"chain_id": 1, "rpc": ["http://127.0.0.1:1"]}}


def settings(**changes: Any) -> Settings:
    oracle = {"signer": {"private_key_env": "K"}, "feeds": [FEED], **changes.pop("oracle", {})}
    return validate_settings(Settings, {"chains": CHAINS, "oracle": oracle, **changes})


# ---- what can change -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "waits"),
    [
        ({}, []),
        ({"oracle": {"feeds": [{**FEED, "deviation": "1%"}]}}, []),
        ({"oracle": {"watch": [{"name": "x", "chain": "home", "address": ADDRESS}], "watch_interval": "9s"}}, []),
        ({"oracle": {"venues": {"kraken": {"rate": "1/s"}}}}, []),
        ({"oracle": {"signer": {"private_key_env": "OTHER"}}}, ["oracle.signer"]),
        ({"oracle": {"adapter": {"port": 8090}}}, ["oracle.adapter"]),
        ({"oracle": {"replicas": {"lease": "database"}}}, ["oracle.replicas"]),
        ({"database": "sqlite:///other.db"}, ["database"]),
        ({"metrics": {"port": 1}, "health": {"host": "0.0.0.0"}}, ["metrics.port", "health.host"]),
        ({"chains": {**CHAINS, "far": {"chain_id": 2, "rpc": ["http://127.0.0.1:2"]}}}, []),
        ({"chains": {"home": {**CHAINS["home"], "rpc": ["http://127.0.0.1:3"]}}}, ["chains.home.rpc"]),
        ({"chains": {"home": {**CHAINS["home"], "fees": {"legacy": True}}}}, ["chains.home.fees"]),
        ({"logs": {"level": "debug"}, "start_timeout": "1s"}, []),
        ({"api": {"port": 1}, "ccip": {"chains": [{"chain": "home", "router": ADDRESS}]}}, []),  # not run here
        ({"retention": {"messages": "30d"}}, ["retention.messages"]),
    ],
)  # fmt: skip
def test_what_waits_for_a_restart_is_named(changes: dict[str, Any], waits: list[str]) -> None:
    assert restart_needed(settings(), settings(**changes), {ORACLE}, ["home"]) == waits


def test_other_services_sections_matter_where_they_run() -> None:
    wanted = settings(api={"port": 1}, ccip={"chains": [{"chain": "home", "router": ADDRESS}]})
    assert restart_needed(settings(), wanted, {API, CCIP_MONITOR}, ["home"]) == ["ccip.chains", "api.port"]


def test_what_is_in_force_keeps_what_waits() -> None:
    wanted = settings(
        database="sqlite:///other.db",
        chains={"home": {**CHAINS["home"], "label": "Home"}, "far": {"chain_id": 2, "rpc": ["http://127.0.0.1:2"]}},
        oracle={"feeds": [{**FEED, "deviation": "1%"}], "signer": {"private_key_env": "OTHER"}},
        logs={"level": "debug"},
    )
    found = in_force(settings(), wanted, ["home"])
    assert found.oracle.feeds == wanted.oracle.feeds
    assert found.oracle.signer == settings().oracle.signer
    assert (found.database, found.logs.level) == (settings().database, "debug")
    assert found.chains["home"].label is None
    assert found.chains["far"].chain_id == 2
    assert restart_needed(found, wanted, {ORACLE}, ["home"]) == ["database", "oracle.signer", "chains.home.label"]


# ---- the service -----------------------------------------------------------------------------------------------------


class Host:
    def __init__(self) -> None:
        self.health = HealthRegistry()

    def add(self, service: Service) -> None: ...

    async def remove(self, service: Service) -> None: ...


@dataclass
class FakePublishing:
    """Takes or refuses what it is given."""

    opened: list[str] = field(default_factory=lambda: ["home"])
    taken: list[Settings] = field(default_factory=list)
    error: Exception | None = None

    async def prepare(self, wanted: Settings) -> Settings:
        if self.error is not None:
            raise self.error
        return wanted

    async def apply(self, prepared: Settings, host: Host) -> Changes:
        del host
        self.taken.append(prepared)
        return Changes(changed=("ETH/USD",))


@dataclass
class Bed:
    path: Path
    clock: FakeClock
    registry: CollectorRegistry
    publishing: FakePublishing
    reloader: Reloader
    reads: list[str]

    def write(self, text: str) -> None:
        beside = self.path.with_suffix(".new")
        beside.write_text(text)
        beside.replace(self.path)

    async def pass_time(self, seconds: float) -> None:
        """Second by second; the file is read in a thread."""
        for _ in range(int(seconds)):
            await self.clock.advance(1.0)
            await asyncio.sleep(0.01)
            await breathe()

    def sample(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"seamark_config_{name}", labels)


@asynccontextmanager
async def following(tmp_path: Path, read: Callable[[str], Settings] | None = None) -> AsyncIterator[Bed]:
    path, clock, registry, publishing = tmp_path / "s.yaml", FakeClock(), CollectorRegistry(), FakePublishing()
    path.write_text("0.5%")
    reads: list[str] = []

    def parse() -> Settings:
        text = path.read_text()
        reads.append(text)
        if read is not None:
            return read(text)
        if text == "bad":
            raise SettingsError(f"{path}:3: oracle.feeds[0].deviation", "0.5 has no unit", remedy="write 0.5%")
        return settings(oracle={"feeds": [{**FEED, "deviation": text}]})

    host: Any = Host()
    running: Any = publishing
    reloader = Reloader(
        SettingsFile(path, parse),
        settings(),
        {ORACLE},
        publishing=running,
        host=host,
        registry=registry,
        clock=clock,
    )
    task = asyncio.create_task(reloader.run())
    await breathe()
    try:
        yield Bed(path, clock, registry, publishing, reloader, reads)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_file_that_stays_is_not_read(tmp_path: Path) -> None:
    async with following(tmp_path) as bed:
        await bed.pass_time(5)
        os.utime(bed.path)  # touched, and the same
        await bed.pass_time(3)
        assert bed.reads == []
        assert (await bed.reloader.health()).status is Status.OK
        assert bed.sample("hash") is not None
        assert bed.sample("reload_total", result="success") == 0


async def test_a_change_is_taken_once(tmp_path: Path) -> None:
    async with following(tmp_path) as bed:
        before = bed.sample("hash")
        bed.write("1%")
        with capture_logs() as lines:
            await bed.pass_time(4)
        assert bed.reads == ["1%"]
        (taken,) = bed.publishing.taken
        assert taken.oracle.feeds[0].deviation == 10_000_000
        assert [(line["event"], line["why"]) for line in lines] == [("settings taken", "file")]
        assert bed.sample("hash") != before
        assert bed.sample("reload_total", result="success") == 1
        assert bed.sample("last_reload_success_timestamp_seconds") == pytest.approx(bed.clock.now(), abs=4)


async def test_a_file_that_is_still_written_waits(tmp_path: Path) -> None:
    async with following(tmp_path) as bed:
        for text in ("1", "10", "10%"):
            await bed.pass_time(1)
            bed.write(text)
        await bed.pass_time(4)
        assert bed.reads == ["10%"]


async def test_a_mistake_leaves_all_as_it_is_and_is_told_until_it_is_mended(tmp_path: Path) -> None:
    async with following(tmp_path) as bed:
        before = bed.sample("hash")
        bed.write("bad")
        with capture_logs() as lines:
            await bed.pass_time(20)
        assert [(line["event"], line["log_level"]) for line in lines] == [
            ("settings not taken, those before stay", "error")
        ]
        health = await bed.reloader.health()
        assert health.status is Status.DEGRADED
        assert "oracle.feeds[0].deviation: 0.5 has no unit; write 0.5%" in health.detail
        assert bed.publishing.taken == []
        assert (bed.sample("last_reload_successful"), bed.sample("hash")) == (0, before)
        assert bed.sample("reload_total", result="failure") == 1
        bed.write("0.5%")  # as it was before the mistake
        await bed.pass_time(3)
        assert (await bed.reloader.health()).status is Status.OK
        assert bed.sample("last_reload_successful") == 1


async def test_a_file_that_vanishes_is_a_mistake_too(tmp_path: Path) -> None:
    async with following(tmp_path) as bed:
        text = bed.path.read_text()
        bed.path.unlink()
        bed.reloader._file = SettingsFile(bed.path, lambda: missing(bed.path))
        await bed.pass_time(3)
        assert "cannot be read" in (await bed.reloader.health()).detail
        bed.reloader._file = SettingsFile(bed.path, settings)
        bed.write(text)
        await bed.pass_time(3)
        assert (await bed.reloader.health()).status is Status.OK


def missing(path: Path) -> Settings:
    raise SettingsError(str(path), "cannot be read")


async def test_a_chain_that_does_not_answer_is_asked_again(tmp_path: Path) -> None:
    async with following(tmp_path) as bed:
        bed.publishing.error = TemporaryError("no node answers")
        bed.write("2%")
        await bed.pass_time(3)
        assert (await bed.reloader.health()).status is Status.DEGRADED
        bed.publishing.error = None
        await bed.pass_time(RETRY_S + 2)
        assert len(bed.publishing.taken) == 1
        assert (await bed.reloader.health()).status is Status.OK


async def test_a_settings_error_is_not_asked_again(tmp_path: Path) -> None:
    async with following(tmp_path) as bed:
        bed.write("bad")
        await bed.pass_time(3 * RETRY_S)
        assert bed.reads == ["bad"]


async def test_sighup_reads_at_once_though_nothing_changed(tmp_path: Path) -> None:
    async with following(tmp_path) as bed:
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: bed.reads)
        await until(lambda: bed.publishing.taken)
        assert bed.sample("reload_total", result="success") == 1


async def test_what_waits_for_a_restart_shows_until_the_file_takes_it_back(tmp_path: Path) -> None:
    def read(text: str) -> Settings:
        return settings(database=f"sqlite:///{text}.db") if text != "same" else settings()

    async with following(tmp_path, read) as bed:
        bed.write("elsewhere")
        await bed.pass_time(3)
        health = await bed.reloader.health()
        assert (health.status, "database" in health.detail) == (Status.DEGRADED, True)
        assert bed.sample("restart_needed") == 1
        bed.write("same")
        await bed.pass_time(3)
        assert (await bed.reloader.health()).status is Status.OK
        assert bed.sample("restart_needed") == 0
