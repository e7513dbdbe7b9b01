"""Each venue's parser against a reply in the venue's own shape."""

from decimal import Decimal

import pytest

from seamark.oracle.model import Pair
from seamark.oracle.sources.source import ContentError, decode_json, read_quote
from seamark.oracle.sources.venues import CATALOGUE, source_at

NOW = 1_700_000_001.0

REPLIES = {
    "bitfinex": (
        "BTC/USD",
        "https://api-pub.bitfinex.com/v2/ticker/tBTCUSD",
        "[37000,9.0029,37000.2,7.1138,-1.02,0,37000.1,8913.3,250.01,220.05]",
        ("37000.1", "37000", "37000.2", "8913.3", None),
    ),
    "gate": (
        "BTC/USDT",
        "https://api.gateio.ws/api/v4/spot/tickers?currency_pair=BTC_USDT",
        (
            '[{"currency_pair":"BTC_USDT","last":"37000.1","lowest_ask":"37000.2","highest_bid":"37000",'
            '"change_percentage":"-1.0","base_volume":"8913.3","quote_volume":"1","high_24h":"1","low_24h":"1"}]'
        ),
        ("37000.1", "37000", "37000.2", "8913.3", None),
    ),
    "htx": (
        "BTC/USDT",
        "https://api.huobi.pro/market/detail/merged?symbol=btcusdt",
        (
            '{"status":"ok","ch":"market.btcusdt.detail.merged","ts":1700000000500,"tick":{"amount":8913.3,"open":1,'
            '"close":37000.1,"high":1,"id":1,"count":2,"low":1,"version":1,"ask":[37000.2,0.7],"vol":1.5,"bid":[37000,0.1]}}'
        ),
        ("37000.1", "37000", "37000.2", "8913.3", 1_700_000_000.5),
    ),
    "kucoin": (
        "BTC/USDT",
        "https://api.kucoin.com/api/v1/market/stats?symbol=BTC-USDT",
        (
            '{"code":"200000","data":{"time":1700000000500,"symbol":"BTC-USDT","buy":"37000","sell":"37000.2",'
            '"changeRate":"-0.0091","changePrice":"-27.7","high":"1","low":"1","vol":"8913.3","volValue":"1",'
            '"last":"37000.1","averagePrice":"1","takerFeeRate":"0.001"}}'
        ),
        ("37000.1", "37000", "37000.2", "8913.3", 1_700_000_000.5),
    ),
    "binance": (
        "BTC/USDT",
        "https://api.binance.com/api/v3/ticker/24hr?symbol=BTCUSDT",
        (
            '{"symbol":"BTCUSDT","priceChange":"-94.99","lastPrice":"37000.10000000","bidPrice":"37000.00000000",'
            '"askPrice":"37000.20000000","volume":"8913.30000000","quoteVolume":"15.30000000","openTime":1699913600500,'
            '"closeTime":1700000000500,"count":76}'
        ),
        ("37000.10", "37000", "37000.20", "8913.3", 1_700_000_000.5),
    ),
    "coinbase": (
        "BTC/USD",
        "https://api.exchange.coinbase.com/products/BTC-USD/ticker",
        (
            '{"ask":"37000.2","bid":"37000","volume":"8913.3","trade_id":86326522,"price":"37000.1","size":"0.00698254",'
            '"time":"2023-11-14T22:13:20.500000Z","rfq_volume":"1.0"}'
        ),
        ("37000.1", "37000", "37000.2", "8913.3", 1_700_000_000.5),
    ),
    "kraken": (
        "BTC/USD",
        "https://api.kraken.com/0/public/Ticker?pair=XBTUSD",
        (
            '{"error":[],"result":{"XXBTZUSD":{"a":["37000.2","1","1.000"],"b":["37000.0","1","1.000"],'
            '"c":["37000.1","0.00080000"],"v":["108.8","8913.3"],"p":["36990.1","36980.2"],"t":[1,2],"l":["1","1"],'
            '"h":["1","1"],"o":"36000.0"}}}'
        ),
        ("37000.1", "37000", "37000.2", "8913.3", None),
    ),
    "bitstamp": (
        "BTC/USD",
        "https://www.bitstamp.net/api/v2/ticker/btcusd/",
        (
            '{"timestamp":"1700000000","open":"36000","high":"37500","low":"35000","last":"37000.1","volume":"8913.3",'
            '"vwap":"36500","bid":"37000","ask":"37000.2","side":"0","open_24":"36000","percent_change_24":"1.0"}'
        ),
        ("37000.1", "37000", "37000.2", "8913.3", 1_700_000_000.0),
    ),
    "gemini": (
        "BTC/USD",
        "https://api.gemini.com/v1/pubticker/btcusd",
        (
            '{"bid":"37000","ask":"37000.2","volume":{"BTC":"8913.3","USD":"329000000.1","timestamp":1700000000500},'
            '"last":"37000.1"}'
        ),
        ("37000.1", "37000", "37000.2", "8913.3", 1_700_000_000.5),
    ),
    "okx": (
        "BTC/USDT",
        "https://www.okx.com/api/v5/market/ticker?instId=BTC-USDT",
        (
            '{"code":"0","msg":"","data":[{"instType":"SPOT","instId":"BTC-USDT","last":"37000.1","lastSz":"0.1",'
            '"askPx":"37000.2","askSz":"1","bidPx":"37000","bidSz":"1","vol24h":"8913.3","volCcy24h":"1","ts":"1700000000500"}]}'
        ),
        ("37000.1", "37000", "37000.2", "8913.3", 1_700_000_000.5),
    ),
    "bybit": (
        "BTC/USDT",
        "https://api.bybit.com/v5/market/tickers?category=spot&symbol=BTCUSDT",
        (
            '{"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[{"symbol":"BTCUSDT","bid1Price":"37000",'
            '"ask1Price":"37000.2","lastPrice":"37000.1","volume24h":"8913.3","turnover24h":"1"}]},"retExtInfo":{},'
            '"time":1700000000500}'
        ),
        ("37000.1", "37000", "37000.2", "8913.3", 1_700_000_000.5),
    ),
}


def test_every_venue_of_the_catalogue_is_tested():
    assert set(REPLIES) == set(CATALOGUE)


@pytest.mark.parametrize("name", sorted(REPLIES))
def test_a_ticker_is_read(name):
    pair, url, body, (price, bid, ask, volume, observed_at) = REPLIES[name]
    source = source_at(CATALOGUE[name], Pair.parse(pair), deadline=5)
    assert source.request.url == url
    quote = read_quote(source, decode_json(body.encode()), NOW)
    assert (quote.venue, quote.price) == (name, Decimal(price))
    assert (quote.bid, quote.ask, quote.volume) == (Decimal(bid), Decimal(ask), Decimal(volume))
    assert quote.untimed is (observed_at is None)
    assert quote.observed_at == (observed_at or NOW)


@pytest.mark.parametrize(
    ("name", "pair", "body"),
    [
        ("kraken", "BTC/USD", '{"error":["EQuery:Unknown asset pair"]}'),
        ("okx", "BTC/USDT", '{"code":"51001","msg":"Instrument ID does not exist","data":[]}'),
        ("bybit", "BTC/USDT", '{"retCode":10001,"retMsg":"params error","result":{},"time":1700000000500}'),
        ("binance", "BTC/USDT", '{"code":-1121,"msg":"Invalid symbol."}'),
        ("coinbase", "BTC/USD", '{"message":"NotFound"}'),
        ("kraken", "BTC/USD", '{"error":[],"result":{"A":{"c":["1"]},"B":{"c":["2"]}}}'),  # which of the two?
    ],
)
def test_a_venues_own_error_is_a_failure(name, pair, body):
    source = source_at(CATALOGUE[name], Pair.parse(pair), deadline=5)
    with pytest.raises(ContentError):
        read_quote(source, decode_json(body.encode()), NOW)


@pytest.mark.parametrize("name", ["binance", "okx", "bybit"])
def test_a_stable_coin_market_is_never_a_source_for_dollars(name):
    with pytest.raises(ValueError, match="lists no market against USD"):
        source_at(CATALOGUE[name], Pair("BTC", "USD"), deadline=5)


def test_the_dollar_venues():
    found = {name for name, venue in CATALOGUE.items() if venue.lists(Pair("ETH", "USD"))}
    assert found == {"coinbase", "kraken", "bitstamp", "gemini", "bitfinex"}
    assert {name for name in found if CATALOGUE[name].by_default} == found - {"bitfinex"}


@pytest.mark.parametrize(("text", "pair"), [("ETH / USD", Pair("ETH", "USD")), ("btc/usd", Pair("BTC", "USD"))])
def test_a_pair_is_read_as_feeds_describe_themselves(text, pair):
    assert Pair.parse(text) == pair


@pytest.mark.parametrize(
    "text", ["", "ETH", "ETH/", "/USD", "ETH/USD/EUR", "ETH-USD", "Ether price in dollars", "É/USD"]
)
def test_what_is_no_pair_is_refused(text):
    with pytest.raises(ValueError, match="is not a pair"):
        Pair.parse(text)
