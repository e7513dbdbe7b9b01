"""One GET, one small answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from seamark.core.errors import TemporaryError
from seamark.runtime.http import ResponseTooLargeError, make_session
from seamark.runtime.http_get import get_bytes

LIMIT = 100


@asynccontextmanager
async def serving(status: int, body: bytes, headers: dict[str, str] | None = None) -> AsyncIterator[str]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers=headers)

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/secret-path"
    finally:
        await runner.cleanup()


async def asked(status: int, body: bytes, headers: dict[str, str] | None = None) -> bytes | None:
    async with serving(status, body, headers) as url, make_session() as session:
        return await get_bytes(session, url, limit=LIMIT)


async def test_the_body() -> None:
    assert await asked(200, b"found") == b"found"


async def test_nothing_there() -> None:
    assert await asked(404, b"no such thing") is None


@pytest.mark.parametrize("status", [204, 302, 400, 429, 500, 503])
async def test_any_other_status_is_no_answer(status: int) -> None:
    with pytest.raises(TemporaryError, match=f"status {status}") as caught:
        await asked(status, b"", {"Location": "http://127.0.0.1:1/"} if status == 302 else None)
    assert "secret-path" not in str(caught.value)


async def test_too_much_is_not_read() -> None:
    with pytest.raises(ResponseTooLargeError):
        await asked(200, b"x" * (LIMIT + 1))


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/secret-path", "no url at all"])
async def test_nobody_there_is_told_without_the_address(url: str) -> None:
    async with make_session() as session:
        with pytest.raises(TemporaryError) as caught:
            await get_bytes(session, url, limit=LIMIT)
    assert "secret-path" not in str(caught.value)
