"""A pretended node over real HTTP: a chain in memory, with the limits that providers set."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any, Self

from aiohttp import web

EMITTER = "0x" + "aa" * 20
TOPIC = "0x" + "11" * 32


class Refusal(Exception):
    """What a handler raises to answer with an error object."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.body = {"code": code, "message": message} | ({} if data is None else {"data": data})


def block_hash(number: int, fork: str = "0") -> str:
    return "0x" + f"{fork}{number:x}".rjust(64, "b")


def make_log(number: int, index: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "address": EMITTER,
        "topics": [TOPIC],
        "data": f"0x{number:064x}",
        "blockNumber": hex(number),
        "blockHash": block_hash(number),
        "transactionHash": "0x" + f"{number:x}".rjust(64, "c"),
        "logIndex": hex(index),
        "removed": False,
    } | changes


class FakeNode:
    """Blocks 0..head, one log in each; an async context manager."""

    def __init__(self, chain_id: int = 1, head: int = 100) -> None:
        self.chain_id = chain_id
        self.head = head
        self.max_range: int | None = None
        self.range_error = "block range too large, maximum allowed is {limit} blocks"
        self.max_results: int | None = None
        self.max_batch: int | None = None
        self.down = False
        self.rate_limited = 0
        self.handlers: dict[str, Callable[..., Any]] = {}
        self.calls: Counter[str] = Counter()
        self.ranges: list[tuple[int, int]] = []
        self.batches: list[int] = []
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_post("/{path:.*}", self._serve)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def header(self, number: int) -> dict[str, Any] | None:
        if not 0 <= number <= self.head:
            return None
        return {
            "number": hex(number),
            "hash": block_hash(number),
            "parentHash": block_hash(number - 1),
            "timestamp": hex(1_700_000_000 + number),
            "logsBloom": "0x" + "00" * 256,
            "baseFeePerGas": "0x7",
            "transactions": ["0x" + "00" * 32],
        }

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if self.down:
            return web.Response(status=503)
        if self.rate_limited:
            self.rate_limited -= 1
            return web.Response(status=429, headers={"Retry-After": "2"})
        body = await request.json()
        batch = body if isinstance(body, list) else [body]
        self.batches.append(len(batch))
        if self.max_batch is not None and len(batch) > self.max_batch:
            error = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "batch too large"}}
            return web.json_response(error)
        replies = [self._answer(call) for call in batch]
        return web.Response(text=json.dumps(replies if isinstance(body, list) else replies[0]))

    def _answer(self, call: dict[str, Any]) -> dict[str, Any]:
        method, params = call["method"], call["params"]
        self.calls[method] += 1
        handler = self.handlers.get(method) or getattr(self, "on_" + method, None)
        try:
            if handler is None:
                raise Refusal(-32601, "Method not found")
            return {"jsonrpc": "2.0", "id": call["id"], "result": handler(*params)}
        except Refusal as refusal:
            return {"jsonrpc": "2.0", "id": call["id"], "error": refusal.body}

    def on_eth_chainId(self) -> str:  # noqa: N802 - named as the method
        return hex(self.chain_id)

    def on_eth_blockNumber(self) -> str:  # noqa: N802
        return hex(self.head)

    def on_eth_getBlockByNumber(self, block: str, full: bool) -> Any:  # noqa: N802
        assert full is False
        if block in ("safe", "finalized"):
            return self.header(max(0, self.head - 10))
        return self.header(self.head if block in ("latest", "pending") else int(block, 16))

    def on_eth_getLogs(self, wanted: dict[str, Any]) -> Any:  # noqa: N802
        assert wanted["address"]
        assert wanted["topics"][0]
        first, last = int(wanted["fromBlock"], 16), int(wanted["toBlock"], 16)
        self.ranges.append((first, last))
        if self.max_range is not None and last - first + 1 > self.max_range:
            raise Refusal(-32000, self.range_error.format(limit=self.max_range))
        if self.max_results is not None and last - first + 1 > self.max_results:
            raise Refusal(-32005, f"query returned more than {self.max_results} results")
        # As real nodes do: nothing beyond the head, and no word about it.
        return [make_log(number) for number in range(first, min(last, self.head) + 1)]
