"""Everything that our collectors show, by the names and labels of the samples: what /metrics of a process can hold."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from seamark.app.application import _registry
from seamark.app.drift import LABELS as DRIFT_LABELS
from seamark.app.reload import ReloadMetrics
from seamark.evm.metrics import RpcMetrics, TransactionMetrics
from seamark.messages.judgement.metrics import JudgeMetrics
from seamark.messages.metrics import MessageMetrics
from seamark.messages.protocols.ccip.checks.metrics import CheckMetrics
from seamark.messages.protocols.op_interop.metrics import InteropMetrics
from seamark.monitoring.metrics import AlertMetrics
from seamark.oracle.leadership import LeadershipMetrics
from seamark.oracle.metrics import OracleMetrics
from seamark.oracle.reporting.metrics import ReportingMetrics
from seamark.runtime.clock import SystemClock
from seamark.runtime.leadership import Elector, Register, RegisterCandidate, Terms

_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
OF_PROMETHEUS = {"up": {"job", "instance"}}
OF_THE_APPLICATION = {
    "seamark_service_restarts": {"service"},  # made when the application runs
    **{f"oracle_{name}": set(DRIFT_LABELS) for name in (
        "destination_age_seconds", "price_drift_ratio", "destination_rounds_behind",
    )},
}  # fmt: skip


class _Protocol:
    """As much of a protocol as its metrics ask for."""

    chains = ()

    def __init__(self, name: str) -> None:
        self.name = name

    def token(self, chain_id: object, address: object) -> None:
        return None


@cache
def shown() -> dict[str, set[str]]:
    """Name of a sample -> its labels, without those that every target has."""
    registry = _registry()
    OracleMetrics(registry)
    ReloadMetrics(registry)
    ReportingMetrics(registry)
    RpcMetrics(registry)
    TransactionMetrics(registry)
    for name in ("ccip", "hyperlane"):
        MessageMetrics(_Protocol(name), registry)  # type: ignore[arg-type]
        JudgeMetrics(name, registry).show((), (), at=0.0, took=0.0)
    InteropMetrics((), registry).saw_replicas(differing=False, compared=0, timestamp=0)
    CheckMetrics(registry)
    lease = Terms(duration=6.0, renew=1.5)
    lead = RegisterCandidate("x", Register, terms=lease, clock=SystemClock())  # type: ignore[arg-type]
    LeadershipMetrics(registry, Elector("x", lead, terms=lease, clock=SystemClock()))
    AlertMetrics(registry).show((), (), (), (), {}, now=0.0, leads=True)
    return {**OF_PROMETHEUS, **OF_THE_APPLICATION, **_samples(registry)}


def _samples(registry: CollectorRegistry) -> dict[str, set[str]]:
    names: dict[str, set[str]] = {}
    for collector in list(registry._collector_to_names):
        for family in _families(collector):
            labels = set(getattr(family, "_labelnames", ()) or getattr(collector, "_labelnames", ()) or ())
            for suffix in _SUFFIXES.get(family.type, ("",)):
                extra = {"le"} if suffix == "_bucket" else set()
                names[family.name + suffix] = labels | extra
    return names


def _families(collector: object) -> Iterable[Metric]:
    return collector.collect()  # type: ignore[attr-defined,no-any-return]
