"""Metrics of executing messages, in the sense of the reference monitor.

Names are the reference's under the prefix `interop_`; labels are chain ids, as there. Counters are totals of the
database, so they survive restarts; gauges come from stored tallies. An initiating chain that is not in the dependency
set is called "unknown": whoever writes a log chooses that number.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from seamark.messages.protocols.op_interop.model import Status
from seamark.messages.protocols.op_interop.store import ELSEWHERE, BlockRanges, JobChanges, TallyRow
from seamark.storage.totals import Total, TotalKey, total_key

__all__ = ["InteropMetrics"]

PAIR: Final = ("executing_chain_id", "initiating_chain_id")
_COUNTERS: Final = (
    ("executing_messages", PAIR, "Executing messages seen, each once."),
    ("verdicts", (*PAIR, "status"), "Verdicts told; one message may have several in its life."),
    ("initiating_reorgs", PAIR, "Messages whose initiating block was replaced by another."),
    (
        "cross_safety_violations",
        PAIR,
        "Messages that are not valid, in a block that the executing chain's nodes call safe, which means cross-safe.",
    ),
    ("retracted", PAIR, "Messages whose executing block left the chain."),
    (
        "filter_divergence",
        (*PAIR, "monitor_status", "filter_status"),
        "Verdicts of which an interop filter thinks otherwise, each once.",
    ),
)
_REPLICAS: Final = (
    ("replica_superroot_divergence", "1 while replicas compute other super roots for one time."),
    ("replica_compared_replicas", "Replicas that answered for the last comparison."),
    ("replica_compared_timestamp", "The time that was compared, in seconds since the epoch."),
)


class InteropMetrics(Collector):
    """Registers itself. `chains` are those that are read."""

    def __init__(self, chains: Iterable[int], registry: CollectorRegistry) -> None:
        self._chains = sorted(chains)
        self._tallies: dict[tuple[int, str, str], int] = defaultdict(int)
        self._totals: dict[TotalKey, Decimal] = defaultdict(Decimal)
        self._ranges = BlockRanges({}, {})
        self._failsafe: dict[str, bool | None] = {}
        self._replicas: tuple[float, float, float] | None = None
        self._supernodes: Mapping[str, Mapping[str, tuple[int, int]] | None] = {}
        registry.register(self)

    def load(self, tallies: Iterable[TallyRow], totals: Iterable[Total]) -> None:
        """Start from what is stored."""
        self._tallies.clear()
        self._tallies.update({(row.exec_chain, row.init_chain, row.kind): row.jobs for row in tallies})
        self._totals.clear()
        self._totals.update({total_key(item.metric, item.labels): item.value for item in totals})

    def follow(self, changes: JobChanges) -> None:
        """Add what a unit of work did, once it is committed."""
        for key, amount in changes.tallies.items():
            self._tallies[key] += amount
        for total, amount in changes.totals.items():
            self._totals[total] += amount

    def add_total(self, key: TotalKey, amount: int = 1) -> None:
        """One more, once it is stored."""
        self._totals[key] += amount

    def saw_replicas(self, *, differing: bool, compared: int, timestamp: int) -> None:
        """The last comparison of replicas."""
        self._replicas = (float(differing), float(compared), float(timestamp))

    def saw_supernodes(self, found: Mapping[str, Mapping[str, tuple[int, int]] | None]) -> None:
        """By endpoint and chain id: cross-safe and final block; None: it does not answer."""
        self._supernodes = found

    def saw_ranges(self, ranges: BlockRanges) -> None:
        self._ranges = ranges

    def saw_failsafe(self, endpoint: str, state: bool | None) -> None:
        """None: it does not answer."""
        self._failsafe[endpoint] = state

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not need the database."""
        return ()

    def collect(self) -> Iterator[Metric]:
        yield self._status()
        yield self._changes()
        for name, what in (("executing", self._ranges.executing), ("initiating", self._ranges.initiating)):
            yield self._range(name, what)
        by_metric: defaultdict[str, list[tuple[Mapping[str, str], Decimal]]] = defaultdict(list)
        for key, value in self._totals.items():
            by_metric[key.metric].append((msgspec.json.decode(key.labels), value))
        for name, labels, text in _COUNTERS:
            counter = CounterMetricFamily(f"interop_{name}", text, labels=labels)
            for found, value in by_metric[f"interop_{name}_total"]:
                counter.add_metric([found[label] for label in labels], float(value))
            yield counter
        yield self._failsafes()
        if self._replicas is not None:
            for (name, text), number in zip(_REPLICAS, self._replicas, strict=True):
                yield GaugeMetricFamily(f"interop_{name}", text, number)

        if self._supernodes:
            yield from self._supernode_families()

    def _supernode_families(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("interop_supernode_up", "1: it tells its sync status.", labels=("endpoint",))
        heads = GaugeMetricFamily(
            "interop_supernode_safe_head",
            "The newest block of a chain that a supernode calls cross-safe, or final.",
            labels=("endpoint", "chain_id", "level"),
        )
        for endpoint, chains in sorted(self._supernodes.items()):
            up.add_metric([endpoint], float(chains is not None))
            for chain_id, (cross_safe, finalized) in sorted((chains or {}).items()):
                heads.add_metric([endpoint, chain_id, "cross_safe"], cross_safe)
                heads.add_metric([endpoint, chain_id, "finalized"], finalized)
        yield up
        yield heads

    def _pairs(self) -> list[tuple[int, str]]:
        known = {(one, str(other)) for one in self._chains for other in self._chains}
        known |= {(one, ELSEWHERE) for one in self._chains}
        return sorted(known | {(chain, label) for chain, label, _ in self._tallies})

    def _status(self) -> Metric:
        family = GaugeMetricFamily(
            "interop_message_status",
            "Executing messages by verdict, until they are valid for good; others stay.",
            labels=(*PAIR, "status"),
        )
        for chain, label in self._pairs():
            for status in Status:
                family.add_metric([str(chain), label, status.value], self._tallies.get((chain, label, status.value), 0))
        return family

    def _changes(self) -> Metric:
        family = GaugeMetricFamily(
            "interop_terminal_status_changes",
            "Executing messages that were called valid and not valid in turn.",
            labels=PAIR,
        )
        for chain, label in self._pairs():
            family.add_metric([str(chain), label], self._tallies.get((chain, label, "changed"), 0))
        return family

    @staticmethod
    def _range(name: str, ends: Mapping[int, tuple[int, int]]) -> Metric:
        family = GaugeMetricFamily(
            f"interop_{name}_block_range",
            f"Lowest and highest {name} block with messages that are not final.",
            labels=("chain_id", "range_type"),
        )
        for chain, (low, high) in ends.items():
            family.add_metric([str(chain), "min"], low)
            family.add_metric([str(chain), "max"], high)
        return family

    def _failsafes(self) -> Metric:
        family = GaugeMetricFamily(
            "interop_failsafe", "1: that endpoint lets no interop pass; -1: it does not answer.", labels=("endpoint",)
        )
        for endpoint, state in sorted(self._failsafe.items()):
            family.add_metric([endpoint], -1 if state is None else int(state))
        return family
