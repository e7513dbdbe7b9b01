"""One look: from what is stored to what is owed, in one unit of work.

Only the process that holds the lease settles, plans and writes notices; the others read, for their metrics. Deciding,
remembering and writing the notice commit together, so a process that dies at any instruction has told either nothing
or all of it, and the next one goes on from there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from seamark.core.findings import Finding, Severity
from seamark.monitoring.alerts import rules as alert_rules
from seamark.monitoring.alerts import store as alerts
from seamark.monitoring.alerts.model import Action, Alert, Entry, Source, Standing
from seamark.monitoring.alerts.rules import Policy
from seamark.monitoring.alerts.store.tables import record
from seamark.monitoring.notifications import rules, store
from seamark.monitoring.notifications.model import Event, Notice
from seamark.monitoring.notifications.rules import Route, Send, Timing
from seamark.monitoring.notifications.text import Links, compose
from seamark.storage.totals import Total, read_totals

__all__ = ["OWN_SOURCE", "Desk", "Look", "look"]

OWN_SOURCE: Final = "alerts"
"""Under which we report what is wrong with reporting and telling."""

LEASE: Final = "notifier"
LEASE_MS: Final = 15_000  # a successor sends within this after a crash
FAILING_ATTEMPTS: Final = 3
_MS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What a look goes by."""

    holder: str
    policy: Policy
    routes: Sequence[Route]
    receivers: Collection[str]
    timing: Timing
    links: Links


@dataclass(frozen=True, slots=True)
class Look:
    """What a look found."""

    leads: bool
    alerts: list[tuple[Alert, Standing]]
    sources: list[Source]
    silent: list[str]
    totals: list[Total]
    waiting: dict[str, int]
    queued: int = 0


def look(connection: Connection, desk: Desk, now_ms: int) -> Look:
    """Settle what is due, decide who is to be told, and write it down."""
    leads = store.take_lease(connection, LEASE, desk.holder, now_ms, for_ms=LEASE_MS)
    queued = _lead(connection, desk, now_ms) if leads else 0
    silences = alerts.list_silences(connection, now_ms)
    sources = alerts.list_sources(connection)
    return Look(
        leads=leads,
        alerts=[(alert, alert_rules.standing(alert, silences, now_ms)) for alert in alerts.open_alerts(connection)],
        sources=sources,
        silent=[item.name for item in alert_rules.find_silent(sources, now_ms, desk.policy, own=(OWN_SOURCE,))],
        totals=list(read_totals(connection, store.NOTIFICATIONS_TOTAL)),
        waiting=store.waiting_by_receiver(connection),
        queued=queued,
    )


def _lead(connection: Connection, desk: Desk, now_ms: int) -> int:
    alerts.settle_due(connection, now_ms, policy=desk.policy)
    alerts.forget_ended(connection, now_ms, policy=desk.policy, own=(OWN_SOURCE,))
    own = [*_silent_sources(connection, desk, now_ms), *_failing_receivers(connection)]
    alerts.report(connection, OWN_SOURCE, own, now_ms, policy=desk.policy)
    alerts.refold(connection, now_ms, policy=desk.policy)
    store.drop_unknown_receivers(connection, desk.receivers, now_ms)
    return _plan(connection, desk, now_ms)


def _plan(connection: Connection, desk: Desk, now_ms: int) -> int:
    silences = alerts.list_silences(connection, now_ms)
    present = alerts.open_alerts(connection)
    standing = [(alert, alert_rules.standing(alert, silences, now_ms)) for alert in present]
    sent = store.read_sent(connection)
    sends = rules.plan(standing, desk.routes, sent, now_ms, desk.timing)
    told = {(item.receiver, item.group): item for item in sent}
    folded = _below(present)
    ended = [told[send.receiver, send.group].alerts for send in sends if send.event is Event.RESOLVED]
    resolved = alerts.read_alerts(connection, {alert_id for ids in ended for alert_id in ids})
    store.remember(connection, sends)
    subjects = [
        [resolved[alert_id] for alert_id in told[send.receiver, send.group].alerts if alert_id in resolved]
        if send.event is Event.RESOLVED
        else list(send.alerts)
        for send in sends
    ]
    owed = [(send, about) for send, about in zip(sends, subjects, strict=True) if not send.silent]
    notices = [(send.receiver, _notice(send, about, folded, desk.links, now_ms)) for send, about in owed]
    numbers = store.enqueue(connection, notices, now_ms)
    entries = [
        Entry(now_ms, Action.NOTIFIED, alert.id, "seamark", f"{send.event}: notice {number} to {send.receiver}")
        for (send, about), number in zip(owed, numbers, strict=True)
        for alert in about
    ]
    record(connection, entries)
    return len(owed)


def _notice(
    send: Send, about: Sequence[Alert], folded: Mapping[int, Sequence[Alert]], links: Links, now_ms: int
) -> Notice:
    least = send.severity
    return compose(send.event, send.group, about, folded, send.incident, links, now_ms, least=least)


def _below(present: Iterable[Alert]) -> dict[int, list[Alert]]:
    folded: dict[int, list[Alert]] = defaultdict(list)
    for alert in present:
        if alert.folded_under is not None:
            folded[alert.folded_under].append(alert)
    return folded


def _silent_sources(connection: Connection, desk: Desk, now_ms: int) -> list[Finding]:
    """What was said last stays as it is: neither is it dropped, nor does anybody know whether it still holds."""
    sources = alerts.list_sources(connection)
    return [
        Finding(
            kind="source_silent",
            subject=source.name,
            severity=Severity.WARNING,
            group="seamark",
            title=f"{source.name} has stopped reporting",
            text=(
                f"What it found last ({source.findings}) stays as it was and may be out of date; what it would find "
                "now is unknown."
            ),
            remedy=f"see whether the process that runs it is up; if it is gone for good: seamark alerts forget "
            f"'{source.name}' --why '…'",
            since=source.reported_ms // _MS,
            count=max(source.findings, 1),
        )
        for source in alert_rules.find_silent(sources, now_ms, desk.policy, own=(OWN_SOURCE,))
    ]


def _failing_receivers(connection: Connection) -> list[Finding]:
    return [
        Finding(
            kind=rules.RECEIVER_FAILING,
            subject=receiver,
            severity=Severity.WARNING,
            group="seamark",
            title=f"The receiver {receiver} takes no notices",
            text=f"{waiting} wait; the last try: {error}.",
            remedy=f"check its address and its service, then try it: seamark alerts test {receiver}",
            since=since_ms // _MS,
            count=waiting,
            labels={"receiver": receiver},
        )
        for receiver, (waiting, since_ms, error) in store.failing_receivers(connection, FAILING_ATTEMPTS).items()
    ]
