"""What people do: acknowledge, take that back, silence, end a silence. Each is one unit of work and leaves its line in
the history with who and why; a repeated one is refused, so that nobody overwrites another's without seeing it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec
from sqlalchemy import Connection, select, update

from seamark.core.errors import RejectedError
from seamark.monitoring.alerts.model import Action, Alert, Entry, Matcher, Silence
from seamark.monitoring.alerts.store.events import alert_event, silence_event
from seamark.monitoring.alerts.store.tables import alert_table, record, silence_table, to_alert, to_silence
from seamark.storage.events import append_events, take_turn

__all__ = ["NoSuchAlert", "NoSuchSilence", "acknowledge", "add_silence", "end_silence", "unacknowledge"]


class NoSuchAlert(RejectedError):
    """No alert has this id."""

    def __init__(self, alert_id: int) -> None:
        super().__init__(f"there is no alert {alert_id}", remedy="seamark alerts list --all shows them")


class NoSuchSilence(RejectedError):
    """No silence has this id."""

    def __init__(self, silence_id: int) -> None:
        super().__init__(f"there is no silence {silence_id}", remedy="seamark alerts silences shows them")


def acknowledge(
    connection: Connection, alert_ids: Collection[int], who: str, why: str, now_ms: int, *, until_ms: int | None = None
) -> list[Alert]:
    """Somebody has these: no repeats and no escalation until `until_ms`, or until they resolve or get worse.

    Raises:
        NoSuchAlert: One of the ids is unknown; nothing is changed.
        RejectedError: One is resolved already.
    """
    values = {"ack_who": who, "ack_why": why, "ack_ms": now_ms, "ack_until_ms": until_ms}
    return _mark(connection, alert_ids, Action.ACKNOWLEDGED, who=who, why=why, now_ms=now_ms, values=values)


def unacknowledge(connection: Connection, alert_ids: Collection[int], who: str, why: str, now_ms: int) -> list[Alert]:
    """Nobody has these after all.

    Raises:
        NoSuchAlert: One of the ids is unknown; nothing is changed.
        RejectedError: One is resolved already.
    """
    values = {"ack_who": None, "ack_why": None, "ack_ms": None, "ack_until_ms": None}
    return _mark(connection, alert_ids, Action.UNACKNOWLEDGED, who=who, why=why, now_ms=now_ms, values=values)


def _mark(
    connection: Connection,
    alert_ids: Collection[int],
    action: Action,
    *,
    who: str,
    why: str,
    now_ms: int,
    values: Mapping[str, object],
) -> list[Alert]:
    take_turn(connection)
    ids = sorted(set(alert_ids))
    for alert in _read(connection, ids):
        if not alert.is_open:
            raise RejectedError(f"alert {alert.id} is resolved", remedy="only open alerts can be acknowledged")
    connection.execute(update(alert_table).where(alert_table.c.id.in_(ids)).values(**values))
    record(connection, [Entry(now_ms, action, alert_id, who, why) for alert_id in ids])
    changed = _read(connection, ids)
    append_events(connection, [alert_event(f"alert.{action}", alert, now_ms) for alert in changed])
    return changed


def _read(connection: Connection, ids: Sequence[int]) -> list[Alert]:
    found = {row.id: to_alert(row) for row in connection.execute(select(alert_table).where(alert_table.c.id.in_(ids)))}
    if missing := [alert_id for alert_id in ids if alert_id not in found]:
        raise NoSuchAlert(missing[0])
    return [found[alert_id] for alert_id in ids]


def add_silence(
    connection: Connection, matchers: Sequence[Matcher], who: str, why: str, now_ms: int, *, until_ms: int
) -> Silence:
    """Do not tell of alerts that match all of `matchers`, open now or later, until `until_ms`.

    Raises:
        RejectedError: No matcher (it would silence everything), or an end that is past.
    """
    if not matchers:
        raise RejectedError("a silence needs a matcher", remedy="write for example kind=message_* or group=besu")
    if until_ms <= now_ms:
        raise RejectedError("a silence must end later than now", remedy="give a longer time")
    take_turn(connection)
    row = {
        "matchers": msgspec.json.encode([str(matcher) for matcher in matchers]).decode(),
        "created_ms": now_ms,
        "until_ms": until_ms,
        "who": who,
        "why": why,
        "ended_by": "",
    }
    silence_id = connection.execute(silence_table.insert().returning(silence_table.c.id), row).scalar_one()
    silence = _read_silence(connection, silence_id)
    _tell(connection, silence, Action.SILENCED, who=who, text=f"{', '.join(map(str, matchers))}: {why}", now_ms=now_ms)
    return silence


def end_silence(connection: Connection, silence_id: int, who: str, now_ms: int) -> Silence:
    """Take a silence back.

    Raises:
        NoSuchSilence: The id is unknown.
        RejectedError: It is over already.
    """
    take_turn(connection)
    silence = _read_silence(connection, silence_id)
    if not silence.holds(now_ms):
        raise RejectedError(f"silence {silence_id} is over already")
    values = {"ended_ms": now_ms, "ended_by": who}
    connection.execute(update(silence_table).where(silence_table.c.id == silence_id).values(**values))
    ended = _read_silence(connection, silence_id)
    _tell(connection, ended, Action.UNSILENCED, who=who, text=", ".join(map(str, ended.matchers)), now_ms=now_ms)
    return ended


def _read_silence(connection: Connection, silence_id: int) -> Silence:
    row = connection.execute(select(silence_table).where(silence_table.c.id == silence_id)).first()
    if row is None:
        raise NoSuchSilence(silence_id)
    return to_silence(row)


def _tell(connection: Connection, silence: Silence, action: Action, *, who: str, text: str, now_ms: int) -> None:
    record(connection, [Entry(now_ms, action, None, who, text, silence.id)])
    append_events(connection, [silence_event(f"alert.{action}", silence, now_ms)])
