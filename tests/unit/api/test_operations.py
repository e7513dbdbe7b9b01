"""Probes, metrics, status, and errors of any kind."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from seamark.api.health import HealthCache
from seamark.api.ports import chain_view
from seamark.api.views import ChainState
from seamark.core.errors import RejectedError, TemporaryError
from seamark.runtime.health import Health, HealthRegistry
from tests.support.browser import ServedApi
from tests.unit.api.fakes import HOME, Story


async def get(client: aiohttp.ClientSession, api: ServedApi, path: str) -> tuple[int, Any]:
    async with client.get(f"{api.url}{path}") as response:
        return response.status, await response.json()


async def test_healthy(api: ServedApi, client: aiohttp.ClientSession) -> None:
    status, body = await get(client, api, "/health")
    assert status == 200
    assert body["live"] is True
    assert body["ready"] is True
    assert body["checks"]["database"] == {"status": "ok", "detail": "all good", "required": True}
    assert (await get(client, api, "/health/live")) == (200, {"live": True})


async def test_a_required_check_that_is_down_denies_readiness_not_liveness(
    api: ServedApi, client: aiohttp.ClientSession
) -> None:
    async def broken() -> Health:
        return Health.down("chain 138: no node answers")

    api.health.register("chain", broken)
    for path in ("/health", "/health/ready"):
        status, body = await get(client, api, path)
        assert status == 503
        assert body["status"] == "down"
        assert body["checks"]["chain"]["detail"] == "chain 138: no node answers"
    assert (await get(client, api, "/health/live"))[0] == 200
    status, body = await get(client, api, "/api/status")
    assert status == 200
    assert body["ready"] is False


async def test_many_probes_ask_the_checks_once() -> None:
    asked = 0

    async def count() -> Health:
        nonlocal asked
        asked += 1
        return Health.ok()

    registry = HealthRegistry()
    registry.register("a", count)
    cache = HealthCache(registry)
    for _ in range(10):
        await cache.report()
    assert asked == 1
    await HealthCache(registry, fresh=0).report()
    assert asked == 2


async def test_metrics(api: ServedApi, client: aiohttp.ClientSession) -> None:
    async with client.get(f"{api.url}/metrics") as response:
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert "up 1" in await response.text()


async def test_status_shows_chains_and_the_newest_event(
    api: ServedApi, story: Story, client: aiohttp.ClientSession
) -> None:
    story.chain_states.append(
        ChainState(chain=chain_view(HOME), block="9007199254740993", block_at=None, finalized=None, reorgs=2)
    )
    _, body = await get(client, api, "/api/status")
    assert body["chains"][0]["block"] == "9007199254740993"
    assert body["chains"][0]["chain"]["chain_id"] == 138
    assert body["version"] == "0.0.0"


async def test_nothing_there(api: ServedApi, client: aiohttp.ClientSession) -> None:
    async with client.get(f"{api.url}/api/nothing") as response:
        assert response.status == 404
        assert response.content_type == "application/problem+json"
        body = await response.json()
    assert body["detail"] == "nothing is served at /api/nothing; /openapi.json lists what is"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_nothing_can_be_changed(api: ServedApi, client: aiohttp.ClientSession, method: str) -> None:
    async with client.request(method, f"{api.url}/api/feeds") as response:
        assert response.status == 405
        assert "openapi.json" in (await response.json())["detail"]


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (TemporaryError("postgresql://user:secret@host is away", retry_after=7), 503, "try again in 7 s"),
        (RejectedError("no such thing"), 400, "no such thing"),
        (ValueError("password=hunter2"), 500, "an internal error"),
    ],
)
async def test_errors_below_become_problems_without_our_insides(  # noqa: PLR0917
    api: ServedApi, story: Story, client: aiohttp.ClientSession, error: Exception, status: int, words: str
) -> None:
    async def fail() -> Any:
        raise error

    story.feeds.feeds = fail  # type: ignore[method-assign]
    with capture_logs():
        response = await client.get(f"{api.url}/api/feeds")
    async with response:
        assert response.status == status
        assert response.content_type == "application/problem+json"
        text = await response.text()
        assert words in text
        assert "secret" not in text
        assert "hunter2" not in text
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        if status == 503:
            assert response.headers["Retry-After"] == "7"
