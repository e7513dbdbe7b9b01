from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import aiohttp
import pytest

from seamark.core.errors import SettingsError
from seamark.devnet.market import DEFAULT_ASSETS, Market, MarketModel, VenueFault, VenueFaultKind
from seamark.devnet.venue_shapes import VENUES
from seamark.devnet.venues import FaultSchedule, VenueServer
from tests.support.clock import FakeClock

NOW = 1_800_000_000.0
MARKET = Market(MarketModel(seed=1))
BTC = DEFAULT_ASSETS[0]


@pytest.fixture
async def clock():
    return FakeClock(NOW)


@pytest.fixture
async def server(clock):
    async with VenueServer(MARKET, clock=clock) as started:
        yield started


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


async def fetch(http, url):
    async with http.get(url) as response:
        return response.status, await response.json(), response.headers


async def ticker(http, server, venue, symbol="BTC/USD"):
    status, body, _ = await fetch(http, server.ticker_url(venue, symbol))
    assert status == 200
    return body


def expected(venue, symbol="BTC/USD", at=NOW, fault=None):
    return MARKET.ticker(VENUES[venue].model, MARKET.asset(symbol), at, fault)


# ---- shapes ----------------------------------------------------------------------------------------------------------


async def test_binance(server, http):
    body = await ticker(http, server, "binance")
    truth = expected("binance")
    assert body["symbol"] == "BTCUSDT"
    assert (Decimal(body["lastPrice"]), Decimal(body["bidPrice"]), Decimal(body["askPrice"])) == (
        truth.last,
        truth.bid,
        truth.ask,
    )
    assert Decimal(body["volume"]) == truth.volume
    assert Decimal(body["quoteVolume"]) == truth.quote_volume
    assert body["closeTime"] == int(truth.time * 1000)
    assert isinstance(body["lastPrice"], str)
    assert isinstance(body["closeTime"], int)


async def test_coinbase(server, http):
    body = await ticker(http, server, "coinbase")
    truth = expected("coinbase")
    assert Decimal(body["price"]) == truth.last
    assert Decimal(body["volume"]) == truth.volume
    assert body["time"].endswith("Z")
    stated = dt.datetime.fromisoformat(body["time"]).timestamp()
    assert stated == pytest.approx(truth.time, abs=1e-5)


async def test_kraken_answers_under_another_name_and_without_a_time(server, http):
    url = server.url + "/kraken/0/public/Ticker?pair=XBTUSD"
    status, body, _ = await fetch(http, url)
    assert status == 200
    assert body["error"] == []
    assert list(body["result"]) == ["XXBTZUSD"]
    entry, truth = body["result"]["XXBTZUSD"], expected("kraken")
    assert Decimal(entry["c"][0]) == truth.last
    assert Decimal(entry["p"][1]) == truth.vwap
    assert Decimal(entry["v"][1]) == truth.volume
    assert Decimal(entry["a"][0]) > Decimal(entry["b"][0])


async def test_kraken_keeps_newer_names(server, http):
    body = await ticker(http, server, "kraken", "LINK/USD")
    assert list(body["result"]) == ["LINKUSD"]


async def test_bitstamp(server, http):
    body = await ticker(http, server, "bitstamp")
    truth = expected("bitstamp")
    assert Decimal(body["last"]) == truth.last
    assert body["timestamp"] == str(int(truth.time))


async def test_gemini(server, http):
    body = await ticker(http, server, "gemini")
    truth = expected("gemini")
    assert Decimal(body["last"]) == truth.last
    assert body["volume"] == {
        "BTC": f"{truth.volume:f}",
        "USD": f"{truth.quote_volume:f}",
        "timestamp": int(truth.time * 1000),
    }


async def test_okx(server, http):
    body = await ticker(http, server, "okx")
    truth = expected("okx")
    assert body["code"] == "0"
    assert Decimal(body["data"][0]["last"]) == truth.last
    assert body["data"][0]["instId"] == "BTC-USDT"
    assert body["data"][0]["ts"] == str(int(truth.time * 1000))


async def test_bybit(server, http):
    body = await ticker(http, server, "bybit")
    truth = expected("bybit")
    assert body["retCode"] == 0
    assert Decimal(body["result"]["list"][0]["lastPrice"]) == truth.last
    assert body["time"] == int(truth.time * 1000)


@pytest.mark.parametrize(
    ("path", "status", "mark"),
    [
        ("/binance/api/v3/ticker/24hr?symbol=NOPE", 400, -1121),
        ("/coinbase/products/NO-PE/ticker", 404, "NotFound"),
        ("/kraken/0/public/Ticker?pair=NOPE", 200, "EQuery:Unknown asset pair"),
        ("/bitstamp/api/v2/ticker/nope/", 404, "Not Found"),
        ("/gemini/v1/pubticker/nope", 400, "not a valid symbol"),
        ("/okx/api/v5/market/ticker?instId=NOPE", 200, "51001"),
        ("/bybit/v5/market/tickers?category=spot&symbol=NOPE", 200, "Not supported symbols"),
    ],
)
async def test_each_venue_says_in_its_own_way_that_it_knows_no_such_symbol(server, http, path, status, mark):
    got, body, _ = await fetch(http, server.url + path)
    assert got == status
    assert str(mark) in json.dumps(body)


@pytest.mark.parametrize("venue", VENUES)
async def test_every_venue_knows_every_asset_and_moves_with_the_clock(server, http, clock, venue):
    before = {asset.symbol: await ticker(http, server, venue, asset.symbol) for asset in DEFAULT_ASSETS}
    clock.advance(30)
    after = {asset.symbol: await ticker(http, server, venue, asset.symbol) for asset in DEFAULT_ASSETS}
    assert all(before[symbol] != after[symbol] for symbol in before)
    assert server.requests[venue] == 2 * len(DEFAULT_ASSETS)


def test_urls_carry_the_venues_own_names():
    urls = [venue.url_path("BTC/USD") for venue in VENUES.values()]
    assert urls == [
        "/binance/api/v3/ticker/24hr?symbol=BTCUSDT",
        "/coinbase/products/BTC-USD/ticker",
        "/kraken/0/public/Ticker?pair=XBTUSD",
        "/bitstamp/api/v2/ticker/btcusd/",
        "/gemini/v1/pubticker/btcusd",
        "/okx/api/v5/market/ticker?instId=BTC-USDT",
        "/bybit/v5/market/tickers?category=spot&symbol=BTCUSDT",
    ]


# ---- faults ----------------------------------------------------------------------------------------------------------


async def test_a_stale_venue_repeats_itself_until_it_is_mended(server, http, clock):
    clock.advance(5)
    server.set_fault("kraken", VenueFault(VenueFaultKind.STALE))
    first = await ticker(http, server, "kraken")
    clock.advance(60)
    assert await ticker(http, server, "kraken") == first
    server.clear_fault("kraken")
    assert await ticker(http, server, "kraken") != first


async def test_a_lie_shows_in_the_price(server, http):
    honest = await ticker(http, server, "coinbase")
    server.set_fault("coinbase", VenueFault(VenueFaultKind.LIE, factor=1000))
    lie = await ticker(http, server, "coinbase")
    assert float(lie["price"]) == pytest.approx(1000 * float(honest["price"]), rel=1e-3)


async def test_one_venue_breaks_alone(server, http):
    server.set_fault("binance", VenueFault(VenueFaultKind.ERROR))
    assert (await fetch(http, server.ticker_url("binance", "BTC/USD")))[0] == 500
    assert (await fetch(http, server.ticker_url("kraken", "BTC/USD")))[0] == 200


async def test_a_limit_says_when_to_come_back(server, http):
    server.set_fault("okx", VenueFault(VenueFaultKind.LIMIT))
    status, _, headers = await fetch(http, server.ticker_url("okx", "BTC/USD"))
    assert status == 429
    assert headers["Retry-After"] == "5"


async def test_half_an_answer_is_not_json(server, http):
    server.set_fault("bybit", VenueFault(VenueFaultKind.HALF))
    async with http.get(server.ticker_url("bybit", "BTC/USD")) as response:
        text = await response.text()
    assert text.startswith("{")
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)


async def test_a_venue_that_is_down_closes_the_connection(server, http):
    server.set_fault("gemini", VenueFault(VenueFaultKind.DOWN))
    with pytest.raises(aiohttp.ClientError):
        await fetch(http, server.ticker_url("gemini", "BTC/USD"))


async def test_a_late_answer_is_later_than_an_impatient_client(server, http):
    server.set_fault("kraken", VenueFault(VenueFaultKind.DELAY, seconds=30))
    with pytest.raises(TimeoutError):
        await http.get(server.ticker_url("kraken", "BTC/USD"), timeout=aiohttp.ClientTimeout(total=0.1))


async def test_faults_by_http(server, http):
    async with http.put(server.url + "/control/kraken", json={"kind": "lie", "factor": 2}) as response:
        assert response.status == 200
    assert server.fault("kraken") == VenueFault(VenueFaultKind.LIE, factor=2.0)
    _, faults, _ = await fetch(http, server.url + "/control")
    assert faults["kraken"] == "lie"
    assert faults["binance"] is None
    async with http.delete(server.url + "/control/kraken") as response:
        assert response.status == 204
    assert server.fault("kraken") is None


@pytest.mark.parametrize(
    ("venue", "body", "status"),
    [
        ("nowhere", '{"kind": "lie"}', 404),
        ("kraken", '{"kind": "tired"}', 400),
        ("kraken", '{"kind": "lie", "colour": "red"}', 400),
        ("kraken", '"lie"', 400),
        ("kraken", "{", 400),
        ("kraken", '{"kind": "lie", "factor": "two"}', 400),
        ("kraken", '{"kind": "lie", "factor": null}', 400),
        ("kraken", '{"kind": []}', 400),
    ],
)
async def test_a_bad_fault_by_http_is_refused_and_changes_nothing(server, http, venue, body, status):
    async with http.put(f"{server.url}/control/{venue}", data=body) as response:
        assert response.status == status
        assert (await response.json())["error"]
    assert all(server.fault(name) is None for name in VENUES)


async def test_a_fault_of_an_unknown_venue_is_a_mistake_of_the_caller(server):
    with pytest.raises(KeyError):
        server.set_fault("nowhere", VenueFault(VenueFaultKind.ERROR))


# ---- schedules -------------------------------------------------------------------------------------------------------


def test_a_schedule_comes_and_goes():
    schedule = FaultSchedule("kraken", VenueFault(VenueFaultKind.STALE), every_s=100, lasts_s=20, after_s=30)
    assert [schedule.active(at) for at in (0, 29.9, 30, 49, 50, 129, 135)] == [None, None, 0, 19, None, None, 5]


async def test_a_scheduled_stale_venue_stops_when_its_time_comes(clock, http):
    schedule = FaultSchedule("kraken", VenueFault(VenueFaultKind.STALE), every_s=100, lasts_s=20, after_s=30)
    async with VenueServer(MARKET, clock=clock, schedules=[schedule]) as server:
        assert server.fault("kraken") is None
        clock.advance(35)
        assert server.fault("kraken") == VenueFault(VenueFaultKind.STALE, since=NOW + 30)
        first = await ticker(http, server, "kraken")
        clock.advance(10)
        assert await ticker(http, server, "kraken") == first
        clock.advance(10)
        assert server.fault("kraken") is None


async def test_a_fault_set_by_hand_goes_before_the_schedule(clock):
    schedule = FaultSchedule("kraken", VenueFault(VenueFaultKind.ERROR), every_s=10, lasts_s=10)
    async with VenueServer(MARKET, clock=clock, schedules=[schedule]) as server:
        server.set_fault("kraken", VenueFault(VenueFaultKind.LIE))
        fault = server.fault("kraken")
        assert fault is not None
        assert fault.kind is VenueFaultKind.LIE


# ---- the server ------------------------------------------------------------------------------------------------------


async def test_a_taken_port_names_its_setting(server, clock):
    other = VenueServer(MARKET, clock=clock, port=server.port, port_setting="devnet.venues_port")
    with pytest.raises(SettingsError, match=r"devnet\.venues_port: port \d+ is taken"):
        await other.start()
    await other.stop()


async def test_stopping_twice_is_fine(clock):
    server = VenueServer(MARKET, clock=clock)
    await server.start()
    assert server.url == f"http://127.0.0.1:{server.port}"
    await server.stop()
    await server.stop()
