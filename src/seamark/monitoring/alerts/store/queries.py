"""Reading alerts, silences and the history; and trimming what is older than anybody will ask for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, and_, delete, or_, select

from seamark.core.findings import Severity
from seamark.monitoring.alerts.model import Alert, Entry, Silence
from seamark.monitoring.alerts.store.tables import (
    alert_table,
    history_table,
    silence_table,
    to_alert,
    to_entry,
    to_silence,
)
from seamark.storage.bulk import chunks

__all__ = [
    "AlertFilter",
    "find_alert",
    "list_alerts",
    "list_history",
    "list_silences",
    "open_alerts",
    "read_alerts",
    "trim_alerts",
]

_TRIMMED_AT_ONCE: Final = 1000  # rows per unit of work; keeps the writer free


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFilter:
    """Which alerts; an empty field does not filter. `kind` and `group` may hold * and ?. `since_ms`: opened or resolved
    then or later.
    """

    is_open: bool | None = None
    severities: Collection[Severity] = ()
    kind: str = ""
    group: str = ""
    since_ms: int | None = None


def open_alerts(connection: Connection) -> list[Alert]:
    """All that are open, oldest first."""
    query = select(alert_table).where(alert_table.c.resolved_ms.is_(None)).order_by(alert_table.c.id)
    return [to_alert(row) for row in connection.execute(query)]


def find_alert(connection: Connection, alert_id: int) -> Alert | None:
    row = connection.execute(select(alert_table).where(alert_table.c.id == alert_id)).first()
    return None if row is None else to_alert(row)


def read_alerts(connection: Connection, ids: Collection[int]) -> dict[int, Alert]:
    """Those of them that there are."""
    found: dict[int, Alert] = {}
    for some in chunks(sorted(ids)):
        for row in connection.execute(select(alert_table).where(alert_table.c.id.in_(some))):
            found[row.id] = to_alert(row)
    return found


def list_alerts(
    connection: Connection, wanted: AlertFilter = AlertFilter(), *, limit: int = 200, before: int | None = None
) -> list[Alert]:
    """Newest first. `before`: only ids below it, for the next page."""
    columns = alert_table.c
    conditions: list[Any] = []
    if wanted.is_open is not None:
        conditions.append(columns.resolved_ms.is_(None) if wanted.is_open else columns.resolved_ms.is_not(None))
    if wanted.severities:
        conditions.append(columns.severity.in_([severity.value for severity in wanted.severities]))
    if wanted.kind:
        conditions.append(columns.kind.like(_pattern(wanted.kind), escape="\\"))
    if wanted.group:
        conditions.append(columns.grp.like(_pattern(wanted.group), escape="\\"))
    if wanted.since_ms is not None:
        conditions.append(or_(columns.opened_ms >= wanted.since_ms, columns.resolved_ms >= wanted.since_ms))
    if before is not None:
        conditions.append(columns.id < before)
    query = select(alert_table).where(and_(True, *conditions)).order_by(columns.id.desc()).limit(limit)
    return [to_alert(row) for row in connection.execute(query)]


def _pattern(glob: str) -> str:
    """* and ? as SQL writes them."""
    escaped = glob.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%").replace("?", "_")


def list_silences(connection: Connection, now_ms: int, *, ended: bool = False) -> list[Silence]:
    """Those that hold, or all that are kept; the one that ends first comes first."""
    columns = silence_table.c
    query = select(silence_table).order_by(columns.until_ms, columns.id)
    if not ended:
        query = query.where(columns.until_ms > now_ms, columns.ended_ms.is_(None))
    return [to_silence(row) for row in connection.execute(query)]


def list_history(
    connection: Connection, *, alert_id: int | None = None, since_ms: int | None = None, limit: int = 200
) -> list[Entry]:
    """Newest first."""
    query = select(history_table).order_by(history_table.c.id.desc()).limit(limit)
    if alert_id is not None:
        query = query.where(history_table.c.alert_id == alert_id)
    if since_ms is not None:
        query = query.where(history_table.c.at_ms >= since_ms)
    return [to_entry(row) for row in connection.execute(query)]


def trim_alerts(connection: Connection, before_ms: int) -> int:
    """Delete resolved alerts, ended silences and history older than `before_ms`; a part of them at a time.

    What an open alert went through stays as long as it is open.
    """
    is_open = select(alert_table.c.id).where(alert_table.c.resolved_ms.is_(None))
    of_closed = or_(history_table.c.alert_id.is_(None), history_table.c.alert_id.not_in(is_open))
    return (
        _trim(connection, history_table, and_(history_table.c.at_ms < before_ms, of_closed))
        + _trim(connection, alert_table, alert_table.c.resolved_ms < before_ms)
        + _trim(connection, silence_table, silence_table.c.until_ms < before_ms)
    )


def _trim(connection: Connection, table: Any, condition: Any) -> int:
    some = select(table.c.id).where(condition).limit(_TRIMMED_AT_ONCE)
    return connection.execute(delete(table).where(table.c.id.in_(some.scalar_subquery()))).rowcount
