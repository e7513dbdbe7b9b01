"""Findings and alerts for tests, in few words."""

from __future__ import annotations

from typing import Any

from seamark.core.findings import Finding, Severity
from seamark.monitoring.alerts.model import Alert

NOW = 1_700_000_000_000
SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


def finding(kind: str = "message_stuck", subject: str = "besu to anvil", **changes: Any) -> Finding:
    values: dict[str, Any] = {
        "severity": Severity.WARNING,
        "group": "besu to anvil",
        "title": f"{kind} on {subject}",
        "text": "3 messages, the oldest for 12m",
        "remedy": "seamark messages list --late",
    }
    return Finding(kind=kind, subject=subject, **{**values, **changes})


def alert(number: int = 1, kind: str = "message_stuck", **changes: Any) -> Alert:
    values: dict[str, Any] = {
        "subject": f"subject {number}",
        "severity": Severity.WARNING,
        "group": "besu to anvil",
        "title": f"{kind} {number}",
        "opened_ms": NOW,
        "updated_ms": NOW,
    }
    return Alert(id=number, kind=kind, **{**values, **changes})
