"""The tables of findings, alerts, silences and their history, and rows as values.

`finding` is the present set of every producer; `alert` one row per time that a name was true; at most one row of a name
has no `resolved_ms` (a unique index sees to it). `alert_history` is only ever added to, until retention trims it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Boolean, Column, Connection, Index, Integer, Row, Table, Text, text

from seamark.core.findings import Finding, Severity
from seamark.monitoring.alerts.model import Ack, Action, Alert, Entry, Matcher, Silence
from seamark.storage.schema import AUTO_ID, metadata

__all__ = [
    "alert_table",
    "finding_source_table",
    "finding_table",
    "history_table",
    "record",
    "silence_table",
    "to_alert",
    "to_entry",
    "to_finding",
    "to_silence",
    "write_labels",
]

finding_source_table = Table(
    "finding_source",
    metadata,
    Column("name", Text, primary_key=True),
    Column("reported_ms", BigInteger, nullable=False),
    Column("every_ms", BigInteger),
    Column("findings", Integer, nullable=False),
    Column("producer", Text, nullable=False),
    Column("scope", Text, nullable=False),  # JSON: the parts that it looks at, sorted; of none, everything of its kind
)

finding_table = Table(
    "finding",
    metadata,
    Column("source", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("severity", Text, nullable=False),
    Column("grp", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("remedy", Text, nullable=False),
    Column("since", BigInteger),
    Column("size", BigInteger, nullable=False),
    Column("labels", Text, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),  # first reported, without a gap
    Column("waiting", Boolean, nullable=False),  # reported for less than its kind's delay: no alert yet
    Index("ix_finding_kind_subject", "kind", "subject"),
)

alert_table = Table(
    "alert",
    metadata,
    Column("id", AUTO_ID, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("grp", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("remedy", Text, nullable=False),
    Column("since", BigInteger),
    Column("size", BigInteger, nullable=False),
    Column("labels", Text, nullable=False),
    Column("opened_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("resolved_ms", BigInteger),
    Column("absent_ms", BigInteger),
    Column("returns", Integer, nullable=False),
    Column("stale", Boolean, nullable=False),
    Column("folded_under", BigInteger),
    Column("ack_who", Text),
    Column("ack_why", Text),
    Column("ack_ms", BigInteger),
    Column("ack_until_ms", BigInteger),
    Index("ix_alert_kind_subject_id", "kind", "subject", "id"),
    Index("ix_alert_resolved_ms", "resolved_ms"),
    Index(
        "uq_alert_open",
        "kind",
        "subject",
        unique=True,
        sqlite_where=text("resolved_ms IS NULL"),
        postgresql_where=text("resolved_ms IS NULL"),
    ),
    sqlite_autoincrement=True,
)

history_table = Table(
    "alert_history",
    metadata,
    Column("id", AUTO_ID, primary_key=True, autoincrement=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("action", Text, nullable=False),
    Column("alert_id", BigInteger),
    Column("silence_id", BigInteger),
    Column("who", Text, nullable=False),
    Column("text", Text, nullable=False),
    Index("ix_alert_history_alert_id_id", "alert_id", "id"),
    Index("ix_alert_history_at_ms", "at_ms"),
    sqlite_autoincrement=True,
)

silence_table = Table(
    "silence",
    metadata,
    Column("id", AUTO_ID, primary_key=True, autoincrement=True),
    Column("matchers", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    Column("who", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("ended_ms", BigInteger),
    Column("ended_by", Text, nullable=False),
    Index("ix_silence_until_ms", "until_ms"),
    sqlite_autoincrement=True,
)


def write_labels(labels: Mapping[str, str]) -> str:
    """Labels as stored: JSON with sorted keys, so that equal labels are equal text."""
    return msgspec.json.encode(dict(sorted(labels.items()))).decode()


def to_finding(row: Row[Any]) -> Finding:
    return Finding(
        kind=row.kind,
        subject=row.subject,
        severity=Severity(row.severity),
        group=row.grp,
        title=row.title,
        text=row.text,
        remedy=row.remedy,
        since=row.since,
        count=row.size,
        labels=msgspec.json.decode(row.labels),
    )


def to_alert(row: Row[Any]) -> Alert:
    ack = None if row.ack_ms is None else Ack(row.ack_who, row.ack_why, row.ack_ms, row.ack_until_ms)
    return Alert(
        id=row.id,
        kind=row.kind,
        subject=row.subject,
        severity=Severity(row.severity),
        group=row.grp,
        title=row.title,
        text=row.text,
        remedy=row.remedy,
        since=row.since,
        count=row.size,
        labels=msgspec.json.decode(row.labels),
        opened_ms=row.opened_ms,
        updated_ms=row.updated_ms,
        resolved_ms=row.resolved_ms,
        absent_ms=row.absent_ms,
        returns=row.returns,
        stale=row.stale,
        folded_under=row.folded_under,
        ack=ack,
    )


def to_silence(row: Row[Any]) -> Silence:
    return Silence(
        id=row.id,
        matchers=tuple(Matcher.parse(part) for part in msgspec.json.decode(row.matchers)),
        created_ms=row.created_ms,
        until_ms=row.until_ms,
        who=row.who,
        why=row.why,
        ended_ms=row.ended_ms,
        ended_by=row.ended_by,
    )


def to_entry(row: Row[Any]) -> Entry:
    return Entry(row.at_ms, Action(row.action), row.alert_id, row.who, row.text, row.silence_id, row.id)


def record(connection: Connection, entries: list[Entry]) -> None:
    """Add to the history."""
    if entries:
        connection.execute(
            history_table.insert(),
            [
                {
                    "at_ms": entry.at_ms,
                    "action": entry.action,
                    "alert_id": entry.alert_id,
                    "silence_id": entry.silence_id,
                    "who": entry.who,
                    "text": entry.text,
                }
                for entry in entries
            ],
        )
