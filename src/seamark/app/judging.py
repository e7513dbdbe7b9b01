"""The judge of a message monitor and its reconciler: from the monitor's parts to two more services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry

from seamark.app.alerts import Alerts
from seamark.core.ids import ChainId
from seamark.evm.rpc import Chain
from seamark.messages.judgement.metrics import JudgeMetrics
from seamark.messages.judgement.service import REPORT_EVERY_S, JudgeService
from seamark.messages.judgement.settings import JudgeSettings
from seamark.messages.metrics import MessageMetrics
from seamark.messages.protocol import MessageProtocol
from seamark.messages.reconcile import Reconciler
from seamark.monitoring.alerts.model import Scope
from seamark.runtime.clock import Clock
from seamark.runtime.events import Signal
from seamark.storage.database import Database

__all__ = ["Judging", "open_judging"]

LATE_REPORTS: Final = 3  # so many reports may be left out before their findings count as unknown


@dataclass(frozen=True, slots=True)
class Judging:
    """Two services."""

    judge: JudgeService
    reconciler: Reconciler


def open_judging(
    protocol: MessageProtocol,
    *,
    settings: JudgeSettings,
    readers: Mapping[ChainId, Chain],
    messages: MessageMetrics,
    alerts: Alerts | None,
    database: Database,
    registry: CollectorRegistry,
    signal: Signal,
    clock: Clock,
) -> Judging:
    """Ready to run, beside the trackers whose metrics are `messages`."""
    metrics = JudgeMetrics(protocol.name, registry)
    reconciler = Reconciler(
        protocol,
        readers=readers,
        database=database,
        settings=settings,
        metrics=metrics,
        messages=messages,
        clock=clock,
        witnesses={chain_id: reader.witness for chain_id, reader in readers.items()},
    )
    every_s = LATE_REPORTS * max(REPORT_EVERY_S, settings.every)
    scope = Scope.of({str(role.chain_id): role.name for role in protocol.chains})
    judge = JudgeService(
        protocol,
        observers=messages.observers,
        database=database,
        settings=settings,
        metrics=metrics,
        report=None if alerts is None else partial(alerts.report, every_s=every_s, scope=scope),
        gaps=reconciler.gaps,
        signal=signal,
        clock=clock,
    )
    return Judging(judge, reconciler)
