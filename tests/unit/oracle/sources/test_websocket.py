"""The listener against a venue on loopback that speaks the true shapes, breaks, keeps silent and refuses."""

import gzip
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from functools import partial

import pytest
from aiohttp import ClientSession

from seamark.oracle.model import Pair, Quote, SourceFailure, SourceReport
from seamark.oracle.sources.streams import STREAMS, StreamSource, stream_at
from seamark.oracle.sources.websocket import LONGEST_PAUSE_S, MAX_MESSAGE_BYTES, SILENCE_S, QuoteListener, pause_before
from seamark.runtime.clock import SystemClock
from seamark.runtime.http import make_session
from tests.unit.oracle.conftest import running
from tests.unit.oracle.fakes import FakeClock, until
from tests.unit.oracle.sources.venue_simulator import (
    MANY,
    QUOTES,
    START_MS,
    SYMBOLS,
    TICKS,
    StreamVenue,
    stream_venue,
)


@pytest.fixture
async def venue() -> AsyncIterator[StreamVenue]:
    async with stream_venue() as made:
        yield made


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with make_session() as made:
        yield made


def source(venue: StreamVenue, name: str = "coinbase", base: str = "ETH", *, silence: float = 60.0) -> StreamSource:
    stream = replace(STREAMS[name], url=venue.url)
    pair = Pair(base, QUOTES.get(name, "USD"))
    return stream_at(stream, pair, name=f"{name}-{base}", deadline=5.0, silence=silence)


def prices(reports: list[SourceReport]) -> list[str]:
    return [str(report.price) for report in reports if isinstance(report, Quote)]


def kinds(reports: list[SourceReport]) -> list[str]:
    return [report.kind for report in reports if isinstance(report, SourceFailure)]


@pytest.mark.parametrize("name", sorted(STREAMS))
async def test_every_venue_of_the_catalogue(name, venue, session):
    tick = TICKS[name](SYMBOLS[name], "2000.1000")
    venue.greeting, venue.gzip = tick if name in MANY else [tick], STREAMS[name].gzip
    reports: list[SourceReport] = []
    listener = QuoteListener(session=session, clock=SystemClock())
    health = listener.subscribe(source(venue, name), interval=1.0, subscriber=reports.append)
    async with running(listener):
        await until(lambda: reports)
    (quote,) = reports
    assert isinstance(quote, Quote)
    assert (str(quote.price), quote.venue) == ("2000.1000", name)
    assert quote.untimed == (name in ("kraken", "bitfinex"))
    if not quote.untimed:
        assert quote.observed_at == START_MS / 1000
    assert quote.volume in (Decimal("100.5"), None)
    assert health.ok == 1
    assert any(SYMBOLS[name].lower() in text.lower() for text in venue.heard)


def _has(reports: list[SourceReport], count: int) -> bool:
    return len(reports) == count


def _pinged(venue: StreamVenue, count: int) -> bool:
    return venue.heard.count("ping") == count


async def test_one_connection_serves_all_markets_of_all_feeds(venue, session):
    eth: list[SourceReport] = []
    again: list[SourceReport] = []
    btc: list[SourceReport] = []
    listener = QuoteListener(session=session, clock=SystemClock())
    for reports, base in ((eth, "ETH"), (again, "ETH"), (btc, "BTC")):
        listener.subscribe(source(venue, base=base), interval=1.0, subscriber=reports.append)
    async with running(listener):
        await until(lambda: venue.heard)
        await venue.tell(TICKS["coinbase"]("ETH-USD", "2000"))
        await venue.tell(TICKS["coinbase"]("BTC-USD", "30000"))
        await until(lambda: btc)
    assert (prices(eth), prices(again), prices(btc)) == (["2000"], ["2000"], ["30000"])
    assert venue.connections == 1
    assert json.loads(venue.heard[0])["product_ids"] == ["ETH-USD", "BTC-USD"]


async def test_after_a_break_it_connects_and_subscribes_again(venue, session):
    reports: list[SourceReport] = []
    clock = FakeClock()
    venue.greeting = [TICKS["coinbase"]("ETH-USD", "2000")]
    listener = QuoteListener(session=session, clock=clock)
    health = listener.subscribe(source(venue), interval=1.0, subscriber=reports.append)
    async with running(listener):
        await until(lambda: prices(reports) == ["2000"])
        await venue.sockets[0].close()
        await until(lambda: kinds(reports) == ["closed"])
        assert health.failing_since is not None
        await clock.advance(1.0)
        await until(lambda: prices(reports) == ["2000", "2000"])
    assert health.failing_since is None
    assert venue.connections == 2


async def test_a_venue_that_refuses_is_asked_less_and_less(venue, session):
    venue.refuse = True
    reports: list[SourceReport] = []
    clock = FakeClock()
    listener = QuoteListener(session=session, clock=clock, chance=lambda: 1.0)
    listener.subscribe(source(venue), interval=1.0, subscriber=reports.append)
    async with running(listener):
        for attempt, pause in enumerate((0.5, 1.0, 2.0, 4.0), start=1):
            await until(partial(_has, reports, attempt))
            await clock.advance(pause - 0.01)
            assert venue.connections == attempt
            await clock.advance(0.02)
    assert set(kinds(reports)) == {"handshake"}


def test_the_pause_doubles_to_a_minute_and_has_jitter():
    assert [pause_before(attempt, 1.0) for attempt in (1, 2, 3, 8)] == [0.5, 1.0, 2.0, LONGEST_PAUSE_S]
    assert pause_before(1000, 1.0) == LONGEST_PAUSE_S
    assert pause_before(3, 0.0) == 1.0


async def test_a_connection_without_a_sign_of_life_is_given_up(venue, session):
    reports: list[SourceReport] = []
    clock = FakeClock()
    listener = QuoteListener(session=session, clock=clock)
    listener.subscribe(source(venue, silence=1000.0), interval=1.0, subscriber=reports.append)
    async with running(listener):
        await until(lambda: venue.heard)
        await clock.advance(SILENCE_S + 1)
        await until(lambda: kinds(reports) == ["silent"])
        await clock.advance(1.0)
        await until(lambda: venue.connections == 2)


async def test_pongs_without_prices_do_not_keep_a_dead_subscription(venue, session):
    """The "silent dead state": the connection lives, the subscriptions do not."""
    reports: list[SourceReport] = []
    clock = FakeClock()
    listener = QuoteListener(session=session, clock=clock)
    listener.subscribe(source(venue, "okx", silence=60.0), interval=1.0, subscriber=reports.append)
    async with running(listener):
        await until(lambda: venue.heard)
        for pings in range(1, 3):
            await clock.advance(20.0)
            await until(partial(_pinged, venue, pings))
        await until(lambda: not reports)
        await clock.advance(21.0)
        await until(lambda: kinds(reports) == ["silent"])
    assert venue.connections == 1


async def test_a_quiet_market_fails_while_the_others_go_on(venue, session):
    eth: list[SourceReport] = []
    btc: list[SourceReport] = []
    clock = FakeClock()
    listener = QuoteListener(session=session, clock=clock)
    listener.subscribe(source(venue, silence=10.0), interval=1.0, subscriber=eth.append)
    listener.subscribe(source(venue, base="BTC", silence=10.0), interval=1.0, subscriber=btc.append)
    async with running(listener):
        await until(lambda: venue.heard)
        await clock.advance(8.0)
        await venue.tell(TICKS["coinbase"]("BTC-USD", "30000"))
        await until(lambda: btc)
        await clock.advance(3.0)
        await until(lambda: kinds(eth) == ["silent"])
    assert kinds(btc) == []
    assert venue.connections == 1


REFUSALS = {
    "binance": {"error": {"code": 2, "msg": "Invalid request"}, "id": 1},
    "coinbase": {"type": "error", "message": "Failed to subscribe", "reason": "ETH-USD is not a valid product"},
    "kraken": {"error": "Currency pair not supported ETH/USD", "method": "subscribe", "success": False,
               "symbol": "ETH/USD"},
    "bitstamp": {"event": "bts:error", "channel": "", "data": {"code": None, "message": "Bad subscription string."}},
    "okx": {"event": "error", "code": "60018", "msg": "Wrong URL or channel", "connId": "a4d3ae55"},
    "bybit": {"success": False, "ret_msg": "Invalid symbol :[tickers.ETHUSDT]", "conn_id": "x", "op": "subscribe"},
    "gemini": {"result": "error", "reason": "InvalidSymbol", "message": "Supplied value 'X' is not a valid symbol"},
    "gate": {"time": 1, "channel": "spot.tickers", "event": "subscribe", "error": {"code": 2, "message": "unknown"}},
    "htx": {"status": "error", "ts": 1, "id": "ethusdt", "err-code": "bad-request", "err-msg": "invalid topic"},
    "bitfinex": {"event": "error", "msg": "symbol: invalid", "code": 10300, "channel": "ticker", "symbol": "tETHUSD"},
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(REFUSALS))
async def test_a_refusal_is_told(name, venue, session):
    venue.greeting, venue.gzip = [REFUSALS[name]], STREAMS[name].gzip
    reports: list[SourceReport] = []
    listener = QuoteListener(session=session, clock=SystemClock())
    listener.subscribe(source(venue, name), interval=1.0, subscriber=reports.append)
    async with running(listener):
        await until(lambda: reports)
    assert kinds(reports) == ["venue"]


ACKNOWLEDGEMENTS = {
    "binance": {"result": None, "id": 1},
    "coinbase": {"type": "subscriptions", "channels": [{"name": "ticker", "product_ids": ["ETH-USD"]}]},
    "kraken": {"channel": "heartbeat"},
    "bitstamp": {"event": "bts:subscription_succeeded", "channel": "live_trades_ethusd", "data": {}},
    "okx": {"event": "subscribe", "arg": {"channel": "tickers", "instId": "ETH-USDT"}, "connId": "a4d3ae55"},
    "bybit": {"success": True, "ret_msg": "subscribe", "conn_id": "x", "op": "subscribe"},
    "gemini": {"type": "heartbeat", "timestamp": START_MS},
    "gate": {"time": 1, "channel": "spot.tickers", "event": "subscribe", "error": None, "result": {"status": "ok"}},
    "htx": {"id": "ethusdt", "status": "ok", "subbed": "market.ethusdt.ticker", "ts": START_MS},
    "bitfinex": {"event": "info", "version": 2, "serverId": "e293377e", "platform": {"status": 1}},
}


@pytest.mark.parametrize("name", sorted(ACKNOWLEDGEMENTS))
async def test_an_acknowledgement_and_a_stranger_are_no_reports(name, venue, session):
    stranger, tick = TICKS[name]("XXXYYY", "1"), TICKS[name](SYMBOLS[name], "5")
    told = [*stranger, *tick] if name in MANY else [stranger, tick]
    venue.greeting, venue.gzip = [ACKNOWLEDGEMENTS[name], [1, 2], *told], STREAMS[name].gzip
    reports: list[SourceReport] = []
    listener = QuoteListener(session=session, clock=SystemClock())
    listener.subscribe(source(venue, name), interval=1.0, subscriber=reports.append)
    async with running(listener):
        await until(lambda: reports)
    assert (prices(reports), kinds(reports)) == (["5"], [])


async def test_rubbish_is_a_failure_and_no_end(venue, session):
    tick = TICKS["coinbase"]
    venue.greeting = ["{", tick("ETH-USD", "much"), {"type": "ticker", "product_id": "ETH-USD"}, tick("ETH-USD", "7")]
    reports: list[SourceReport] = []
    listener = QuoteListener(session=session, clock=SystemClock())
    listener.subscribe(source(venue), interval=1.0, subscriber=reports.append)
    async with running(listener):
        await until(lambda: prices(reports))
    assert (kinds(reports), prices(reports)) == (["json", "number", "shape"], ["7"])
    assert venue.connections == 1


async def test_a_venue_that_asks_for_a_new_connection_gets_one_without_a_failure(venue, session):
    clock = FakeClock()
    venue.greeting = [TICKS["bitstamp"]("ethusd", "7")]
    reports: list[SourceReport] = []
    listener = QuoteListener(session=session, clock=clock)
    listener.subscribe(source(venue, "bitstamp"), interval=1.0, subscriber=reports.append)
    async with running(listener):
        await until(lambda: prices(reports))
        await venue.tell({"event": "bts:request_reconnect", "channel": "", "data": ""})
        await until(lambda: venue.sockets[0].closed)
        await clock.advance(1.0)
        await until(lambda: len(prices(reports)) == 2)
    assert kinds(reports) == []


def test_a_stable_coin_is_no_dollar():
    with pytest.raises(ValueError, match="lists no market against USD"):
        stream_at(STREAMS["binance"], Pair("ETH", "USD"), name="x", deadline=1.0, silence=1.0)


def test_bybit_takes_ten_topics_in_a_message():
    messages = STREAMS["bybit"].subscribe([f"A{number}USDT" for number in range(25)])
    assert [len(json.loads(message)["args"]) for message in messages] == [10, 10, 5]


async def test_another_address_is_not_gone_to(venue, session):
    async with stream_venue() as other:
        venue.elsewhere = other.url.replace("ws:", "http:")
        reports: list[SourceReport] = []
        listener = QuoteListener(session=session, clock=SystemClock())
        listener.subscribe(source(venue), interval=1.0, subscriber=reports.append)
        async with running(listener):
            await until(lambda: reports)
        assert kinds(reports)[0] == "redirect"
        assert isinstance(reports[0], SourceFailure)
        assert reports[0].detail == "HTTP 302, not followed"
        assert other.connections == 0


async def test_a_ping_of_the_venues_own_is_answered(venue, session):
    venue.greeting, venue.gzip = [{"ping": 1492420473027}, TICKS["htx"]("ethusdt", "5")], True
    reports: list[SourceReport] = []
    listener = QuoteListener(session=session, clock=SystemClock())
    listener.subscribe(source(venue, "htx"), interval=1.0, subscriber=reports.append)
    async with running(listener):
        await until(lambda: '{"pong":1492420473027}' in venue.heard)
        await until(lambda: reports)
    assert prices(reports) == ["5"]


@pytest.mark.parametrize("sent", [b"plain", gzip.compress(b" " * (MAX_MESSAGE_BYTES + 1))])
async def test_what_is_not_compressed_or_a_bomb_is_a_failure(venue, session, sent):
    reports: list[SourceReport] = []
    listener = QuoteListener(session=session, clock=SystemClock())
    listener.subscribe(source(venue, "htx"), interval=1.0, subscriber=reports.append)
    async with running(listener):
        await until(lambda: venue.heard)
        await venue.sockets[-1].send_bytes(sent)
        await until(lambda: reports)
    assert kinds(reports) == ["gzip"]


async def test_the_numbers_of_subscriptions_are_of_one_connection(venue, session):
    """After a reconnection the same number may stand for another market."""
    first, row = TICKS["bitfinex"]("tETHUSD", "5")
    venue.greeting = [first, row]
    reports: list[SourceReport] = []
    listener = QuoteListener(session=session, clock=SystemClock(), chance=lambda: 0.0)
    listener.subscribe(source(venue, "bitfinex"), interval=1.0, subscriber=reports.append)
    async with running(listener):
        await until(lambda: prices(reports) == ["5"])
        venue.greeting = [row, {"event": "info", "code": 20060}, first, TICKS["bitfinex"]("tETHUSD", "6")[1]]
        await venue.tell({"event": "info", "code": 20051})
        await until(lambda: prices(reports) == ["5", "6"])
    assert venue.connections == 2


async def test_markets_come_and_go_on_one_connection(venue, session):
    eth: list[SourceReport] = []
    btc: list[SourceReport] = []
    listener = QuoteListener(session=session, clock=SystemClock())
    listener.subscribe(source(venue), interval=1.0, subscriber=eth.append, feed="ETH/USD")
    async with running(listener):
        await until(lambda: len(venue.heard) == 1)
        listener.subscribe(source(venue, base="BTC"), interval=1.0, subscriber=btc.append, feed="BTC/USD")
        await until(lambda: len(venue.heard) == 2)
        assert json.loads(venue.heard[1])["product_ids"] == ["BTC-USD"]
        await venue.tell(TICKS["coinbase"]("BTC-USD", "7"))
        await until(lambda: btc)
        listener.drop("BTC/USD")
        await venue.tell(TICKS["coinbase"]("BTC-USD", "8"))
        await venue.tell(TICKS["coinbase"]("ETH-USD", "9"))
        await until(lambda: eth)
        assert (prices(btc), prices(eth), venue.connections) == (["7"], ["9"], 1)
        listener.drop("ETH/USD")
        await until(lambda: venue.sockets[-1].closed)
    assert kinds(eth) == kinds(btc) == []
