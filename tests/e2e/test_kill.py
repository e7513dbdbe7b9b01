"""Killed with SIGKILL fifty times while prices move and messages fly: nothing lost, nothing twice, no nonce gap.

The world (chains, CCIP's oracle network, venues) runs in this process and goes on; publisher and monitor are one
process that is killed at random moments, some of them while it still starts and recovers. At the end the database must
say what the chains say, each fact once.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from seamark.core.ids import Hash32
from seamark.demo import PUBLISHER_KEY, demo_devnet, demo_values
from seamark.devnet.accounts import Role, account
from seamark.devnet.devnet import Devnet
from seamark.evm.artifacts import load
from seamark.messages.model import Stage
from seamark.messages.store import count_by_stage, find_message
from seamark.storage.database import Database, open_database
from seamark.storage.events import read_events
from seamark.storage.totals import read_totals
from tests.support.process import Seamark, write_settings

KILLS = 50
EARLY_KILLS = 10  # of them before it says that it runs
LONGEST_LIFE_S = 2.5
SETTLE_LIMIT_S = 180.0
SENT = Hash32("0x192442a2b2adb6a7948f097023cb6b57d29d3a7a5dd33e6666d33c39cc456f32")
EXECUTED = Hash32("0x05665fe9ad095383d018353f4cbcba77e84db27dd215081bbf7cdf9ae6fbe48b")

OPEN_PUBLICATIONS = """
    SELECT count(*) FROM oracle_publication WHERE state NOT IN ('final', 'reverted', 'replaced', 'parked')
"""

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
async def devnet(tmp_path: Path):
    ports = {"home": 0, "remote": 0, "venues": 0}
    async with Devnet(demo_devnet(tmp_path / "devnet", seed=7, faults=False, ports=ports)) as world:
        yield world


def settings(devnet: Devnet, database: Path, *, deviation: str, heartbeat: str) -> dict[str, Any]:
    values = demo_values(devnet, database=f"sqlite:///{database}")
    for feed in values["oracle"]["feeds"]:
        feed |= {"deviation": deviation, "heartbeat": heartbeat, "poll_interval": "250ms"}
    return {**values, "metrics": {"port": 0}, "health": {"port": 0}, "logs": {"form": "json"}}


async def test_fifty_kills_lose_nothing_and_repeat_nothing(tmp_path: Path, devnet: Devnet) -> None:
    chance = random.Random(20_241)
    database = tmp_path / "seamark.db"
    write_settings(tmp_path, settings(devnet, database, deviation="0.01%", heartbeat="10s"))
    key = {PUBLISHER_KEY: account(Role.PUBLISHER).private_key}

    def seamark(file: str = "seamark.yaml") -> Seamark:
        return Seamark("run", "oracle", "ccip-monitor", "--config", file, folder=tmp_path, environment=key)

    for turn in range(KILLS):
        process = await seamark().start()
        if turn % (KILLS // EARLY_KILLS) == 0:
            await asyncio.sleep(chance.uniform(0.5, 2.5))
        else:
            await process.running()
            await asyncio.sleep(chance.uniform(0, LONGEST_LIFE_S))
        assert process.process.returncode is None, f"it ended by itself: {process.text()}"
        await process.kill()

    write_settings(tmp_path, settings(devnet, database, deviation="99%", heartbeat="24h"), "quiet.yaml")
    last = await seamark("quiet.yaml").start()
    await last.running()
    stored = await open_database(f"sqlite:///{database}", migrate=False)
    try:
        await settled(devnet, stored)
        assert await last.stop() == 0, last.text()
        await check_rounds(devnet, stored)
        await check_nonces(devnet, stored)
        await check_messages(devnet, stored)
    finally:
        await last.kill()
        await stored.close()


async def request(devnet: Devnet, chain: int, method: str, *params: Any) -> Any:
    return await devnet.anvils[chain].request(method, *params)


async def logs(devnet: Devnet, chain: int, address: str, topic: Hash32) -> list[dict[str, Any]]:
    wanted = {"fromBlock": "0x0", "toBlock": "latest", "address": address, "topics": [topic]}
    found: list[dict[str, Any]] = await request(devnet, chain, "eth_getLogs", wanted)
    return found


async def settled(devnet: Devnet, stored: Database) -> None:
    """Until every message that the source chain sent is executed, known so, and no transaction is on its way."""
    async with asyncio.timeout(SETTLE_LIMIT_S):
        while True:
            sent = len(await logs(devnet, 0, devnet.deployment.home.onramp, SENT))
            stages = await stored.read(count_by_stage)
            open_rows = await stored.read(lambda c: c.exec_driver_sql(OPEN_PUBLICATIONS).scalar())
            if stages == {Stage.EXECUTED: sent} and not open_rows:
                return
            await asyncio.sleep(0.5)


async def publisher_calls(devnet: Devnet) -> list[dict[str, Any]]:
    """Every transaction that the publisher's account ever got into a block, in order."""
    publisher = account(Role.PUBLISHER).address
    newest = int(await request(devnet, 0, "eth_blockNumber"), 16)
    found = []
    for number in range(newest + 1):
        block = await request(devnet, 0, "eth_getBlockByNumber", hex(number), True)
        found += [tx for tx in block["transactions"] if tx["from"] == publisher]
    return found


async def check_rounds(devnet: Devnet, stored: Database) -> None:
    """Each round was submitted by exactly one transaction, succeeded, and was counted once."""
    submit = load("OracleWithCCIP").abi.function("submit")
    calls = [tx for tx in await publisher_calls(devnet) if tx["input"].startswith("0x" + submit.selector.hex())]
    rounds = Counter((tx["to"], submit.decode_call(bytes.fromhex(tx["input"][2:]))[0]) for tx in calls)
    assert set(rounds.values()) == {1}
    assert len(rounds) > KILLS, "the publisher hardly published: this proves nothing"
    for feed in devnet.deployment.feeds:
        numbers = sorted(number for address, number in rounds if address == feed.aggregator)
        assert numbers == list(range(1, len(numbers) + 1))
    totals = await stored.read(lambda c: list(read_totals(c, "oracle_updates_sent_total")))
    assert sum(total.value for total in totals) == len(rounds)
    events = await stored.read(lambda c: read_events(c, 0, topics=["oracle.published"], limit=100_000))
    told = Counter((event.payload["address"], int(event.payload["round"])) for event in events)
    assert told == rounds


async def check_nonces(devnet: Devnet, stored: Database) -> None:
    """The journal and the chain agree on every nonce, without a hole."""
    publisher = account(Role.PUBLISHER).address
    latest = int(await request(devnet, 0, "eth_getTransactionCount", publisher, "latest"), 16)
    pending = int(await request(devnet, 0, "eth_getTransactionCount", publisher, "pending"), 16)
    assert latest == pending == len(await publisher_calls(devnet))
    journal = await stored.read(
        lambda c: [
            row[0]
            for row in c.exec_driver_sql(
                "SELECT DISTINCT nonce FROM evm_transaction WHERE chain_id = 138 AND state = 'confirmed' ORDER BY nonce"
            )
        ]
    )
    assert journal == list(range(latest))


async def check_messages(devnet: Devnet, stored: Database) -> None:
    """The ledger holds exactly the chain's messages, each executed, each counted and told once."""
    sent = await logs(devnet, 0, devnet.deployment.home.onramp, SENT)
    executed = {log["topics"][3] for log in await logs(devnet, 1, devnet.deployment.remote.offramp, EXECUTED)}
    assert len(executed) == len(sent)
    for message_id in executed:
        detail = await stored.read(lambda c, wanted=message_id: find_message(c, wanted))  # type: ignore[misc]
        assert detail is not None
        assert detail.message.stage == Stage.EXECUTED
        steps = [str(transition.step) for transition in detail.transitions]
        assert len(steps) == len(set(steps)), steps
        assert set(steps) == {"sent", "finalized", "committed", "executed"}
    totals = await stored.read(lambda c: list(read_totals(c, "ccip_messages_")))
    by_metric: Counter[str] = Counter()
    for total in totals:
        by_metric[total.metric] += int(total.value)
    assert by_metric["ccip_messages_sent_total"] == len(sent)
    assert by_metric["ccip_messages_received_total"] == len(sent)
    events = await stored.read(lambda c: read_events(c, 0, topics=["message."], limit=1_000_000))
    told = Counter((event.topic, event.key) for event in events)
    assert max(told.values()) == 1
    assert sum(number for (topic, _), number in told.items() if topic == "message.executed") == len(sent)
