"""Who is to be told what now: the alerts, the routes and what has been sent so far go in, notices to write come out.

Everything follows from levels, nothing from edges: a process that was away, or takes over from another, comes to the
same notices. Per receiver and group of findings:

- nothing sent yet, an alert speaks: after `wait`, so that those which come together are told together, FIRING;
- a further alert speaks, or one got worse: FIRING again, at most every `pause`;
- its acknowledgement ran out: FIRING again; nobody has acknowledged it for the route's `repeat`: REPEATED;
- all that was told of has resolved: RESOLVED.

An alert speaks unless it is folded, silenced or acknowledged. What was told and then silenced is still told resolved:
a pager that was woken must be let go. A receiver of an escalation joins when an alert that speaks is older than its
step, and is told ESCALATED first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from seamark.core.findings import Severity
from seamark.monitoring.alerts.model import RANK, Alert, Standing
from seamark.monitoring.notifications.model import Event

__all__ = ["RECEIVER_FAILING", "Escalation", "Route", "Send", "Sent", "Timing", "backoff_ms", "plan"]

RECEIVER_FAILING: Final = "receiver_failing"
FIRST_PAUSE_MS: Final = 5_000
LONGEST_PAUSE_MS: Final = 10 * 60_000  # a receiver that comes back is told within this


@dataclass(frozen=True, slots=True)
class Escalation:
    """Not acknowledged for `after_ms`: tell these too, as if it were at least of `severity`."""

    after_ms: int
    to: tuple[str, ...]
    severity: Severity = Severity.INFO


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Alerts of at least `severity` whose kind and group match one of the globs go to all of `to`."""

    to: tuple[str, ...]
    severity: Severity = Severity.WARNING
    kinds: tuple[str, ...] = ("*",)
    groups: tuple[str, ...] = ("*",)
    repeat_ms: int | None = 4 * 3600_000
    resolved: bool = True
    escalations: tuple[Escalation, ...] = ()

    def takes(self, alert: Alert) -> bool:
        return (
            RANK[alert.severity] >= RANK[self.severity]
            and any(fnmatchcase(alert.kind, glob) for glob in self.kinds)
            and any(fnmatchcase(alert.group, glob) for glob in self.groups)
        )


@dataclass(frozen=True, slots=True)
class Timing:
    """Spans of grouping, in milliseconds."""

    wait_ms: int = 10_000
    pause_ms: int = 60_000


@dataclass(frozen=True, slots=True)
class Sent:
    """What a receiver has been told of a group, and not yet told resolved."""

    receiver: str
    group: str
    incident: str
    alerts: Mapping[int, Severity]
    opened_ms: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class Send:
    """A notice to write. `told` is what to remember; None: the incident is over for this receiver."""

    receiver: str
    group: str
    event: Event
    alerts: tuple[Alert, ...]
    told: Sent | None
    incident: str
    severity: Severity = Severity.INFO
    """At least so severe, because it was escalated."""

    silent: bool = False
    """Only remember; write no notice (resolve notices are off for this route)."""


@dataclass(slots=True)
class _Desk:
    """What one receiver may be told of one group."""

    speaking: dict[int, Alert]
    held: dict[int, Alert]
    repeat_ms: int | None = None
    resolved: bool = False
    escalated: bool = True
    severity: Severity = Severity.INFO

    def join(self, alert: Alert, route: Route, *, speaks: bool, step: Escalation | None = None) -> None:
        (self.speaking if speaks else self.held)[alert.id] = alert
        spans = [span for span in (self.repeat_ms, route.repeat_ms) if span is not None]
        self.repeat_ms = min(spans, default=None)
        self.resolved |= route.resolved
        self.escalated &= step is not None
        if step is not None and speaks:
            self.severity = max(self.severity, step.severity, key=RANK.__getitem__)


def plan(
    alerts: Sequence[tuple[Alert, Standing]],
    routes: Sequence[Route],
    sent: Collection[Sent],
    now_ms: int,
    timing: Timing = Timing(),
) -> list[Send]:
    """What to send now.

    Args:
        alerts: All open ones and how they stand.
        routes: All that match apply.
        sent: What receivers know.
        now_ms: The present.
        timing: Of grouping.
    """
    known = {(item.receiver, item.group): item for item in sent}
    desks = _desks(alerts, routes, known, now_ms)
    sends = []
    for (receiver, group), desk in sorted(desks.items()):
        before = known.get((receiver, group))
        send = _first(receiver, group, desk, now_ms, timing) if before is None else _next(desk, before, now_ms, timing)
        if send is not None:
            sends.append(send)
    over = [item for place, item in sorted(known.items()) if place not in desks]
    quiet = {receiver for route in routes if not route.resolved for receiver in _receivers(route)}
    return sends + [_end(item, silent=item.receiver in quiet) for item in over]


def _receivers(route: Route) -> set[str]:
    return {*route.to, *(name for step in route.escalations for name in step.to)}


def _desks(
    alerts: Sequence[tuple[Alert, Standing]],
    routes: Sequence[Route],
    known: Mapping[tuple[str, str], Sent],
    now_ms: int,
) -> dict[tuple[str, str], _Desk]:
    desks: dict[tuple[str, str], _Desk] = defaultdict(lambda: _Desk({}, {}))
    for alert, how in alerts:
        for route in routes:
            if not route.takes(alert):
                continue
            speaks = how is Standing.FIRING
            for receiver in _told(route.to, alert):
                desks[receiver, alert.group].join(alert, route, speaks=speaks)
            for step in route.escalations:
                due = speaks and now_ms - alert.opened_ms >= step.after_ms
                for receiver in _told(step.to, alert):
                    told = known.get((receiver, alert.group))
                    if due or (told is not None and alert.id in told.alerts):
                        desks[receiver, alert.group].join(alert, route, speaks=speaks, step=step)
    for (_, group), item in ((place, told) for place, told in known.items()):
        _keep_what_was_told(desks, item, [alert for alert, _ in alerts if alert.group == group])
    return desks


def _told(receivers: Sequence[str], alert: Alert) -> Iterator[str]:
    """That one takes no notices is for the others."""
    return (name for name in receivers if (alert.kind, alert.labels.get("receiver")) != (RECEIVER_FAILING, name))


def _keep_what_was_told(desks: dict[tuple[str, str], _Desk], told: Sent, alerts: Sequence[Alert]) -> None:
    """An alert that has become less severe than the route asks for is still the receiver's until it resolves."""
    for alert in alerts:
        if alert.id in told.alerts:
            desk = desks[told.receiver, told.group]
            if alert.id not in desk.speaking:
                desk.held[alert.id] = alert


def _first(receiver: str, group: str, desk: _Desk, now_ms: int, timing: Timing) -> Send | None:
    if not desk.speaking or now_ms - min(alert.opened_ms for alert in desk.speaking.values()) < timing.wait_ms:
        return None
    first = desk.speaking[min(desk.speaking)]
    incident = f"seamark-{first.id}-{first.opened_ms}"  # the time keeps two installations apart
    told = Sent(receiver, group, incident, _severities(desk.speaking), now_ms, now_ms)
    event = Event.ESCALATED if desk.escalated else Event.FIRING
    return Send(receiver, group, event, _worst_first(desk.speaking), told, incident, desk.severity)


def _next(desk: _Desk, before: Sent, now_ms: int, timing: Timing) -> Send | None:
    if not desk.speaking and not any(alert_id in before.alerts for alert_id in desk.held):
        return _end(before, silent=not desk.resolved)
    news = [alert for alert in desk.speaking.values() if _is_news(alert, before)]
    waited = now_ms - before.last_ms
    if news and waited >= timing.pause_ms:
        event = Event.FIRING
    elif desk.speaking and desk.repeat_ms is not None and waited >= desk.repeat_ms:
        event = Event.REPEATED
    else:
        return None
    still = {alert_id: severity for alert_id, severity in before.alerts.items() if alert_id in desk.held}
    told = Sent(
        before.receiver,
        before.group,
        before.incident,
        {**still, **_severities(desk.speaking)},
        before.opened_ms,
        now_ms,
    )
    about = _worst_first(desk.speaking)
    return Send(before.receiver, before.group, event, about, told, before.incident, desk.severity)


def _end(item: Sent, *, silent: bool) -> Send:
    return Send(item.receiver, item.group, Event.RESOLVED, (), None, item.incident, silent=silent)


def _is_news(alert: Alert, before: Sent) -> bool:
    told = before.alerts.get(alert.id)
    if alert.ack is not None and alert.ack.until_ms is not None and alert.ack.until_ms > before.last_ms:
        return True  # it speaks, so the time that somebody had asked for is over
    return told is None or RANK[alert.severity] > RANK[told]


def _severities(alerts: Mapping[int, Alert]) -> dict[int, Severity]:
    return {alert_id: alert.severity for alert_id, alert in alerts.items()}


def _worst_first(alerts: Mapping[int, Alert]) -> tuple[Alert, ...]:
    return tuple(sorted(alerts.values(), key=lambda alert: (-RANK[alert.severity], alert.id)))


def backoff_ms(attempts: int, jitter: float) -> int:
    """The pause after `attempts` that failed: 5 s, 10 s, 20 s … 10 minutes, less up to a fifth.

    Args:
        attempts: One or more.
        jitter: Between 0 and 1, so that many receivers do not come at once.
    """
    pause = min(FIRST_PAUSE_MS << min(attempts - 1, 16), LONGEST_PAUSE_MS)
    return round(pause * (1 - jitter / 5))
