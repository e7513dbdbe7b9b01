"""Serves every published feed as a Chainlink external adapter, so that any node's job can use it.

    POST /          {"data": {"base": "ETH", "quote": "USD"}}
    GET  /health    200 as long as the process answers

It answers from what the publishers know; no question makes a request to a venue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from aiohttp import web

from seamark.core.errors import SettingsError
from seamark.oracle.model import Answer, Pair
from seamark.oracle.sources.adapters import answer_request

__all__ = ["AdapterServer"]

MAX_REQUEST_BYTES: Final = 64_000  # a request has a hundred bytes
SHUTDOWN_S: Final = 1.0


class AdapterServer:
    """Listens for nodes. A `Service`.

    Args:
        feeds: What each pair's quotes come to now; None where they come to nothing.
        host: Address of this machine; loopback unless nodes are elsewhere.
        port: 0 takes any free one.
    """

    name = "oracle-adapter"

    def __init__(self, *, feeds: Mapping[Pair, Callable[[], Answer | None]], host: str, port: int) -> None:
        self.port = 0
        self._feeds = feeds
        self._host = host
        self._wanted = port

    async def run(self) -> None:
        """Until cancelled.

        Raises:
            SettingsError: The port is taken, or the address is not this machine's.
        """
        application = web.Application(client_max_size=MAX_REQUEST_BYTES)
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

    async def _answer(self, request: web.Request) -> web.Response:
        reply = answer_request(await request.read(), self._feeds)
        return web.Response(status=reply.status, body=reply.body, content_type="application/json")

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"message": "OK", "feeds": len(self._feeds)})
