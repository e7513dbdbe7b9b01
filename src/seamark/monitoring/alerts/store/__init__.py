"""What is stored of findings and alerts: plain functions of a connection, each part of a unit of work."""

from seamark.monitoring.alerts.store.actions import (
    NoSuchAlert,
    NoSuchSilence,
    acknowledge,
    add_silence,
    end_silence,
    unacknowledge,
)
from seamark.monitoring.alerts.store.findings import (
    forget_ended,
    forget_source,
    list_sources,
    refold,
    report,
    settle_due,
)
from seamark.monitoring.alerts.store.queries import (
    AlertFilter,
    find_alert,
    list_alerts,
    list_history,
    list_silences,
    open_alerts,
    read_alerts,
    trim_alerts,
)

__all__ = [
    "AlertFilter",
    "NoSuchAlert",
    "NoSuchSilence",
    "acknowledge",
    "add_silence",
    "end_silence",
    "find_alert",
    "forget_ended",
    "forget_source",
    "list_alerts",
    "list_history",
    "list_silences",
    "list_sources",
    "open_alerts",
    "read_alerts",
    "refold",
    "report",
    "settle_due",
    "trim_alerts",
    "unacknowledge",
]
