"""Admin interfaces, filters and replicas as they are on the wire."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from seamark.app.interop_endpoints import AdminEndpoint, FilterClient, ReplicaClient, read_token_secret
from seamark.core.errors import SettingsError, TemporaryError
from seamark.messages.protocols.op_interop.settings import TokenSettings
from seamark.messages.protocols.op_interop.supernodes import read_heads
from seamark.runtime.http_rpc import RpcRefusal
from tests.support.clock import FakeClock

SECRET = bytes(range(32))


class Server:
    """Answers JSON-RPC with what it is told."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] = {"result": None}
        self.calls: list[dict[str, Any]] = []
        self.headers: list[str] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.calls.append(await request.json())
        self.headers.append(request.headers.get("Authorization", ""))
        return web.json_response({"jsonrpc": "2.0", "id": 1, **self.answer})


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    found, app = Server(), web.Application()
    app.router.add_post("/{path:.*}", found.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/a-key-in-the-path"
    yield found
    await runner.cleanup()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


def _part(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


async def test_the_token_is_signed_fresh_for_each_call(server: Server, session: aiohttp.ClientSession) -> None:
    clock = FakeClock(1_750_000_000.5)
    endpoint = AdminEndpoint(server.url, session=session, clock=clock, secret=SECRET)
    server.answer = {"result": True}
    assert await endpoint.get_failsafe()
    clock.advance(90)
    await endpoint.set_failsafe(enabled=True)
    head, claims, signature = server.headers[0].removeprefix("Bearer ").split(".")
    assert (_part(head), _part(claims)) == ({"alg": "HS256", "typ": "JWT"}, {"iat": 1_750_000_000})
    signed = hmac.new(SECRET, f"{head}.{claims}".encode(), hashlib.sha256).digest()
    assert base64.urlsafe_b64encode(signed).rstrip(b"=").decode() == signature
    assert _part(server.headers[1].split(".")[1]) == {"iat": 1_750_000_090}
    assert server.calls[1]["method"] == "admin_setFailsafeEnabled"
    assert server.calls[1]["params"] == [True]


async def test_without_a_secret_nobody_says_who_calls(server: Server, session: aiohttp.ClientSession) -> None:
    server.answer = {"result": "maybe"}
    with pytest.raises(TemporaryError, match="yes or no"):
        await AdminEndpoint(server.url, session=session, clock=FakeClock()).get_failsafe()
    assert server.headers == [""]


async def test_a_refusal_keeps_its_code_and_hides_the_path(server: Server, session: aiohttp.ClientSession) -> None:
    server.answer = {"error": {"code": -32001, "message": "missing token"}}
    with pytest.raises(RpcRefusal, match="missing token") as refused:
        await AdminEndpoint(server.url, session=session, clock=FakeClock()).set_failsafe(enabled=True)
    assert refused.value.code == -32001
    assert "a-key-in-the-path" not in str(refused.value)


async def test_a_filter_is_asked_as_nodes_ask_it(server: Server, session: aiohttp.ClientSession) -> None:
    client = FilterClient(server.url, session=session, method="interop_checkAccessList", min_safety="cross-unsafe")
    assert (await client.check(["0x01", "0x03"], 902, 256)).valid
    assert server.calls[0]["method"] == "interop_checkAccessList"
    block = {"chainID": "902", "timestamp": "0x100", "timeout": "0x0"}
    assert server.calls[0]["params"] == [["0x01", "0x03"], "cross-unsafe", block]
    server.answer = {"error": {"code": -320600, "message": "conflicting data"}}
    assert await client.check([], 902, 256) == (False, "conflicting data (-320600)")
    server.answer = {"error": {"code": -32603, "message": "boom"}}
    with pytest.raises(TemporaryError, match="boom"):
        await client.check([], 902, 256)


async def test_a_replica_is_asked_for_a_time_in_hex(server: Server, session: aiohttp.ClientSession) -> None:
    server.answer = {"result": {"finalized_timestamp": 5}}
    assert json.loads(bytes(await ReplicaClient(server.url, session=session).super_root(256))) == {
        "finalized_timestamp": 5
    }
    assert (server.calls[0]["method"], server.calls[0]["params"]) == ("superroot_atTimestamp", ["0x100"])


async def test_a_supernode_is_asked_for_its_sync_status(server: Server, session: aiohttp.ClientSession) -> None:
    server.answer = {"result": {"chains": {"901": {"safe_l2": {"number": 7}, "finalized_l2": {"number": 5}}}}}
    found = read_heads(await ReplicaClient(server.url, session=session).sync_status())
    assert found == {"901": (7, 5)}
    assert (server.calls[0]["method"], server.calls[0]["params"]) == ("supernode_syncStatus", [])


def test_the_secret_comes_from_a_file_or_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "jwt.hex"
    path.write_text("0x" + SECRET.hex() + "\n")
    path.chmod(0o600)
    assert read_token_secret(TokenSettings(file=str(path)), "here") == SECRET
    assert read_token_secret(TokenSettings(env="JWT"), "here", environment={"JWT": SECRET.hex()}) == SECRET
    assert read_token_secret(None, "here") is None


@pytest.mark.parametrize(("value", "words"), [("", "not set"), ("short", "32 bytes"), ("00" * 31, "32 bytes")])
def test_a_secret_that_is_none(value: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as refused:
        read_token_secret(TokenSettings(env="JWT"), "interop.failsafe.token", environment={"JWT": value})
    assert "interop.failsafe.token.env" in str(refused.value)
    assert not value or value not in str(refused.value)
