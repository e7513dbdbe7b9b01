"""Prometheus metrics of judging: what is late, by which limits, how lanes fare. Gauges of the last look.

Labels are those of every metric about a lane (source, dest, version, onramp), and a stage or severity.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from seamark.core.findings import Finding, Severity
from seamark.messages.judgement.explain import WAITING
from seamark.messages.judgement.model import JudgedLane, LaneNow, LogGap
from seamark.messages.model import Stage

__all__ = ["JudgeMetrics"]

LANE = ("source", "dest", "version", "onramp")
_BEFORE_COMMIT = (Stage.SENT, Stage.FINALIZED)
_LIMITS = (("final", "final"), ("committed", "committed"), ("executed", "executed"))


class JudgeMetrics(Collector):
    """All metrics of judging one protocol; registers itself."""

    def __init__(self, protocol: str, registry: CollectorRegistry) -> None:
        self._prefix = protocol
        self._lanes: Sequence[LaneNow] = ()
        self._findings: Sequence[Finding] = ()
        self._gaps: Sequence[LogGap] = ()
        self._detected: dict[str, Decimal] = {}
        self._healed: dict[str, Decimal] = {}
        self._looked_at: float | None = None
        self._took = 0.0
        registry.register(self)

    def show(self, lanes: Sequence[LaneNow], findings: Sequence[Finding], *, at: float, took: float) -> None:
        """What one look found; `took` seconds."""
        self._lanes, self._findings, self._looked_at, self._took = lanes, findings, at, took

    def load_gaps(self, detected: Mapping[str, Decimal], healed: Mapping[str, Decimal]) -> None:
        """Missing logs so far, by chain; replaces what was known."""
        self._detected, self._healed = dict(detected), dict(healed)

    def count_gaps(self, chain: str, *, detected: int = 0, healed: int = 0) -> None:
        """More of them, once that is stored."""
        self._detected[chain] = self._detected.get(chain, Decimal(0)) + detected
        self._healed[chain] = self._healed.get(chain, Decimal(0)) + healed

    # ---- exposition -------------------------------------------------------------------------------------------------

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not need the database."""
        return ()

    def collect(self) -> Iterator[Metric]:
        yield self._late()
        yield self._thresholds()
        yield self._oldest()
        yield self._lane_gauge(
            "success_ratio",
            "Share of messages that were delivered, of those old enough.",
            ((now.lane, now.rates.success) for now in self._lanes if now.rates),
        )
        yield self._lane_gauge(
            "lane_backlog",
            "Messages sent and not committed yet.",
            ((now.lane, _backlog(now)) for now in self._lanes if now.lane.names.destination_watched),
        )
        yield self._lane_gauge(
            "sequence_gaps",
            "Sequence numbers that lack between the first and the last final send.",
            ((now.lane, now.sequences.missing) for now in self._lanes if now.sequences),
        )
        yield self._lane_gauge(
            "manual_exec_eligible",
            "Messages that anybody may execute by hand now.",
            ((now.lane, now.ripe.count + sum(now.failed.values())) for now in self._lanes),
        )
        yield from self._own()

    def _gauge(self, name: str, help_text: str, labels: Sequence[str]) -> GaugeMetricFamily:
        return GaugeMetricFamily(f"{self._prefix}_{name}", help_text, labels=labels)

    def _lane_gauge(self, name: str, help_text: str, values: Iterable[tuple[JudgedLane, float]]) -> GaugeMetricFamily:
        family = self._gauge(name, help_text, LANE)
        for lane, value in values:
            family.add_metric(_labels(lane), value)
        return family

    def _late(self) -> Metric:
        family = self._gauge("messages_late", "Messages that should have left their stage by now.", (*LANE, "stage"))
        for now in self._lanes:
            for stage in WAITING:
                waiting = now.waiting.get(stage)
                family.add_metric((*_labels(now.lane), stage.value), waiting.late if waiting else 0)
        return family

    def _thresholds(self) -> Metric:
        help_text = "Seconds since the send after which a message that is not final, committed, executed is late."
        family = self._gauge("lane_threshold_seconds", help_text, (*LANE, "stage", "severity"))
        for now in self._lanes:
            for attribute, stage in _LIMITS:
                limit = getattr(now.profile, attribute)
                family.add_metric((*_labels(now.lane), stage, "warning"), limit.warn)
                family.add_metric((*_labels(now.lane), stage, "critical"), limit.critical)
        return family

    def _oldest(self) -> Metric:
        help_text = "Age of the oldest message that is under way, since its send; 0 without any."
        family = self._gauge("oldest_in_flight_seconds", help_text, LANE)
        for now in self._lanes:
            family.add_metric(_labels(now.lane), _oldest_age(now))
        return family

    def _own(self) -> Iterator[Metric]:
        findings = self._gauge("findings", "What is wrong now.", ("kind", "severity"))
        counts: dict[tuple[str, Severity], int] = {}
        for finding in self._findings:
            key = finding.kind, finding.severity
            counts[key] = counts.get(key, 0) + 1
        for (kind, severity), count in sorted(counts.items()):
            findings.add_metric((kind, severity.value), count)
        yield findings
        for name, help_text, values in (
            (
                "log_gap_detected",
                "Messages and commits that a contract had counted and no log had shown.",
                self._detected,
            ),
            ("log_gap_healed", "Of these, those that reading the blocks again has brought.", self._healed),
        ):
            family = CounterMetricFamily(f"{self._prefix}_{name}", help_text, labels=("chain",))
            for chain, value in sorted(values.items()):
                family.add_metric((chain,), float(value))
            yield family
        if self._looked_at is not None:
            last = self._gauge("judge_last_look_timestamp_seconds", "When the ledger was last judged.", ())
            last.add_metric((), self._looked_at)
            took = self._gauge("judge_look_seconds", "How long the last look took.", ())
            took.add_metric((), self._took)
            yield from (last, took)


def _labels(lane: JudgedLane) -> tuple[str, ...]:
    labels = lane.labels
    return tuple(labels[name] for name in LANE)


def _backlog(now: LaneNow) -> int:
    return sum(now.waiting[stage].count for stage in _BEFORE_COMMIT if stage in now.waiting)


def _oldest_age(now: LaneNow) -> int:
    """As far as it is seen: what left for a chain that nobody watches is not under way for us."""
    followed = WAITING if now.lane.names.destination_watched else (Stage.SENT,)
    ages = [
        (now.source_at if stage is Stage.SENT else now.destination_at) - now.waiting[stage].oldest
        for stage in followed
        if stage in now.waiting
    ]
    return max(0, *ages) if ages else 0
