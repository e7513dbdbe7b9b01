"""Runs the API inside the process's own event loop, as one service among others.

uvicorn wants to own signals and to exit the process when a port is taken; here both belong to the composition root. So
the socket is bound by us (a taken port is a `SettingsError` that names the setting), signals stay untouched, and
cancelling `run()` ends live streams first, so that the server is gone within two seconds however many listeners it has.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI
from starlette.types import Scope

from seamark.api.settings import ApiSettings
from seamark.core.errors import SettingsError
from seamark.runtime.hosts import is_loopback

__all__ = ["ApiService", "bind_socket"]

GRACE_S = 1  # for requests that are under way when the process ends
MAX_HEADER_BYTES = 16 * 1024
MAX_CONNECTIONS = 2000
BACKLOG = 256

log = structlog.get_logger("seamark.api")


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the process's signals belong to `seamark.runtime.service.stop_on_signals`


class ApiService:
    """Serves `app` (made by `seamark.api.app.create_app`) until cancelled."""

    name = "api"

    def __init__(self, settings: ApiSettings, app: FastAPI) -> None:
        self._settings = settings
        self._app = app
        self._socket: socket.socket | None = None
        self._address: tuple[str, int] | None = None
        self._server: _Server | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that it really listens on; known once bound."""
        if self._address is None:
            raise RuntimeError("the API is not bound yet")
        return self._address

    @property
    def url(self) -> str:
        """What a person opens in a browser."""
        host, port = self.address
        if host in ("0.0.0.0", "::"):  # noqa: S104 - recognised, not chosen
            host = "localhost"
        return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"

    def bind(self) -> None:
        """Take the port; `run()` does it where it was not done before.

        Raises:
            SettingsError: The port is taken or forbidden, or the host is no address of this machine.
        """
        if self._socket is None:
            self._socket = bind_socket(self._settings)
            host, port = self._socket.getsockname()[:2]
            self._address = (host, port)

    async def run(self) -> None:
        self.bind()
        assert self._socket is not None
        config = uvicorn.Config(
            self._app,
            http="h11",
            ws="none",
            lifespan="off",
            loop="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
            limit_concurrency=MAX_CONNECTIONS,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            backlog=BACKLOG,
        )
        server = self._server = _Server(config)
        hub = self._app.state.hub
        hub.reopen()
        self._app.state.cut_off = self._cut_off
        if not is_loopback(self._settings.host):
            log.warning("the API has no accounts and listens beyond this machine", host=self._settings.host)
        log.info("api listens", url=self.url)
        following = asyncio.create_task(hub.run(), name="api events")
        serving = asyncio.create_task(server.serve(sockets=[self._socket]), name="api server")
        try:
            done, _ = await asyncio.wait((following, serving), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            hub.close()
            server.should_exit = True
            with suppress(asyncio.CancelledError):
                await asyncio.shield(_finish(serving))
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            self._socket = None

    def _cut_off(self, scope: Scope) -> None:
        """Drop a connection without waiting for its buffers: its other end does not read."""
        connections: Iterable[Any] = self._server.server_state.connections if self._server else ()
        for connection in list(connections):
            if connection.client is not None and connection.client == scope.get("client"):
                connection.transport.abort()


async def _finish(serving: asyncio.Task[None]) -> None:
    await asyncio.gather(serving, return_exceptions=True)


def bind_socket(settings: ApiSettings) -> socket.socket:
    """A listening-ready TCP socket for the settings.

    Raises:
        SettingsError: Named after `api.host` or `api.port`, with what to change.
    """
    host, port = settings.host, settings.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise SettingsError("api.host", f"{host!r} is no address to listen on", remedy="use 127.0.0.1") from error
    taken = socket.socket(family, kind, protocol)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a restart must not wait for TIME_WAIT
        taken.bind(address)
        taken.listen(BACKLOG)
    except OSError as error:
        taken.close()
        raise _explain(error, host, port) from error
    taken.setblocking(False)
    return taken


def _explain(error: OSError, host: str, port: int) -> SettingsError:
    if error.errno == errno.EADDRINUSE:
        remedy = "stop the process that has it, or choose another port (0 lets the system choose)"
        return SettingsError("api.port", f"{host}:{port} is already in use", remedy=remedy)
    if error.errno == errno.EACCES:
        return SettingsError("api.port", f"this user may not listen on port {port}", remedy="choose a port above 1023")
    return SettingsError(
        "api.host", f"cannot listen on {host}: {error.strerror}", remedy="use 127.0.0.1 or an address of this machine"
    )
