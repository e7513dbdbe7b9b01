"""The catalogue of venues: how each is asked for a pair and where its reply holds what. Data only.

Shapes follow the venues' public REST documentation and the parsers of ccxt 4.5. A venue is a source for a pair only if
it lists that very market: `quotes` are the currencies it quotes against. A market against USDT or USDC is never a
source for USD; in March 2023 that would have been wrong by 14 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from seamark.oracle.model import Pair
from seamark.oracle.sources.paths import JsonPath
from seamark.oracle.sources.source import Fields, Request, Source, TimeUnit

__all__ = ["CATALOGUE", "FieldPaths", "Venue", "source_at", "to_fields", "words_of"]


@dataclass(frozen=True, slots=True)
class FieldPaths:
    """Paths as text, in which {base} and {quote} stand for the pair."""

    price: str
    bid: str | None = None
    ask: str | None = None
    volume: str | None = None
    time: str | None = None
    time_unit: TimeUnit = TimeUnit.MILLISECONDS
    require: tuple[tuple[str, str], ...] = ()
    error_list: str | None = None


@dataclass(frozen=True, slots=True)
class Venue:
    """One exchange. `path` is a template: {base} and {quote} in upper case, {base_lower} and {quote_lower} in lower.

    `by_default`: asked for feeds that name no sources.
    """

    name: str
    base_url: str
    path: str
    fields: FieldPaths
    quotes: frozenset[str]
    aliases: Mapping[str, str] = field(default_factory=dict)
    """What the venue calls an asset, where it has a name of its own for it."""

    rate: float | None = None
    """Requests per second that it takes from us."""

    budget: int | None = None
    """Requests per day that our plan there allows."""

    by_default: bool = True

    def lists(self, pair: Pair) -> bool:
        """Whether it quotes against this very currency. That it lists the base shows only when it is asked."""
        return pair.quote in self.quotes


def source_at(venue: Venue, pair: Pair, *, deadline: float, name: str | None = None) -> Source:
    """The source for a pair at a venue.

    Raises:
        ValueError: The venue does not quote against that currency.
    """
    if not venue.lists(pair):
        raise ValueError(
            f"{venue.name} lists no market against {pair.quote}; use one of {', '.join(sorted(venue.quotes))}"
        )
    words = words_of(pair, venue.aliases)
    url = f"{venue.base_url.rstrip('/')}/{venue.path.format(**words).lstrip('/')}"
    return Source(
        name or venue.name,
        venue.name,
        Request(url),
        to_fields(venue.fields, words),
        deadline,
        budget=venue.budget,
        rate=venue.rate,
    )


def words_of(pair: Pair, aliases: Mapping[str, str]) -> dict[str, str]:
    """What stands for a pair in templates. `colon` is one where a name is longer than three letters (Bitfinex)."""
    base, quote = aliases.get(pair.base, pair.base), aliases.get(pair.quote, pair.quote)
    colon = ":" if max(len(base), len(quote)) > 3 else ""  # noqa: PLR2004 - as said
    return {
        "base": base,
        "quote": quote,
        "base_lower": base.lower(),
        "quote_lower": quote.lower(),
        "colon": colon,
    }


def to_fields(paths: FieldPaths, words: Mapping[str, str]) -> Fields:
    """Parse declared paths.

    Raises:
        ValueError: One of them is not a path.
    """

    def path(text: str | None) -> JsonPath | None:
        return None if text is None else JsonPath.parse(_fill(text, words))

    return Fields(
        price=JsonPath.parse(_fill(paths.price, words)),
        bid=path(paths.bid),
        ask=path(paths.ask),
        volume=path(paths.volume),
        time=path(paths.time),
        time_unit=paths.time_unit,
        require=tuple((JsonPath.parse(text), expected) for text, expected in paths.require),
        error_list=path(paths.error_list),
    )


def _fill(text: str, words: Mapping[str, str]) -> str:
    for name, word in words.items():
        text = text.replace(f"{{{name}}}", word)
    return text


_VENUES: Final = (
    Venue(
        name="binance",
        base_url="https://api.binance.com",
        path="/api/v3/ticker/24hr?symbol={base}{quote}",
        # No market against USD: binance.com trades against stable coins.
        quotes=frozenset({"USDT", "USDC", "FDUSD", "BTC", "ETH", "BNB", "EUR", "TRY", "JPY", "BRL"}),
        fields=FieldPaths("lastPrice", bid="bidPrice", ask="askPrice", volume="volume", time="closeTime"),
    ),
    Venue(
        name="coinbase",
        base_url="https://api.exchange.coinbase.com",
        path="/products/{base}-{quote}/ticker",
        quotes=frozenset({"USD", "EUR", "GBP", "BTC", "ETH", "USDT"}),
        fields=FieldPaths("price", bid="bid", ask="ask", volume="volume", time="time", time_unit=TimeUnit.ISO8601),
    ),
    Venue(
        name="kraken",
        base_url="https://api.kraken.com",
        path="/0/public/Ticker?pair={base}{quote}",
        quotes=frozenset({"USD", "EUR", "GBP", "CAD", "CHF", "JPY", "AUD", "BTC", "ETH", "USDT", "USDC"}),
        # The result is keyed by a name that differs from the one asked for (XBTUSD is XXBTZUSD); there is no time.
        fields=FieldPaths(
            "result.*.c[0]", bid="result.*.b[0]", ask="result.*.a[0]", volume="result.*.v[1]", error_list="error"
        ),
        aliases={"BTC": "XBT", "DOGE": "XDG"},
    ),
    Venue(
        name="bitstamp",
        base_url="https://www.bitstamp.net",
        path="/api/v2/ticker/{base_lower}{quote_lower}/",
        quotes=frozenset({"USD", "EUR", "GBP", "BTC", "USDT", "USDC"}),
        fields=FieldPaths("last", bid="bid", ask="ask", volume="volume", time="timestamp", time_unit=TimeUnit.SECONDS),
    ),
    Venue(
        name="gemini",
        base_url="https://api.gemini.com",
        path="/v1/pubticker/{base_lower}{quote_lower}",
        quotes=frozenset({"USD", "EUR", "GBP", "SGD", "BTC", "ETH", "USDT"}),
        fields=FieldPaths("last", bid="bid", ask="ask", volume="volume.{base}", time="volume.timestamp"),
    ),
    Venue(
        name="okx",
        base_url="https://www.okx.com",
        path="/api/v5/market/ticker?instId={base}-{quote}",
        quotes=frozenset({"USDT", "USDC", "BTC", "ETH", "EUR"}),
        fields=FieldPaths(
            "data[0].last",
            bid="data[0].bidPx",
            ask="data[0].askPx",
            volume="data[0].vol24h",
            time="data[0].ts",
            require=(("code", "0"),),
        ),
    ),
    Venue(
        name="bybit",
        base_url="https://api.bybit.com",
        path="/v5/market/tickers?category=spot&symbol={base}{quote}",
        quotes=frozenset({"USDT", "USDC", "BTC", "ETH", "EUR"}),
        fields=FieldPaths(
            "result.list[0].lastPrice",
            bid="result.list[0].bid1Price",
            ask="result.list[0].ask1Price",
            volume="result.list[0].volume24h",
            time="time",
            require=(("retCode", "0"),),
        ),
    ),
    Venue(
        name="bitfinex",
        base_url="https://api-pub.bitfinex.com",
        path="/v2/ticker/t{base}{colon}{quote}",
        quotes=frozenset({"USD", "EUR", "GBP", "JPY", "BTC", "ETH", "USDT"}),
        fields=FieldPaths("[6]", bid="[0]", ask="[2]", volume="[7]"),  # a list, without a time
        aliases={"USDT": "UST", "USDC": "UDC"},
        by_default=False,  # its dollars have had a price of their own for months at a time
    ),
    Venue(
        name="gate",
        base_url="https://api.gateio.ws",
        path="/api/v4/spot/tickers?currency_pair={base}_{quote}",
        quotes=frozenset({"USDT", "USDC", "BTC", "ETH"}),
        fields=FieldPaths("[0].last", bid="[0].highest_bid", ask="[0].lowest_ask", volume="[0].base_volume"),
        by_default=False,
    ),
    Venue(
        name="htx",
        base_url="https://api.huobi.pro",
        path="/market/detail/merged?symbol={base_lower}{quote_lower}",
        quotes=frozenset({"USDT", "USDC", "BTC", "ETH"}),
        fields=FieldPaths(
            "tick.close",
            bid="tick.bid[0]",
            ask="tick.ask[0]",
            volume="tick.amount",
            time="ts",
            require=(("status", "ok"),),
        ),
        by_default=False,
    ),
    Venue(
        name="kucoin",
        base_url="https://api.kucoin.com",
        path="/api/v1/market/stats?symbol={base}-{quote}",
        quotes=frozenset({"USDT", "USDC", "BTC", "ETH", "EUR"}),
        fields=FieldPaths(
            "data.last",
            bid="data.buy",
            ask="data.sell",
            volume="data.vol",
            time="data.time",
            require=(("code", "200000"),),
        ),
        by_default=False,
    ),
)

CATALOGUE: Final[Mapping[str, Venue]] = {venue.name: venue for venue in _VENUES}
