"""What the outside asks of a running process: metrics for Prometheus, health for an orchestrator.

    GET /metrics        Prometheus text
    GET /health         every check by name, 200 or 503
    GET /health/live    200 as long as the process answers
    GET /health/ready   200 or 503: may it be given work

Metrics and health may share one port or have one each. Nothing here asks for or shows a secret; both listen on loopback
unless told otherwise. There they answer to loopback's names only: a web page may let a name of its own lead to
127.0.0.1 (DNS rebinding), and its browser would read balances and addresses of nodes to it.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Self

from aiohttp import web

from seamark.core.errors import SettingsError
from seamark.runtime.health import HealthRegistry
from seamark.runtime.hosts import host_name, is_loopback

__all__ = ["Listen", "ProbeServer"]

SHUTDOWN_S: Final = 1.0  # answers take milliseconds
PROMETHEUS_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
_OK: Final = 200
_UNAVAILABLE: Final = 503
_MISDIRECTED: Final = 421

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to listen. `setting` is how the operator names the port; port 0 takes any free one."""

    host: str
    port: int
    setting: str


class ProbeServer:
    """Serves the probes between `start()` and `stop()`; also an async context manager."""

    def __init__(
        self, *, metrics: Callable[[], bytes], health: HealthRegistry, metrics_at: Listen, health_at: Listen
    ) -> None:
        self._metrics = metrics
        self._health = health
        self._metrics_at = metrics_at
        self._health_at = health_at
        self._runners: list[web.AppRunner] = []
        self.metrics_port = 0
        self.health_port = 0

    async def start(self) -> None:
        """Listen.

        Raises:
            SettingsError: A port is taken, or the address is not this machine's; names the setting.
        """
        metrics: dict[str, Handler] = {"/metrics": self._serve_metrics}
        health: dict[str, Handler] = {
            "/health": self._serve_health,
            "/health/live": self._serve_live,
            "/health/ready": self._serve_ready,
        }
        try:
            if self._shared():
                self.metrics_port = self.health_port = await self._listen(self._metrics_at, metrics | health)
            else:
                self.metrics_port = await self._listen(self._metrics_at, metrics)
                self.health_port = await self._listen(self._health_at, health)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        runners, self._runners = self._runners, []
        for runner in runners:
            await runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _shared(self) -> bool:
        same = (self._metrics_at.host, self._metrics_at.port) == (self._health_at.host, self._health_at.port)
        return same and self._metrics_at.port != 0

    async def _listen(self, where: Listen, routes: dict[str, Handler]) -> int:
        application = web.Application(middlewares=[_refuse_strangers] if is_loopback(where.host) else [])
        for path, handler in routes.items():
            application.router.add_get(path, handler)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHUTDOWN_S)
        self._runners.append(runner)
        await runner.setup()
        try:
            await web.TCPSite(runner, where.host, where.port).start()
        except OSError as error:
            raise _explain(where, error) from error
        return int(runner.addresses[0][1])

    async def _serve_metrics(self, _: web.Request) -> web.StreamResponse:
        return web.Response(body=self._metrics(), headers={"Content-Type": PROMETHEUS_TEXT})

    async def _serve_health(self, _: web.Request) -> web.StreamResponse:
        report = await self._health.report()
        return _json(report, ready=bool(report["ready"]))

    async def _serve_ready(self, _: web.Request) -> web.StreamResponse:
        report = await self._health.report()
        return _json({"status": report["status"], "ready": report["ready"]}, ready=bool(report["ready"]))

    async def _serve_live(self, _: web.Request) -> web.StreamResponse:
        return _json({"status": "ok"}, ready=True)


@web.middleware
async def _refuse_strangers(request: web.Request, handler: Handler) -> web.StreamResponse:
    if not is_loopback(host_name(request.headers.get("Host", ""))):
        return web.Response(status=_MISDIRECTED, text="this server listens on loopback: ask for it as localhost\n")
    return await handler(request)


def _json(body: dict[str, Any], *, ready: bool) -> web.Response:
    return web.Response(
        text=json.dumps(body),
        status=_OK if ready else _UNAVAILABLE,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def _explain(where: Listen, error: OSError) -> SettingsError:
    if error.errno == errno.EADDRINUSE:
        return SettingsError(
            where.setting,
            f"port {where.port} on {where.host} is taken",
            remedy="stop what listens there, or set another port (0 takes any free one)",
        )
    return SettingsError(where.setting, f"cannot listen on {where.host}:{where.port}: {error.strerror or error}")
