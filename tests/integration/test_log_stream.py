"""The log stream on a real node: reorgs, rollbacks, restarts, and a proxy that lies, stalls and breaks off."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from seamark.core.ids import Address, ChainId, Hash32
from seamark.devnet.anvil import Anvil
from seamark.evm.logs import LogStream, SilentObserver, StreamSettings
from seamark.evm.logs.bloom import bloom_of
from seamark.evm.rpc import Chain
from seamark.evm.types import LogFilter
from seamark.runtime.http import make_session
from seamark.storage.database import Database, open_database
from tests.support.anvil import ACCOUNT, anvil, deploy, send
from tests.support.faulty_rpc import Faults, FaultyRpc
from tests.support.log_consumer import LogTable

CHAIN = ChainId(138)
TOPIC = Hash32("0x" + "11" * 32)
# PUSH32 topic, CALLDATASIZE, PUSH0, PUSH0, CALLDATACOPY, CALLDATASIZE, PUSH0, LOG1, STOP: logs its calldata
LOGGER = "365f5f37" + "7f" + "11" * 32 + "365fa1" + "00"
CONVERGES_WITHIN_S = 30.0
LOOK_S = 0.02
NODE_IS_BUSY_S = 5.0  # a hanging request is given up after this


class Count(SilentObserver):
    def __init__(self) -> None:
        self.healed = 0
        self.failed = 0
        self.last: Exception | None = None

    def gap_healed(self, logs: int) -> None:
        self.healed += logs

    def poll_failed(self, error: Exception) -> None:
        self.failed += 1
        self.last = error


class Scene:
    """A node with a contract that logs, a consumer, and what both hold."""

    def __init__(self, node: Anvil, logger: Address, session: aiohttp.ClientSession, database: Database) -> None:
        self.node = node
        self.logger = logger
        self.session = session
        self.database = database
        self.table = LogTable(database)
        self.count = Count()
        self.urls = [node.url]

    async def log(self, times: int = 1) -> None:
        """So many blocks with one log each."""
        for _ in range(times):
            await send(self.node, to=self.logger, data="0x" + random.randbytes(8).hex())

    async def truth(self) -> list[tuple[str, int]]:
        wanted = {"address": self.logger, "fromBlock": "0x0", "toBlock": "latest"}
        return [(log["blockHash"], int(log["logIndex"], 16)) for log in await self.node.request("eth_getLogs", wanted)]

    def stream(self, chain: Chain, **options: Any) -> LogStream:
        settings = {"poll_interval_s": 0.02, "longest_pause_s": 0.2, "confirm_pause_s": 0.01} | options
        return LogStream(
            "test",
            reader=chain,
            database=self.database,
            wanted=LogFilter((self.logger,), (TOPIC,)),
            settings=StreamSettings(**settings),
            observer=self.count,
        )

    @property
    def depths(self) -> list[int]:
        return [len(reorg.orphaned) for reorg in self.table.reorgs]

    @asynccontextmanager
    async def following(self, **options: Any) -> AsyncIterator[None]:
        """The service runs meanwhile, and is cut off at the end."""
        chain = Chain(CHAIN, self.urls, session=self.session, deadline_s=NODE_IS_BUSY_S)
        task = asyncio.create_task(self.table.run(self.stream(chain, **options), until=lambda: False))
        try:
            yield
            if task.done():
                task.result()
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await chain.close()

    async def converges(self) -> None:
        """The consumer gets to hold exactly what the node holds, and keeps it."""
        deadline = asyncio.get_running_loop().time() + CONVERGES_WITHIN_S
        while (rows := await self.table.rows()) != (truth := await self.truth()) or self.table.busy:
            if asyncio.get_running_loop().time() > deadline:
                missing, extra = set(truth) - set(rows), set(rows) - set(truth)
                raise AssertionError(f"missing {len(missing)}, too many {len(extra)}, last error: {self.count.last}")
            await asyncio.sleep(LOOK_S)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with anvil(CHAIN) as node, make_session() as session:
        database = await open_database(f"sqlite:///{tmp_path}/seamark.db")
        made = Scene(node, await deploy(node, LOGGER), session, database)
        await made.table.create()
        yield made
        await database.close()


BY_DEPTH: dict[str, Any] = {"finality_tag": None, "finality_depth": 30}


async def test_history_then_live(scene: Scene) -> None:
    await scene.log(60)
    async with scene.following(head_range=10, first_range=7, max_batch_logs=20):
        await scene.converges()
        await scene.log(10)
        await scene.converges()
    assert scene.depths == []
    assert scene.table.finalized[-1].number >= 60


async def test_the_bloom_of_a_real_header_is_ours(scene: Scene) -> None:
    await scene.log()
    block = await scene.node.request("eth_getBlockByNumber", "latest", False)
    assert block["logsBloom"] == bloom_of([scene.logger, TOPIC])


@pytest.mark.parametrize("depth", [1, 4, 12])
async def test_a_reorg_while_following(scene: Scene, depth: int) -> None:
    await scene.log(15)
    async with scene.following(**BY_DEPTH):
        await scene.converges()
        await scene.node.request("anvil_reorg", depth, _again(scene, depth))
        await scene.log(2)
        await scene.converges()
    assert scene.depths == [depth]


async def test_a_reorg_while_stopped_names_exactly_the_orphaned_blocks(scene: Scene) -> None:
    await scene.log(15)
    async with scene.following(**BY_DEPTH):
        await scene.converges()
    old = [await scene.node.request("eth_getBlockByNumber", hex(number), False) for number in range(10, 17)]
    await scene.node.request("anvil_reorg", 6, [])
    async with scene.following(**BY_DEPTH):
        await scene.converges()
    (reorg,) = scene.table.reorgs
    assert reorg.ancestor.hash == old[0]["hash"]
    assert [ref.hash for ref in reorg.orphaned] == [block["hash"] for block in old[:0:-1]]


async def test_a_rollback_is_followed_once_other_blocks_stand_there(scene: Scene) -> None:
    await scene.log(12)
    async with scene.following(**BY_DEPTH):
        await scene.converges()
        await scene.node.request("anvil_rollback", 5)
        await scene.log(2)
        await scene.converges()
    assert scene.depths == [5]


async def test_a_reorg_below_the_nodes_own_finality(scene: Scene) -> None:
    """Anvil calls all but two blocks final, and reorganises them all the same."""
    async with scene.following():
        for _ in range(15):  # one by one, or they are history before they are seen
            await scene.log()
            await scene.converges()
        await scene.node.request("anvil_reorg", 8, [])
        await scene.log(1)
        await scene.converges()
    assert scene.depths == [8]


async def test_many_reorgs_with_restarts_in_between(scene: Scene) -> None:
    chance = random.Random(7)
    for _ in range(6):
        async with scene.following(**BY_DEPTH):
            await scene.log(chance.randint(1, 4))
            await asyncio.sleep(chance.random() / 20)
            await scene.node.request("anvil_reorg", chance.randint(1, 5), [])
            await scene.log(chance.randint(0, 3))
    async with scene.following(**BY_DEPTH):
        await scene.converges()


FAULTS: Sequence[Faults] = (
    Faults(half_reply=True),
    Faults(close=True),
    Faults(status=502),
    Faults(status=429, headers={"Retry-After": "0"}),
    Faults(body=b"[]"),
    Faults(missing_items=1),
    Faults(wrong_ids=True),
    Faults(reversed_order=True),
    Faults(delay_s=0.05),
    Faults(single_error={"code": -32603, "message": "internal error"}),
    Faults(
        error={"code": -32005, "message": "query returned more than 10000 results"}, methods=frozenset({"eth_getLogs"})
    ),
)


async def test_a_node_that_fails_in_every_way_loses_nothing(scene: Scene) -> None:
    async with FaultyRpc(scene.node.url) as proxy:
        scene.urls = [proxy.url]
        async with scene.following():
            for fault in FAULTS:
                proxy.faults = fault
                await scene.log(3)
                await asyncio.sleep(0.1)
            proxy.faults = Faults()
            await scene.log(10)
            await scene.converges()
    assert scene.count.failed
    assert scene.depths == []


async def test_logs_hidden_at_the_head_are_found_at_finality(scene: Scene) -> None:
    async with FaultyRpc(scene.node.url) as proxy:
        scene.urls = [proxy.url]
        await scene.log(2)
        async with scene.following(suspect_tries=1, finality_tag=None, finality_depth=4):
            await scene.converges()
            proxy.faults = Faults(hide_logs=lambda _log: True)
            await scene.log(2)
            await _until(lambda: any(block.ref.number == 5 for block in scene.table.blocks))
            proxy.faults = Faults()
            await scene.log(5)
            await scene.converges()
    assert scene.count.healed == 2


async def test_of_two_endpoints_one_is_twenty_blocks_behind(scene: Scene) -> None:
    await scene.log(25)
    async with FaultyRpc(scene.node.url) as late, FaultyRpc(scene.node.url) as good:
        late.faults = Faults(frozen_at=5)
        scene.urls = [late.url, good.url]
        async with scene.following(**BY_DEPTH):
            await scene.converges()
            await scene.log(3)
            await scene.converges()
    assert scene.depths == []


async def test_a_node_stuck_on_a_dead_fork_beside_a_good_one(scene: Scene) -> None:
    """The stuck one is asked first, and answers every log range below its head without an error."""
    await scene.log(10)
    state = await scene.node.request("anvil_dumpState")
    async with anvil(CHAIN) as stuck:
        await stuck.request("anvil_loadState", state)
        await scene.node.request("anvil_reorg", 3, _again(scene, 3))
        await scene.log(20)
        scene.urls = [stuck.url, scene.node.url]
        async with scene.following(**BY_DEPTH):
            await scene.converges()
            await scene.log(3)
            await scene.converges()


def _again(scene: Scene, depth: int) -> list[Any]:
    """Transactions that the new blocks of an `anvil_reorg` hold: one log in each."""
    message = {"from": ACCOUNT, "to": scene.logger, "data": "0xabcd", "gas": hex(100_000)}
    return [[message, number] for number in range(depth)]


async def _until(condition: Any) -> None:
    async with asyncio.timeout(CONVERGES_WITHIN_S):
        while not condition():  # noqa: ASYNC110 - nor does the consumer
            await asyncio.sleep(LOOK_S)
