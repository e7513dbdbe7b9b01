"""Settings that change while a publisher publishes: the file is written anew under the running process.

Rounds go on without a gap or a repetition through every change, good or bad; what the chain says is the judge.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from seamark.demo import PUBLISHER_KEY, demo_devnet, demo_values
from seamark.devnet.devnet import Devnet
from seamark.evm.address import parse_address
from seamark.evm.artifacts import load
from seamark.storage.database import open_database
from tests.e2e.conftest import KEY
from tests.support.process import Seamark

pytestmark = pytest.mark.timeout(240)

LIMIT_S = 60.0
HEARTBEAT_S = 4  # so that rounds come all the time: at the latest every 3.6 s
ANSWERS = load("OracleWithCCIP").abi


@pytest.fixture
async def devnet(tmp_path: Path) -> AsyncIterator[Devnet]:
    ports = {"home": 0, "remote": 0, "venues": 0}
    async with Devnet(demo_devnet(tmp_path / "devnet", seed=7, faults=False, ports=ports)) as world:
        yield world


class Bed:
    """The process, its file, and what it says of itself."""

    def __init__(self, devnet: Devnet, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "seamark.yaml"
        self.process = Seamark(
            "run", "oracle", "--config", str(self.file), folder=folder, environment={PUBLISHER_KEY: KEY}
        )
        values = demo_values(devnet, database=f"sqlite:///{folder / 'seamark.db'}")
        self.feeds: list[dict[str, Any]] = [
            {**feed, "heartbeat": f"{HEARTBEAT_S}s", "poll_interval": "250ms", "deviation": "50%"}
            for feed in values["oracle"]["feeds"]
        ]
        self.values = {**values, "metrics": {"port": 0}, "health": {"port": 0}, "logs": {"form": "json"}}
        self.said: dict[str, Any] = {}

    def write(self, *feeds: dict[str, Any], **changes: Any) -> None:
        """As careful people do: a file beside it, then a rename."""
        oracle = {**self.values["oracle"], "feeds": list(feeds), "watch": []}
        beside = self.folder / "new.yaml"
        beside.write_text(yaml.safe_dump({**self.values, "oracle": oracle, **changes}, sort_keys=False))
        beside.replace(self.file)

    async def start(self) -> None:
        await self.process.start()
        self.said = await self.process.running()

    async def get(self, url: str) -> str:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return await response.text()

    async def health(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self.get(f"http://{self.said['health']}/health"))["checks"]
        return found

    async def sample(self, name: str) -> float | None:
        text = await self.get(f"http://{self.said['metrics']}/metrics")
        return next((float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(f"{name} ")), None)

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.process.lines() if line.get("event") == name]


async def until(look: Callable[[], Any], what: str) -> Any:
    try:
        async with asyncio.timeout(LIMIT_S):
            while True:
                found = look()
                if asyncio.iscoroutine(found):
                    found = await found
                if found:
                    return found
                await asyncio.sleep(0.1)
    except TimeoutError:
        pytest.fail(f"not in time: {what}")


async def rounds(devnet: Devnet, address: str) -> list[tuple[int, int]]:
    """(round, its block's time) of every round on chain."""
    node, contract = devnet.nodes[0], parse_address(address)
    latest = await node.read(contract, ANSWERS.function("latestRound"))
    found = [await node.read(contract, ANSWERS.function("getRoundData"), number) for number in range(1, latest + 1)]
    return [(item[0], item[3]) for item in found]


async def test_settings_change_while_rounds_go_on(devnet: Devnet, tmp_path: Path) -> None:
    bed = Bed(devnet, tmp_path)
    btc, eth, _ = bed.feeds
    bed.write(btc)
    try:
        await bed.start()
        await until(lambda: len(bed.events("round published")) >= 2, "rounds")

        bed.write({**btc, "deviation": "0.05%"}, eth)  # a threshold, and one more feed
        (taken,) = await until(lambda: bed.events("settings taken"), "the first change")
        assert (taken["changed"], taken["added"], taken["why"]) == (["BTC/USD"], ["ETH/USD"], "file")
        await until(lambda: [1 for line in bed.events("round published") if line["feed"] == "ETH/USD"], "the new feed")
        assert await bed.sample('oracle_deviation_threshold_ratio{chain="home",feed="BTC/USD"}') == 0.0005

        known = await bed.sample("seamark_config_hash")
        bed.write({**btc, "deviation": 0.5}, eth)  # broken
        (refused,) = await until(lambda: bed.events("settings not taken, those before stay"), "the refusal")
        assert "oracle.feeds[0].deviation: 0.5 has no unit; write 0.5%" in refused["error"].replace(
            ": write", "; write"
        )
        assert ":" in refused["error"].partition("seamark.yaml")[2], "with its line"
        settings = (await bed.health())["settings"]
        assert (settings["status"], settings["required"]) == ("degraded", False)
        assert "oracle.feeds[0].deviation" in settings["detail"]
        assert await bed.sample("seamark_config_last_reload_successful") == 0
        assert await bed.sample('seamark_config_reload_total{result="failure"}') == 1
        assert await bed.sample("seamark_config_hash") == known
        before = len(bed.events("round published"))
        await until(lambda: len(bed.events("round published")) > before + 2, "rounds in spite of it")

        bed.write({**btc, "heartbeat": f"{HEARTBEAT_S - 1}s"}, eth, database="sqlite:///elsewhere.db")  # mended
        await until(lambda: len(bed.events("settings taken")) == 2, "the mended file")
        settings = (await bed.health())["settings"]
        assert settings["detail"] == "in the file, but in force after a restart alone: database"
        assert await bed.sample("seamark_config_restart_needed") == 1
        assert await bed.sample("seamark_config_last_reload_successful") == 1

        bed.write(eth)  # a feed goes
        await until(lambda: bed.events("settings taken")[-1].get("removed") == ["BTC/USD"], "the feed's end")
        assert (await bed.health())["settings"]["status"] == "ok"
        assert await bed.sample('oracle_seconds_since_update{chain="home",feed="BTC/USD"}') is None
        await asyncio.sleep(1)
        ended = await rounds(devnet, btc["aggregator"])

        bed.process.process.send_signal(signal.SIGHUP)
        await until(lambda: bed.events("settings taken")[-1]["why"] == "signal", "SIGHUP")
        assert await bed.process.stop() == 0
    finally:
        if bed.process.process.returncode is None:
            await bed.process.kill()
    assert not [line for line in bed.process.lines() if line.get("event") == "service failed"], bed.process.text()
    assert len(await rounds(devnet, btc["aggregator"])) == len(ended), "nothing of it is published any more"
    gaps = [later - sooner for (_, sooner), (_, later) in itertools.pairwise(ended)]
    assert max(gaps) <= HEARTBEAT_S + 2, "rounds went on through every change"
    await check_once(tmp_path, {btc["aggregator"].lower(): len(ended)})


async def check_once(folder: Path, wanted: dict[str, int]) -> None:
    """Every round was published by one transaction of ours."""
    database = await open_database(f"sqlite:///{folder / 'seamark.db'}")
    try:
        rows = await database.read(
            lambda connection: connection.exec_driver_sql(
                "SELECT lower(address), count(*), count(DISTINCT round) FROM oracle_publication"
                " WHERE state IN ('mined', 'final') GROUP BY lower(address)"
            ).all()
        )
    finally:
        await database.close()
    found = {address: (count, distinct) for address, count, distinct in rows}
    for address, count in wanted.items():
        assert found[address] == (count, count)


async def test_a_config_map_is_followed_through_its_links(devnet: Devnet, tmp_path: Path) -> None:
    """Kubernetes swaps a link to a folder; the file itself, and its path, stay the same."""
    bed = Bed(devnet, tmp_path)
    btc, eth, _ = bed.feeds
    mount = tmp_path / "mount"
    mount.mkdir()
    bed.write(btc)

    def publish(version: str) -> None:
        (mount / version).mkdir()
        bed.file.replace(mount / version / "seamark.yaml")
        (mount / "..new").symlink_to(version)
        (mount / "..new").replace(mount / "..data")

    publish("..1")
    (mount / "seamark.yaml").symlink_to("..data/seamark.yaml")
    bed.process = Seamark(
        "run",
        "oracle",
        "--config",
        str(mount / "seamark.yaml"),
        folder=tmp_path,
        environment={PUBLISHER_KEY: KEY},
    )
    try:
        await bed.start()
        bed.write(btc, eth)
        publish("..2")
        (taken,) = await until(lambda: bed.events("settings taken"), "the other folder")
        assert taken["added"] == ["ETH/USD"]
        assert await bed.process.stop() == 0
    finally:
        if bed.process.process.returncode is None:
            await bed.process.kill()


async def test_a_rehearsal_says_what_it_would_publish_and_touches_nothing(devnet: Devnet, tmp_path: Path) -> None:
    bed = Bed(devnet, tmp_path)
    btc = bed.feeds[0]
    bed.write(btc)
    bed.process = Seamark("run", "oracle", "--dry-run", "--config", str(bed.file), folder=tmp_path)  # without the key
    try:
        await bed.start()
        await until(lambda: len(bed.events("would publish")) >= 2, "two rounds")
        bed.write({**btc, "deviation": "20%"})
        await until(lambda: bed.events("settings taken"), "a reload in a rehearsal")
        assert await bed.process.stop() == 0
    finally:
        if bed.process.process.returncode is None:
            await bed.process.kill()
    first, second = bed.events("would publish")[:2]
    assert (first["round"], first["reason"], first["why"]) == (1, "first", "the feed has no round")
    assert (second["round"], second["reason"]) == (2, "heartbeat")
    assert len(first["used"]) >= 2
    assert "gas_price_wei" in first
    assert not (tmp_path / "seamark.db").exists()
    assert await rounds(devnet, btc["aggregator"]) == []
    assert [line for line in bed.process.lines() if str(line.get("event")).startswith("no account")]


async def test_a_rehearsal_of_an_account_tells_the_cost(devnet: Devnet, tmp_path: Path) -> None:
    bed = Bed(devnet, tmp_path)
    bed.write(bed.feeds[0])
    bed.process = Seamark(
        "run", "oracle", "--dry-run", "--config", str(bed.file), folder=tmp_path, environment={PUBLISHER_KEY: KEY}
    )
    try:
        await bed.start()
        (line, *_) = await until(lambda: bed.events("would publish"), "a round")
    finally:
        await bed.process.kill()
    assert line["gas"] > 50_000
    assert float(line["at_most_ether"]) >= float(line["cost_ether"])
    assert line["gas_price_wei"] >= 0  # the home chain asks for no fees
    assert await rounds(devnet, bed.feeds[0]["aggregator"]) == []
