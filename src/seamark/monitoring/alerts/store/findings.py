"""Findings in, alerts out: one unit of work makes the stored present set of a producer the one that it reports, and
settles every name that this touches.

`report` is idempotent: the same set again writes nothing but the time of the report. What depends on time alone (a
delay that ends, an absence that has lasted) is settled by `settle_due`, which the notifier calls.

Invariant: a name has an open alert if and only if it is reported and its delay is over, or its absence is too short
for how often it has come back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, delete, func, select, tuple_, update

from seamark.core.findings import Finding
from seamark.core.units import format_duration
from seamark.monitoring.alerts import rules
from seamark.monitoring.alerts.model import RANK, Action, Alert, Entry, Name, Scope, Source
from seamark.monitoring.alerts.rules import DEFAULT_POLICY, Policy, Step
from seamark.monitoring.alerts.store.events import alert_event, is_same_news
from seamark.monitoring.alerts.store.tables import (
    alert_table,
    finding_source_table,
    finding_table,
    record,
    to_alert,
    to_finding,
    write_labels,
)
from seamark.storage.bulk import chunks, insert_new, upsert
from seamark.storage.events import Event, append_events, take_turn

__all__ = ["forget_ended", "forget_source", "list_sources", "refold", "report", "settle_due"]

SYSTEM: Final = "seamark"
"""Who, in the history, where no person acted."""

_MS: Final = 1000
_PARTS: Final = msgspec.json.Decoder(frozenset[str])


def report(
    connection: Connection,
    source: str,
    findings: Iterable[Finding],
    now_ms: int,
    *,
    policy: Policy = DEFAULT_POLICY,
    every_ms: int | None = None,
    scope: Scope | None = None,
) -> None:
    """Make `findings` the complete present set of `source`.

    Args:
        connection: Of the running unit of work; commits with it.
        source: Who reports. A name of its own for each producer, the same after a restart.
        findings: All that is true now; of two with the same name the more severe counts.
        now_ms: The present.
        policy: Delays and damping.
        every_ms: The producer promises to report again within this; silence for longer becomes a finding itself.
        scope: What it looks at, where others of its kind look at the rest; each scope is a source of its own.
    """
    producer = source
    if scope is not None:
        source = scope.source(producer)
    take_turn(connection)
    wanted = _by_name(findings)
    stored = {(row.kind, row.subject): row for row in connection.execute(_of_source(source))}
    touched: set[Name] = set()
    new = []
    for name, finding in wanted.items():
        row = stored.get(name)
        if row is None:
            new.append(_new_row(source, finding, now_ms))
            touched.add(name)
        elif (values := _values(finding)) != _stored_values(row):
            connection.execute(update(finding_table).where(*_is_row(source, name)).values(**values))
            touched.add(name)
    insert_new(connection, finding_table, new)
    gone = [name for name in stored if name not in wanted]
    for some in chunks(gone):
        names = tuple_(finding_table.c.kind, finding_table.c.subject).in_(some)
        connection.execute(delete(finding_table).where(finding_table.c.source == source, names))
    touched.update(gone)
    told = {
        "name": source,
        "reported_ms": now_ms,
        "every_ms": every_ms,
        "findings": len(wanted),
        "producer": producer,
        "scope": _write_parts(scope),
    }
    upsert(connection, finding_source_table, [told])
    _settle(connection, touched, now_ms, policy)


def _write_parts(scope: Scope | None) -> str:
    return msgspec.json.encode(sorted(scope.parts if scope is not None else ())).decode()


def forget_source(
    connection: Connection,
    source: str,
    who: str,
    now_ms: int,
    *,
    why: str = "",
    policy: Policy = DEFAULT_POLICY,
) -> int:
    """Drop a producer that will not come back, with all that it reported; how many findings those were.

    Raises:
        LookupError: Nobody of that name has reported.
    """
    known = connection.execute(select(finding_source_table).where(finding_source_table.c.name == source)).first()
    if known is None:
        raise LookupError(source)
    report(connection, source, (), now_ms, policy=policy)
    connection.execute(delete(finding_source_table).where(finding_source_table.c.name == source))
    text = f"source {source} with {known.findings} findings" + (f": {why}" if why else "")
    record(connection, [Entry(now_ms, Action.FORGOTTEN, None, who, text)])
    return int(known.findings)


def forget_ended(
    connection: Connection, now_ms: int, *, policy: Policy = DEFAULT_POLICY, own: Collection[str] = ()
) -> list[str]:
    """Drop the producers that have ended as far as anybody can tell (`rules.find_ended`); their names."""
    is_told = alert_table.c.resolved_ms.is_(None), alert_table.c.kind == rules.SOURCE_SILENT
    told = set(connection.execute(select(alert_table.c.subject).where(*is_told)).scalars())
    ended = rules.find_ended(list_sources(connection), now_ms, policy, own=own, told=told)
    for source, why in ended:
        forget_source(connection, source.name, SYSTEM, now_ms, why=why, policy=policy)
    return [source.name for source, _ in ended]


def list_sources(connection: Connection) -> list[Source]:
    """Everybody who has reported, by name."""
    query = select(finding_source_table).order_by(finding_source_table.c.name)
    return [
        Source(row.name, row.reported_ms, row.every_ms, row.findings, row.producer, _PARTS.decode(row.scope))
        for row in connection.execute(query)
    ]


def settle_due(connection: Connection, now_ms: int, *, policy: Policy = DEFAULT_POLICY) -> None:
    """Settle what waits for nothing but time."""
    waiting = select(finding_table.c.kind, finding_table.c.subject).where(finding_table.c.waiting).distinct()
    leaving = select(alert_table.c.kind, alert_table.c.subject).where(
        alert_table.c.resolved_ms.is_(None), alert_table.c.absent_ms.is_not(None)
    )
    names = {(row.kind, row.subject) for query in (waiting, leaving) for row in connection.execute(query)}
    _settle(connection, names, now_ms, policy)


def refold(connection: Connection, now_ms: int, *, policy: Policy = DEFAULT_POLICY) -> None:
    """Fold and unfold the open alerts, and note which of them nobody confirms any more."""
    recent = alert_table.c.resolved_ms > now_ms - policy.fold_grace_ms
    query = select(alert_table).where(alert_table.c.resolved_ms.is_(None) | recent).order_by(alert_table.c.id)
    alerts = [to_alert(row) for row in connection.execute(query)]
    folded = rules.fold(alerts, policy)
    stale = _stale_names(connection, now_ms, policy)
    changes = _Changes(now_ms)
    for alert in alerts:
        under, unconfirmed = folded.get(alert.id), alert.name in stale
        if not alert.is_open or (under == alert.folded_under and unconfirmed == alert.stale):
            continue
        values = {"folded_under": under, "stale": unconfirmed}
        connection.execute(update(alert_table).where(alert_table.c.id == alert.id).values(**values))
        changed = replace(alert, folded_under=under, stale=unconfirmed)
        if under != alert.folded_under:
            action = Action.UNFOLDED if under is None else Action.FOLDED
            changes.note(changed, action, "" if under is None else f"below alert {under}")
        changes.tell("alert.updated", changed)
    changes.write(connection)


def _stale_names(connection: Connection, now_ms: int, policy: Policy) -> set[Name]:
    """Names that only silent sources report."""
    silent = {source.name for source in rules.find_silent(list_sources(connection), now_ms, policy)}
    if not silent:
        return set()
    query = select(finding_table.c.source, finding_table.c.kind, finding_table.c.subject)
    by_name: dict[Name, set[str]] = defaultdict(set)
    for row in connection.execute(query):
        by_name[row.kind, row.subject].add(row.source)
    return {name for name, sources in by_name.items() if sources <= silent}


# ---- one name after the other -------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Changes:
    """What a unit of work adds to the history and to the event log."""

    now_ms: int
    entries: list[Entry] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def note(self, alert: Alert, action: Action, text: str = "") -> None:
        self.entries.append(Entry(self.now_ms, action, alert.id, SYSTEM, text))

    def tell(self, topic: str, alert: Alert) -> None:
        self.events.append(alert_event(topic, alert, self.now_ms))

    def write(self, connection: Connection) -> None:
        record(connection, self.entries)
        append_events(connection, self.events)


def _settle(connection: Connection, names: Collection[Name], now_ms: int, policy: Policy) -> None:
    take_turn(connection)
    changes = _Changes(now_ms)
    for some in chunks(sorted(names)):
        present = _present(connection, some)
        alerts = _open_alerts(connection, some)
        missing = [name for name in some if name in present and name not in alerts]
        returns = _inherited(connection, missing, now_ms, policy)
        opening: list[tuple[Finding, int]] = []
        resolving: list[Alert] = []
        for name in some:
            finding, seen_ms = present.get(name, (None, now_ms))
            alert = alerts.get(name)
            step = rules.decide(finding, seen_ms, alert, now_ms, policy)
            if step is Step.OPEN and finding is not None:
                opening.append((finding, returns.get(name, 0)))
            elif step is Step.RESOLVE and alert is not None:
                resolving.append(alert)
            else:
                _apply(connection, step, finding=finding, alert=alert, changes=changes)
        _open(connection, opening, changes)
        _resolve(connection, resolving, changes)
        _mark_waiting(connection, some, present, now_ms, policy)
    changes.write(connection)


def _apply(
    connection: Connection,
    step: Step,
    *,
    finding: Finding | None,
    alert: Alert | None,
    changes: _Changes,
) -> None:
    match step:
        case Step.UPDATE | Step.RETURN if finding is not None and alert is not None:
            _update(connection, finding, alert, changes, returned=step is Step.RETURN)
        case Step.GO if alert is not None:
            gone = alert_table.c.id == alert.id
            connection.execute(update(alert_table).where(gone).values(absent_ms=changes.now_ms))
            changes.note(alert, Action.WENT, f"has come back {alert.returns} times: waits before it counts as resolved")


def _open(connection: Connection, opening: Sequence[tuple[Finding, int]], changes: _Changes) -> None:
    """All at once: a chain that goes away may open hundreds."""
    if not opening:
        return
    now_ms = changes.now_ms
    rows = [
        {
            "kind": finding.kind,
            "subject": finding.subject,
            **_values(finding),
            "opened_ms": now_ms,
            "updated_ms": now_ms,
            "returns": returns,
            "stale": False,
        }
        for finding, returns in opening
    ]
    statement = alert_table.insert().returning(alert_table, sort_by_parameter_order=True)
    for stored in connection.execute(statement, rows):
        alert = to_alert(stored)
        changes.note(alert, Action.OPENED, f"{alert.severity}: {alert.title}")
        changes.tell("alert.opened", alert)


def _resolve(connection: Connection, resolving: Sequence[Alert], changes: _Changes) -> None:
    if not resolving:
        return
    values: dict[str, Any] = {"resolved_ms": changes.now_ms, "folded_under": None, "stale": False}
    ids = [alert.id for alert in resolving]
    connection.execute(update(alert_table).where(alert_table.c.id.in_(ids)).values(**values))
    for alert in resolving:
        changes.note(alert, Action.RESOLVED, _lasted(alert, changes.now_ms))
        changes.tell("alert.resolved", replace(alert, **values))


def _update(connection: Connection, finding: Finding, alert: Alert, changes: _Changes, *, returned: bool) -> None:
    values: dict[str, Any] = {**_values(finding), "updated_ms": changes.now_ms}
    if returned:
        values |= {"absent_ms": None, "returns": alert.returns + 1}
    difference = RANK[finding.severity] - RANK[alert.severity]
    if difference > 0:  # what somebody took on was less than this
        values |= {"ack_who": None, "ack_why": None, "ack_ms": None, "ack_until_ms": None}
    connection.execute(update(alert_table).where(alert_table.c.id == alert.id).values(**values))
    changed = to_alert(connection.execute(select(alert_table).where(alert_table.c.id == alert.id)).one())
    if returned:
        changes.note(changed, Action.RETURNED, f"for the {changed.returns}. time")
    if difference:
        action = Action.RAISED if difference > 0 else Action.LOWERED
        changes.note(changed, action, f"{alert.severity} to {finding.severity}: {finding.title}")
    if returned or not is_same_news(alert, changed):
        changes.tell("alert.updated", changed)


def _lasted(alert: Alert, now_ms: int) -> str:
    return f"after {format_duration((now_ms - alert.opened_ms) / _MS)}"


# ---- reading and writing rows -------------------------------------------------------------------------------------


def _by_name(findings: Iterable[Finding]) -> dict[Name, Finding]:
    found: dict[Name, list[Finding]] = defaultdict(list)
    for finding in findings:
        found[finding.kind, finding.subject].append(finding)
    return {name: rules.merge(several) for name, several in found.items()}


def _of_source(source: str) -> Any:
    return select(finding_table).where(finding_table.c.source == source)


def _is_row(source: str, name: Name) -> tuple[Any, ...]:
    columns = finding_table.c
    return columns.source == source, columns.kind == name[0], columns.subject == name[1]


def _values(finding: Finding) -> dict[str, Any]:
    return {
        "severity": finding.severity.value,
        "grp": finding.group,
        "title": finding.title,
        "text": finding.text,
        "remedy": finding.remedy,
        "since": finding.since,
        "size": finding.count,
        "labels": write_labels(finding.labels),
    }


def _stored_values(row: Any) -> dict[str, Any]:
    names = ("severity", "grp", "title", "text", "remedy", "since", "size", "labels")
    return {name: row._mapping[name] for name in names}  # noqa: SLF001 - SQLAlchemy's public accessor has this name


def _new_row(source: str, finding: Finding, now_ms: int) -> dict[str, Any]:
    own = {"source": source, "kind": finding.kind, "subject": finding.subject}
    return {**own, **_values(finding), "seen_ms": now_ms, "waiting": False}


def _present(connection: Connection, names: Sequence[Name]) -> dict[Name, tuple[Finding, int]]:
    """What is reported under each name by anybody, and since when."""
    columns = finding_table.c
    query = select(finding_table).where(tuple_(columns.kind, columns.subject).in_(names)).order_by(columns.source)
    rows: dict[Name, list[Any]] = defaultdict(list)
    for row in connection.execute(query):
        rows[row.kind, row.subject].append(row)
    return {
        name: (rules.merge([to_finding(row) for row in found]), min(row.seen_ms for row in found))
        for name, found in rows.items()
    }


def _open_alerts(connection: Connection, names: Sequence[Name]) -> dict[Name, Alert]:
    columns = alert_table.c
    query = select(alert_table).where(tuple_(columns.kind, columns.subject).in_(names), columns.resolved_ms.is_(None))
    return {(row.kind, row.subject): to_alert(row) for row in connection.execute(query)}


def _inherited(connection: Connection, names: Sequence[Name], now_ms: int, policy: Policy) -> Mapping[Name, int]:
    """How often each name has come back, where its last alert resolved a short while ago."""
    if not names:
        return {}
    columns = alert_table.c
    newest = (
        select(func.max(columns.id)).where(tuple_(columns.kind, columns.subject).in_(names)).group_by(
            columns.kind, columns.subject
        )
    )  # fmt: skip
    query = select(columns.kind, columns.subject, columns.returns).where(
        columns.id.in_(newest), columns.resolved_ms >= now_ms - policy.flap_window_ms
    )
    return {(row.kind, row.subject): row.returns + 1 for row in connection.execute(query)}


def _mark_waiting(
    connection: Connection,
    names: Sequence[Name],
    present: Mapping[Name, tuple[Finding, int]],
    now_ms: int,
    policy: Policy,
) -> None:
    """Remember which findings are to be looked at again when their delay is over."""
    columns = finding_table.c
    waiting = {name for name, (finding, seen_ms) in present.items() if now_ms - seen_ms < policy.delay_of(finding.kind)}
    for wait, some in ((True, waiting), (False, set(names) - waiting)):
        if some:
            named = tuple_(columns.kind, columns.subject).in_(sorted(some))
            connection.execute(update(finding_table).where(named, columns.waiting != wait).values(waiting=wait))
