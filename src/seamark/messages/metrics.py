"""Prometheus metrics of one message protocol, correct over restarts, replays and reorgs.

Counters and histograms are the totals of the database (`storage.totals`), which grow in the unit of work that stores
a fact; they are read once at start and followed after each commit. Gauges by stage come from the stored tallies in
the same way. So nothing here counts by itself, except what concerns this process alone (polls that failed).

Labels: source, dest, version, onramp (bounded by the number of lanes), and one of a fixed set.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from seamark.core.errors import SeamarkError
from seamark.core.ids import ChainId
from seamark.evm.logs import SilentObserver
from seamark.messages.protocol import MessageProtocol
from seamark.messages.store import LATENCY_BUCKETS_S, ChainView, Changes, Lane, TallyRow, lane_labels
from seamark.storage.totals import Total, TotalKey, total_key

__all__ = ["ChainObserver", "MessageMetrics"]

LANE = ("source", "dest", "version", "onramp")
_BOUNDS = (*(str(bound) for bound in LATENCY_BUCKETS_S), "+Inf")

# (name without the protocol's prefix and "_total", own label, help)
_COUNTERS = (
    ("messages_sent", "", "Messages sent, each once; a send that a reorg withdrew stays counted."),
    ("messages_received", "state", "Messages whose delivery was tried, by outcome; each outcome once per message."),
    ("messages_recovered", "", "Messages whose delivery had failed and was repaired; each once."),
    ("fees", "fee_token", "Fees paid, in units of the fee token."),
    ("fees_juels", "", "Fees paid, normalised to LINK's base units by the protocol."),
    ("errors", "class", "Failed deliveries by class, malformed logs, spans that two chains' clocks made negative."),
)


class ChainObserver(SilentObserver):
    """What the log stream of one chain tells of itself; in memory only."""

    def __init__(self) -> None:
        self.head = -1
        self.reorg_blocks = 0
        self.gaps_healed = 0
        self.failed_polls = 0
        self.last_error = ""

    def reorg(self, depth: int) -> None:
        self.reorg_blocks += depth

    def gap_healed(self, logs: int) -> None:
        self.gaps_healed += logs

    def position(self, head: int, told: int, finalized: int) -> None:  # noqa: ARG002 - where it stands is stored
        self.head = head
        self.last_error = ""

    def poll_failed(self, error: SeamarkError) -> None:
        self.failed_polls += 1
        self.last_error = str(error)


class MessageMetrics(Collector):
    """All metrics of one protocol; registers itself."""

    def __init__(self, protocol: MessageProtocol, registry: CollectorRegistry) -> None:
        self._protocol = protocol
        self._prefix = protocol.name
        self._totals: dict[TotalKey, Decimal] = {}
        self._tallies: dict[tuple[int, str, str], int] = {}
        self._lanes: dict[int, Lane] = {}
        self._views: dict[ChainId, ChainView] = {}
        self._names = {role.chain_id: role.name for role in protocol.chains}
        self.observers: dict[ChainId, ChainObserver] = {chain_id: ChainObserver() for chain_id in self._names}
        registry.register(self)

    def load(
        self, totals: Iterable[Total], tallies: Iterable[TallyRow], lanes: Iterable[Lane], views: Iterable[ChainView]
    ) -> None:
        """Start from what is stored; replaces everything."""
        self._totals = {total_key(item.metric, item.labels): item.value for item in totals}
        self._tallies = {(row.lane_id, row.kind, row.name): row.messages for row in tallies}
        self._lanes = {lane.id: lane for lane in lanes}
        self._views = {ChainId(view.chain_id): view for view in views}

    def follow(self, changes: Changes, view: ChainView) -> None:
        """Add what a unit of work of a tracker did, once it is committed."""
        self.add(changes)
        self._views[ChainId(view.chain_id)] = view

    def add(self, changes: Changes) -> None:
        """Add what a unit of work did that read no chain, once it is committed."""
        for total, amount in changes.totals.items():
            self._totals[total] = self._totals.get(total, Decimal(0)) + amount
        for tally, delta in changes.tallies.items():
            self._tallies[tally] = self._tallies.get(tally, 0) + delta
        self._lanes.update(changes.lanes)

    def stored_blocks(self) -> dict[ChainId, int]:
        """The newest stored block of each chain."""
        return {chain_id: view.scanned for chain_id, view in self._views.items()}

    # ---- exposition -------------------------------------------------------------------------------------------------

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not need the database."""
        return ()

    def collect(self) -> Iterator[Metric]:
        by_metric: dict[str, list[tuple[dict[str, str], Decimal]]] = defaultdict(list)
        for key, value in self._totals.items():
            by_metric[key.metric].append((msgspec.json.decode(key.labels), value))
        for name, own, help_text in _COUNTERS:
            yield self._counter(name, own, help_text, by_metric[f"{self._prefix}_{name}_total"])
        yield self._latency(by_metric)
        yield from self._gauges()
        yield from self._chains()

    def _counter(
        self, name: str, own: str, help_text: str, rows: Iterable[tuple[dict[str, str], Decimal]]
    ) -> CounterMetricFamily:
        labels = (*LANE, own) if own else LANE
        values: dict[tuple[str, ...], Decimal] = defaultdict(Decimal)
        for found, value in rows:
            if name == "fees":
                found["fee_token"], value = self._in_units(found, value)  # noqa: PLW2901 - the shown value
            values[tuple(found[label] for label in labels)] += value
        family = CounterMetricFamily(f"{self._prefix}_{name}", help_text, labels=labels)
        for label_values, value in values.items():
            family.add_metric(label_values, float(value))
        return family

    def _in_units(self, labels: Mapping[str, str], amount: Decimal) -> tuple[str, Decimal]:
        """Base units to units; a token that nobody knows keeps its address and counts as one with 18 decimals."""
        address = labels["fee_token"]
        chain_id = next((lane.names.source_chain for lane in self._lanes.values() if _is_source(lane, labels)), None)
        token = self._protocol.token(chain_id, address)
        if token is None:
            return address, amount.scaleb(-18)
        return token.symbol, amount.scaleb(-token.decimals)

    def _latency(self, rows: Mapping[str, list[tuple[dict[str, str], Decimal]]]) -> HistogramMetricFamily:
        name = f"{self._prefix}_message_latency_seconds"
        labels = (*LANE, "stage")
        counts: dict[tuple[str, ...], dict[str, int]] = defaultdict(dict)
        for found, value in rows[f"{name}_bucket"]:
            counts[tuple(found[label] for label in labels)][found["le"]] = int(value)
        sums = {tuple(found[label] for label in labels): value for found, value in rows[f"{name}_sum"]}
        help_text = (
            "By block time: finality and commit since the send, execution since the commit, total since the send."
        )
        family = HistogramMetricFamily(name, help_text, labels=labels)
        for label_values, buckets in counts.items():
            so_far, cumulative = 0, []
            for bound in _BOUNDS:
                so_far += buckets.get(bound, 0)
                cumulative.append((bound, float(so_far)))
            family.add_metric(label_values, buckets=cumulative, sum_value=float(sums.get(label_values, Decimal(0))))
        return family

    def _gauges(self) -> Iterator[Metric]:
        tracked = GaugeMetricFamily(
            f"{self._prefix}_messages_tracked", "Messages in each stage now.", labels=(*LANE, "stage")
        )
        failures = GaugeMetricFamily(
            f"{self._prefix}_message_failures",
            "Messages whose delivery failed and was not repaired.",
            labels=(*LANE, "reason"),
        )
        values: dict[tuple[str, tuple[str, ...]], int] = defaultdict(int)
        for (lane_id, kind, name), count in self._tallies.items():
            labels = lane_labels(self._lanes[lane_id])
            values[kind, (*(labels[label] for label in LANE), name)] += count
        for (kind, label_values), count in values.items():
            (tracked if kind == "stage" else failures).add_metric(label_values, count)
        yield tracked
        yield failures

    def _chains(self) -> Iterator[Metric]:
        def gauge(name: str, help_text: str, values: Mapping[ChainId, float]) -> GaugeMetricFamily:
            family = GaugeMetricFamily(f"{self._prefix}_{name}", help_text, labels=("chain",))
            for chain_id, value in values.items():
                family.add_metric((self._names.get(chain_id, str(chain_id)),), value)
            return family

        def counter(name: str, help_text: str, values: Mapping[ChainId, float]) -> CounterMetricFamily:
            family = CounterMetricFamily(f"{self._prefix}_{name}", help_text, labels=("chain",))
            for chain_id, value in values.items():
                family.add_metric((self._names.get(chain_id, str(chain_id)),), value)
            return family

        views = {chain_id: view for chain_id, view in self._views.items() if chain_id in self._names}
        seen = {chain_id: item for chain_id, item in self.observers.items() if item.head >= 0}
        yield gauge("chain_head_block", "Newest block of the node.", {key: item.head for key, item in seen.items()})
        yield gauge("chain_scanned_block", "Newest block that is stored.", {k: v.scanned for k, v in views.items()})
        yield gauge("chain_finalized_block", "Newest final block.", {k: v.finalized for k, v in views.items()})
        lags = {key: max(item.head - views[key].scanned, 0) for key, item in seen.items() if key in views}
        yield gauge("chain_lag_blocks", "Blocks between the node's head and what is stored.", lags)
        yield counter("reorgs", "Reorgs that touched blocks already stored.", {k: v.reorgs for k, v in views.items()})
        healed = {key: item.gaps_healed for key, item in self.observers.items()}
        yield counter("late_logs", "Logs that a node left out at first and that a later answer showed.", healed)
        failed = {key: item.failed_polls for key, item in self.observers.items()}
        yield counter("poll_failures", "Rounds that ended without a usable answer of any node.", failed)


def _is_source(lane: Lane, labels: Mapping[str, str]) -> bool:
    return lane.names.source == labels["source"] and lane.key.channel == labels["onramp"]
