"""The whole application while its nodes fail: never a wrong word, and back to work in seconds.

Prices move, rounds are published and carried to the other chain, and every request to a node passes a proxy that lies,
stalls or breaks off. Each event of the application is checked against the chains as it is told, and at the end its
ledger must equal that of an undisturbed monitor which reads both chains from the first block on.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from seamark.app import CCIP_MONITOR, ORACLE
from seamark.demo import VENUES
from seamark.devnet.market import VenueFault, VenueFaultKind
from seamark.messages.model import Stage as MessageStage
from seamark.runtime.health import Status
from tests.support.application import Stage, scene
from tests.support.faulty_rpc import BROKEN_REPLIES, Faults, FaultyRpc
from tests.support.ledgers import differences
from tests.support.truth import Witness, check_publications, sent_messages, submitted_rounds

pytestmark = pytest.mark.timeout(300)

BUSY_FEED = {"deviation": "0.01%", "heartbeat": "10s", "poll_interval": "250ms"}
"""A round nearly every second."""

LAG = 20
FELT = 6  # requests that must meet a fault before it ends: more than one try of everybody
SILENCE = Faults(hang=True)


class Act:
    """An application at work, and somebody who checks its every word."""

    def __init__(self, stage: Stage, witness: Witness) -> None:
        self.stage = stage
        self.witness = witness

    @property
    def devnet(self) -> Any:
        return self.stage.devnet

    def spoil(self, faults: Faults, *proxies: FaultyRpc) -> None:
        """From now on, at these proxies (none given: at all)."""
        for proxy in proxies or self.stage.proxies:
            proxy.faults = faults

    def metric(self, name: str) -> float:
        """Sum over all labels."""
        assert self.stage.app is not None
        families = self.stage.app.registry.collect()
        return sum(sample.value for family in families for sample in family.samples if sample.name == name)

    async def grows(self, blocks: int) -> None:
        """Both chains get older."""
        for anvil in self.devnet.anvils:
            await anvil.mine(blocks)

    async def falls_behind(self, *proxies: FaultyRpc) -> None:
        """These know nothing of the last blocks any more."""
        heads = {id(proxy): await node.head() for node, proxies in self._sides() for proxy in proxies}
        for proxy in proxies:
            proxy.faults = Faults(frozen_at=heads[id(proxy)] - LAG)

    def _sides(self) -> list[tuple[Any, list[FaultyRpc]]]:
        return list(zip(self.devnet.nodes, (self.stage.home, self.stage.remote), strict=True))

    async def felt(self, *proxies: FaultyRpc, requests: int = FELT) -> None:
        """Until each of these proxies had so many requests to answer since now."""
        asked = {proxy: proxy.requests for proxy in proxies or self.stage.proxies}

        async def all_felt() -> bool:
            return all(proxy.requests >= before + requests for proxy, before in asked.items())

        await self.stage.until(all_felt, "requests that meet the fault")

    async def goes_on(self) -> None:
        """Until all that is on the chains now is known, and another round was published."""
        sent, rounds = await sent_messages(self.devnet), len(await submitted_rounds(self.devnet))

        async def recovered() -> bool:
            known = await self.stage.messages()
            return sent <= known.keys() and len(await submitted_rounds(self.devnet)) > rounds

        await self.stage.until(recovered, "recovery")

    async def is_well(self) -> None:
        async def well() -> bool:
            return (await self.stage.health())["status"] is Status.OK

        await self.stage.until(well, "health to be ok again")

    async def is_not_well(self, check: str, *statuses: Status) -> None:
        async def unwell() -> bool:
            return (await self.stage.health())["checks"][check]["status"] in statuses

        await self.stage.until(unwell, f"{check} to be {statuses}")

    async def calms_down(self) -> None:
        """The market stands still; until every message is executed and known so, and every publication is final."""
        for venue in VENUES:
            self.devnet.venues.set_fault(venue, VenueFault(VenueFaultKind.DOWN))

        async def settled() -> bool:
            assert self.stage.app is not None
            messages = await self.stage.messages()
            done = {key for key, view in messages.items() if view.stage == MessageStage.EXECUTED}
            return done == await sent_messages(self.devnet) and not await self.stage.app.database.read(_open)

        await self.stage.until(settled, "the end of what was begun")
        await self.stage.catches_up()


def _open(connection: Any) -> int:
    ended = "('final', 'reverted', 'replaced', 'parked')"
    query = f"SELECT count(*) FROM oracle_publication WHERE state NOT IN {ended}"
    return int(connection.exec_driver_sql(query).scalar())


@asynccontextmanager
async def act(folder: Path, *, endpoints: int = 1) -> AsyncIterator[Act]:
    """At the end everything is checked: what was told, each round once, nonces without a gap, the whole ledger."""
    async with scene(folder, endpoints=endpoints, block_time=1.0, feed=BUSY_FEED) as stage:
        async with stage.running(ORACLE, CCIP_MONITOR) as app:
            witness = Witness(stage.devnet, app.database)
            playing = Act(stage, witness)
            async with witness.watching():
                await playing.goes_on()
                yield playing
                await playing.calms_down()
            assert witness.problems == []
            assert playing.metric("tx_orphaned_total") == 0, "there was no reorg"
            rounds = await check_publications(stage.devnet, app.database)
            assert witness.topics["oracle.published"] == rounds
            ours = await stage.ledger()
            assert witness.topics["message.executed"] == len(ours.messages) > 0
        assert differences(ours, await stage.undisturbed()) == []


async def test_each_fault_in_turn(tmp_path: Path) -> None:
    """One endpoint per chain, and it fails completely."""
    async with act(tmp_path) as play:
        for faults in BROKEN_REPLIES.values():
            play.spoil(faults)
            await play.felt()
            play.spoil(Faults())
            await play.goes_on()
        await play.is_well()


async def test_silence(tmp_path: Path) -> None:
    """Requests that are never answered, until each is given up."""
    async with act(tmp_path) as play:
        play.spoil(SILENCE)
        await play.felt(requests=3)
        await play.is_not_well("chain home", Status.DOWN)
        await play.is_not_well("chain remote", Status.DOWN)
        play.spoil(Faults())
        await play.goes_on()
        await play.is_well()


async def test_faults_at_random(tmp_path: Path) -> None:
    """A third of all requests fail, each in its own way."""
    chance = random.Random(4)
    kinds = [*BROKEN_REPLIES.values(), Faults(delay_s=0.5)]

    def choose() -> Faults:
        return chance.choice(kinds) if chance.random() < 1 / 3 else Faults()

    async with act(tmp_path) as play:
        for proxy in play.stage.proxies:
            proxy.choose = choose
        for _ in range(3):
            await play.goes_on()
        for proxy in play.stage.proxies:
            proxy.choose = None
        await play.goes_on()
        await play.is_well()


async def test_the_only_endpoint_falls_behind(tmp_path: Path) -> None:
    """As behind a load balancer whose replicas differ: the chain goes back 20 blocks, and comes again."""
    async with act(tmp_path) as play:
        await play.grows(LAG)
        await play.falls_behind(play.stage.home[0], play.stage.remote[0])
        await play.felt()
        await play.is_not_well("oracle", Status.DEGRADED, Status.DOWN)
        play.spoil(Faults())
        await play.goes_on()
        for _ in range(5):  # to and fro
            await play.falls_behind(play.stage.home[0], play.stage.remote[0])
            await play.felt()
            play.spoil(Faults())
            await play.felt()
        await play.goes_on()
        await play.is_well()


async def test_one_of_two_endpoints_falls_behind(tmp_path: Path) -> None:
    async with act(tmp_path, endpoints=2) as play:
        await play.grows(LAG)
        preferred = [play.stage.home[0], play.stage.remote[0]]
        await play.falls_behind(*preferred)
        await play.goes_on()
        await play.is_not_well("chain home", Status.DEGRADED)
        await play.goes_on()
        for other in (play.stage.home[1], play.stage.remote[1]):
            other.faults = Faults(close=True)
        await play.felt(*preferred)
        play.spoil(Faults())
        await play.goes_on()
        await play.is_well()


async def test_one_of_two_endpoints_omits_logs(tmp_path: Path) -> None:
    """The preferred one, and it never says so."""
    async with act(tmp_path, endpoints=2) as play:
        preferred = (play.stage.home[0], play.stage.remote[0])
        play.spoil(Faults(hide_logs=lambda log: int(log["blockNumber"], 16) % 2 == 0), *preferred)
        for _ in range(3):
            await play.goes_on()
        play.spoil(Faults(hide_logs=lambda log: int(log["logIndex"], 16) % 2 == 0), *preferred)
        for _ in range(3):
            await play.goes_on()
        await play.calms_down()
        assert play.metric("ccip_late_logs_total") > 0


async def test_one_of_two_endpoints_dies_then_both(tmp_path: Path) -> None:
    async with act(tmp_path, endpoints=2) as play:
        play.spoil(Faults(close=True), play.stage.home[0], play.stage.remote[1])
        await play.goes_on()
        await play.is_not_well("chain home", Status.DEGRADED)
        play.spoil(Faults(close=True))
        await play.is_not_well("chain home", Status.DOWN)
        await play.is_not_well("chain remote", Status.DOWN)
        await play.felt()
        play.spoil(Faults())
        await play.goes_on()
        await play.is_well()
        play.spoil(SILENCE, play.stage.home[0], play.stage.remote[0])
        await play.goes_on()
        play.spoil(Faults())
        await play.is_well()
