"""The three services as three processes on one database, from the file that `seamark devnet up --write` makes.

Then as an operator watches them: venues that go away and come back, a node that goes away, secrets that must be seen
nowhere.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from seamark.demo import PUBLISHER_KEY
from seamark.devnet.devnet import Devnet
from seamark.runtime.http import make_session
from tests.e2e.conftest import KEY, RunningDevnet
from tests.support.postgres import new_database
from tests.support.process import Seamark, write_settings
from tests.support.world import test_settings

pytestmark = pytest.mark.timeout(240)

HAPPENS_LIMIT_S = 60.0
POLL_S = 0.2
ISSUE_METRICS = {
    "oracle": ["oracle_updates_sent_total", "oracle_update_errors_total"],
    "ccip-monitor": [
        "ccip_messages_sent_total",
        "ccip_messages_received_total",
        "ccip_message_latency_seconds_count",
        "ccip_fees_total",
        "ccip_errors_total",
        "ccip_messages_tracked",
        "ccip_message_failures",
    ],
}


class Running:
    """A started service process and where it answers."""

    def __init__(self, process: Seamark, said: Mapping[str, Any]) -> None:
        self.process = process
        self.metrics_url = f"http://{said['metrics']}/metrics"
        self.health_url = f"http://{said['health']}/health"
        self.api_url = f"{said.get('api', '')}/"


async def get(url: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status in (200, 503), f"{url}: {response.status}"
        text = response.content_type != "application/json"
        return await response.text() if text else await response.json()


async def until(look: Callable[[], Any], limit_s: float = HAPPENS_LIMIT_S) -> Any:
    """The first true answer."""
    async with asyncio.timeout(limit_s):
        while True:
            if found := await look():
                return found
            await asyncio.sleep(POLL_S)


async def well(running: Running) -> None:
    """Until its health is ok: on a busy machine a feed may expire for a moment before its next round is in a block."""
    health: dict[str, Any] = {}

    async def look() -> bool:
        health.update(await get(running.health_url))
        return (health["status"], health["ready"]) == ("ok", True)

    try:
        await until(look)
    except TimeoutError:
        pytest.fail(f"not well: {health}")


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """`start(*services, file=…, **environment)` -> Running; all are ended when the test is."""
    running: list[Seamark] = []

    async def begin(*services: str, file: Path | None = None, **environment: str) -> Running:
        folder = tmp_path / f"{services[0]}-{len(running)}"
        folder.mkdir()
        arguments = ["run", *services, *(["--config", str(file)] if file else [])]
        process = Seamark(*arguments, folder=folder, environment=environment)
        running.append(process)
        await process.start()
        return Running(process, await process.running())

    yield begin
    for process in running:
        if process.process.returncode is None:
            await process.kill()


@asynccontextmanager
async def database_url(engine: str, tmp_path: Path) -> AsyncIterator[str]:
    if engine == "sqlite":
        yield f"sqlite:///{tmp_path / 'seamark.db'}"
    else:
        async with new_database() as url:
            yield url


@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def test_three_processes_share_one_database(
    devnet: RunningDevnet, start: Callable[..., Any], tmp_path: Path, engine: str
) -> None:
    async with database_url(engine, tmp_path) as url:
        values = devnet.values(database=url)
        for feed in values["oracle"]["feeds"]:
            feed["heartbeat"] = "10s"  # the other engine's run may just have published
        file = write_settings(tmp_path, values)
        oracle = await start("oracle", file=file, **{PUBLISHER_KEY: KEY})
        monitor = await start("ccip-monitor", file=file)
        api = await start("api", file=file)

        async def published() -> Any:
            feeds = (await get(f"{api.api_url}api/feeds"))["items"]
            return len(feeds) == 3 and all(feed["source"]["round"] and feed["destinations"] for feed in feeds) and feeds

        async def executed() -> Any:
            found = (await get(f"{api.api_url}api/messages"))["items"]
            done = [item for item in found if item["stage"] == "executed"]
            return len(done) >= 3 and done

        feeds, messages = await until(published), await until(executed)
        assert {feed["source"]["chain"]["label"] for feed in feeds} == {"Chain 138"}
        assert {message["lane"]["destination"]["label"] for message in messages} == {"Chain 31337"}
        detail = await get(f"{api.api_url}api/messages/{messages[0]['id']}")
        assert [stage["name"] for stage in detail["stages"]] == ["sent", "finalized", "committed", "executed"]

        for service, running in (("oracle", oracle), ("ccip-monitor", monitor), ("api", api)):
            await well(running)
            assert (await get(f"{running.health_url}/live")) == {"status": "ok"}
            metrics = await get(running.metrics_url)
            for name in ISSUE_METRICS.get(service, []):
                assert re.search(rf"^(# TYPE )?{name}[{{ ]", metrics, re.MULTILINE), name
            assert "_created{" not in metrics
        sent = re.findall(r"^oracle_updates_sent_total{[^}]*} (\S+)", await get(oracle.metrics_url), re.MULTILINE)
        assert sum(map(float, sent)) >= 3
        for running in (oracle, monitor, api):
            assert await running.process.stop() == 0, running.process.text()
            assert running.process.lines()[-1]["event"] == "stopped"
            assert "Traceback" not in running.process.text()


# ---- what comes and goes --------------------------------------------------------------------------------------------


@pytest.fixture
async def own_world(tmp_path: Path) -> AsyncIterator[Devnet]:
    """A devnet to break."""
    async with Devnet(test_settings(tmp_path / "world", block_time=1), run_network=False, persist=False) as world:
        yield world


async def test_venues_that_go_away_degrade_health_and_come_back(
    devnet: RunningDevnet, start: Callable[..., Any], tmp_path: Path
) -> None:
    values = devnet.values(database=f"sqlite:///{tmp_path / 'venues.db'}")
    feed = {**values["oracle"]["feeds"][0], "max_age": "2s", "sources": ["coinbase", "kraken"]}
    values["oracle"] |= {"feeds": [feed], "watch": []}
    oracle = await start("oracle", file=write_settings(tmp_path, values), **{PUBLISHER_KEY: KEY})
    control = f"{devnet.summary['venues']}/control"

    async def status() -> str:
        found = (await get(oracle.health_url))["checks"]["oracle"]
        return f"{found['status']}: {found['detail']}"

    await until(lambda: _is(status, "ok: "))
    async with make_session() as session:
        for venue in ("coinbase", "kraken"):
            assert (await session.put(f"{control}/{venue}", json={"kind": "down"})).ok
        try:
            await until(lambda: _is(status, "degraded: BTC/USD: 0 of 2 venues needed"))
            assert (await get(f"{oracle.health_url}/ready"))["ready"] is True, "a restart would not help"
            failed = [line for line in oracle.process.lines() if line["event"] == "source failed"]
            assert {line["source"] for line in failed} >= {"coinbase", "kraken"}
            assert all(line["detail"] for line in failed)
        finally:
            for venue in ("coinbase", "kraken"):
                await session.delete(f"{control}/{venue}")
    await until(lambda: _is(status, "ok: "))
    assert await oracle.process.stop() == 0


async def _is(ask: Callable[[], Any], beginning: str) -> str | None:
    answer = await ask()
    return answer if answer.startswith(beginning) else None


async def test_a_node_that_goes_away_stops_nothing(
    own_world: Devnet, start: Callable[..., Any], tmp_path: Path
) -> None:
    router = own_world.deployment.home.router
    environment = {
        "RPC_URL": own_world.home_url, "CCIP_ROUTER_ADDRESS": router, "MONITORING_INTERVAL": "1", "METRICS_PORT": "0",
        "CCIP_CHAIN_SELECTOR": own_world.deployment.home.selector_text, "HEALTH_PORT": "0", "LOG_FORMAT": "json",
    }  # fmt: skip
    monitor = await start("ccip-monitor", **environment)

    async def status() -> str:
        return str((await get(monitor.health_url))["status"])

    await until(lambda: _is(status, "ok"))
    await own_world.anvils[0].kill()
    await until(lambda: _is(status, "down"))
    assert monitor.process.process.returncode is None
    assert "Traceback" not in monitor.process.text()
    assert await monitor.process.stop() == 0


async def test_without_its_exchanges_a_publisher_says_so_and_goes_on(
    devnet: RunningDevnet, start: Callable[..., Any]
) -> None:
    """By environment variables alone the venues are the real ones, which no test may depend on: here they are away."""
    environment = {
        "RPC_URL": devnet.home["rpc"], "AGGREGATOR_ADDRESS": devnet.aggregator, "PRIVATE_KEY": KEY, "HEARTBEAT": "1h",
        "DEVIATION_THRESHOLD": "0.5%", "METRICS_PORT": "0", "HEALTH_PORT": "0",
    }  # fmt: skip
    oracle = await start("oracle", **environment)
    health = await get(oracle.health_url)
    assert set(health["checks"]) == {"database", "chain default", "oracle"}
    assert health["ready"] is True
    metrics = await get(oracle.metrics_url)
    assert 'oracle_source_up{feed="BTC/USD",source="kraken"}' in metrics
    assert await oracle.process.stop() == 0
    assert (oracle.process.log.parent / ".seamark" / "seamark.db").exists()


# ---- secrets --------------------------------------------------------------------------------------------------------

USER, PASSWORD, PATH_KEY = "nodeuser-4e1b", "nodepass-77aa", "pathkey-c0ffee42"
HEADER_KEY = "headerkey-5150dead"


@asynccontextmanager
async def guarded(url: str) -> AsyncIterator[str]:
    """A hosted node: it wants a user, a password and a key in the path."""
    expected = aiohttp.encode_basic_auth(USER, PASSWORD)

    session = aiohttp.ClientSession()

    async def forward(request: web.Request) -> web.StreamResponse:
        assert request.headers["Authorization"] == expected
        assert request.path == f"/v3/{PATH_KEY}"
        async with session.post(url, json=await request.json()) as answer:
            return web.Response(body=await answer.read(), content_type="application/json")

    app = web.Application(client_max_size=2**24)
    app.router.add_post("/{tail:.*}", forward)
    runner = web.AppRunner(app, access_log=None)
    async with session:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://{USER}:{PASSWORD}@127.0.0.1:{runner.addresses[0][1]}/v3/{PATH_KEY}"
        finally:
            await runner.cleanup()


async def test_secrets_are_seen_nowhere(devnet: RunningDevnet, start: Callable[..., Any], tmp_path: Path) -> None:
    database = tmp_path / "secrets.db"
    async with guarded(devnet.home["rpc"]) as node:
        values = devnet.values(database=f"sqlite:///{database}", logs={"form": "json", "level": "debug"})
        values["chains"]["home"]["rpc"] = ["${NODE}"]
        values["oracle"]["signer"] = {"private_key": "${KEY}"}
        for feed in values["oracle"]["feeds"]:
            feed["heartbeat"] = "10s"  # an earlier test may just have published
        own = {"name": "own", "url": f"{devnet.summary['venues']}/gone/{PATH_KEY}", "price": "price"}
        values["oracle"]["feeds"][0]["sources"] += [{**own, "headers": {"X-Api-Key": "${HEADER}"}}]
        file = write_settings(tmp_path, values)
        environment = {"NODE": node, "KEY": KEY, "HEADER": HEADER_KEY}
        running = await start("oracle", "ccip-monitor", "api", file=file, **environment)

        async def messages() -> Any:
            return (await get(f"{running.api_url}api/messages"))["items"]

        async def published() -> bool:
            return "round published" in running.process.text()

        await until(messages)
        await until(published)
        api = running.api_url
        paths = ("", "openapi.json", "api/feeds", "api/messages", "api/updates", "api/lanes", "api/status", "health")
        seen = {f"API /{path}": str(await get(f"{api}{path}")) for path in paths}
        seen["metrics"] = await get(running.metrics_url)
        seen["health"] = str(await get(running.health_url))
        seen["process title"] = title(running.process.process.pid)
        await asyncio.sleep(1)
    await until(lambda: _degraded(running))  # the node is away now: its errors must not name it either
    seen["health without node"] = str(await get(running.health_url))
    assert await running.process.stop() == 0
    seen["log"] = running.process.text()
    for name in ("show", "check"):
        command = Seamark("config", name, "--config", str(file), folder=tmp_path, environment=environment)
        await command.start()
        assert await command.wait() == 0
        seen[f"config {name}"] = command.text()
    seen |= stored(database)
    assert len(seen["config show"]) > 500
    assert "round published" in seen["log"]
    for where, text in seen.items():
        for secret in (USER, PASSWORD, PATH_KEY, HEADER_KEY, KEY, KEY[2:], KEY[2:].upper()):
            assert secret not in text, where


def title(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def stored(database: Path) -> dict[str, str]:
    """The database with what belongs to it."""
    return {kept.name: kept.read_bytes().decode("latin-1") for kept in database.parent.glob(f"{database.name}*")}


async def _degraded(running: Running) -> bool:
    return str((await get(running.health_url))["status"]) != "ok"


@pytest.mark.postgres
async def test_a_password_of_the_database_is_seen_nowhere(start: Callable[..., Any], tmp_path: Path) -> None:
    async with new_database() as url:
        secret = "dbpass-8e7d6c"
        with_password = url.replace("postgres@", f"postgres:{secret}@", 1)
        assert secret in with_password
        api = await start("api", SEAMARK_DATABASE=with_password, API_PORT="0", METRICS_PORT="0", HEALTH_PORT="0")
        seen = [str(await get(api.health_url)), str(await get(api.metrics_url)), str(await get(f"{api.api_url}health"))]
        assert await api.process.stop() == 0
        seen.append(api.process.text())
        assert not any(secret in text for text in seen)
    wrong = Seamark(
        "run", "api", folder=tmp_path, environment={"SEAMARK_DATABASE": f"postgresql://u:{secret}@127.0.0.1:1/name"}
    )
    await wrong.start()
    assert await wrong.wait() == 1
    assert wrong.text().startswith("seamark: database postgresql://127.0.0.1:1/name: ")
    assert wrong.text().rstrip().endswith("check that the server runs")
    assert secret not in wrong.text()
    shutil.rmtree(tmp_path / ".seamark", ignore_errors=True)
