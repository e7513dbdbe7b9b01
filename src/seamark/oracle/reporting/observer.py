"""What this node sees: quotes in, one observation out, by the same rules as a publisher that works alone.

Nothing is stored between rounds but quotes: an observation is made from what the sources said last, at the moment the
leader asks. Where the sources do not come to an answer (too few venues, too far apart, too old) there is none: the
others have theirs, and a wrong one would use up the network's tolerance.
"""

from __future__ import annotations

from collections.abc import Mapping

from seamark.oracle.metrics import FeedMeter
from seamark.oracle.model import Answer, Quote, Rejected, Sample, SourceReport, Streak
from seamark.oracle.plan import FeedPlan
from seamark.oracle.reporting.codec import Observation
from seamark.oracle.reporting.metrics import ReportingMeter
from seamark.oracle.reporting.plugin import EpochRound
from seamark.oracle.rules import aggregate, follow_streaks, follow_window
from seamark.runtime.clock import Clock

__all__ = ["FeedObserver"]

NO_LINK_PRICE = 0
"""juelsPerFeeCoin: our contract pays nobody in LINK, and the published one takes zero where nobody bills."""


class FeedObserver:
    """`ports.ObservationSource` of one feed.

    Args:
        plan: Its sources and how their quotes become an answer.
        decimals: Of the contract's answers.
        clock: Time.
        meter: Counts.
        feed_meter: Shows quotes and answers as for every feed.
    """

    def __init__(
        self, *, plan: FeedPlan, decimals: int, clock: Clock, meter: ReportingMeter, feed_meter: FeedMeter
    ) -> None:
        self.plan = plan
        self.result: Answer | Rejected | None = None
        self._decimals = decimals
        self._clock = clock
        self._meter = meter
        self._feed_meter = feed_meter
        self._quotes: dict[str, Quote] = {}
        self._streaks: dict[str, Streak] = {}
        self._window: Mapping[str, tuple[Sample, ...]] = {}
        feed_meter.expect(plan.aggregation.min_venues)

    def on_report(self, report: SourceReport) -> None:
        """A source told something."""
        if not isinstance(report, Quote):
            self._feed_meter.source_failed(report.source, report.kind)
            return
        self._quotes[report.source] = report
        self._feed_meter.quoted(report.source, report.price)
        self._streaks = follow_streaks(self._streaks, list(self._quotes.values()))
        self._window = follow_window(self._window, self._quotes.values(), self._clock.now(), self.plan.aggregation)

    async def observe(self, at: EpochRound) -> Observation | None:  # noqa: ARG002 - the same for every round
        """What the sources come to now; None, and counted, where they come to nothing."""
        result = self.look()
        if isinstance(result, Rejected):
            self._meter.not_observed(str(result.why))
            return None
        return Observation(result.observed_at, result.value, NO_LINK_PRICE)

    def look(self) -> Answer | Rejected:
        """What the quotes come to now."""
        self.result = aggregate(
            self._quotes.values(),
            now=self._clock.now(),
            policy=self.plan.aggregation,
            decimals=self._decimals,
            streaks=self._streaks,
            window=self._window,
        )
        self._feed_meter.aggregated(self.result)
        return self.result
