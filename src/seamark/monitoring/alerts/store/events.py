"""Alerts as events: what a page or a script that listens is told. Numbers above 2**53 do not occur in them."""

from __future__ import annotations

from typing import Any

from seamark.monitoring.alerts.model import Alert, Silence
from seamark.storage.events import Event

__all__ = ["alert_event", "is_same_news", "silence_event"]


def alert_event(topic: str, alert: Alert, now_ms: int) -> Event:
    """`topic` is alert.opened, alert.updated, alert.acknowledged or alert.resolved; the key is the alert's id."""
    return Event(topic=topic, key=str(alert.id), payload=_payload(alert, now_ms), at_ms=now_ms)


def _payload(alert: Alert, now_ms: int) -> dict[str, Any]:
    return {
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


def is_same_news(before: Alert, after: Alert) -> bool:
    """Whether a listener would see no difference; texts with a running clock in them change at every report."""
    return _payload(before, after.updated_ms) == _payload(after, after.updated_ms)


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
