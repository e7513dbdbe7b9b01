"""What is true, as the nodes themselves tell it, beside what the application says.

`Witness` looks at each event that the application tells, as soon as it is told, and asks the nodes whether it is so.
Every change of a message, a feed or a publication makes an event in the same unit of work; so an application that
never told anything wrong never was in a wrong state. For chains without reorgs: there, what was true stays true.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from seamark.core.ids import Hash32
from seamark.devnet.accounts import Role, account
from seamark.devnet.devnet import Devnet
from seamark.evm.artifacts import load
from seamark.storage.database import Database
from seamark.storage.events import Event, read_events
from seamark.storage.totals import read_totals

__all__ = ["EXECUTED", "SENT", "Witness", "check_publications", "publisher_calls", "sent_messages", "submitted_rounds"]

LOOK_S = 0.1
SENT = Hash32("0x192442a2b2adb6a7948f097023cb6b57d29d3a7a5dd33e6666d33c39cc456f32")
EXECUTED = Hash32("0x05665fe9ad095383d018353f4cbcba77e84db27dd215081bbf7cdf9ae6fbe48b")
NEVER_WITHOUT_REORG = ("message.retracted", "message.reorged", "oracle.orphaned")


class Witness:
    """Compares what is told with what is so. `problems` holds one line for each lie."""

    def __init__(self, devnet: Devnet, database: Database) -> None:
        self._nodes = {int(node.chain_id): node for node in devnet.nodes}
        self._database = database
        self._seen = 0
        self._rounds: dict[str, int] = defaultdict(int)
        self._told: Counter[tuple[str, str]] = Counter()
        self.problems: list[str] = []
        self.topics: Counter[str] = Counter()

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Look again and again, and once more at the end."""
        watch = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch
        await self.look()

    async def _watch(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Check what was told since the last look."""
        for event in await self._database.read(lambda c: read_events(c, self._seen)):
            self._seen = event.id
            self.topics[event.topic] += 1
            if event.topic in NEVER_WITHOUT_REORG:
                self._lie(event, "there was no reorg")
            elif event.topic.startswith("message."):
                await self._message(event)
            elif event.topic == "oracle.published":
                await self._published(event)
            elif event.topic == "feed.updated":
                self._feed(event)

    def _lie(self, event: Event, why: str) -> None:
        self.problems.append(f"{event.topic} {event.key}: {why}")

    async def _message(self, event: Event) -> None:
        said, step = event.payload, event.topic.removeprefix("message.")
        self._told[event.topic, event.key] += 1
        if self._told[event.topic, event.key] > 1:
            self._lie(event, "told twice")
        match step:
            case "sent":
                await self._is_in(event, said["source_chain"], said["sent_tx"], said["sent_block"])
            case "finalized":
                final = await self._nodes[said["source_chain"]].head("finalized")
                if said["sent_block"] > final:
                    self._lie(event, f"block {said['sent_block']} is not final, {final} is")
            case "committed":
                await self._is_in(event, said["destination_chain"], said["committed_tx"])
            case _:
                await self._is_in(event, said["destination_chain"], said["executed_tx"])

    async def _published(self, event: Event) -> None:
        said = event.payload
        self._told[event.topic, said["key"]] += 1
        if self._told[event.topic, said["key"]] > 1:
            self._lie(event, f"round {said['round']} told twice")
        await self._is_in(event, said["chain_id"], said["transaction"], said["block_number"])

    async def _is_in(self, event: Event, chain_id: int, transaction: str, block: int | None = None) -> None:
        receipt = await self._nodes[chain_id].request("eth_getTransactionReceipt", transaction)
        if receipt is None or receipt["status"] != "0x1":
            self._lie(event, f"{transaction} is in no block of chain {chain_id}")
        elif block is not None and int(receipt["blockNumber"], 16) != block:
            self._lie(event, f"{transaction} is in block {int(receipt['blockNumber'], 16)}, not {block}")

    def _feed(self, event: Event) -> None:
        number, address = int(event.payload["round"]), event.payload["address"]
        if number < self._rounds[address]:
            self._lie(event, f"{address}: round {number} after {self._rounds[address]}")
        self._rounds[address] = max(number, self._rounds[address])


# ---- the chains ------------------------------------------------------------------------------------------------------


async def sent_messages(devnet: Devnet) -> set[str]:
    """Ids of all messages that are on the chains, in both directions."""
    found = set()
    for node, chain in zip(devnet.nodes, (devnet.deployment.home, devnet.deployment.remote), strict=True):
        for log in await node.logs(chain.onramp, [SENT], 0, await node.head()):
            # The event's data is the message, a dynamic tuple: an offset, then its first word, the id.
            found.add("0x" + log.data[2 + 64 : 2 + 128])
    return found


async def publisher_calls(devnet: Devnet) -> list[dict[str, Any]]:
    """Every transaction of the publisher's account that is on the chain, in order."""
    node, publisher = devnet.nodes[0], account(Role.PUBLISHER).address
    numbers = range(await node.head() + 1)
    blocks = await node.batch([("eth_getBlockByNumber", (hex(number), True)) for number in numbers])
    return [tx for block in blocks for tx in block["transactions"] if tx["from"] == publisher]


async def submitted_rounds(devnet: Devnet) -> Counter[tuple[str, int]]:
    """(feed contract, round) of each submission that is on the chain."""
    submit = load("OracleWithCCIP").abi.function("submit")
    calls = [tx for tx in await publisher_calls(devnet) if tx["input"].startswith("0x" + submit.selector.hex())]
    return Counter((tx["to"], submit.decode_call(bytes.fromhex(tx["input"][2:]))[0]) for tx in calls)


async def check_publications(devnet: Devnet, database: Database) -> int:
    """Each round once, by one transaction, counted once; nonces without a gap. Returns how many rounds there are."""
    rounds = await submitted_rounds(devnet)
    assert set(rounds.values()) <= {1}, rounds
    for feed in devnet.deployment.feeds:
        numbers = sorted(number for address, number in rounds if address == feed.aggregator)
        assert numbers == list(range(1, len(numbers) + 1))
    totals = await database.read(lambda c: list(read_totals(c, "oracle_updates_sent_total")))
    assert sum(total.value for total in totals) == len(rounds)
    await _check_nonces(devnet, database)
    return len(rounds)


async def _check_nonces(devnet: Devnet, database: Database) -> None:
    """The journal and the chain agree on every nonce, without a hole."""
    node, publisher = devnet.nodes[0], account(Role.PUBLISHER).address
    latest = int(await node.request("eth_getTransactionCount", publisher, "latest"), 16)
    pending = int(await node.request("eth_getTransactionCount", publisher, "pending"), 16)
    calls = await publisher_calls(devnet)
    assert latest == pending == len(calls)
    rows = await database.read(
        lambda c: c.exec_driver_sql(
            "SELECT t.nonce, a.hash FROM evm_transaction t JOIN evm_attempt a ON a.transaction_id = t.id "
            "WHERE t.state = 'confirmed' ORDER BY t.nonce, a.number"
        ).all()
    )
    attempts: dict[int, list[str]] = defaultdict(list)
    for nonce, sent in rows:
        attempts[nonce].append(sent)
    assert sorted(attempts) == list(range(latest))
    assert all(tx["hash"] in attempts[int(tx["nonce"], 16)] for tx in calls)
