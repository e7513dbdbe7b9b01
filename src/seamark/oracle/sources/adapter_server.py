"""Serves every published feed as a Chainlink external adapter, so that any node's job can use it.

    POST /          {"data": {"base": "ETH", "quote": "USD"}}
    GET  /health    200 as long as the process answers

It answers from what the publishers know; no question makes a request to a venue. There are no accounts: on loopback
only loopback's names are answered, so that no web page reaches it by a name of its own (DNS rebinding); elsewhere the
network decides who may connect, or `names` does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final

from aiohttp import web

from seamark.core.errors import SettingsError
from seamark.oracle.model import Answer, Pair
from seamark.oracle.sources.adapters import answer_request
from seamark.runtime.hosts import LOOPBACK_NAMES, host_name, is_loopback

__all__ = ["AdapterServer"]

MAX_REQUEST_BYTES: Final = 64_000  # a request has a hundred bytes
MAX_IN_FLIGHT: Final = 200  # an answer takes a fraction of a millisecond: more means that somebody sends slowly
READ_S: Final = 5.0  # for a request's body
SHUTDOWN_S: Final = 1.0
TOO_SLOW: Final = 408
MISDIRECTED: Final = 421
UNAVAILABLE: Final = 503


class AdapterServer:
    """Listens for nodes. A `Service`.

    Args:
        feeds: What each pair's quotes come to now; None where they come to nothing.
        host: Address of this machine; loopback unless nodes are elsewhere.
        port: 0 takes any free one.
        names: Host names that it answers to beside loopback's; empty: on loopback no others, elsewhere any.
    """

    name = "oracle-adapter"

    def __init__(
        self,
        *,
        feeds: Mapping[Pair, Callable[[], Answer | None]],
        host: str,
        port: int,
        names: Collection[str] = (),
    ) -> None:
        self.port = 0
        self._names = frozenset(name.lower() for name in names) | LOOPBACK_NAMES if names or is_loopback(host) else None
        self._in_flight = 0
        self._feeds = feeds
        self._host = host
        self._wanted = port

    async def run(self) -> None:
        """Until cancelled.

        Raises:
            SettingsError: The port is taken, or the address is not this machine's.
        """
        application = web.Application(client_max_size=MAX_REQUEST_BYTES, middlewares=[self._guard])
        application.router.add_post("/", self._answer)
        application.router.add_get("/health", self._health)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        try:
            await self._listen(runner)
            await asyncio.get_running_loop().create_future()
        finally:
            self.port = 0
            await runner.cleanup()

    async def _listen(self, runner: web.AppRunner) -> None:
        try:
            await web.TCPSite(runner, self._host, self._wanted).start()
        except OSError as error:
            raise SettingsError(
                "oracle.adapter",
                f"cannot listen on {self._host}:{self._wanted} ({error.strerror})",
                remedy="choose another port, or an address of this machine",
            ) from error
        self.port = runner.addresses[0][1]

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Who may ask, how many at once, and how slowly."""
        name = host_name(request.headers.get("Host", ""))
        if self._names is not None and name not in self._names:
            return _refusal(
                MISDIRECTED, f"this is not {name[:80] or 'a host without a name'}; see oracle.adapter.names"
            )
        if self._in_flight >= MAX_IN_FLIGHT:
            return _refusal(UNAVAILABLE, "too many requests at once; try again")
        self._in_flight += 1
        try:
            async with asyncio.timeout(READ_S):
                return await handler(request)
        except TimeoutError:
            return _refusal(TOO_SLOW, f"the request was not complete within {READ_S:g} s")
        finally:
            self._in_flight -= 1

    async def _answer(self, request: web.Request) -> web.Response:
        reply = answer_request(await request.read(), self._feeds)
        return web.Response(status=reply.status, body=reply.body, content_type="application/json")

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"message": "OK", "feeds": len(self._feeds)})


def _refusal(status: int, message: str) -> web.Response:
    document = {"status": "errored", "statusCode": status, "error": {"name": "AdapterError", "message": message}}
    return web.json_response(document, status=status)
