"""Probes and metrics: `/health`, `/health/live`, `/health/ready`, `/metrics`."""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Response

from seamark.api.health import HealthCache
from seamark.api.views import HealthReport, Live

__all__ = ["health_routes"]

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_UNREADY: dict[int | str, dict[str, Any]] = {
    503: {"model": HealthReport, "description": "Not ready: a required check is down."}
}


def health_routes(health: HealthCache, metrics: Callable[[], bytes], version: str) -> APIRouter:
    router = APIRouter(tags=["operations"])
    started = time.monotonic()

    async def report(response: Response) -> HealthReport:
        found = await health.report()
        if not found["ready"]:
            response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return HealthReport(live=True, version=version, uptime_seconds=round(time.monotonic() - started, 3), **found)

    @router.get(
        "/health", response_model=HealthReport, responses=_UNREADY, summary="Liveness, readiness and every dependency"
    )
    async def get_health(response: Response) -> HealthReport:
        return await report(response)

    @router.get("/health/ready", response_model=HealthReport, responses=_UNREADY, summary="May it be given work?")
    async def get_ready(response: Response) -> HealthReport:
        return await report(response)

    @router.get("/health/live", response_model=Live, summary="Is the process alive?")
    async def get_live() -> Live:
        return Live()

    @router.get(
        "/metrics",
        summary="Prometheus metrics",
        response_class=Response,
        responses={
            200: {"content": {METRICS_TYPE: {"schema": {"type": "string"}}}, "description": "Text exposition format."}
        },
    )
    async def get_metrics() -> Response:
        return Response(metrics(), headers={"Content-Type": METRICS_TYPE})

    return router
