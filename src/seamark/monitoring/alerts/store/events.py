"""Alerts as events: what a page or a script that listens is told. Numbers above 2**53 do not occur in them."""

from __future__ import annotations

from typing import Any

from seamark.monitoring.alerts.model import Alert, Silence
from seamark.storage.events import Event

__all__ = ["alert_event", "silence_event"]


def alert_event(topic: str, alert: Alert, now_ms: int) -> Event:
    """`topic` is alert.opened, alert.updated, alert.acknowledged or alert.resolved; the key is the alert's id."""
    payload: dict[str, Any] = {
        "id": alert.id,
        "kind": alert.kind,
        "subject": alert.subject,
        "group": alert.group,
        "severity": alert.severity.value,
        "title": alert.title,
        "count": alert.count,
        "open": alert.is_open,
        "folded_under": alert.folded_under,
        "acknowledged": alert.is_acknowledged(now_ms),
        "stale": alert.stale,
    }
    return Event(topic=topic, key=str(alert.id), payload=payload, at_ms=now_ms)


def silence_event(topic: str, silence: Silence, now_ms: int) -> Event:
    """`topic` is alert.silenced or alert.unsilenced; the key is the silence's id."""
    payload: dict[str, Any] = {
        "id": silence.id,
        "matchers": [str(matcher) for matcher in silence.matchers],
        "until_ms": silence.until_ms,
        "who": silence.who,
        "why": silence.why,
    }
    return Event(topic=topic, key=str(silence.id), payload=payload, at_ms=now_ms)
