"""External adapters: theirs asked by us, and ours asked by a node."""

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import ClientSession, web

from seamark.core.errors import SettingsError
from seamark.core.units import Ppb
from seamark.oracle.model import Answer, Pair, Quote, SourceFailure, SourceReport
from seamark.oracle.source_settings import AdapterSettings
from seamark.oracle.sources.adapter_server import AdapterServer
from seamark.oracle.sources.adapters import AdapterSource, adapter_request, answer_request, read_adapter
from seamark.oracle.sources.poller import QuotePoller
from seamark.oracle.sources.source import ContentError, decode_json
from seamark.runtime.clock import SystemClock
from tests.unit.oracle.conftest import running
from tests.unit.oracle.fakes import START, quote, until

ETH_USD = Pair("ETH", "USD")
SOURCE = AdapterSource("ea", "ea", adapter_request("http://127.0.0.1/", {"base": "ETH", "quote": "USD"}))
ANSWER = Answer(200_012_345_678, 8, Decimal("2000.123456781"), int(START), (quote("a", 2000, START - 3),), (), Ppb(0))


def read(text: str) -> Quote:
    return read_adapter(SOURCE, decode_json(text.encode()), START)


# ---- as client ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        '{"jobRunID":"1","data":{"result":2000.10},"result":2000.10,"statusCode":200}',
        '{"data":{"result":2000.10}}',
        '{"data":{"result":"2000.10"}}',
        '{"result":2000.10,"data":{"ticker":7}}',
        '{"result":2000.10,"data":{"result":null}}',
    ],
)
def test_a_result(reply):
    made = read(reply)
    assert (str(made.price), made.untimed, made.observed_at) == ("2000.10", True, START)


@pytest.mark.parametrize("name", ["providerIndicatedTimeUnixMs", "providerDataReceivedUnixMs"])
def test_the_time_that_the_provider_tells(name):
    made = read(f'{{"result":1,"timestamps":{{"{name}":{int(START) * 1000 - 4500}}}}}')
    assert (made.observed_at, made.untimed) == (START - 4.5, False)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ('{"error":{"name":"AdapterError","message":"no key"},"result":5}', "venue"),
        ('{"errorMessage":"bad","data":{"result":5}}', "venue"),
        ('{"status":"errored","data":{"result":5}}', "venue"),
        ('{"statusCode":502,"data":{"result":5}}', "venue"),
        ('{"data":{"result":null}}', "shape"),
        ('{"result":null}', "number"),
        ('{"data":{"result":"much"}}', "number"),
        ('{"data":{}}', "shape"),
        ("[5]", "shape"),
    ],
)
def test_a_status_of_200_is_not_enough(reply, kind):
    with pytest.raises(ContentError) as caught:
        read(reply)
    assert caught.value.kind == kind


async def ask(url: str) -> SourceReport:
    """One question of our client to an adapter at this address."""
    source = AdapterSource("ea", "ea", adapter_request(url, {"base": "ETH", "quote": "USD"}), weight=2)
    reports: list[SourceReport] = []
    async with ClientSession() as session:
        poller = QuotePoller(session=session, clock=SystemClock())
        poller.subscribe(source, interval=1.0, subscriber=reports.append)
        await poller.poll_once(source.request)
    (report,) = reports
    return report


# ---- as server ------------------------------------------------------------------------------------------------------


def answered(request: object, answer: Answer | None = ANSWER) -> tuple[int, dict[str, Any]]:
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    reply = answer_request(body, {ETH_USD: lambda: answer})
    return reply.status, json.loads(reply.body, parse_float=Decimal)


@pytest.mark.parametrize(
    "data",
    [
        {"base": "ETH", "quote": "USD"},
        {"from": "eth", "to": "usd"},
        {"coin": "eth", "market": "usd", "endpoint": "crypto"},
        {"base": "ETH", "quote": "USD", "endpoint": "price", "overrides": {}},
    ],
)
def test_a_node_is_answered(data):
    status, document = answered({"id": "0x7", "data": data, "meta": {}})
    assert status == 200
    assert document["jobRunID"] == "0x7"
    assert document["data"]["result"] == document["result"] == Decimal("2000.12345678")
    assert document["statusCode"] == 200
    assert document["timestamps"]["providerIndicatedTimeUnixMs"] == int((START - 3) * 1000)


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        (b"{", 400, "not JSON"),
        ([], 400, "has no data"),
        ({"id": "1"}, 400, "has no data"),
        ({"data": {"base": "ETH"}}, 400, "base and quote"),
        ({"data": {"base": "ETH", "quote": 5}}, 400, "base and quote"),
        ({"data": {"base": "E/H", "quote": "USD"}}, 400, "letters and digits"),
        ({"data": {"base": "DOGE", "quote": "USD"}}, 404, "use one of ETH/USD"),
        ({"data": {"base": "ETH", "quote": "USD", "endpoint": "volume"}}, 404, "no endpoint 'volume'"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(request_, status, message):
    given, document = answered(request_)
    assert (given, document["statusCode"], document["status"]) == (status, status, "errored")
    assert message in document["error"]["message"]
    assert "result" not in document


def test_without_a_price_it_is_too_early():
    status, document = answered({"id": "9", "data": {"base": "ETH", "quote": "USD"}}, None)
    assert (status, document["jobRunID"], document["error"]["name"]) == (504, "9", "AdapterError")


async def test_ours_is_read_by_our_own_client():
    current: list[Answer | None] = [ANSWER]
    server = AdapterServer(feeds={ETH_USD: lambda: current[0]}, host="127.0.0.1", port=0)
    async with running(server):
        await until(lambda: server.port)
        url = f"http://127.0.0.1:{server.port}"
        report = await ask(url)
        assert isinstance(report, Quote)
        assert (report.price, report.observed_at, report.weight) == (Decimal("2000.12345678"), START - 3, 2)
        current[0] = None
        failure = await ask(url)
        assert isinstance(failure, SourceFailure)
        assert failure.kind == "http_5xx"
        async with ClientSession() as session, session.get(f"{url}/health") as response:
            assert (response.status, (await response.json())["message"]) == (200, "OK")


async def test_a_taken_port_names_the_setting():
    runner = web.AppRunner(web.Application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        with pytest.raises(SettingsError, match=r"oracle\.adapter: cannot listen"):
            await AdapterServer(feeds={}, host="127.0.0.1", port=runner.addresses[0][1]).run()
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("listen", "names", "host", "status"),
    [
        ("127.0.0.1", (), "127.0.0.1:8090", 200),
        ("127.0.0.1", (), "localhost", 200),
        ("127.0.0.1", (), "[::1]:8090", 200),
        ("127.0.0.1", (), "evil.example", 421),  # a page that resolves its own name to loopback
        ("127.0.0.1", (), "", 421),
        ("127.0.0.1", ("adapter.local",), "ADAPTER.local:80", 200),
        ("0.0.0.0", (), "anything.example", 200),
        ("0.0.0.0", ("adapter.local",), "anything.example", 421),
        ("0.0.0.0", ("adapter.local",), "adapter.local", 200),
    ],
)  # fmt: skip
async def test_only_its_own_names_are_answered(listen, names, host, status):
    server = AdapterServer(feeds={}, host=listen, port=0, names=names)
    async with running(server):
        await until(lambda: server.port)
        async with (
            ClientSession() as session,
            session.get(f"http://127.0.0.1:{server.port}/health", headers={"Host": host}) as response,
        ):
            assert response.status == status


async def test_a_request_that_never_ends_is_ended(monkeypatch):
    monkeypatch.setattr("seamark.oracle.sources.adapter_server.READ_S", 0.05)
    server = AdapterServer(feeds={ETH_USD: lambda: ANSWER}, host="127.0.0.1", port=0)
    async with running(server):
        await until(lambda: server.port)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{")
        assert b" 408 " in await reader.readline()
        writer.close()


async def test_so_many_requests_at_once_and_no_more(monkeypatch):
    monkeypatch.setattr("seamark.oracle.sources.adapter_server.MAX_IN_FLIGHT", 0)
    server = AdapterServer(feeds={ETH_USD: lambda: ANSWER}, host="127.0.0.1", port=0)
    async with running(server):
        await until(lambda: server.port)
        assert isinstance(await ask(f"http://127.0.0.1:{server.port}"), SourceFailure)


async def test_a_body_that_is_too_large_is_refused():
    server = AdapterServer(feeds={ETH_USD: lambda: ANSWER}, host="127.0.0.1", port=0)
    async with running(server):
        await until(lambda: server.port)
        url = f"http://127.0.0.1:{server.port}/"
        async with ClientSession() as session, session.post(url, data=b" " * 70_000) as response:
            assert response.status == 413


@pytest.mark.parametrize("name", ["apiKey", "api_key", "X-Token", "clientSecret", "password", "Authorization"])
def test_secrets_in_the_data_of_an_adapter_are_not_shown(name):
    settings = AdapterSettings(url="http://adapter:8080/", data={name: "hunter2", "base": "ETH"})
    assert settings.data[name] == "hunter2"
    shown = settings.model_dump(mode="json")
    assert shown["data"] == {name: "***", "base": "ETH"}
    assert "hunter2" not in repr(settings)
