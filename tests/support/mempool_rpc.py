"""Nodes of one chain with pools of their own, each served as JSON-RPC over HTTP.

    async with Cluster.of("geth", "besu") as cluster:
        chain = Chain(LOCAL, cluster.urls, session=session)
        cluster.views[1].lag = 2            # answers as it was two blocks ago
        cluster.views[0].forgets = True     # says that it took a transaction, and drops it
        cluster.mine()                      # what any of them has in its pool

Blocks are shared, pools are not: what one node took, another may never have seen, as behind a load balancer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

from seamark.core.ids import Address
from seamark.evm.types import BlockHeader, Receipt
from tests.support.mempool import PLAIN_GAS, MemoryNode, decode

HOST = "127.0.0.1"
ELSEWHERE = "0x" + "ab" * 32


class Refusal(Exception):
    """A JSON-RPC error object."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code


@dataclass
class View:
    """One endpoint."""

    node: MemoryNode
    lag: int = 0
    forgets: bool = False  # answers with the hash and keeps nothing
    misnames: bool = False  # answers with another hash
    refuses: tuple[int, str] | None = None  # answers to any transaction
    hangs: bool = False  # never answers to a transaction
    url: str = ""
    sent: int = 0
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _runner: web.AppRunner | None = None

    async def start(self) -> None:
        application = web.Application()
        application.router.add_post("/", self._serve)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, 0).start()
        self.url = f"http://{HOST}:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        self._stopping.set()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.Response:
        body = await request.json()
        calls = body if isinstance(body, list) else [body]
        replies = [await self._reply(call) for call in calls]
        text = json.dumps(replies if isinstance(body, list) else replies[0])
        return web.Response(text=text, content_type="application/json")

    async def _reply(self, call: Mapping[str, Any]) -> dict[str, Any]:
        head = {"jsonrpc": "2.0", "id": call["id"]}
        try:
            return {**head, "result": await self._answer(call["method"], call["params"])}
        except Refusal as refusal:
            return {**head, "error": {"code": refusal.code, "message": str(refusal)}}

    @property
    def _height(self) -> int:
        return max(0, len(self.node.blocks) - 1 - self.lag)

    async def _answer(self, method: str, params: list[Any]) -> Any:  # noqa: PLR0911 - one answer per method
        node = self.node
        match method:
            case "eth_chainId":
                return hex(node.chain_id)
            case "eth_blockNumber":
                return hex(self._height)
            case "eth_getBlockByNumber":
                return self._block(params[0])
            case "eth_getTransactionCount":
                return hex(self._count(Address(params[0]), params[1]))
            case "eth_getBalance":
                return hex(node.funds)
            case "eth_getTransactionReceipt":
                (receipt,) = await node.receipts([params[0]])
                seen = receipt is not None and receipt.block_number <= self._height
                return _receipt(receipt) if receipt is not None and seen else None
            case "eth_sendRawTransaction":
                return await self._take(params[0])
            case "eth_gasPrice":
                return hex(await node.gas_price())
            case "eth_maxPriorityFeePerGas" if node.base_fee is not None:
                return hex(node.market_tip)
            case "eth_feeHistory" if node.base_fee is not None:
                return {"baseFeePerGas": [hex(node.base_fee)] * 2, "reward": [[hex(node.market_tip)]]}
            case "eth_estimateGas":
                return hex(PLAIN_GAS * 2)
        raise Refusal(-32601, f"the method {method} does not exist/is not available")

    def _block(self, tag: str) -> dict[str, Any] | None:
        if tag in ("finalized", "safe"):
            raise Refusal(-39001, "Unknown block")
        number = self._height if tag == "latest" else int(tag, 16)
        return None if number > self._height else _header(self.node.blocks[number].header)

    def _count(self, sender: Address, tag: str) -> int:
        count = self.node.count(sender, self._height if tag in ("latest", "pending") else int(tag, 16))
        while tag == "pending" and (sender, count) in self.node.pool:
            count += 1
        return count

    async def _take(self, raw: str) -> str:
        self.sent += 1
        if self.hangs:
            await self._stopping.wait()
        if self.refuses is not None:
            raise Refusal(*self.refuses)
        tx = decode(bytes.fromhex(raw[2:]))
        refused = None if self.forgets else self.node.take(tx)
        if refused is not None:
            raise Refusal(*refused)
        return ELSEWHERE if self.misnames else tx.hash


@dataclass
class Cluster:
    """Several nodes of one chain."""

    views: list[View]

    @classmethod
    def of(cls, *families: str) -> Self:
        first = MemoryNode(rule=families[0])
        others = [MemoryNode(rule=name, blocks=first.blocks) for name in families[1:]]
        return cls([View(node) for node in (first, *others)])

    @property
    def urls(self) -> list[str]:
        return [view.url for view in self.views]

    @property
    def nodes(self) -> list[MemoryNode]:
        return [view.node for view in self.views]

    def market(self, base_fee: int | None, tip: int) -> None:
        """What the chain asks from now on."""
        for node in self.nodes:
            node.base_fee, node.market_tip = base_fee, tip

    def mine(self, *, room: int = 1_000) -> None:
        """One block of what any node has, the best paid of each nonce."""
        first, base = self.nodes[0], self.nodes[0].base_fee or 0
        known = [tx for node in self.nodes for tx in node.pool.values()]
        first.pool = {(tx.sender, tx.nonce): tx for tx in sorted(known, key=lambda tx: tx.price(base))}
        first.room = room
        first.mine()
        for node in self.nodes:
            node.pool = {key: tx for key, tx in node.pool.items() if tx.nonce >= first.count(tx.sender)}

    async def __aenter__(self) -> Self:
        for view in self.views:
            await view.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for view in self.views:
            await view.stop()


def _header(header: BlockHeader) -> dict[str, Any]:
    fields = {
        "number": hex(header.number),
        "hash": header.hash,
        "parentHash": header.parent_hash,
        "timestamp": hex(header.timestamp),
    }
    return fields if header.base_fee is None else {**fields, "baseFeePerGas": hex(header.base_fee)}


def _receipt(receipt: Receipt) -> dict[str, Any]:
    return {
        "transactionHash": receipt.transaction_hash,
        "blockNumber": hex(receipt.block_number),
        "blockHash": receipt.block_hash,
        "gasUsed": hex(receipt.gas_used),
        "status": hex(int(receipt.succeeded)),
        "effectiveGasPrice": hex(receipt.effective_gas_price),
        "logs": [],
    }
