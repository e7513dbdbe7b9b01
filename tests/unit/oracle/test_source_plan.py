"""From the settings of sources to what the hubs understand."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from seamark.core.errors import SettingsError
from seamark.core.units import Seconds
from seamark.oracle.model import Pair
from seamark.oracle.settings import FeedSettings
from seamark.oracle.source_plan import make_sources, make_venues
from seamark.oracle.source_settings import VenueSettings
from seamark.oracle.sources.adapters import AdapterSource
from seamark.oracle.sources.ccxt_quotes import CcxtSource
from seamark.oracle.sources.cross import CrossSource, Operation
from seamark.oracle.sources.onchain import ChainlinkFeed, ChainSource, UniswapTwap, VaultRate
from seamark.oracle.sources.outlet import AnySource
from seamark.oracle.sources.source import Source
from seamark.oracle.sources.streams import StreamSource
from seamark.runtime.settings import validate_settings

ADDRESS = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
FEED = {"chain": "home", "aggregator": ADDRESS, "heartbeat": "1h", "deviation": "0.5%"}
ETH_USD = Pair("ETH", "USD")


def feed(*sources: Any) -> FeedSettings:
    return validate_settings(FeedSettings, {**FEED, "sources": list(sources)}, source="test")


def made(*sources: Any, venues: dict[str, VenueSettings] | None = None) -> tuple[AnySource, ...]:
    return make_sources(feed(*sources), ETH_USD, make_venues(venues or {}, ["home"]), "feed")


def test_a_stream_of_the_catalogue_at_another_address():
    venues = {"coinbase": VenueSettings(stream_url="ws://127.0.0.1:9/x")}
    (source,) = made({"venue": "coinbase", "stream": True, "silence": "30s", "weight": 4}, venues=venues)
    assert isinstance(source, StreamSource)
    assert (source.stream.url, source.symbol, source.silence, source.weight) == (
        "ws://127.0.0.1:9/x", "ETH-USD", 30.0, 4,
    )  # fmt: skip


def test_another_venue_of_the_same_shape():
    venues = {"binance-us": VenueSettings(like="binance", stream_url="wss://x.example", quotes=("usd",))}
    (source,) = made({"venue": "binance-us", "stream": True}, venues=venues)
    assert isinstance(source, StreamSource)
    assert (source.venue, source.symbol) == ("binance-us", "ETHUSD")


def test_a_market_in_a_stable_coin_takes_a_route():
    source = {"venue": "okx", "pair": "ETH/USDT", "weight": 2, "via": [{"venue": "kraken", "pair": "USDT/USD"}]}
    (cross,) = made(source)
    assert isinstance(cross, CrossSource)
    assert (cross.name, cross.venue, cross.weight, cross.max_age) == ("okx", "okx", 2, None)
    assert [str(leg.pair) for leg in cross.legs] == ["ETH/USDT", "USDT/USD"]
    assert [leg.source.max_age for leg in cross.legs] == [120.0, 120.0]


def test_a_leg_the_other_way_round_and_with_a_patience_of_its_own():
    leg = {"name": "fx", "url": "https://x.example", "price": "rate", "pair": "USD/EUR", "max_age": "30h"}
    (cross,) = made({"venue": "kraken", "pair": "ETH/EUR", "stream": True, "via": [leg]})
    assert isinstance(cross, CrossSource)
    first, second = cross.legs
    assert isinstance(first.source, StreamSource)
    assert isinstance(second.source, Source)
    assert (second.operation, second.source.max_age) == (Operation.DIVIDE, Seconds(108_000.0))


def test_contracts():
    sources = made(
        {
            "name": "pool",
            "uniswap_v3": {"chain": "home", "pool": ADDRESS, "decimals": [6, 18], "window": "10m", "invert": True},
        },
        {"name": "link", "max_age": "65m", "chainlink": {"chain": "home", "feed": ADDRESS}},
        {"name": "vault", "venue": "sdai", "erc4626": {"chain": "home", "vault": ADDRESS, "asset_decimals": 18}},
    )
    pool, link, vault = (source.reading for source in sources if isinstance(source, ChainSource))
    assert isinstance(pool, UniswapTwap)
    assert (pool.decimals0, pool.decimals1, pool.window, pool.invert) == (6, 18, 600, True)
    assert isinstance(link, ChainlinkFeed)
    assert isinstance(vault, VaultRate)
    assert [source.venue for source in sources] == ["pool", "link", "sdai"]
    assert sources[1].max_age == 3900.0


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            {"venue": "okx", "pair": "ETH/USDT"},
            (
                "feed.sources[0].pair: ETH/USDT is not a price in USD; "
                "use a market against USD, or add via with one such as USDT/USD"
            ),
        ),
        (
            {"venue": "okx", "pair": "ETH/USDT", "via": [{"venue": "kraken", "pair": "USDC/USD"}]},
            "feed.sources[0].via: USDC/USD does not lead on from USDT; use a market of USDT, in the order of the route",
        ),
        (
            {"venue": "okx", "pair": "ETH/USDT", "via": [{"venue": "kraken", "pair": "USDT/EUR"}]},
            "feed.sources[0].via: the route ends in EUR, not in USD; add a leg such as EUR/USD",
        ),
        (
            {"venue": "okx", "pair": "ETH/USDT", "via": [{"venue": "bybit", "pair": "USDT/USD"}]},
            "feed.sources[0].via[0]: bybit lists no market against USD; use one of BTC, ETH, EUR, USDC, USDT",
        ),
        (
            {"venue": "kucoin", "stream": True},
            (
                "feed.sources[0]: no stream of a venue 'kucoin' is known; "
                "use one of binance, bitfinex, bitstamp, bybit, coinbase, gate, gemini, htx, kraken, okx"
            ),
        ),
        (
            {"name": "slow", "url": "https://x.example", "price": "p", "budget": "100/day"},
            (
                "feed.sources[0]: 100 requests a day are one in 864 s, and its price lasts 120 s; "
                "raise its max_age or the budget"
            ),
        ),
        (
            {"name": "v", "erc4626": {"chain": "away", "vault": ADDRESS, "asset_decimals": 18}},
            "feed.sources[0]: there is no chain 'away'; name one of those under chains: home",
        ),
    ],
)
def test_a_source_that_does_not_fit_is_told_with_a_remedy(source, message):
    with pytest.raises(SettingsError) as caught:
        made(source)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ({"name": "x", "url": "https://x.example", "price": "p", "stream": True}, "only venues of the catalogue"),
        ({"venue": "okx", "via": [{"venue": "kraken", "pair": "USDT/USD"}]}, "via needs the pair"),
        ({"venue": "okx", "pair": "ETH/USDT", "via": [{"venue": "kraken"}]}, "pair"),
        ({"name": "l", "chainlink": {"chain": "home", "feed": ADDRESS}}, "add max_age"),
        ({"erc4626": {"chain": "home", "vault": ADDRESS, "asset_decimals": 18}}, "add name"),
        (
            {"name": "u", "uniswap_v3": {"chain": "home", "pool": ADDRESS, "decimals": [6, 18], "window": 600}},
            "window",
        ),
        ({"name": "u", "uniswap_v3": {"chain": "home", "pool": ADDRESS, "decimals": [6]}}, "decimals"),
        ({"venue": "kraken", "weight": 0}, "weight"),
        ({"venue": "kraken", "ccxt": "kraken"}, "a ccxt source needs no venue"),
        ({"venue": "kraken", "rate": "5/s"}, "under oracle.venues"),
        ({"name": "x", "url": "https://x.example", "price": "p", "rate": 5}, "such as 10/s or 600/min"),
        ({"name": "x", "url": "https://x.example", "price": "p", "rate": "0/s"}, "such as 10/s or 600/min"),
        ({"name": "x", "url": "https://x.example", "price": "p", "budget": "1000"}, "such as 1000/day"),
        ({"name": "x", "url": "https://x.example", "adapter": {"url": "https://y.example"}}, "more than one kind"),
        ({"name": "x", "adapter": {"url": "https://y.example"}, "price": "p"}, "leave them out"),
    ],
)
def test_settings_that_contradict_themselves(source, problem):
    with pytest.raises(SettingsError) as caught:
        feed(source)
    assert problem in str(caught.value)


def test_a_stream_address_of_a_venue_without_stream():
    with pytest.raises(SettingsError, match=r"oracle.venues.kucoin.stream_url: no stream of 'kucoin' is known"):
        make_venues({"kucoin": VenueSettings(stream_url="wss://x.example")})


def test_a_stream_address_has_to_be_one():
    with pytest.raises(ValueError, match="no websocket address; write wss"):
        VenueSettings(stream_url="https://x.example")


def test_limits_of_a_venue_and_of_a_source():
    venues = {"kraken": VenueSettings.model_validate({"rate": "60/min", "budget": "86400/day"})}
    own = {"name": "own", "url": "https://x.example", "price": "p", "rate": "10/s", "budget": "1000/day"}
    kraken, source = made("kraken", own, venues=venues)
    assert isinstance(kraken, Source)
    assert isinstance(source, Source)
    assert (kraken.rate, kraken.budget, source.rate, source.budget) == (1.0, 86_400, 10.0, 1000)


def test_an_adapter_is_asked_for_the_pair_unless_told_otherwise():
    adapter = {"url": "https://ea.example", "data": {"coin": "eth"}}
    first, second = made(
        {"name": "a", "adapter": {"url": "https://ea.example"}, "headers": {"Authorization": "secret"}},
        {"name": "b", "adapter": adapter, "budget": "1000/day", "max_age": "2m"},
    )
    assert isinstance(first, AdapterSource)
    assert isinstance(second, AdapterSource)
    assert first.request.body == b'{"data":{"base":"ETH","quote":"USD"},"id":"seamark"}'
    assert second.request.body == b'{"data":{"coin":"eth"},"id":"seamark"}'
    assert second.budget == 1000
    assert "secret" not in repr(first)


def test_an_exchange_of_ccxt_goes_by_its_identifier():
    (source,) = made({"ccxt": "bitvavo"})
    assert isinstance(source, CcxtSource)
    assert (source.name, source.venue, source.symbol) == ("bitvavo", "bitvavo", "ETH/USD")
    (cross,) = made({"ccxt": "bitvavo", "pair": "ETH/EUR", "via": [{"venue": "kraken", "pair": "EUR/USD"}]})
    assert isinstance(cross, CrossSource)
    assert cross.venue == "bitvavo"


def test_what_the_guide_shows_is_accepted():
    guide = (Path(__file__).parents[3] / "docs/how-to/publish-a-feed.md").read_text()
    block = guide.split("Further kinds of sources:\n\n```yaml\n")[1].split("```")[0]
    sources = yaml.safe_load(block.replace("0x…", ADDRESS))["sources"]
    kinds = {type(source) for source in made(*sources)}
    assert kinds == {StreamSource, CrossSource, ChainSource, AdapterSource}
    assert len(sources) == 7
