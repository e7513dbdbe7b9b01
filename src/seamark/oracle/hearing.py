"""What the sources of one feed have told, and the answer that it comes to now. On the hot path: no waiting, no I/O.

A source's newest quote counts until it is too old or the source tells another; what can be judged of a quote by itself
is judged once, when it comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from seamark.oracle.metrics import FeedMeter
from seamark.oracle.model import (
    Answer,
    FeedState,
    Method,
    Quote,
    QuoteFault,
    Rejected,
    Sample,
    SourceReport,
    Streak,
)
from seamark.oracle.plan import FeedPlan
from seamark.oracle.rules import aggregate, check_content, follow_streaks, follow_window

__all__ = ["Hearing"]


class Hearing:
    """The quotes of one feed.

    Args:
        plan: Which sources, and how their quotes become an answer.
        meter: Counts what is told and rejected.
    """

    def __init__(self, plan: FeedPlan, meter: FeedMeter) -> None:
        self.quotes: dict[str, Quote] = {}
        self.silent = {source.name for source in plan.sources}
        """Sources that have not spoken since the start."""
        self._plan = plan
        self._meter = meter
        self._faults: dict[str, QuoteFault | None] = {}  # of the quotes by themselves, whatever the time is
        self._streaks: dict[str, Streak] = {}
        self._window: Mapping[str, tuple[Sample, ...]] = {}

    def change(self, plan: FeedPlan) -> set[str]:
        """Other sources or rules from now on. What was heard of sources that are gone, or are others now, is forgotten;
        the names of those that stay are returned.
        """
        kept = {source.name for source in plan.sources if source in self._plan.sources}
        self.quotes = {name: quote for name, quote in self.quotes.items() if name in kept}
        self._faults = {name: check_content(quote, plan.aggregation) for name, quote in self.quotes.items()}
        self._streaks = {name: streak for name, streak in self._streaks.items() if name in kept}
        self._window = {name: samples for name, samples in self._window.items() if name in kept}
        self.silent = {source.name for source in plan.sources} - self.quotes.keys()
        self._plan = plan
        return kept

    def take(self, reports: Iterable[SourceReport], now: float) -> None:
        """Quotes, or failures of sources."""
        policy, told = self._plan.aggregation, []
        for report in reports:
            self.silent.discard(report.source)
            if isinstance(report, Quote):
                told.append(report)
                self.quotes[report.source] = report
                self._faults[report.source] = check_content(report, policy)
                self._meter.quoted(report.source, report.price)
            else:
                self._meter.source_failed(report.source, report.kind)
        self._streaks = follow_streaks(self._streaks, list(self.quotes.values()), told)
        for quote in told if policy.method is not Method.MEDIAN else ():  # each counts in an average
            self._window = follow_window(self._window, [quote], now, policy)

    def answer(self, state: FeedState, now: float) -> Answer | Rejected:
        """What the quotes come to, in the feed's decimals and within its bounds."""
        bounds = None
        if state.min_answer is not None and state.max_answer is not None:
            bounds = (state.min_answer, state.max_answer)
        result = aggregate(
            self.quotes.values(),
            now=now,
            policy=self._plan.aggregation,
            decimals=state.decimals,
            streaks=self._streaks,
            feed_bounds=bounds,
            window=self._window,
            faults=self._faults,
        )
        self._meter.aggregated(result)
        return result
