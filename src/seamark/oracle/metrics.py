"""What an operator needs to see of the oracle, as Prometheus metrics in a registry that the caller passes in.

Counters start from the stored totals, so a restart neither loses nor repeats a count. Labels are names from the
settings and words from short lists. Ages are worked out at the moment of the scrape.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from seamark.core.units import PPB_PER_UNIT, Ppb
from seamark.oracle.model import Answer, FeedRef, FeedState, Rejected, TriggerPolicy
from seamark.oracle.rules import chain_now, deviation, heartbeat_due_at
from seamark.oracle.sources.outlet import SourceHealth
from seamark.oracle.store import ERRORS_TOTAL, FEES_TOTAL, PARKED_TOTAL, REPLACED_TOTAL, SENT_TOTAL
from seamark.runtime.clock import Clock
from seamark.storage.totals import Total, TotalKey

__all__ = ["FeedMeter", "OracleMetrics"]

_MINED_BUCKETS: Final = (0.1, 0.5, 1, 2, 5, 12, 24, 60, 120, 300, 900)  # seconds; 12 is a slot of Ethereum
_ACCEPTED_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)
_FEED: Final = ("feed", "chain")
_SOURCE: Final = ("feed", "source")


class OracleMetrics:
    """The metrics of all feeds of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._gauges: list[Gauge] = []  # of feeds and sources

        def gauge(name: str, text: str, labels: Iterable[str] = _FEED) -> Gauge:
            made = Gauge(f"oracle_{name}", text, tuple(labels), registry=registry)
            if labels in (_FEED, _SOURCE):
                self._gauges.append(made)
            return made

        def counter(name: str, text: str, labels: Iterable[str] = _FEED) -> Counter:
            return Counter(name, text, tuple(labels), registry=registry)

        self._totals: Mapping[str, Counter] = {
            SENT_TOTAL: counter(SENT_TOTAL, "Rounds published.", (*_FEED, "reason")),
            ERRORS_TOTAL: counter(ERRORS_TOTAL, "Updates that failed.", (*_FEED, "class")),
            FEES_TOTAL: counter(FEES_TOTAL, "Transaction fees paid, in wei."),
            PARKED_TOTAL: counter(PARKED_TOTAL, "Answers that the contract parked."),
            REPLACED_TOTAL: counter(REPLACED_TOTAL, "Unmined submissions replaced by a newer answer."),
        }
        self.price = gauge("price", "The price off chain, in units of the quote currency.")
        self.onchain_price = gauge("onchain_price", "The price on chain.")
        self.deviation = gauge("deviation_ratio", "How far the price is from the one on chain, 1 is 100 %.")
        self.threshold = gauge("deviation_threshold_ratio", "The deviation at which an update is sent.")
        self.updated_at = gauge("updated_timestamp_seconds", "Time of the round on chain, as consumers see it.")
        self.since_update = gauge("seconds_since_update", "Age of the round on chain.")
        self.slack = gauge("heartbeat_slack_seconds", "Time left until consumers see the feed expired.")
        self.due_in = gauge("heartbeat_due_seconds", "Time left until the heartbeat asks for an update.")
        self.venues = gauge("distinct_venues", "Venues in the last answer.")
        self.venues_needed = gauge("distinct_venues_needed", "Venues that an answer needs.")
        self.has_answer = gauge("has_answer", "1 while the quotes come to an answer.")
        self.rejected_answers = counter(
            "oracle_answers_rejected_total", "Times an answer was lost, by reason.", (*_FEED, "reason")
        )
        self.held = gauge("answer_held", "1 while the circuit breaker holds an answer back.")
        self.held_total = counter("oracle_answers_held_total", "Times the circuit breaker began to hold.")
        self.pending = gauge("tx_pending", "Publications that are sent and not in a block.")
        self.paused = gauge("feed_paused", "1 after repeated errors: the feed is tried again at the longest pause.")
        self.contract_paused = gauge("contract_paused", "1 while the contract takes no submissions.")
        self.source_up = gauge("source_up", "1 if the last request gave a quote.", _SOURCE)
        self.source_price = gauge("source_price", "The source's last price.", _SOURCE)
        self.source_age = gauge("source_age_seconds", "Since the source last gave a quote.", _SOURCE)
        self.source_latency = gauge("source_latency_seconds", "Duration of the last good request.", _SOURCE)
        self._of_sources = (self.source_up, self.source_price, self.source_age, self.source_latency)
        self.source_failures = counter(
            "oracle_source_failures_total", "Requests without a usable quote.", (*_SOURCE, "class")
        )
        self.quotes_rejected = counter(
            "oracle_quotes_rejected_total", "Quotes left out of answers.", (*_SOURCE, "reason")
        )
        self.accepted_seconds = Histogram(
            "oracle_tx_accepted_seconds",
            "From the decision until a node accepted the transaction.",
            _FEED,
            buckets=_ACCEPTED_BUCKETS,
            registry=registry,
        )
        self.mined_seconds = Histogram(
            "oracle_tx_mined_seconds",
            "From the decision until the transaction was in a block.",
            _FEED,
            buckets=_MINED_BUCKETS,
            registry=registry,
        )
        self.spent = gauge("spent_day_wei", "What the feed's transactions of 24 hours cost, or may cost.")
        self.spend_limit = gauge("spend_limit_wei", "What they may cost; absent: no limit.")
        self.balance = gauge("signer_balance_wei", "What the publisher's account holds.", ("chain",))
        self._budgets = _Budgets()
        registry.register(self._budgets)
        self.runs_left = gauge("signer_runs_left", "Publications that the balance pays for.", ("chain",))

    def watch_budgets(self, read: Callable[[], Mapping[str, tuple[int, int]]]) -> None:
        """Show what of each venue's budget is used: requests made today, and allowed."""
        self._budgets.read = read

    def begin(self, ref: FeedRef) -> None:
        """Zero is a fact too: a rate needs the series to exist before its first step."""
        for counter in (FEES_TOTAL, PARKED_TOTAL, REPLACED_TOTAL):
            self._totals[counter].labels(ref.name, ref.chain)

    def forget(self, ref: FeedRef) -> None:
        """A feed that is published no more shows nothing that could raise an alarm. Its counters stay."""
        for gauge in self._gauges:
            labels = {"feed": ref.name, "chain": ref.chain} if gauge not in self._of_sources else {"feed": ref.name}
            gauge.remove_by_labels(labels)

    def forget_source(self, ref: FeedRef, source: str) -> None:
        """The same for one of its sources."""
        for gauge in self._of_sources:
            gauge.remove_by_labels({"feed": ref.name, "source": source})

    def watched(self, ref: FeedRef, state: FeedState) -> None:
        """A feed that is read only."""
        if state.price is not None:
            self.onchain_price.labels(ref.name, ref.chain).set(float(state.price))
            self.updated_at.labels(ref.name, ref.chain).set(state.updated_at)

    def restore(self, totals: Iterable[Total]) -> None:
        """Start the counters from what is stored; once, before the first addition."""
        for metric, labels, value in totals:
            if metric in self._totals:
                self._counter(metric, labels).inc(float(value))

    def add(self, additions: Mapping[TotalKey, int | Decimal]) -> None:
        """Follow what a unit of work added to the stored totals."""
        for key, amount in additions.items():
            if key.metric in self._totals:
                self._counter(key.metric, msgspec.json.decode(key.labels)).inc(float(amount))

    def _counter(self, metric: str, labels: Mapping[str, str]) -> Counter:
        return self._totals[metric].labels(**labels)


class _Budgets(Collector):
    """What plans of venues allow, and what of it is used: venues come and go with the settings."""

    def __init__(self) -> None:
        self.read: Callable[[], Mapping[str, tuple[int, int]]] = dict

    def collect(self) -> Iterable[GaugeMetricFamily]:
        used = GaugeMetricFamily("oracle_venue_requests_today", "Requests of this UTC day.", labels=("venue",))
        allowed = GaugeMetricFamily("oracle_venue_budget", "Requests that a UTC day may have.", labels=("venue",))
        for venue, (made, budget) in self.read().items():
            used.add_metric((venue,), made)
            allowed.add_metric((venue,), budget)
        return (used, allowed)


class FeedMeter:
    """One feed's hands on the metrics; looks label children up once."""

    def __init__(self, metrics: OracleMetrics, ref: FeedRef, policy: TriggerPolicy, *, clock: Clock) -> None:
        self.metrics = metrics
        self._ref = ref
        self._policy = policy
        self._clock = clock
        self._state: FeedState | None = None
        self._counted: dict[str, float] = {}
        self._had_answer = True
        self._held = False
        metrics.held_total.labels(ref.name, ref.chain)
        self._answer: Answer | None = None  # the last one
        self._prices: dict[str, Decimal] = {}
        labels = (ref.name, ref.chain)
        self._onchain_price = metrics.onchain_price.labels(*labels)
        self._updated_at = metrics.updated_at.labels(*labels)
        self._contract_paused = metrics.contract_paused.labels(*labels)
        self.pending = metrics.pending.labels(*labels)
        self.paused = metrics.paused.labels(*labels)
        self.accepted_seconds = metrics.accepted_seconds.labels(*labels)
        self.mined_seconds = metrics.mined_seconds.labels(*labels)
        self.change(policy)
        # What changes with every tick is looked at when somebody asks, not at every tick.
        metrics.price.labels(*labels).set_function(lambda: float(self._answer.price) if self._answer else math.nan)
        metrics.deviation.labels(*labels).set_function(self._deviation)
        metrics.venues.labels(*labels).set_function(self._distinct_venues)
        metrics.has_answer.labels(*labels).set_function(lambda: float(self._had_answer and self._answer is not None))
        metrics.since_update.labels(*labels).set_function(self._since_update)
        metrics.slack.labels(*labels).set_function(self._slack)
        metrics.due_in.labels(*labels).set_function(self._due_in)
        for unknown in (self._onchain_price, self._updated_at):
            unknown.set(math.nan)  # a price of zero would be a lie
        metrics.begin(ref)

    def change(self, policy: TriggerPolicy) -> None:
        """Measure against these thresholds from now on."""
        self._policy = policy
        self.metrics.threshold.labels(self._ref.name, self._ref.chain).set(policy.deviation / PPB_PER_UNIT)

    def held(self, held: bool) -> None:
        """Whether the circuit breaker holds an answer back now."""
        labels = (self._ref.name, self._ref.chain)
        if held and not self._held:
            self.metrics.held_total.labels(*labels).inc()
        self._held = held
        self.metrics.held.labels(*labels).set(held)

    def expect(self, venues: int) -> None:
        """How many venues an answer needs."""
        self.metrics.venues_needed.labels(self._ref.name, self._ref.chain).set(venues)

    def watch_spending(self, spent: Callable[[], int], limit: int | None) -> None:
        """Show what the feed spends from now on."""
        labels = (self._ref.name, self._ref.chain)
        self.metrics.spent.labels(*labels).set_function(spent)
        if limit is not None:
            self.metrics.spend_limit.labels(*labels).set(limit)
        else:
            self.metrics.spend_limit.remove_by_labels({"feed": self._ref.name, "chain": self._ref.chain})

    def watch_source(self, name: str, health: SourceHealth) -> None:
        """Show a source's health from now on."""
        labels = (self._ref.name, name)
        self.metrics.source_age.labels(*labels).set_function(lambda: self._age_of(health))
        self.metrics.source_latency.labels(*labels).set_function(lambda: health.latency)
        self.metrics.source_up.labels(*labels).set_function(lambda: float(_is_up(health)))
        self.metrics.source_price.labels(*labels).set_function(lambda: float(self._prices.get(name, math.nan)))

    def quoted(self, source: str, price: Decimal) -> None:
        self._prices[source] = price

    def source_failed(self, source: str, kind: str) -> None:
        self.metrics.source_failures.labels(self._ref.name, source, kind).inc()

    def observed(self, state: FeedState) -> None:
        """The chain's side is known."""
        self._state = state
        self._contract_paused.set(state.paused)
        if state.price is not None:
            self._onchain_price.set(float(state.price))
            self._updated_at.set(state.updated_at)

    def aggregated(self, result: Answer | Rejected) -> None:
        """The quotes came to this. Each quote counts once as rejected, however often it is looked at."""
        for item in result.rejected:
            if self._counted.get(item.quote.source) != item.quote.received_at:
                self._counted[item.quote.source] = item.quote.received_at
                self.metrics.quotes_rejected.labels(self._ref.name, item.quote.source, str(item.fault)).inc()
        if isinstance(result, Answer):
            self._answer, self._had_answer = result, True
        elif self._had_answer:
            self._had_answer = False
            self.metrics.rejected_answers.labels(self._ref.name, self._ref.chain, str(result.why)).inc()

    def _distinct_venues(self) -> float:
        return float(len(self._answer.quotes)) if self._answer is not None and self._had_answer else 0.0

    def _deviation(self) -> float:
        if self._answer is None or self._state is None or not self._state.round:
            return math.nan
        return as_ratio(deviation(self._state.answer, self._answer.value))

    def _since_update(self) -> float:
        state = self._state
        return math.nan if state is None or not state.round else self._clock.now() - state.updated_at

    def _slack(self) -> float:
        state = self._state
        if state is None or not state.round:
            return math.nan
        return state.updated_at + self._policy.heartbeat - chain_now(state, self._clock.now())

    def _due_in(self) -> float:
        state = self._state
        if state is None or not state.round:
            return math.nan
        return heartbeat_due_at(state, self._policy) - chain_now(state, self._clock.now())

    def _age_of(self, health: SourceHealth) -> float:
        return math.nan if health.last_ok_at is None else self._clock.now() - health.last_ok_at


def _is_up(health: SourceHealth) -> bool:
    return health.last_ok_at is not None and health.failing_since is None


def as_ratio(ppb: Ppb) -> float:
    """1 is 100 %, as Prometheus wants it."""
    return ppb / PPB_PER_UNIT
