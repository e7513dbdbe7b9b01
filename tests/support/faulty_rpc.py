"""A JSON-RPC proxy that lies, stalls and breaks off on request, in front of a real (or pretended) node.

    async with FaultyRpc(node.url) as proxy:
        chain = Chain(31337, [proxy.url], session=session)
        proxy.faults = Faults(half_reply=True)      # from now on
        proxy.fail_next(2, Faults(status=500))      # the next two HTTP requests only
        proxy.choose = lambda: random.choice(some)  # other faults for each request
        proxy.choose, proxy.faults = None, Faults() # healthy again

Everything is switchable while requests are under way; each HTTP request takes the faults in force at its start.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp
from aiohttp import web

__all__ = ["BROKEN_REPLIES", "Faults", "FaultyRpc"]

HOST = "127.0.0.1"
TAG_PLACE = {
    "eth_getBlockByNumber": 0,
    "eth_call": 1,
    "eth_getBalance": 1,
    "eth_getCode": 1,
    "eth_getTransactionCount": 1,
}
"""Where a method's parameters name the block."""

DEPTH_OF_TAG = {"latest": 0, "pending": 0, "safe": 1, "finalized": 2}
"""Blocks below the head, as anvil has them with one slot in an epoch."""


@dataclass(frozen=True)
class Faults:
    """What goes wrong. Faults of one request add up; the first that replaces the whole reply wins, in this order."""

    hang: bool = False
    """Accept the request and never answer."""

    delay_s: float = 0.0
    """Answer late."""

    close: bool = False
    """Close the connection without an answer."""

    status: int | None = None
    """Answer with this HTTP status and a page of HTML."""

    headers: dict[str, str] = field(default_factory=dict)
    """Headers to add, such as Retry-After."""

    body: bytes | None = None
    """Answer with these bytes and status 200."""

    half_reply: bool = False
    """Announce the whole length, send half of it and close."""

    error: dict[str, Any] | None = None
    """Answer each call (of `methods`) with this JSON-RPC error object."""

    single_error: dict[str, Any] | None = None
    """Answer the whole batch with one error object without an id."""

    missing_items: int = 0
    """Leave out the last calls' answers."""

    duplicated_items: bool = False
    """Answer the first call twice, and the last not at all."""

    wrong_ids: bool = False
    """Answer calls that were not made."""

    reversed_order: bool = False
    """Answer in reverse order: allowed by the specification."""

    frozen_at: int | None = None
    """Know nothing of blocks above this one."""

    hide_logs: Callable[[dict[str, Any]], bool] | None = None
    """Silently leave out these logs."""

    rewrite: Callable[[str, Any, Any], Any] | None = None
    """(method, params, result) -> result."""

    methods: frozenset[str] | None = None
    """Only for calls of these methods (`error`), None: for all."""


_TROUBLE = {"code": -32000, "message": "internal trouble"}

BROKEN_REPLIES = {
    "connection reset": Faults(close=True),
    "half a reply": Faults(half_reply=True),
    "too many requests": Faults(status=429, headers={"Retry-After": "1"}),
    "server error": Faults(status=500),
    "bad gateway": Faults(status=502),
    "HTML": Faults(body=b"<!DOCTYPE html><html><body>Just a moment...</body></html>"),
    "no body": Faults(body=b""),
    "answers missing": Faults(missing_items=1),
    "an answer twice": Faults(duplicated_items=True),
    "foreign answers": Faults(wrong_ids=True),
    "error objects": Faults(error=_TROUBLE),
    "one error for all": Faults(single_error=_TROUBLE),
}
"""Every way in which a node's reply is of no use and says so, soon."""


class FaultyRpc:
    """The proxy; an async context manager. `requests` and `calls` count what arrived."""

    def __init__(self, upstream: str) -> None:
        self.faults = Faults()
        self.choose: Callable[[], Faults] | None = None
        self.requests = 0
        self.calls: Counter[str] = Counter()
        self.batches: list[int] = []
        self._upstream = upstream
        self._next: list[Faults] = []
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self._stopping = asyncio.Event()
        self.url = ""

    def fail_next(self, count: int, faults: Faults) -> None:
        """Use `faults` for the next HTTP requests, then what is in `self.faults`."""
        self._next = [faults] * count

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        application = web.Application(client_max_size=64 * 1024 * 1024)
        application.router.add_post("/{path:.*}", self._serve)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, 0).start()
        self.url = f"http://{HOST}:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping.set()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        faults = self._next.pop() if self._next else self.choose() if self.choose else self.faults
        body = await request.json()
        batch = body if isinstance(body, list) else [body]
        self.requests += 1
        self.batches.append(len(batch))
        self.calls.update(call["method"] for call in batch)
        if faults.hang:
            await self._stopping.wait()
        if faults.delay_s:
            await asyncio.sleep(faults.delay_s)
        if faults.close or faults.hang:
            _cut(request)
            return web.Response()
        if faults.status is not None:
            page = "<html><body>out of order</body></html>"
            return web.Response(text=page, status=faults.status, content_type="text/html", headers=faults.headers)
        if faults.body is not None:
            return web.Response(body=faults.body)
        reply = json.dumps(await self._reply(faults, body, batch)).encode()
        if faults.half_reply:
            return await _half(request, reply)
        return web.Response(body=reply, content_type="application/json", headers=faults.headers)

    async def _reply(self, faults: Faults, body: Any, batch: list[dict[str, Any]]) -> Any:
        if faults.single_error is not None:
            return {"jsonrpc": "2.0", "id": None, "error": faults.single_error}
        asked = [_freeze_request(call, faults.frozen_at) for call in batch]
        replies = [_spoil(faults, call, reply) for call, reply in zip(batch, await self._forward(asked), strict=True)]
        if faults.duplicated_items:
            replies = [replies[0], *replies[:-1]]
        if faults.missing_items:
            replies = replies[: -faults.missing_items]
        if faults.reversed_order:
            replies = replies[::-1]
        if isinstance(body, list):
            return replies
        return replies[0] if replies else {"jsonrpc": "2.0"}

    async def _forward(self, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        assert self._session is not None
        async with self._session.post(self._upstream, json=batch) as response:
            replies = await response.json(content_type=None)
        by_id = {reply["id"]: reply for reply in replies}
        return [by_id[call["id"]] for call in batch]


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def _half(request: web.Request, reply: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": str(len(reply)), "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(reply[: len(reply) // 2])
    _cut(request)
    return response


def _freeze_request(call: dict[str, Any], frozen_at: int | None) -> dict[str, Any]:
    """A frozen node reads its own newest block as "latest", and an older one as final."""
    if frozen_at is None:
        return call
    params = list(call["params"])
    place = TAG_PLACE.get(call["method"])
    if place is not None and params[place] in DEPTH_OF_TAG:
        params[place] = hex(max(frozen_at - DEPTH_OF_TAG[params[place]], 0))
    if call["method"] == "eth_getLogs":
        wanted = params[0]
        first, last = int(wanted["fromBlock"], 16), int(wanted["toBlock"], 16)
        params[0] = wanted | {"fromBlock": hex(min(first, frozen_at)), "toBlock": hex(min(last, frozen_at))}
    return call | {"params": params}


def _spoil(faults: Faults, call: dict[str, Any], reply: dict[str, Any]) -> dict[str, Any]:
    method, params = call["method"], call["params"]
    if faults.error is not None and (faults.methods is None or method in faults.methods):
        return {"jsonrpc": "2.0", "id": call["id"], "error": faults.error}
    if "result" in reply:
        result = _freeze_result(method, params, reply["result"], faults.frozen_at)
        if faults.hide_logs is not None and method == "eth_getLogs":
            result = [log for log in result if not faults.hide_logs(log)]
        if faults.rewrite is not None:
            result = faults.rewrite(method, params, result)
        reply = reply | {"result": result}
    return reply | {"id": reply["id"] + 1000} if faults.wrong_ids else reply


def _freeze_result(method: str, params: list[Any], result: Any, frozen_at: int | None) -> Any:
    if frozen_at is None or result is None:
        return result
    if method == "eth_blockNumber":
        return hex(min(int(result, 16), frozen_at))
    if method in ("eth_getBlockByNumber", "eth_getTransactionReceipt", "eth_getBlockByHash"):
        number = result.get("number") or result.get("blockNumber")
        return None if int(number, 16) > frozen_at else result
    if method == "eth_getLogs":
        first = int(params[0]["fromBlock"], 16)
        return [log for log in result if first <= int(log["blockNumber"], 16) <= frozen_at]
    return result
