"""Settings of a feed against each other: what is refused, and what is remarked."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.core.errors import SettingsError
from seamark.core.ids import ChainId
from seamark.oracle.model import FeedRef, Pair
from seamark.oracle.plan import FeedPlan, make_plan, make_venues
from seamark.oracle.settings import FeedSettings
from seamark.oracle.soundness import remarks, venue_weights
from seamark.runtime.settings import SettingsProblems, validate_settings

from .fakes import FEED

PAIR = Pair("ETH", "USD")
REF = FeedRef("ETH/USD", "home", ChainId(1), FEED)
PLAIN = [{"name": name, "url": f"http://127.0.0.1:9/{name}", "price": "p"} for name in "abcde"]


def settings(**changes: Any) -> FeedSettings:
    values = {"chain": "home", "aggregator": FEED, "heartbeat": "1h", "deviation": "0.5%", "sources": PLAIN, **changes}
    return validate_settings(FeedSettings, values)


def planned(**changes: Any) -> FeedPlan:
    return make_plan(settings(**changes), REF, PAIR, make_venues({}), at="oracle.feeds[0]")


def told(**changes: Any) -> tuple[str, ...]:
    plan = planned(**changes)
    return remarks(settings(**changes), plan.sources, plan.aggregation.min_venues)


def weighing(*weights: int) -> list[dict[str, Any]]:
    return [{**source, "weight": weight} for source, weight in zip(PLAIN, weights, strict=False)]


# ---- refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "setting", "problem"),
    [
        ({"min_weight": 6}, "min_weight", "a weight of 6 is needed, and all venues together have 5; lower it"),
        ({"min_weight": 8, "sources": weighing(3, 4)}, "min_weight", "all venues together have 7"),
        ({"min_weight": 4, "sources": [{**item, "venue": "one", "weight": 3} for item in PLAIN[:2]], "min_venues": 1},
         "min_weight", "together have 3"),  # one venue, one vote
        ({"min_venues": 2, "sources": [{**item, "venue": "one"} for item in PLAIN]}, "min_venues",
         "2 venues are needed and 1 configured"),
        ({"max_step": "10%", "agreeing_venues": 6}, "agreeing_venues", "6 venues are to agree and 5 are configured"),
        ({"method": "vwap"}, "method", "vwap needs volumes, and 0 of the 3 venues needed tell one; use median or twap"),
        ({"method": "vwap", "sources": [{**item, "volume": "v"} for item in PLAIN[:2]] + PLAIN[2:]},
         "method", "2 of the 3"),
        ({"poll_interval": "3m"}, "poll_interval", "a is asked every 3m, and its price lasts 2m; lower poll_interval"),
        ({"poll_interval": "3m", "max_age": "10m", "sources": [{**PLAIN[0], "max_age": "1m"}]},
         "poll_interval", "lasts 1m"),
    ],
)  # fmt: skip
def test_what_could_never_come_to_an_answer_is_refused(changes: dict[str, Any], setting: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        planned(**changes)
    assert caught.value.setting == f"oracle.feeds[0].{setting}"
    assert problem in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize(
    "changes",
    [
        {"min_weight": 5},
        {"min_weight": 7, "sources": weighing(3, 4)},
        {"max_step": "10%", "agreeing_venues": 5},
        {"method": "vwap", "sources": [{**item, "volume": "v"} for item in PLAIN]},
        {"poll_interval": "2m"},
        {"poll_interval": "10m", "sources": [{**item, "max_age": "1h"} for item in PLAIN]},
        {"poll_interval": "10m", "sources": [{"venue": "kraken", "stream": True}]},  # a stream is not asked
    ],
)
def test_what_can_come_to_an_answer_is_taken(changes: dict[str, Any]) -> None:
    assert planned(**changes).sources


@pytest.mark.parametrize("name", ["deviation", "max_spread", "max_dispersion", "max_step", "outlier_floor"])
@pytest.mark.parametrize("bare", [0.5, 1, 0.005])
def test_a_ratio_without_a_unit_is_refused_with_the_remedy(name: str, bare: float) -> None:
    with pytest.raises(SettingsProblems) as caught:
        settings(**{name: bare})
    (problem,) = caught.value.problems
    assert (problem.setting, problem.problem) == (name, f"{bare} has no unit: write 0.5%, 50bps or 5000000ppb")


@pytest.mark.parametrize("text", ["0.5%", "50bps", "5000000ppb"])
def test_ratios_have_three_units(text: str) -> None:
    assert settings(deviation=text).deviation == 5_000_000


# ---- remarked --------------------------------------------------------------------------------------------------------

STEP = {"max_step": "10%"}  # so that this is not the remark


def test_a_sound_feed_gets_no_remark() -> None:
    assert told(**STEP) == ()


@pytest.mark.parametrize(
    ("changes", "remark"),
    [
        ({"window": "5m"}, "window has no effect: the method is median"),
        ({"quartile_factor": "100%"}, "quartile_factor has no effect: outlier_filter is mad; set outlier_filter: iqr"),
        ({"outlier_filter": "iqr", "outlier_factor": 4}, "outlier_factor has no effect"),
        ({"outlier_filter": "none", "outlier_floor": "1%"}, "outlier_floor has no effect"),
        ({"max_step": None, "confirm_within": "5m"}, "confirm_within has no effect: nothing is held without a limit"),
        ({"min_venues": 2}, "min_venues is 2: one lying venue can move the answer"),
        ({"sources": weighing(9, 1, 1, 1, 1)}, "a has 9 of a weight of 13: it decides alone"),
        ({"max_step": None}, "max_step is not set"),
        ({"sources": PLAIN[:4], "outlier_filter": "mad"}, "outlier_filter needs 5 venues to tell who is wrong, and 4"),
        ({"method": "vwap", "median": "mean", "sources": [{**item, "volume": "v"} for item in PLAIN]},
         "median has no effect: the method is vwap"),
        ({"method": "vwap", "sources": [{**item, "volume": "v"} for item in PLAIN[:4]] + PLAIN[4:]},
         "e tell no volume and are left out"),
    ],
)  # fmt: skip
def test_what_is_weaker_than_it_looks_is_told(changes: dict[str, Any], remark: str) -> None:
    assert [line for line in told(**{**STEP, **changes}) if remark in line]


def test_what_counts_is_a_venues_heaviest_source() -> None:
    sources = planned(sources=[{**PLAIN[0], "weight": 2}, {**PLAIN[1], "venue": "a", "weight": 5}]).sources
    assert venue_weights(sources) == {"a": 5}
