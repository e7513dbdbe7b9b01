"""Metrics of alerts and notices. Open alerts are counted from the database at each look of the notifier, notices from
the stored totals, so every process that looks shows the same, and a restart neither loses nor repeats a count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from seamark.monitoring.alerts.model import Alert, Source, Standing
from seamark.storage.totals import Total

__all__ = ["AlertMetrics"]

_MS = 1000


class AlertMetrics(Collector):
    """Registers itself; empty until the first look."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._alerts: dict[tuple[str, str, str], int] = {}
        self._sources: dict[str, float] = {}
        self._silent: set[str] = set()
        self._totals: list[tuple[str, str, float]] = []
        self._waiting: dict[str, int] = {}
        self._looked_at: float | None = None
        self._leads = False
        registry.register(self)

    def show(
        self,
        alerts: Iterable[tuple[Alert, Standing]],
        sources: Iterable[Source],
        silent: Iterable[str],
        totals: Iterable[Total],
        waiting: Mapping[str, int],
        *,
        now: float,
        leads: bool,
    ) -> None:
        """Replace everything with what was found by this look."""
        found = Counter((alert.severity.value, alert.kind, how.value) for alert, how in alerts)
        # A series that ends tells nothing to a rule that waits for it to come down: it stays, at zero.
        self._alerts = {**dict.fromkeys(self._alerts, 0), **found}
        self._sources = {source.name: source.reported_ms / _MS for source in sources}
        self._silent = set(silent)
        self._totals = [(item.labels["receiver"], item.labels["outcome"], float(item.value)) for item in totals]
        self._waiting = {**dict.fromkeys(self._waiting, 0), **waiting}
        self._looked_at, self._leads = now, leads

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not need the database."""
        return ()

    def collect(self) -> Iterator[Metric]:
        alerts = GaugeMetricFamily(
            "seamark_alerts", "Open alerts, by how they stand.", labels=("severity", "kind", "state")
        )
        for labels, count in self._alerts.items():
            alerts.add_metric(labels, count)
        yield alerts
        notices = CounterMetricFamily(
            "seamark_notifications", "Notices by what came of them.", labels=("receiver", "outcome")
        )
        for receiver, outcome, value in self._totals:
            notices.add_metric((receiver, outcome), value)
        yield notices
        waiting = GaugeMetricFamily("seamark_notifications_waiting", "Notices not yet taken.", labels=("receiver",))
        for receiver, count in self._waiting.items():
            waiting.add_metric((receiver,), count)
        yield waiting
        yield from self._producers()

    def _producers(self) -> Iterator[Metric]:
        reported = GaugeMetricFamily(
            "seamark_findings_reported_timestamp_seconds", "When a producer last reported.", labels=("source",)
        )
        silent = GaugeMetricFamily(
            "seamark_findings_source_silent", "1 while a producer has not reported for too long.", labels=("source",)
        )
        for source, at in self._sources.items():
            reported.add_metric((source,), at)
            silent.add_metric((source,), float(source in self._silent))
        yield reported
        yield silent
        if self._looked_at is not None:
            yield GaugeMetricFamily(
                "seamark_alerts_looked_timestamp_seconds", "When this process last looked at alerts.", self._looked_at
            )
            yield GaugeMetricFamily("seamark_notifier_leads", "1 in the process that sends.", float(self._leads))
