"""What an operator needs to see of a reporting network, as Prometheus metrics.

The `ocr2_*` names are those that dashboards of other OCR2 nodes read. Labels are names from the settings, indices of
nodes and words from short lists. What is counted begins at zero with the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from seamark.oracle.model import FeedRef
from seamark.oracle.reporting.plugin import EpochRound
from seamark.oracle.reporting.ports import Port
from seamark.runtime.clock import Clock

__all__ = ["NetworkMeter", "ReportingMeter", "ReportingMetrics"]

_FEED: Final = ("feed", "chain")
_ROUND_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)  # seconds
_CALL_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 20)
_ROUNDS_TIMED: Final = 4  # rounds whose beginning is remembered: a leader has one at a time
FAILURES: Final = ("timeout", "TemporaryError", "RejectedError")
_OTHER: Final = "other"


class ReportingMetrics:
    """The metrics of all feeds of one process, and of its connections."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, labels: Iterable[str] = _FEED) -> Gauge:
            return Gauge(name, text, tuple(labels), registry=registry)

        def counter(name: str, text: str, labels: Iterable[str] = _FEED) -> Counter:
            return Counter(name, text, tuple(labels), registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], labels: Iterable[str] = _FEED) -> Histogram:
            return Histogram(name, text, tuple(labels), buckets=buckets, registry=registry)

        self.epoch = gauge("ocr2_epoch", "The epoch this node is in.")
        self.leader = gauge("ocr2_experimental_leader_oid", "Index of the node that leads it.")
        self.sent = counter("ocr2_sent_observations_total", "Observations sent to leaders.")
        self.included = counter("ocr2_included_observations_total", "Reports with an observation of this node.")
        self.completed = counter("ocr2_completed_rounds_total", "Rounds that came to a signed report.")
        self.led = counter("ocr2_led_completed_rounds_total", "Those that this node led.")
        self.round_seconds = histogram(
            "reporting_round_seconds", "Rounds led by this node, from the request to the signed report.", _ROUND_BUCKETS
        )
        self.call_seconds = histogram(
            "reporting_call_seconds",
            "Steps of a round on this node: observe, read the contract, sign, store, transmit.",
            _CALL_BUCKETS,
            (*_FEED, "step"),
        )
        self.call_failures = counter(
            "reporting_call_failures_total", "Steps that failed or took too long.", (*_FEED, "step", "reason")
        )
        self.not_observed = counter(
            "reporting_missing_observations_total", "Rounds without an observation of this node.", (*_FEED, "reason")
        )
        self.transmissions = counter(
            "reporting_transmissions_total", "Transactions with reports, by what became of them.", (*_FEED, "outcome")
        )
        self.fees = counter("reporting_transmission_fees_wei_total", "What these transactions cost.")
        self.bad_signatures = counter(
            "reporting_bad_signatures_total", "Wrong signatures, by the index of who sent them.", (*_FEED, "node")
        )
        self.oid = gauge("reporting_oid", "Index of this node in the configuration; -1: it is not in it.")
        self.nodes = gauge("reporting_nodes", "Nodes of the configuration.")
        self.faulty_allowed = gauge("reporting_faulty_allowed", "Faulty nodes that the network bears: f.")
        self.connected = gauge("reporting_connected_nodes", "Nodes of the configuration that are connected, with this.")
        self.since_progress = gauge("reporting_seconds_since_progress", "Since this node last saw a round completed.")
        self.peer_up = gauge("reporting_peer_connected", "1 while the connection to a peer stands.", ("peer",))
        self.messages = counter("reporting_messages_total", "Messages between nodes.", ("peer", "direction"))
        self.message_bytes = counter("reporting_message_bytes_total", "Their bytes.", ("peer", "direction"))
        self.dropped = counter("reporting_messages_dropped_total", "Messages dropped, by reason.", ("peer", "reason"))
        self.slowed = counter(
            "reporting_peer_slowed_seconds_total", "Time a peer above its rate was not read.", ["peer"]
        )
        self.refused = counter("reporting_connections_refused_total", "Connections of strangers.", ())


class NetworkMeter:
    """`network.NetworkObserver`: what happens between nodes."""

    def __init__(self, metrics: ReportingMetrics, peers: Iterable[str]) -> None:
        self._metrics = metrics
        self.up: dict[str, bool] = dict.fromkeys(peers, False)
        for peer in self.up:
            metrics.peer_up.labels(peer).set(0)

    def connected(self, peer: str, *, up: bool) -> None:
        self.up[peer] = up
        self._metrics.peer_up.labels(peer).set(up)

    def sent(self, peer: str, messages: int, size: int) -> None:
        self._metrics.messages.labels(peer, "out").inc(messages)
        self._metrics.message_bytes.labels(peer, "out").inc(size)

    def received(self, peer: str, messages: int, size: int) -> None:
        self._metrics.messages.labels(peer, "in").inc(messages)
        self._metrics.message_bytes.labels(peer, "in").inc(size)

    def dropped(self, peer: str, reason: str, messages: int) -> None:
        self._metrics.dropped.labels(peer, reason).inc(messages)

    def slowed(self, peer: str, seconds: float) -> None:
        self._metrics.slowed.labels(peer).inc(seconds)

    def refused(self, peer: str) -> None:  # noqa: ARG002 - strangers have no name that may be a label
        self._metrics.refused.inc()


class ReportingMeter:
    """`ports.ReportingObserver` of one feed; remembers when the network last moved."""

    def __init__(self, metrics: ReportingMetrics, ref: FeedRef, *, clock: Clock) -> None:
        self.metrics = metrics
        self.epoch = 0
        self.leader: int | None = None
        self._labels = (ref.name, ref.chain)
        self._clock = clock
        self._progress_at = clock.monotonic()
        self._began: dict[EpochRound, float] = {}
        for counter in (metrics.sent, metrics.included, metrics.completed, metrics.led, metrics.fees):
            counter.labels(*self._labels)  # a rate needs the series before its first step
        metrics.oid.labels(*self._labels).set(-1)
        metrics.since_progress.labels(*self._labels).set_function(self.since_progress)

    def since_progress(self) -> float:
        """Seconds since the network last did something that counts."""
        return self._clock.monotonic() - self._progress_at

    def seated(self, *, me: int, nodes: int, f: int, connected: Callable[[], int]) -> None:
        """This node has a place in a configuration."""
        labels, metrics = self._labels, self.metrics
        self._progress_at = self._clock.monotonic()
        metrics.oid.labels(*labels).set(me)
        metrics.nodes.labels(*labels).set(nodes)
        metrics.faulty_allowed.labels(*labels).set(f)
        metrics.connected.labels(*labels).set_function(connected)

    def unseated(self) -> None:
        """It has none."""
        self.metrics.oid.labels(*self._labels).set(-1)

    def progressed(self) -> None:
        """A round was completed, with a report or without."""
        self._progress_at = self._clock.monotonic()

    # ---- ports.ReportingObserver ----

    def epoch_began(self, epoch: int, leader: int) -> None:
        self.epoch, self.leader = epoch, leader
        self.metrics.epoch.labels(*self._labels).set(epoch)
        self.metrics.leader.labels(*self._labels).set(leader)

    def round_began(self, at: EpochRound) -> None:
        while len(self._began) >= _ROUNDS_TIMED:
            del self._began[next(iter(self._began))]
        self._began[at] = self._clock.monotonic()

    def observed(self, at: EpochRound) -> None:  # noqa: ARG002 - as the port has it
        self.metrics.sent.labels(*self._labels).inc()

    def round_finished(self, at: EpochRound, *, led: bool, included: bool) -> None:
        self.progressed()
        self.metrics.completed.labels(*self._labels).inc()
        if included:
            self.metrics.included.labels(*self._labels).inc()
        if led:
            self.metrics.led.labels(*self._labels).inc()
        began = self._began.pop(at, None)
        if began is not None:
            self.metrics.round_seconds.labels(*self._labels).observe(self._progress_at - began)

    def called(self, port: Port, seconds: float, failure: str | None) -> None:
        self.metrics.call_seconds.labels(*self._labels, str(port)).observe(seconds)
        if failure is not None:
            reason = failure if failure in FAILURES else _OTHER
            self.metrics.call_failures.labels(*self._labels, str(port), reason).inc()

    def transmitted(self, at: EpochRound) -> None:  # noqa: ARG002 - as the port has it
        self.metrics.transmissions.labels(*self._labels, "sent").inc()

    # ---- what others tell ----

    def not_observed(self, reason: str) -> None:
        self.metrics.not_observed.labels(*self._labels, reason).inc()

    def settled(self, outcome: str, *, fee: int = 0) -> None:
        """A transaction came to an end: mined, reverted or replaced."""
        self.metrics.transmissions.labels(*self._labels, outcome).inc()
        self.metrics.fees.labels(*self._labels).inc(fee)

    def bad_signature(self, node: int) -> None:
        self.metrics.bad_signatures.labels(*self._labels, str(node)).inc()
