"""The simulated exchanges over HTTP: one loopback port, one path prefix for each venue (`/binance/api/v3/…`).

The market is a pure function of time, so a request is answered from nothing but the clock. Faults can be set and
cleared while the server runs, from code (`set_fault`), on a schedule, or over HTTP for a demonstration:
`PUT /control/{venue}` with `{"kind": "stale"}`, `DELETE /control/{venue}`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import msgspec
from aiohttp import web

from seamark.core.errors import SettingsError
from seamark.devnet.market import Market, VenueFault, VenueFaultKind
from seamark.devnet.venue_shapes import VENUES, Answer, Request, Venue
from seamark.runtime.clock import Clock

__all__ = ["FaultSchedule", "VenueServer"]

HOST = "127.0.0.1"
RETRY_AFTER_S = 5  # what a limiting venue asks for
_PRICE_FAULTS = (VenueFaultKind.STALE, VenueFaultKind.FROZEN, VenueFaultKind.LIE)


@dataclass(frozen=True, slots=True)
class FaultSchedule:
    """A fault that comes and goes: on for `lasts_s` in each `every_s`, the first time after `after_s`."""

    venue: str
    fault: VenueFault
    every_s: float
    lasts_s: float
    after_s: float = 0.0

    def active(self, elapsed_s: float) -> float | None:
        """Seconds since the fault began this time; None while it is off."""
        if elapsed_s < self.after_s:
            return None
        within = (elapsed_s - self.after_s) % self.every_s
        return within if within < self.lasts_s else None


class _WantedFault(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request that breaks a venue."""

    kind: VenueFaultKind
    factor: float = 1.1
    seconds: float = 2.0


class VenueServer:
    """All venues on one port; an async context manager, or `start()` and `stop()`."""

    def __init__(
        self,
        market: Market,
        *,
        clock: Clock,
        port: int = 0,
        venues: Mapping[str, Venue] = VENUES,
        schedules: Sequence[FaultSchedule] = (),
        port_setting: str = "venues.port",
    ) -> None:
        self.market = market
        self._clock = clock
        self._port = port
        self._port_setting = port_setting
        self._venues = venues
        self._schedules = tuple(schedules)
        self._faults: dict[str, VenueFault] = {}
        self._started_at = clock.now()
        self._runner: web.AppRunner | None = None
        self.requests: dict[str, int] = dict.fromkeys(venues, 0)

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._port}"

    def ticker_url(self, venue: str, symbol: str) -> str:
        """Where a venue serves the ticker of "BTC/USD"."""
        return self.url + self._venues[venue].url_path(symbol)

    def set_fault(self, venue: str, fault: VenueFault) -> None:
        """Break a venue until `clear_fault`. A stale or frozen one stops now unless `since` says when."""
        if venue not in self._venues:
            raise KeyError(venue)
        stops = fault.kind in (VenueFaultKind.STALE, VenueFaultKind.FROZEN) and not fault.since
        self._faults[venue] = replace(fault, since=self._clock.now()) if stops else fault

    def clear_fault(self, venue: str) -> None:
        """Mend a venue; one that is not broken stays so."""
        self._faults.pop(venue, None)

    def fault(self, venue: str) -> VenueFault | None:
        """What is wrong with a venue now."""
        if venue in self._faults:
            return self._faults[venue]
        now = self._clock.now()
        for schedule in self._schedules:
            began = schedule.active(now - self._started_at) if schedule.venue == venue else None
            if began is not None:
                return replace(schedule.fault, since=now - began)
        return None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen.

        Raises:
            SettingsError: The port is taken.
        """
        application = web.Application()
        for venue in self._venues.values():
            application.router.add_get(f"/{venue.name}{venue.route}", self._handler(venue))
        application.router.add_get("/control", self._list_faults)
        application.router.add_put("/control/{venue}", self._put_fault)
        application.router.add_delete("/control/{venue}", self._delete_fault)
        runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        site = web.TCPSite(runner, HOST, self._port)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            raise SettingsError(
                self._port_setting, f"port {self._port} is taken", remedy="choose another port (0 picks a free one)"
            ) from error
        self._runner = runner
        self._port = int(runner.addresses[0][1])
        self._started_at = self._clock.now()

    async def stop(self) -> None:
        """Close the port. Safe to call twice."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def _handler(self, venue: Venue) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            self.requests[venue.name] += 1
            fault = self.fault(venue.name)
            answer = self._answer(venue, Request(request.match_info, request.query), fault)
            return await _respond(request, answer, fault)

        return handle

    def _answer(self, venue: Venue, request: Request, fault: VenueFault | None) -> Answer:
        name = venue.wanted(request)
        asset = next((asset for asset in self.market.assets if venue.name_of(asset.symbol) == name), None)
        if asset is None:
            return venue.unknown(name)
        lie = fault if fault is not None and fault.kind in _PRICE_FAULTS else None
        return Answer(200, venue.render(name, self.market.ticker(venue.model, asset, self._clock.now(), lie)))

    async def _list_faults(self, _: web.Request) -> web.Response:
        faults = {name: self.fault(name) for name in self._venues}
        return web.json_response({name: fault.kind if fault else None for name, fault in faults.items()})

    async def _put_fault(self, request: web.Request) -> web.Response:
        venue = request.match_info["venue"]
        if venue not in self._venues:
            return web.json_response({"error": f"no venue {venue!r}; there are {', '.join(self._venues)}"}, status=404)
        try:
            wanted = msgspec.json.decode(await request.read(), type=_WantedFault)
        except msgspec.DecodeError as error:
            return web.json_response({"error": str(error)}, status=400)
        fault = VenueFault(wanted.kind, factor=wanted.factor, seconds=wanted.seconds)
        self.set_fault(venue, fault)
        return web.json_response({"venue": venue, "kind": fault.kind})

    async def _delete_fault(self, request: web.Request) -> web.Response:
        self.clear_fault(request.match_info["venue"])
        return web.Response(status=204)


async def _respond(request: web.Request, answer: Answer, fault: VenueFault | None) -> web.StreamResponse:
    text = json.dumps(answer.body)
    match fault.kind if fault else None:
        case VenueFaultKind.DOWN:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=503)  # never arrives: the connection is gone
        case VenueFaultKind.ERROR:
            return web.json_response({"message": "Internal Server Error"}, status=500)
        case VenueFaultKind.LIMIT:
            headers = {"Retry-After": str(RETRY_AFTER_S)}
            return web.json_response({"message": "Too many requests"}, status=429, headers=headers)
        case VenueFaultKind.HALF:
            return web.Response(text=text[: len(text) // 2], content_type="application/json")
        case VenueFaultKind.DELAY:
            assert fault is not None
            await asyncio.sleep(fault.seconds)
    return web.Response(text=text, status=answer.status, content_type="application/json")
