"""A reporting network as operators run it: four processes, their own keys and databases, one contract on a chain.

The world (chain, venues) runs in this process. Nodes are killed with SIGKILL, started again, and one of them is given
venues that lie; the contract's answers must go on and stay where the honest venues were.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from seamark.app.reporting_network import NetworkTerms, NodeProcess, lay_out, network_plan
from seamark.core.ids import Address
from seamark.devnet.reporting import LatestRound, NodeGauges, ReportingWorld, WorldPlan, read_gauges
from seamark.evm.artifacts import load
from seamark.evm.types import Log
from seamark.oracle.reporting.ceremony import TimingPlan, configure
from seamark.oracle.reporting.contract import encode_set_config
from tests.support.process import SOURCE

FEED = "BTC/USD"
LIMIT_S = 90.0  # a loaded machine starts Python in twenty seconds
LOOK_S = 0.2
TIMING = TimingPlan.model_validate(
    {
        "progress": "5s",
        "resend": "1s",
        "round": "300ms",
        "grace": "100ms",
        "stage": "3s",
        "max_rounds": 20,
        "observation": "1s",
        "report": "2s",
    }
)
TERMS = NetworkTerms(deviation="0.05%", heartbeat="20s", timing=TIMING)
LAG_S = 20  # a price of up to so long ago may be in a report of a machine that is busy
NOISE = Decimal("0.002")  # venues differ from the market by this at most

pytestmark = pytest.mark.timeout(600)


@dataclass
class Network:
    """The processes and the world."""

    world: ReportingWorld
    nodes: list[NodeProcess]

    @property
    def contract(self) -> Address:
        return self.world.contracts[FEED]

    async def latest(self) -> LatestRound:
        return await self.world.latest(self.contract)

    async def gauges(self) -> list[NodeGauges | None]:
        return await read_gauges([node.ports.metrics for node in self.nodes])

    async def gauge(self, node: int, name: str, *labels: str) -> float | None:
        found = (await self.gauges())[node]
        return None if found is None else found.of(name, *labels)

    async def rounds(self, count: int) -> LatestRound:
        """Wait for so many more rounds."""
        before = await self.latest()
        await until(lambda: self._is_at(before.round + count), f"{count} rounds after {before.round}")
        return await self.latest()

    async def _is_at(self, round_id: int) -> bool:
        return (await self.latest()).round >= round_id

    async def leader(self) -> int:
        """The index of the node that most say is leading."""
        told = [found.of("ocr2_experimental_leader_oid") for found in await self.gauges() if found is not None]
        known = [int(index) for index in told if index is not None]
        return max(set(known), key=known.count)

    def is_honest(self, found: LatestRound) -> bool:
        """Whether the market was there."""
        asset = self.world.venues.market.asset(FEED)
        moments = [found.started_at - LAG_S + step / 4 for step in range(4 * (LAG_S + 3))]
        prices = [self.world.venues.market.price(asset, at) for at in moments]
        price = Decimal(found.answer).scaleb(-self.world.plan.decimals)
        return min(prices) * (1 - NOISE) <= price <= max(prices) * (1 + NOISE)

    async def transmissions(self) -> list[Any]:
        """All reports that the contract took, decoded."""
        event = load("ReportingAggregator").abi.event("NewTransmission")
        head = await self.world.node.head()
        logs: list[Log] = await self.world.node.logs(self.contract, [event.topic0], 0, head)
        return [event.decode(log) for log in logs]


async def until(wanted: Callable[[], Awaitable[bool]], what: str) -> None:
    try:
        async with asyncio.timeout(LIMIT_S):
            while not await wanted():  # noqa: ASYNC110 - other processes cannot set an event here
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        raise AssertionError(f"not within {LIMIT_S:.0f} s: {what}") from None


@asynccontextmanager
async def running(folder: Path, plan: WorldPlan) -> AsyncIterator[Network]:
    async with ReportingWorld(plan) as world:
        network = Network(world, await lay_out(folder, 4, world, TERMS))
        try:
            await asyncio.gather(*(node.start() for node in network.nodes))
            await asyncio.gather(*(node.ready() for node in network.nodes))
            yield network
        finally:
            await asyncio.gather(*(node.kill() for node in network.nodes))


async def has_joined(network: Network, node: int) -> bool:
    """It observes, its observations are in reports, and it speaks to all others."""
    included = await network.gauge(node, "ocr2_included_observations_total")
    return bool(included) and await network.gauge(node, "reporting_connected_nodes") == len(network.nodes)


async def test_a_network_outlives_its_nodes_and_their_lies(tmp_path: Path) -> None:
    plan = WorldPlan(seed=5, with_lies=True, market={"volatility": 0.003, "jump_chance": 0.0})
    async with running(tmp_path, plan) as network:
        first = await network.rounds(3)
        assert network.is_honest(first), "answers follow the market"

        await _kill_a_follower(network)
        await _kill_the_leader(network)
        await _let_one_lie(network)
        await _change_the_configuration(network)

        taken = await network.transmissions()
        rounds = [told.epochAndRound for told in taken if told.configDigest == taken[-1].configDigest]
        assert rounds == sorted(set(rounds)), "each round once, in order"
        assert all(len(told.observations) >= 3 for told in taken), "2f + 1 nodes are in each report"
        codes = await asyncio.gather(*(node.stop() for node in network.nodes))
        assert codes == [0, 0, 0, 0]
        for node in network.nodes:
            assert "Traceback" not in node.files.log.read_text(), node.files.log.read_text()[-3000:]


async def _kill_a_follower(network: Network) -> None:
    leader = await network.leader()
    victim = network.nodes[(leader + 1) % 4]
    await victim.kill()
    assert network.is_honest(await network.rounds(3)), "three of four go on"
    await victim.start()
    await until(lambda: has_joined(network, victim.index), "the killed node is back")


async def _kill_the_leader(network: Network) -> None:
    leader = network.nodes[await network.leader()]
    await leader.kill()
    assert network.is_honest(await network.rounds(3)), "another one leads"
    await leader.start()
    await until(lambda: has_joined(network, leader.index), "the killed leader is back")


async def _let_one_lie(network: Network) -> None:
    """Its settings name venues that are 10 % too high: the network takes what it says, and the median does not move."""
    liar = network.nodes[3]
    assert await liar.stop() == 0
    assert network.world.liars is not None
    text = liar.files.settings.read_text().replace(network.world.venues.url, network.world.liars.url)
    liar.files.settings.write_text(text)
    since = len(await network.transmissions())
    await liar.start()
    await until(lambda: has_joined(network, liar.index), "the liar takes part")
    found = [await network.rounds(1) for _ in range(5)]
    assert all(network.is_honest(one) for one in found)
    lies = [told for told in (await network.transmissions())[since:] if max(told.observations) > told.answer * 1.05]
    assert lies, "its lies are in reports, at their end"


async def _change_the_configuration(network: Network) -> None:
    """Without any restart; the epochs begin anew."""
    plan = network_plan([node.files.identity for node in network.nodes], network.world, TERMS)
    await network.world.set_config(network.contract, encode_set_config(configure(plan)))
    before = [told.configDigest for told in await network.transmissions()]
    await network.rounds(2)
    after = [told.configDigest for told in await network.transmissions()]
    assert set(after) - set(before), "reports of the new configuration"


async def test_the_command_runs_a_network_and_stops_it(tmp_path: Path) -> None:
    arguments = ["devnet", "reporting", "--nodes", "4", "--faulty", "1:silent", "--data", "net", "--json"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "seamark", *arguments,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(SOURCE)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(LIMIT_S):
            picture: dict[str, Any] = {}
            while not picture or not picture["feeds"][0]["round"]:
                picture = json.loads(await process.stdout.readline())
        nodes = picture["nodes"]
        assert [node["running"] for node in nodes] == [True, True, True, False]
        assert nodes[3]["fault"] == "silent"
        assert {node["feeds"][0]["connected"] for node in nodes[:3]} == {3}
        assert picture["feeds"][0]["price"] is not None
        assert len(yaml.safe_load((tmp_path / "net" / "network.yaml").read_text())["nodes"]) == 4
        process.send_signal(signal.SIGINT)
        _, errors = await asyncio.wait_for(process.communicate(), LIMIT_S)
        assert process.returncode == 0, errors.decode()
        assert "all stopped" in errors.decode()
        for index in range(3):
            assert '"stopped"' in (tmp_path / "net" / f"node-{index}" / "seamark.log").read_text()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
