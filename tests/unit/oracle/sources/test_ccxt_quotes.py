"""Unified tickers, and a stand-in for an exchange object of ccxt. ccxt itself is an optional extra."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from seamark.core.errors import SettingsError
from seamark.oracle.model import Quote, SourceFailure, SourceReport
from seamark.oracle.sources.ccxt_quotes import CcxtQuotes, CcxtSource, load_exchange, read_ticker
from seamark.oracle.sources.source import ContentError
from tests.unit.oracle.conftest import running
from tests.unit.oracle.fakes import START, FakeClock, until

SOURCE = CcxtSource("bitvavo", "bitvavo", "ETH/EUR")
TICKER = {
    "symbol": "ETH/EUR", "timestamp": int(START) * 1000 - 1500, "last": "2000.10", "bid": "2000.0", "ask": "2000.2",
    "baseVolume": "12.5", "quoteVolume": None, "info": {"market": "ETH-EUR"},
}  # fmt: skip


class BaseError(Exception): ...


class NetworkError(BaseError): ...


class RequestTimeout(NetworkError): ...


class RateLimitExceeded(NetworkError): ...


class BadSymbol(BaseError): ...


class Exchange:
    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.closed = False

    async def fetch_ticker(self, symbol: str) -> Any:
        self.asked.append(symbol)
        answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None:
        self.closed = True


def test_a_ticker_keeps_its_digits():
    quote = read_ticker(SOURCE, TICKER, START)
    assert str(quote.price) == "2000.10"
    assert (quote.observed_at, quote.untimed) == (START - 1.5, False)
    assert (quote.bid, quote.ask, quote.volume) == (Decimal("2000.0"), Decimal("2000.2"), Decimal("12.5"))


def test_a_ticker_without_time_is_untimed():
    quote = read_ticker(SOURCE, {**TICKER, "timestamp": None, "bid": None}, START)
    assert (quote.observed_at, quote.untimed, quote.bid) == (START, True, None)


def test_a_float_is_taken_by_its_shortest_text():
    assert str(read_ticker(SOURCE, {**TICKER, "last": 0.1}, START).price) == "0.1"


@pytest.mark.parametrize(
    ("ticker", "kind"),
    [
        (None, "shape"),
        ({**TICKER, "last": None}, "shape"),
        ({**TICKER, "symbol": "BTC/EUR"}, "shape"),
        ({**TICKER, "last": "much"}, "number"),
        ({**TICKER, "last": float("nan")}, "number"),
        ({**TICKER, "last": True}, "number"),
        ({**TICKER, "bid": "x"}, "number"),
    ],
)
def test_tickers_of_no_use(ticker, kind):
    with pytest.raises(ContentError) as caught:
        read_ticker(SOURCE, ticker, START)
    assert caught.value.kind == kind


async def ask(answer: Any) -> SourceReport:
    reports: list[SourceReport] = []
    hub = CcxtQuotes(clock=FakeClock(), load=lambda name: Exchange(answer))
    hub.subscribe(SOURCE, interval=1.0, subscriber=reports.append)
    await hub.ask_once(("bitvavo", "ETH/EUR"))
    (report,) = reports
    return report


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RateLimitExceeded("https://x?key=secret"), "rate_limited"),
        (RequestTimeout("secret"), "timeout"),
        (BadSymbol("secret"), "symbol"),
        (NetworkError("secret"), "connect"),
        (BaseError("secret"), "venue"),
        (KeyError("secret"), "library"),
    ],
)
async def test_errors_have_a_class_and_no_secrets(error, kind):
    report = await ask(error)
    assert isinstance(report, SourceFailure)
    assert report.kind == kind
    assert "secret" not in report.detail


async def test_an_exchange_that_hangs_is_given_up():
    class Slow(Exchange):
        async def fetch_ticker(self, symbol: str) -> Any:
            await asyncio.Event().wait()

    reports: list[SourceReport] = []
    hub = CcxtQuotes(clock=FakeClock(), load=lambda name: Slow())
    hub.subscribe(CcxtSource("a", "a", "ETH/EUR", deadline=0.01), interval=1.0, subscriber=reports.append)
    await hub.ask_once(("a", "ETH/EUR"))
    assert [report.kind for report in reports if isinstance(report, SourceFailure)] == ["timeout"]


async def test_one_object_per_exchange_and_one_question_per_market():
    exchange = Exchange(TICKER)
    loaded: list[str] = []

    def load(name: str) -> Exchange:
        loaded.append(name)
        return exchange

    clock = FakeClock()
    reports: list[SourceReport] = []
    hub = CcxtQuotes(clock=clock, load=load)
    for name in ("a", "b"):
        hub.subscribe(CcxtSource(name, "bitvavo", "ETH/EUR"), interval=5.0, subscriber=reports.append)
    async with running(hub):
        await until(lambda: len(reports) == 2)
        await clock.advance(5.1)
        await until(lambda: len(reports) == 4)
    assert all(isinstance(report, Quote) for report in reports)
    assert (loaded, exchange.asked, exchange.closed) == (["bitvavo"], ["ETH/EUR", "ETH/EUR"], True)


def test_without_the_library_the_remedy_is_told(monkeypatch):
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(SettingsError, match=r"ccxt is not installed.*install seamark\[ccxt\]"):
        load_exchange("kraken")


async def test_the_library_itself_where_it_is_installed():
    pytest.importorskip("ccxt")
    exchange = load_exchange("kraken")
    try:
        assert exchange.parse_number("2000.10") == "2000.10"
        with pytest.raises(SettingsError, match="knows no exchange 'nowhere'"):
            load_exchange("nowhere")
    finally:
        await exchange.close()
