from decimal import Decimal

import pytest
import yaml

from seamark.core.errors import SettingsError
from seamark.core.ids import Address, ChainId
from seamark.core.units import PPB_PER_UNIT
from seamark.oracle.model import FeedRef, Pair
from seamark.oracle.plan import make_plan, make_venues
from seamark.oracle.settings import ENVIRONMENT_CHAIN, OracleSettings, from_environment
from seamark.runtime.settings import validate_settings

ADDRESS = "0x" + "fe" * 20
KEY = "0x" + "ac" * 32
ENVIRONMENT = {
    "RPC_URL": "http://user:pass@127.0.0.1:8545/v2/apikey",
    "AGGREGATOR_ADDRESS": ADDRESS,
    "PRIVATE_KEY": KEY,
    "HEARTBEAT": "3600",
    "DEVIATION_THRESHOLD": "0.5%",
}


def load(text: str) -> OracleSettings:
    return validate_settings(OracleSettings, yaml.safe_load(text))


def with_feed(line: str) -> str:
    return f"""
signer: {{private_key_env: PRIVATE_KEY}}
feeds:
  - pair: ETH/USD
    chain: home
    aggregator: "{ADDRESS}"
    heartbeat: 1h
    deviation: 0.5%
    {line}
"""


def plan(text: str, pair: str = "ETH/USD"):
    settings = load(text)
    ref = FeedRef("ETH/USD", "home", ChainId(1), Address(ADDRESS))
    return make_plan(settings.feeds[0], ref, Pair.parse(pair), make_venues(settings.venues), at="oracle.feeds[0]")


def test_a_feed_needs_few_words():
    made = plan(with_feed(""))
    assert [source.name for source in made.sources] == ["coinbase", "kraken", "bitstamp", "gemini"]
    assert (made.trigger.heartbeat, made.trigger.deviation) == (3600, PPB_PER_UNIT // 200)
    assert made.aggregation.min_venues == 3  # more than half of four
    assert made.pair == Pair("ETH", "USD")


def test_every_knob_arrives():
    made = plan(
        with_feed(
            """
    sources: [kraken, {venue: coinbase, timeout: 2s, name: cb}]
    min_venues: 1
    poll_interval: 250ms
    max_age: 30s
    max_future: 2s
    max_spread: 1%
    max_dispersion: 0%
    outlier_factor: 3
    outlier_floor: 10bps
    frozen_polls: 5
    frozen_move: 20bps
    median: mean
    min_price: "0.5"
    max_price: 99999
    confirm_after: 7s
    heartbeat_margin: 20%
    refresh_interval: 3s
    gas_limit: 400000
    value: 5
    replace_after: 11s
    spend_per_day: 3 gwei
    contract: flux
    absolute_deviation: "0.05"
"""
        )
    )
    policy, trigger = made.aggregation, made.trigger
    assert [(source.name, source.venue, source.deadline) for source in made.sources] == [
        ("kraken", "kraken", 5.0),
        ("cb", "coinbase", 2.0),
    ]
    assert (policy.min_venues, policy.max_age, policy.max_future, policy.max_spread) == (1, 30, 2, 10_000_000)
    assert (policy.max_dispersion, policy.outlier_factor, policy.outlier_floor) == (None, 3, 1_000_000)
    assert (policy.frozen_polls, policy.frozen_move, policy.median) == (5, 2_000_000, "mean")
    assert (policy.min_price, policy.max_price) == (Decimal("0.5"), Decimal(99999))
    assert (trigger.confirm_after, trigger.heartbeat_margin, trigger.replace_after) == (7, 200_000_000, 11)
    assert made.spend_per_day == 3 * 10**9
    assert (made.contract, trigger.absolute_deviation) == ("flux", Decimal("0.05"))
    assert (made.poll_interval, made.refresh_interval, made.gas_limit, made.value) == (0.25, 3, 400_000, 5)


def test_a_venue_can_stand_elsewhere_and_others_can_be_like_it():
    made = plan(
        with_feed("sources: [binance, second]")
        + """
venues:
  binance: {base_url: "http://127.0.0.1:9100/", quotes: [usd]}
  second: {like: kraken, base_url: "http://127.0.0.1:9101"}
"""
    )
    assert [(source.venue, source.request.url) for source in made.sources] == [
        ("binance", "http://127.0.0.1:9100/api/v3/ticker/24hr?symbol=ETHUSD"),
        ("second", "http://127.0.0.1:9101/0/public/Ticker?pair=ETHUSD"),
    ]


def test_a_source_of_ones_own():
    made = plan(
        with_feed(
            """
    sources:
      - name: mine
        url: https://prices.example/v1?key=hidden
        price: data[0].last
        time: data[0].ts
        time_unit: s
        require: {code: "0"}
        headers: {X-Key: hidden}
    min_venues: 1
"""
        )
    )
    (source,) = made.sources
    assert (source.name, source.venue, str(source.fields.price), source.fields.time_unit) == (
        "mine", "mine", "data[0].last", "s",
    )  # fmt: skip
    assert source.request.headers == (("X-Key", "hidden"),)
    assert "hidden" not in repr(made)


def test_settings_do_not_show_secrets():
    settings = load(with_feed('sources: [{name: a, url: "https://h/?key=hidden", price: p, headers: {X-Key: hidden}}]'))
    assert "hidden" not in repr(settings)
    assert "hidden" not in settings.model_dump_json()


@pytest.mark.parametrize(
    ("line", "setting", "problem"),
    [
        ("deviaton: 1%", "feeds[0].deviaton", "unknown setting"),
        ("max_age: 30", "feeds[0].max_age", "no unit"),
        ("max_age: -5s", "feeds[0].max_age", "negative"),
        ("max_age: 0s", "feeds[0].max_age", "more than zero"),
        ("max_spread: 2", "feeds[0].max_spread", "no unit"),
        ("poll_interval: 45m", "feeds[0]", "at least twice poll_interval"),
        ("min_price: 1.5", "feeds[0].min_price", "in quotes"),
        ("min_price: abc", "feeds[0].min_price", "not a decimal"),
        ("min_price: 5\n    max_price: 4", "feeds[0]", "above max_price"),
        ("min_price: -5", "feeds[0]", "allow_negative"),
        ("median: lower", "feeds[0].median", "upper"),
        ("min_venues: 0", "feeds[0].min_venues", "greater than or equal to 1"),
        ("sources: [kraken]\n    min_venues: 2", "feeds[0]", "more than there are sources"),
        ("sources: [kraken, kraken]", "feeds[0]", "same name"),
        ("sources: [{name: a}]", "feeds[0].sources[0]", "neither a venue nor a url"),
        ("sources: [{url: 'https://x.example/'}]", "feeds[0].sources[0]", "needs a name and the path"),
        ("sources: [{name: a, url: 'ftp://x.example/', price: p}]", "feeds[0].sources[0].url", "HTTP address"),
        ("sources: [{name: a, url: 'https://x.example/', price: 'a..b'}]", "feeds[0].sources[0].price", "JSON path"),
        ("sources: [{venue: kraken, price: p}]", "feeds[0].sources[0]", "belong to a source with a url"),
        ("name: '<script>'", "feeds[0].name", "pattern"),
        ("value: -1", "feeds[0].value", "negative"),
        ("heartbeat_margin: 100%", "feeds[0].heartbeat_margin", "less than"),
        ("contract: chainlink", "feeds[0].contract", "'aggregator', 'flux'"),
        ('absolute_deviation: "0"', "feeds[0].absolute_deviation", "greater than 0"),
        ("absolute_deviation: 0.05", "feeds[0].absolute_deviation", "in quotes"),
    ],
)
def test_a_mistake_is_named(line, setting, problem):
    with pytest.raises(SettingsError) as caught:
        load(with_feed(line))
    assert caught.value.setting == setting
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("replaced", "by", "setting", "problem"),
    [
        ("pair: ETH/USD", "pair: ETHUSD", "feeds[0].pair", "is not a pair"),
        ("heartbeat: 1h", "heartbeat: 3600", "feeds[0].heartbeat", "no unit"),
        ("heartbeat: 1h", "heartbeat: -1h", "feeds[0].heartbeat", "negative"),
        ("deviation: 0.5%", "deviation: 0.5", "feeds[0].deviation", "no unit"),
        ("deviation: 0.5%", "deviation: 0%", "feeds[0].deviation", "more than zero"),
        ("deviation: 0.5%", "deviation: 101%", "feeds[0].deviation", "less than or equal"),
        (f'"{ADDRESS}"', '"0x12"', "feeds[0].aggregator", "is not an address"),
        (f'"{ADDRESS}"', '"0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed"', "feeds[0].aggregator", "wrong checksum"),
        ("signer: {private_key_env: PRIVATE_KEY}", "", "settings", "need a signer"),
    ],
)
def test_a_mistake_in_what_is_needed_is_named(replaced, by, setting, problem):
    with pytest.raises(SettingsError) as caught:
        load(with_feed("").replace(replaced, by))
    assert caught.value.setting == setting
    assert problem in str(caught.value)


def test_one_aggregator_has_one_feed():
    feed = f'{{chain: home, aggregator: "{ADDRESS}", heartbeat: 1h, deviation: 1%}}'
    with pytest.raises(SettingsError, match="same aggregator"):
        load(f"signer: {{private_key_env: K}}\nfeeds: [{feed}, {feed}]")


@pytest.mark.parametrize(
    ("text", "pair", "setting", "problem"),
    [
        (with_feed("sources: [binance]"), "ETH/USD", "oracle.feeds[0].sources[0]", "no market against USD"),
        (with_feed("sources: [nyse]"), "ETH/USD", "oracle.feeds[0].sources[0]", "no venue 'nyse'"),
        (
            with_feed("sources: [{venue: okx, pair: ETH/USDT}]"),
            "ETH/USD",
            "oracle.feeds[0].sources[0].pair",
            "not a price in USD",
        ),
        (with_feed(""), "ETH/XYZ", "oracle.feeds[0].sources", "against XYZ"),
        (with_feed("min_venues: 9"), "ETH/USD", "oracle.feeds[0].min_venues", "9 venues are needed and 4"),
        (
            with_feed("") + "venues: {mine: {base_url: 'http://127.0.0.1'}}",
            "ETH/USD",
            "oracle.venues.mine",
            "no venue 'mine'",
        ),
        (with_feed("") + "venues: {mine: {like: nyse}}", "ETH/USD", "oracle.venues.mine", "no venue 'nyse'"),
    ],
)
def test_a_plan_that_cannot_work_is_refused(text, pair, setting, problem):
    with pytest.raises(SettingsError) as caught:
        plan(text, pair)
    assert caught.value.setting == setting
    assert problem in str(caught.value)


# ---- the environment ------------------------------------------------------------------------------------------------


def test_five_variables_are_enough():
    made = from_environment(ENVIRONMENT)
    (feed,) = made.oracle.feeds
    assert made.rpc_url == ENVIRONMENT["RPC_URL"]
    assert (feed.chain, feed.aggregator, feed.heartbeat, feed.deviation) == (
        ENVIRONMENT_CHAIN, ADDRESS, 3600.0, 5_000_000,
    )  # fmt: skip
    assert feed.pair is None
    assert made.oracle.signer is not None
    assert made.oracle.signer.private_key_env == "PRIVATE_KEY"
    assert made.names["oracle.feeds[0].aggregator"] == "AGGREGATOR_ADDRESS"
    assert "apikey" not in repr(made)


@pytest.mark.parametrize(("text", "seconds"), [("60", 60), ("1h30m", 5400), (" 90s ", 90), ("2", 2)])
def test_a_heartbeat_without_unit_is_in_seconds(text, seconds):
    assert from_environment({**ENVIRONMENT, "HEARTBEAT": text}).oracle.feeds[0].heartbeat == seconds


@pytest.mark.parametrize(("text", "ppb"), [("0.5%", 5_000_000), ("50bps", 5_000_000), ("5000000ppb", 5_000_000)])
def test_a_threshold_has_a_unit(text, ppb):
    assert from_environment({**ENVIRONMENT, "DEVIATION_THRESHOLD": text}).oracle.feeds[0].deviation == ppb


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("RPC_URL", "", "is not set"),
        ("RPC_URL", "localhost:8545", "no HTTP address"),
        ("AGGREGATOR_ADDRESS", "", "is not set"),
        ("AGGREGATOR_ADDRESS", "0x12", "is not an address"),
        ("AGGREGATOR_ADDRESS", "0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "wrong checksum"),
        ("PRIVATE_KEY", "", "is not set"),
        ("HEARTBEAT", "", "is not set"),
        ("HEARTBEAT", "-5", "negative"),
        ("HEARTBEAT", "0", "less than 2 seconds"),
        ("HEARTBEAT", "1.5", "not a duration"),
        ("HEARTBEAT", "soon", "not a duration"),
        ("DEVIATION_THRESHOLD", "", "is not set"),
        ("DEVIATION_THRESHOLD", "0.5", "not a ratio"),
        ("DEVIATION_THRESHOLD", "5000000", "not a ratio"),
        ("DEVIATION_THRESHOLD", "0%", "not above 0%"),
        ("DEVIATION_THRESHOLD", "150%", "not above 0%"),
    ],
)
def test_a_wrong_variable_is_named_in_one_line(name, text, problem):
    with pytest.raises(SettingsError) as caught:
        from_environment({**ENVIRONMENT, name: text})
    assert caught.value.setting == name
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)
    assert KEY not in str(caught.value)
    assert "apikey" not in str(caught.value)


def test_aggregation_and_the_breaker_arrive():
    made = plan(
        with_feed(
            """
    method: twap
    window: 10m
    min_weight: 4
    outlier_filter: iqr
    quartile_factor: 200%
    max_step: 10%
    confirm_after: 20s
    confirm_within: 5m
    agreeing_venues: 3
"""
        )
    )
    rules, trigger = made.aggregation, made.trigger
    assert (rules.method, rules.window, rules.min_weight) == ("twap", 600, 4)
    assert (rules.outlier_filter, rules.quartile_factor) == ("iqr", 2 * PPB_PER_UNIT)
    assert (trigger.max_step, trigger.confirm_after, trigger.confirm_within) == (PPB_PER_UNIT // 10, 20, 300)
    assert trigger.agreeing_venues == 3


def test_by_default_there_is_no_breaker_and_the_median_of_now():
    made = plan(with_feed(""))
    assert (made.trigger.max_step, made.aggregation.method, made.aggregation.outlier_filter) == (None, "median", "mad")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("max_step: 10", "has no unit"),
        ("max_step: 0%", "more than zero"),
        ("max_step: 0.4%", "max_step is below deviation"),
        ("agreeing_venues: 2", "add max_step"),
        ("{max_step: 5%, confirm_within: 15s}", "confirm_within must be longer"),
        ("window: 300", "has no unit"),
        ("window: 0s", "more than zero"),
        ("method: mean", "median"),
        ("quartile_factor: 1.5", "has no unit"),
        ("min_weight: 0", "greater than or equal to 1"),
    ],
)
def test_mistakes_in_aggregation_are_told(line, problem):
    lines = line.strip("{}").replace(", ", "\n    ") if line.startswith("{") else line
    with pytest.raises(SettingsError) as told:
        load(with_feed(lines))
    assert problem in str(told.value)
