"""What a monitor reads: bytes per block of 100 transactions, and how fast it catches up.

Bytes are counted by a proxy before a real anvil, whose blocks hold 100 transactions with 5 logs each and one executing
message; requests and replies both count, uncompressed. The peer is what the reference monitor asks for each block: the
block by number, the block by hash with all transactions, all receipts. Seamark is its log stream as the interop monitor
runs it: one look at the head per block, finality asked for every 15 blocks, all logs compared once more when they are
final. What the checkers read besides is one block's logs of one address for each initiating block.

Anvil has no `eth_getHeaderByNumber`; nodes of OP Stack chains (op-geth, op-reth) have. The second row is with a proxy
that answers it from anvil's block, leaving out what they leave out.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import aiohttp
from aiohttp import web

from bench.report import Row
from seamark.core.ids import ChainId
from seamark.devnet.anvil import Anvil, AnvilOptions
from seamark.evm.logs import LogStream, StreamSettings
from seamark.evm.ports import Block, ChainReader
from seamark.evm.rpc import Chain
from seamark.evm.types import LogFilter
from seamark.messages.protocols.op_interop import Network, events
from seamark.messages.protocols.op_interop.recording import JobStream
from seamark.runtime.http import make_session
from seamark.storage.database import open_database

HOW = (
    "One anvil, blocks of 100 transactions with 5 logs each and one executing message; a proxy counts request and "
    "reply bytes, uncompressed. Peer: what the reference monitor asks per block (block by number, block with all "
    "transactions, all receipts). Catch-up: 20,000 blocks of a chain in memory with a message in every tenth, into "
    "SQLite."
)
CHAIN = ChainId(902)
BLOCKS = 60
TRANSACTIONS = 100
LOGS = 5
FINALITY_EVERY_BLOCKS = 15  # half a minute of blocks of 2 s: the interop monitor's own setting
TARGET = 100
ACCOUNT = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
INBOX_CODE = "0x60a0600460003760a4357f" + events.EXECUTING.topic0[2:] + "60a06000a200"
SPEAKER = "0x" + "0c" * 20
SPEAKER_CODE = "0x" + "60006000526020600060006000a1" * 0 + "6001600260036020600fa3" * LOGS + "00"  # 5 logs of 3 topics
LEFT_OUT = ("transactions", "uncles", "withdrawals", "size", "totalDifficulty")


class Proxy:
    """Counts; with `headers` it knows eth_getHeaderByNumber."""

    def __init__(self, target: str, *, headers: bool) -> None:
        self._target = target
        self._headers = headers
        self.bytes = 0
        self.calls: Counter[str] = Counter()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        application = web.Application(client_max_size=2**26)
        application.router.add_post("/", self._answer)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with aiohttp.ClientSession() as self._session:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        asked = json.loads(body)
        calls = asked if isinstance(asked, list) else [asked]
        self.calls.update(call["method"] for call in calls)
        small = {call["id"] for call in calls if self._headers and call["method"] == "eth_getHeaderByNumber"}
        for call in calls:
            if call["id"] in small:
                call["method"], call["params"] = "eth_getBlockByNumber", [call["params"][0], False]
        async with self._session.post(self._target, json=asked) as response:
            raw = await response.read()
        if small:
            replies = json.loads(raw)
            for reply in replies if isinstance(replies, list) else [replies]:
                if reply["id"] in small and reply.get("result"):
                    reply["result"] = {k: v for k, v in reply["result"].items() if k not in LEFT_OUT}
            raw = json.dumps(replies, separators=(",", ":")).encode()
        self.bytes += len(body) + len(raw)
        return web.Response(body=raw, content_type="application/json")


async def mine(node: Anvil) -> None:
    """One block."""
    nonce = int(await node.request("eth_getTransactionCount", ACCOUNT, "latest"), 16)
    for at in range(TRANSACTIONS):
        if at:
            call: dict[str, str] = {"to": SPEAKER, "data": "0x"}
        else:
            words = (int("0a" * 20, 16), 1, 0, 1_700_000_000, 901, 0x77)
            call = {"to": events.INBOX, "data": "0xab4d6f75" + "".join(f"{item:064x}" for item in words)}
        message = {"from": ACCOUNT, "gas": hex(100_000), "nonce": hex(nonce + at), **call}
        await node.request("eth_sendTransaction", message)
    await node.request("evm_mine")


async def peer_bytes(node: Anvil) -> int:
    """What the reference monitor asks for one block."""
    proxy = Proxy(node.url, headers=False)
    async with proxy.serve() as url, aiohttp.ClientSession() as session:
        latest: Any = await node.request("eth_getBlockByNumber", "latest", False)
        for method, params in (
            ("eth_getBlockByNumber", [latest["number"], False]),
            ("eth_getBlockByHash", [latest["hash"], True]),
            ("eth_getBlockReceipts", [latest["hash"]]),
        ):
            async with session.post(url, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params}) as reply:
                answer = await reply.json()
                assert answer.get("result"), answer
    return proxy.bytes


class StepClock:
    """The stream's sleep mines the next block, so there is one look at the head per block."""

    def __init__(self, node: Anvil) -> None:
        self._node = node
        self._now = 0.0

    def now(self) -> float:
        return 1_700_000_000.0 + self._now

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self._now += seconds
        if seconds >= 1:
            await mine(self._node)


async def our_bytes(node: Anvil, *, headers: bool) -> tuple[float, Counter[str]]:
    """Per block, once everything is learned."""
    proxy = Proxy(node.url, headers=headers)
    clock = StepClock(node)
    with tempfile.TemporaryDirectory() as folder:
        database = await open_database(f"sqlite:///{Path(folder) / 'bench.db'}")
        async with proxy.serve() as url, make_session() as session:
            chain = Chain(CHAIN, [url], session=session)
            head = await chain.header("latest")
            assert head is not None
            stream = LogStream(
                "bench",
                reader=chain,
                database=database,
                wanted=LogFilter(events.WATCHED_ADDRESSES, events.WATCHED_TOPICS),
                settings=StreamSettings(
                    start_block=head.number, poll_interval_s=1, finality_interval_s=FINALITY_EVERY_BLOCKS
                ),
                clock=clock,
            )
            network = Network(frozenset({901, 902}))
            jobs = JobStream(stream, network, now=clock.now, followed=lambda _: None)
            first = begun = found = 0
            counted: Counter[str] = Counter()
            async with aclosing(jobs.batches()) as batches:
                async for batch in batches:
                    await database.write(batch.save)
                    told = [event for event in batch.events if isinstance(event, Block)]
                    found += sum(len(event.logs) for event in told)
                    if told and not first and found > FINALITY_EVERY_BLOCKS:
                        first, begun, found = told[-1].ref.number, proxy.bytes, 0
                        counted = proxy.calls.copy()
                    if told and first and told[-1].ref.number >= first + BLOCKS:
                        break
            assert found == BLOCKS, f"{found} messages in {BLOCKS} blocks"
            await chain.close()
        await database.close()
    return (proxy.bytes - begun) / BLOCKS, proxy.calls - counted


async def volume() -> list[Row]:
    rows = []
    async with Anvil(AnvilOptions(chain_id=CHAIN)) as node:
        await node.request("evm_setAutomine", False)
        await node.request("anvil_setCode", events.INBOX, INBOX_CODE)
        await node.request("anvil_setCode", SPEAKER, SPEAKER_CODE)
        await mine(node)
        peer = await peer_bytes(node)
        for headers, what in ((True, "node with eth_getHeaderByNumber (op-geth, op-reth)"), (False, "anvil as it is")):
            ours, calls = await our_bytes(node, headers=headers)
            ratio = peer / ours
            requests = sum(calls.values()) / BLOCKS
            rows.append(
                Row(
                    f"read per block of {TRANSACTIONS} transactions, {what}",
                    f"{ours / 1000:.2f} kB in {requests:.1f} calls",
                    f"all receipts: {peer / 1000:.0f} kB in 3 calls",
                    f"{ratio:.0f}x",
                    f">= {TARGET}x" if headers else "",
                    ratio >= TARGET if headers else None,
                )
            )
    return rows


async def run() -> list[Row]:
    return [*await volume(), await catch_up()]


async def catch_up() -> Row:
    """Blocks per second from a node in memory to stored jobs, as after an outage."""
    from bench.interop_history import HistoryReader  # noqa: PLC0415 - only here

    reader = HistoryReader(CHAIN)
    with tempfile.TemporaryDirectory() as folder:
        database = await open_database(f"sqlite:///{Path(folder) / 'bench.db'}")
        wanted = LogFilter(events.WATCHED_ADDRESSES, events.WATCHED_TOPICS)
        stream = LogStream("bench", reader=cast(ChainReader, reader), database=database, wanted=wanted)
        jobs = JobStream(stream, Network(frozenset({901, 902})), now=time.time, followed=lambda _: None)
        started = time.perf_counter()
        seen = 0
        async with aclosing(jobs.batches()) as batches:
            async for batch in batches:
                await database.write(batch.save)
                seen += sum(len(getattr(event, "logs", ())) for event in batch.events)
                if seen >= reader.messages:
                    break
        spent = time.perf_counter() - started
        await database.close()
    assert seen == reader.messages
    speed = reader.blocks / spent
    return Row(
        f"catch up on {reader.blocks:,} blocks of one chain",
        f"{speed:,.0f} blocks/s",
        "reference: 1 block/s, by its ticker",
        f"{speed:,.0f}x",
        ">= 100 blocks/s",
        speed >= 100,
    )


if __name__ == "__main__":
    for row in asyncio.run(run()):
        print(row)
