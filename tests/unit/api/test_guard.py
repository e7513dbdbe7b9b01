"""Who is answered, how much is taken, what every answer carries."""

from __future__ import annotations

import aiohttp
import pytest

from seamark.api.guard import MAX_QUERY_BYTES
from tests.support.browser import ServedApi

Shared = tuple[ServedApi, aiohttp.ClientSession]
pytestmark = pytest.mark.asyncio(loop_scope="module")
PATHS = ["/", "/api/feeds", "/health", "/metrics", "/openapi.json", "/js/main.js", "/api/nope"]


@pytest.mark.parametrize("path", PATHS)
async def test_security_headers_everywhere(shared: Shared, path: str) -> None:
    api, client = shared
    async with client.get(f"{api.url}{path}") as response:
        headers = response.headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in headers
    assert "Server" not in headers
    if path.startswith("/api"):
        assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST", "localhost:1", "[::1]:8400", "localhost."]
)
async def test_our_own_names_are_answered(shared: Shared, host: str) -> None:
    api, client = shared
    async with client.get(f"{api.url}/api/feeds", headers={"Host": host}) as response:
        assert response.status == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8400", "", "[::2]"])
async def test_other_names_are_refused(shared: Shared, host: str) -> None:
    api, client = shared
    for path in ("/", "/api/feeds", "/api/events", "/health"):
        async with client.get(f"{api.url}{path}", headers={"Host": host}) as response:
            assert response.status == 421
            assert "allowed_hosts" in (await response.json())["detail"]


async def test_an_origin_elsewhere_gets_no_permission(shared: Shared) -> None:
    api, client = shared
    async with client.options(
        f"{api.url}/api/feeds", headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    ) as response:
        assert response.status == 405
        assert "Access-Control-Allow-Origin" not in response.headers


async def test_a_query_too_long_is_refused(shared: Shared) -> None:
    api, client = shared
    async with client.get(f"{api.url}/api/messages?feed={'x' * MAX_QUERY_BYTES}") as response:
        assert response.status == 414


async def test_a_body_is_refused(shared: Shared) -> None:
    api, client = shared
    async with client.request("GET", f"{api.url}/api/feeds", data=b"x" * 100_000) as response:
        assert response.status == 413
