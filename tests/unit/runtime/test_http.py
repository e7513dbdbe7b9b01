from __future__ import annotations

import gzip
from typing import Any

import pytest
from aiohttp import web

from seamark.runtime.http import ResponseTooLargeError, make_session, read_limited


@pytest.fixture
async def site():
    """A server that answers with `state["answer"]` and notes the request's headers."""
    state: dict[str, Any] = {}

    async def serve(request: web.Request) -> web.StreamResponse:
        state["headers"] = request.headers
        response: web.StreamResponse = await state["answer"](request)
        return response

    application = web.Application()
    application.router.add_get("/", serve)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    state["url"] = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield state
    await runner.cleanup()


def plain(body: bytes, **headers: str):
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, headers=headers)

    return answer


def chunked(body: bytes):
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for at in range(0, len(body), 100):
            await response.write(body[at : at + 100])
        await response.write_eof()
        return response

    return answer


async def fetch(site, limit: int) -> bytes:
    async with make_session() as session, session.get(site["url"]) as response:
        return await read_limited(response, limit)


@pytest.mark.parametrize("answer", [plain, chunked])
async def test_a_body_up_to_the_limit_is_read(site, answer) -> None:
    body = bytes(range(250)) * 4
    site["answer"] = answer(body)
    assert await fetch(site, 1000) == body
    with pytest.raises(ResponseTooLargeError, match="larger than 999 bytes"):
        await fetch(site, 999)


async def test_an_empty_body(site) -> None:
    site["answer"] = plain(b"")
    assert await fetch(site, 0) == b""


async def test_the_limit_counts_after_decompression(site) -> None:
    bomb = gzip.compress(bytes(10_000_000))
    site["answer"] = plain(bomb, **{"Content-Encoding": "gzip"})
    assert len(bomb) < 100_000
    with pytest.raises(ResponseTooLargeError):
        await fetch(site, 100_000)


async def test_we_say_who_we_are_and_keep_no_cookies(site) -> None:
    site["answer"] = plain(b"", **{"Set-Cookie": "session=1"})
    async with make_session() as session:
        for _ in range(2):
            async with session.get(site["url"]):
                pass
        assert site["headers"]["User-Agent"].startswith("seamark/")
        assert "Cookie" not in site["headers"]


async def test_every_time_is_bounded() -> None:
    async with make_session(total_timeout_s=5) as session:
        assert session.timeout.total == 5
        assert session.timeout.sock_read == 5
        assert session.timeout.sock_connect
        assert not session.trust_env
