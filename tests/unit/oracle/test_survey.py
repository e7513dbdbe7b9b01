"""Every source asked once, and what the feed would make of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from seamark.core.errors import SettingsError
from seamark.core.units import Ppb
from seamark.oracle.model import Answer, FeedState, Method, Quote, Rejected, SourceFailure, SourceReport, TriggerPolicy
from seamark.oracle.survey import ask_once, judge
from seamark.runtime.clock import SystemClock

from .fakes import START, plan, quote, source

STATE = FeedState(
    round=7,
    answer=200_000_000_000,
    started_at=int(START) - 60,
    updated_at=int(START) - 60,
    decimals=8,
    description="ETH / USD",
    block_number=9,
    block_time=int(START),
)


def told(*prices: str, **changes: Any) -> dict[str, SourceReport]:
    return {name: quote(name, price, **changes) for name, price in zip("abc", prices, strict=False)}


def opinion(reports: dict[str, SourceReport], state: FeedState | None = STATE, **changes: Any):
    return judge(plan(**changes), reports, state, now=START)


# ---- what it comes to ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prices", "state", "decision"),
    [
        (("2000", "2000", "2000"), STATE, "nothing to publish: the round on chain is current"),
        (("2020", "2020", "2020"), STATE, "would publish round 8: deviation"),
        (("2020", "2020", "2020"), replace(STATE, paused=True), "the contract is paused"),
        (("2000", "2000", "2000"), replace(STATE, round=0), "would publish round 1: first"),
        (("2000", "2000", "2000"), replace(STATE, updated_at=int(START) - 3599), "would publish round 8: heartbeat"),
        (("2020", "2020", "2020"), replace(STATE, started_at=int(START)), "nothing to publish: the round on chain"),
        (("2000",), STATE, "no answer: 1 of 2 venues needed"),
        (("2020", "2020", "2020"), None, "unknown: the contract was not read"),
        (("2020", "2020", "2020"), replace(STATE, min_answer=1, max_answer=2), "no answer: 202000000000 is not within"),
    ],
)  # fmt: skip
def test_the_decision_is_the_publishers_own(prices: tuple[str, ...], state: FeedState | None, decision: str) -> None:
    assert opinion(told(*prices), state).decision.startswith(decision)


def test_a_jump_is_told_as_one_that_would_be_held() -> None:
    trigger = TriggerPolicy(heartbeat=3600, deviation=Ppb(5_000_000), max_step=Ppb(100_000_000))
    assert opinion(told("3000", "3000", "3000"), trigger=trigger).decision.startswith("would be held: a jump")


def test_each_source_has_a_verdict() -> None:
    reports = told("2000", "2001")
    reports["b"] = quote("b", "2001", bid=quote("b", "3000").price, ask=quote("b", "1").price)
    reports["c"] = SourceFailure("c", "c", "timeout", "no complete reply within 5 s", START)
    found = judge(plan(sources=(*plan().sources, source("d"))), reports, STATE, now=START)
    assert [(line.source, line.verdict) for line in found.sources] == [
        ("a", "used"),
        ("b", "crossed"),
        ("c", "timeout"),
        ("d", "silent"),
    ]
    assert [line.detail for line in found.sources] == [
        "",
        "bid above ask",
        "no complete reply within 5 s",
        "nothing within 5 s",
    ]
    assert isinstance(found.result, Rejected)


def test_the_contracts_decimals_count() -> None:
    answer = opinion(told("2000", "2000", "2000"), replace(STATE, decimals=2)).result
    assert isinstance(answer, Answer)
    assert answer.value == 200_000


@pytest.mark.parametrize("method", [Method.TWAP, Method.VWAP])
def test_methods_over_time_work_with_one_moment(method: Method) -> None:
    policy = replace(plan().aggregation, method=method)
    answer = opinion(told("2000", "2010", "2020", volume=quote("x", "5").price), aggregation=policy).result
    assert isinstance(answer, Answer)
    assert answer.price == 2010


# ---- asking ----------------------------------------------------------------------------------------------------------


@dataclass
class FakeSources:
    """Tells what it is given, once asked."""

    reports: dict[str, SourceReport]
    error: Exception | None = None
    dropped: bool = False

    def __post_init__(self) -> None:
        self.takers: dict[str, Any] = {}
        self.intervals: set[float] = set()

    def subscribe(self, source: Any, *, interval: float, subscriber: Any, feed: str) -> None:
        self.takers[source.name] = subscriber
        self.intervals.add(interval)
        assert feed == "ETH/USD"

    async def run(self) -> None:
        if self.error is not None:
            raise self.error
        for name, report in self.reports.items():
            self.takers[name](report)
            later = report.but if isinstance(report, Quote) else partial(replace, report)
            self.takers[name](later(venue="later"))


async def ask(sources: Any) -> dict[str, SourceReport]:
    quick = plan(sources=tuple(replace(source(name), deadline=0.01) for name in "abc"))
    return (await ask_once([quick], sources, SystemClock()))["ETH/USD"]


async def test_the_first_report_of_each_source_counts() -> None:
    reports = told("1", "2", "3")
    sources = FakeSources(reports)
    assert await ask(sources) == reports
    assert min(sources.intervals) >= 3600, "nobody is asked twice"


async def test_who_says_nothing_is_not_waited_for_beyond_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seamark.oracle.survey.GRACE_S", 0.01)

    class Silent(FakeSources):
        async def run(self) -> None:
            await super().run()
            await SystemClock().sleep(60)

    assert set(await ask(Silent(told("1", "2")))) == {"a", "b"}


async def test_a_hub_that_cannot_run_is_told() -> None:
    with pytest.raises(SettingsError, match="ccxt is not installed"):
        await ask(FakeSources({}, SettingsError("oracle.feeds", "ccxt is not installed")))
