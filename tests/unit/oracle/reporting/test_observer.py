"""One observation from what the sources said last, by the rules of every publisher."""

from __future__ import annotations

from decimal import Decimal

import pytest
from prometheus_client import CollectorRegistry

from seamark.core.ids import Address, ChainId
from seamark.oracle.metrics import FeedMeter, OracleMetrics
from seamark.oracle.model import Answer, FeedRef, Pair, Quote, SourceFailure
from seamark.oracle.plan import FeedPlan, make_plan, make_venues
from seamark.oracle.reporting.codec import Observation
from seamark.oracle.reporting.metrics import ReportingMeter, ReportingMetrics
from seamark.oracle.reporting.observer import FeedObserver
from seamark.oracle.settings import ReportingFeedSettings
from tests.support.clock import FakeClock

ADDRESS = Address("0x" + "5f" * 20)
REF = FeedRef("ETH/USD", "besu", ChainId(138), ADDRESS)
VENUES = ("coinbase", "kraken", "bitstamp")
AT = (1, 1)


def plan() -> FeedPlan:
    settings = ReportingFeedSettings.model_validate(
        {"pair": "ETH/USD", "chain": "besu", "aggregator": ADDRESS, "sources": list(VENUES)}
    )
    return make_plan(settings, REF, Pair("ETH", "USD"), make_venues({}), at="here")


class Seen:
    """An observer, its clock and its counters."""

    def __init__(self) -> None:
        self.registry, self.clock = CollectorRegistry(), FakeClock()
        made = plan()
        self.observer = FeedObserver(
            plan=made,
            decimals=8,
            clock=self.clock,
            meter=ReportingMeter(ReportingMetrics(self.registry), REF, clock=self.clock),
            feed_meter=FeedMeter(OracleMetrics(self.registry), REF, made.trigger, clock=self.clock),
        )

    def quote(self, venue: str, price: str) -> None:
        now = self.clock.now()
        self.observer.on_report(Quote(venue, venue, Decimal(price), now - 1, now))

    def count(self, reason: str) -> float | None:
        labels = {"feed": "ETH/USD", "chain": "besu", "reason": reason}
        return self.registry.get_sample_value("reporting_missing_observations_total", labels)


@pytest.fixture
def seen() -> Seen:
    return Seen()


async def test_the_median_of_the_sources_is_observed(seen: Seen) -> None:
    for venue, price in zip(VENUES, ("3000.1", "3000.3", "3000.2"), strict=True):
        seen.quote(venue, price)
    observation = await seen.observer.observe(AT)
    answer = seen.observer.result
    assert isinstance(answer, Answer)
    assert observation == Observation(answer.observed_at, 300_020_000_000, 0)


async def test_too_few_venues_are_no_observation_and_counted(seen: Seen) -> None:
    seen.quote("kraken", "3000")
    assert await seen.observer.observe(AT) is None
    assert await seen.observer.observe((1, 2)) is None
    assert seen.count("too_few_venues") == 2


async def test_venues_that_disagree_are_none_either(seen: Seen) -> None:
    for venue, price in zip(VENUES, ("3000", "3500", "4000"), strict=True):
        seen.quote(venue, price)
    assert await seen.observer.observe(AT) is None
    assert seen.count("dispersed") == 1


async def test_old_quotes_are_not_used(seen: Seen) -> None:
    for venue in VENUES:
        seen.quote(venue, "3000")
    assert await seen.observer.observe(AT) is not None
    seen.clock.advance(121)
    assert await seen.observer.observe((1, 2)) is None


async def test_a_failing_source_keeps_its_last_quote_until_that_is_old(seen: Seen) -> None:
    for venue in VENUES:
        seen.quote(venue, "3000")
    seen.observer.on_report(SourceFailure("kraken", "kraken", "http_status", "503", seen.clock.now()))
    assert await seen.observer.observe(AT) is not None
    labels = {"feed": "ETH/USD", "source": "kraken", "class": "http_status"}
    assert seen.registry.get_sample_value("oracle_source_failures_total", labels) == 1


async def test_what_is_observed_is_of_the_moment_of_the_question(seen: Seen) -> None:
    for venue in VENUES:
        seen.quote(venue, "3000")
    first = await seen.observer.observe(AT)
    for venue in VENUES:
        seen.quote(venue, "3100")
    second = await seen.observer.observe((1, 2))
    assert first is not None
    assert second is not None
    assert (first.value, second.value) == (300_000_000_000, 310_000_000_000)
