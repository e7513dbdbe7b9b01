"""Notices in words: what is wrong, the numbers, since when, what to do, and where to read on.

Plain text without markup, so that it reads the same in a mail, a chat and on a pager. The first line says it all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from seamark.core.findings import Severity
from seamark.core.units import format_duration
from seamark.monitoring.alerts.model import RANK, Alert
from seamark.monitoring.notifications.model import Event, Notice, NoticedAlert

__all__ = ["Links", "compose", "compose_test", "iso"]

SHOWN_ALERTS: Final = 10  # in words; the JSON and the page have all
_MS: Final = 1000
_TITLE_LENGTH: Final = 200


@dataclass(frozen=True, slots=True)
class Links:
    """Where a reader goes on: the page, and the runbook, whose sections are named by kind."""

    portal: str
    runbook: str

    def alert(self, alert_id: int) -> str:
        return f"{self.portal.rstrip('/')}/#/alerts/{alert_id}"

    def section(self, kind: str) -> str:
        return f"{self.runbook}#{kind}"


def iso(at_ms: int) -> str:
    """UTC to the second."""
    return f"{datetime.fromtimestamp(at_ms / _MS, UTC):%Y-%m-%dT%H:%M:%SZ}"


def compose(  # noqa: PLR0917 - what a notice is made of
    event: Event,
    group: str,
    alerts: Sequence[Alert],
    folded: Mapping[int, Sequence[Alert]],
    dedup_key: str,
    links: Links,
    now_ms: int,
    *,
    least: Severity = Severity.INFO,
) -> Notice:
    """The notice of one group.

    Args:
        event: Why.
        group: Of the findings.
        alerts: The worst first; those that were resolved, for a resolve notice.
        folded: Alert -> those below it.
        dedup_key: The same for all notices of an incident.
        links: Where to read on.
        now_ms: The present.
        least: It was escalated to this.
    """
    severity = max((least, *(alert.severity for alert in alerts)), key=RANK.__getitem__)
    shown = [_paragraph(alert, folded.get(alert.id, ()), links, now_ms) for alert in alerts[:SHOWN_ALERTS]]
    if len(alerts) > SHOWN_ALERTS:
        shown.append(f"… and {len(alerts) - SHOWN_ALERTS} more: seamark alerts list --group '{group}'")
    if event is not Event.RESOLVED:
        ids = " ".join(str(alert.id) for alert in alerts[:SHOWN_ALERTS])
        shown.append(f"If you have it: seamark alerts ack {ids} --why '…'")
    return Notice(
        event=event,
        at=iso(now_ms),
        dedup_key=dedup_key,
        group=group,
        severity=severity,
        title=_title(event, severity, group, alerts, now_ms),
        text="\n\n".join(shown),
        link=links.alert(alerts[0].id) if alerts else links.portal,
        alerts=tuple(_noticed(alert, folded.get(alert.id, ()), links, now_ms) for alert in alerts),
    )


def compose_test(receiver: str, who: str, links: Links, now_ms: int) -> Notice:
    """What `seamark alerts test` sends."""
    return Notice(
        event=Event.TEST,
        at=iso(now_ms),
        dedup_key=f"seamark-test-{now_ms}",
        group="test",
        severity=Severity.INFO,
        title="TEST: Seamark can reach this receiver",
        text=f"{who} tries the receiver {receiver}. Nothing is wrong and nothing is to be done.",
        link=links.portal,
        alerts=(),
    )


def _title(event: Event, severity: Severity, group: str, alerts: Sequence[Alert], now_ms: int) -> str:
    what = alerts[0].title if len(alerts) == 1 else f"{len(alerts)} alerts on {group}"
    if len(alerts) > 1 and event is not Event.RESOLVED:
        what += f", first: {alerts[0].title}"
    match event:
        case Event.RESOLVED:
            began = min((alert.opened_ms for alert in alerts), default=now_ms)
            ended = max((alert.resolved_ms or now_ms for alert in alerts), default=now_ms)
            lead = f"RESOLVED after {format_duration((ended - began) / _MS)}"
        case Event.REPEATED:
            lead = f"{severity.upper()} (still)"
        case Event.ESCALATED:
            lead = f"{severity.upper()} (not acknowledged)"
        case _:
            lead = severity.upper()
    return f"{lead}: {what}"[:_TITLE_LENGTH]


def _paragraph(alert: Alert, below: Sequence[Alert], links: Links, now_ms: int) -> str:
    lines = [f"{alert.severity.upper()} {alert.title} [{alert.kind}, alert {alert.id}]"]
    lines += [alert.text] if alert.text else []
    lines.append(_when(alert, now_ms))
    if alert.stale:
        lines.append("Nobody has confirmed this for a while: who reported it is silent (seamark alerts sources).")
    if below:
        kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(item.kind for item in below).most_common(3))
        lines.append(f"Explains {len(below)} more, which stay folded: {kinds}")
    if alert.remedy and alert.is_open:
        lines.append(f"Do: {alert.remedy}")
    lines += [f"Runbook: {links.section(alert.kind)}", f"Page: {links.alert(alert.id)}"]
    return "\n".join(lines)


def _when(alert: Alert, now_ms: int) -> str:
    since_ms = _since_ms(alert)
    if alert.resolved_ms is not None:
        return f"From {iso(since_ms)} to {iso(alert.resolved_ms)}"
    several = f", {alert.count} of them" if alert.count > 1 else ""
    return f"Since {iso(since_ms)} ({format_duration(max(now_ms - since_ms, 0) / _MS)}){several}"


def _since_ms(alert: Alert) -> int:
    return alert.opened_ms if alert.since is None else alert.since * _MS


def _noticed(alert: Alert, below: Sequence[Alert], links: Links, now_ms: int) -> NoticedAlert:
    return NoticedAlert(
        id=alert.id,
        kind=alert.kind,
        subject=alert.subject,
        severity=alert.severity,
        group=alert.group,
        title=alert.title,
        text=alert.text,
        remedy=alert.remedy,
        count=alert.count,
        labels=dict(alert.labels),
        since=iso(_since_ms(alert)),
        opened_at=iso(alert.opened_ms),
        resolved_at=None if alert.resolved_ms is None else iso(alert.resolved_ms),
        acknowledged_by=alert.ack.who if alert.ack is not None and alert.ack.holds(now_ms) else None,
        folded=len(below),
        stale=alert.stale,
        link=links.alert(alert.id),
        runbook=links.section(alert.kind),
    )
