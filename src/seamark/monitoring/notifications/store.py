"""The outbox, what receivers have been told, and the lease of the one who sends.

A notice is written in the unit of work that decided on it, together with the memory of having told it; it is sent
afterwards, and again until the receiver has taken it: at least once, under one number. A newer notice of the same group
to the same receiver supersedes what still waits, so that a receiver that was away is not flooded with the past.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    Row,
    Table,
    Text,
    delete,
    func,
    select,
    tuple_,
    update,
)

from seamark.core.findings import Severity
from seamark.monitoring.notifications.model import Delivery, Notice, State, read_notice, write_notice
from seamark.monitoring.notifications.rules import Send, Sent
from seamark.storage.bulk import chunks, upsert
from seamark.storage.leases import take_lease
from seamark.storage.schema import AUTO_ID, metadata
from seamark.storage.totals import add_totals, total_key

__all__ = [
    "NOTIFICATIONS_TOTAL",
    "count_sent",
    "drop_unknown_receivers",
    "due_deliveries",
    "enqueue",
    "failing_receivers",
    "list_deliveries",
    "postpone",
    "read_sent",
    "remember",
    "settle_delivery",
    "take_lease",
    "trim_deliveries",
    "waiting_by_receiver",
]

NOTIFICATIONS_TOTAL: Final = "seamark_notifications_total"
TRIMMED_AT_ONCE: Final = 1000

_notification = Table(
    "notification",
    metadata,
    Column("id", AUTO_ID, primary_key=True, autoincrement=True),
    Column("receiver", Text, nullable=False),
    Column("grp", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("notice", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("next_ms", BigInteger),  # null: nothing more is due
    Column("ended_ms", BigInteger),
    Column("error", Text, nullable=False),  # of the last attempt; never holds a secret
    Index("ix_notification_next_ms", "next_ms"),
    Index("ix_notification_grp_id", "grp", "id"),
    Index("ix_notification_ended_ms", "ended_ms"),
    sqlite_autoincrement=True,
)

_notified = Table(
    "notified",
    metadata,
    Column("receiver", Text, primary_key=True),
    Column("grp", Text, primary_key=True),
    Column("incident", Text, nullable=False),
    Column("alerts", Text, nullable=False),  # JSON: alert id -> severity told
    Column("opened_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
)

# ---- what receivers know ------------------------------------------------------------------------------------------


def read_sent(connection: Connection) -> list[Sent]:
    return [_to_sent(row) for row in connection.execute(select(_notified))]


def _to_sent(row: Row[Any]) -> Sent:
    told = {int(alert_id): Severity(severity) for alert_id, severity in msgspec.json.decode(row.alerts).items()}
    return Sent(row.receiver, row.grp, row.incident, told, row.opened_ms, row.last_ms)


def remember(connection: Connection, sends: Sequence[Send]) -> None:
    """Note what receivers are told with these notices."""
    upsert(connection, _notified, [_from_sent(send.told) for send in sends if send.told is not None])
    places = [(send.receiver, send.group) for send in sends if send.told is None]
    for some in chunks(places):
        connection.execute(delete(_notified).where(tuple_(_notified.c.receiver, _notified.c.grp).in_(some)))


def _from_sent(told: Sent) -> dict[str, Any]:
    alerts = {str(alert_id): str(severity) for alert_id, severity in told.alerts.items()}
    return {
        "receiver": told.receiver,
        "grp": told.group,
        "incident": told.incident,
        "alerts": msgspec.json.encode(alerts).decode(),
        "opened_ms": told.opened_ms,
        "last_ms": told.last_ms,
    }


# ---- the outbox ---------------------------------------------------------------------------------------------------


def enqueue(connection: Connection, notices: Sequence[tuple[str, Notice]], now_ms: int) -> list[int]:
    """Write notices (receiver, notice) to be sent, in place of those of their groups that still wait; their numbers."""
    if not notices:
        return []
    _supersede(connection, {(receiver, notice.group) for receiver, notice in notices}, now_ms)
    rows = [
        {
            "receiver": receiver,
            "grp": notice.group,
            "event": notice.event.value,
            "notice": write_notice(notice),
            "state": State.QUEUED.value,
            "attempts": 0,
            "created_ms": now_ms,
            "next_ms": now_ms,
            "error": "",
        }
        for receiver, notice in notices
    ]
    statement = _notification.insert().returning(_notification.c.id, sort_by_parameter_order=True)
    return list(connection.execute(statement, rows).scalars())


def _supersede(connection: Connection, places: Collection[tuple[str, str]], now_ms: int) -> None:
    columns = _notification.c
    waiting = connection.execute(select(columns.id, columns.receiver, columns.grp).where(columns.next_ms.is_not(None)))
    old = [row for row in waiting if (row.receiver, row.grp) in places]
    ended = {"state": State.SUPERSEDED.value, "next_ms": None, "ended_ms": now_ms}
    for some in chunks([row.id for row in old]):
        connection.execute(update(_notification).where(columns.id.in_(some)).values(**ended))
    _count(connection, Counter((row.receiver, State.SUPERSEDED) for row in old))


def due_deliveries(connection: Connection, now_ms: int, *, limit: int = 100) -> list[Delivery]:
    """What is to be tried now, oldest first; at most `limit` of each receiver, so that one that takes nothing does not
    hide what the others are owed.
    """
    columns = _notification.c
    is_due = columns.next_ms <= now_ms
    due: list[Delivery] = []
    for receiver in connection.execute(select(columns.receiver).where(is_due).distinct()).scalars().all():
        query = select(_notification).where(is_due, columns.receiver == receiver).order_by(columns.id).limit(limit)
        due += [_to_delivery(row) for row in connection.execute(query)]
    return sorted(due, key=lambda delivery: delivery.id)


def settle_delivery(connection: Connection, delivery: Delivery, state: State, now_ms: int, *, error: str = "") -> None:
    """It is over: taken by the receiver, or given up."""
    values = {
        "state": state.value,
        "attempts": delivery.attempts + 1,
        "next_ms": None,
        "ended_ms": now_ms,
        "error": error,
    }
    connection.execute(update(_notification).where(_notification.c.id == delivery.id).values(**values))
    _count(connection, {(delivery.receiver, state): 1})


def postpone(connection: Connection, delivery: Delivery, next_ms: int, *, error: str) -> None:
    """It failed; another try is due at `next_ms`, unless it was superseded meanwhile."""
    values = {"attempts": delivery.attempts + 1, "next_ms": next_ms, "error": error}
    still = (_notification.c.id == delivery.id) & (_notification.c.state == State.QUEUED.value)
    connection.execute(update(_notification).where(still).values(**values))
    add_totals(connection, {_total(delivery.receiver, "failed"): 1})


def _count(connection: Connection, ended: Mapping[tuple[str, State], int]) -> None:
    add_totals(
        connection, {_total(receiver, state.value): count for (receiver, state), count in ended.items() if count}
    )


def _total(receiver: str, outcome: str) -> Any:
    return total_key(NOTIFICATIONS_TOTAL, {"receiver": receiver, "outcome": outcome})


def count_sent(connection: Connection, receiver: str, since_ms: int) -> int:
    """How many notices it has taken since then."""
    columns = _notification.c
    query = select(func.count()).where(
        columns.ended_ms > since_ms, columns.receiver == receiver, columns.state == State.SENT.value
    )
    return int(connection.execute(query).scalar_one())


def waiting_by_receiver(connection: Connection) -> dict[str, int]:
    query = select(_notification.c.receiver).where(_notification.c.next_ms.is_not(None))
    return dict(Counter(connection.execute(query).scalars()))


def failing_receivers(connection: Connection, attempts: int) -> dict[str, tuple[int, int, str]]:
    """Receivers with a notice that failed so often: how many wait, since when the oldest, the last error."""
    columns = _notification.c
    query = select(_notification).where(columns.next_ms.is_not(None)).order_by(columns.id)
    waiting: dict[str, list[Row[Any]]] = {}
    for row in connection.execute(query):
        waiting.setdefault(row.receiver, []).append(row)
    return {
        receiver: (len(rows), rows[0].created_ms, max(rows, key=lambda row: row.attempts).error)
        for receiver, rows in waiting.items()
        if max(row.attempts for row in rows) >= attempts
    }


def drop_unknown_receivers(connection: Connection, known: Collection[str], now_ms: int) -> None:
    """Receivers that the settings no longer name are owed nothing."""
    unknown = _notification.c.receiver.not_in(known) & (_notification.c.state == State.QUEUED.value)
    values = {
        "state": State.GIVEN_UP.value,
        "next_ms": None,
        "ended_ms": now_ms,
        "error": "the receiver is no longer in the settings",
    }
    connection.execute(update(_notification).where(unknown).values(**values))
    connection.execute(delete(_notified).where(_notified.c.receiver.not_in(known)))


def list_deliveries(connection: Connection, *, group: str | None = None, limit: int = 50) -> list[Delivery]:
    """Newest first."""
    query = select(_notification).order_by(_notification.c.id.desc()).limit(limit)
    if group is not None:
        query = query.where(_notification.c.grp == group)
    return [_to_delivery(row) for row in connection.execute(query)]


def trim_deliveries(connection: Connection, before_ms: int) -> int:
    """Delete what ended before then; a part at a time."""
    some = select(_notification.c.id).where(_notification.c.ended_ms < before_ms).limit(TRIMMED_AT_ONCE)
    return connection.execute(delete(_notification).where(_notification.c.id.in_(some.scalar_subquery()))).rowcount


def _to_delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        id=row.id,
        receiver=row.receiver,
        group=row.grp,
        notice=msgspec.structs.replace(read_notice(row.notice), delivery=row.id),
        state=State(row.state),
        attempts=row.attempts,
        created_ms=row.created_ms,
        next_ms=row.next_ms,
        ended_ms=row.ended_ms,
        error=row.error,
    )
