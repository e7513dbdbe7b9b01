"""Alerts from the monitoring store, and what people do about them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable

from sqlalchemy import Connection

from seamark.api.cursors import read_cursor, write_cursor
from seamark.api.ports import AlertFilter, Page
from seamark.api.times import iso_seconds, iso_time
from seamark.api.views_alerts import Acknowledgement, Alert, AlertDetails, HistoryEntry, NoticeSent, Silence
from seamark.core.findings import Severity
from seamark.monitoring.alerts import model, rules, store
from seamark.monitoring.notifications.model import Delivery
from seamark.monitoring.notifications.store import list_deliveries
from seamark.storage.database import Database

__all__ = ["StoredAlerts"]

KEPT_HISTORY = 200
SYSTEM_CLOCK: Callable[[], float] = time.time
_MS = 1000


class StoredAlerts:
    """An `AlertDesk`."""

    def __init__(self, database: Database, now: Callable[[], float] = SYSTEM_CLOCK) -> None:
        self._database = database
        self._now = now

    async def search(self, wanted: AlertFilter, cursor: str | None, limit: int) -> Page[Alert]:
        before = read_cursor(cursor)
        chosen = store.AlertFilter(
            is_open=wanted.is_open,
            severities=[Severity(name) for name in wanted.severities],
            kind=wanted.kind,
            group=wanted.group,
            since_ms=None if wanted.since is None else wanted.since * _MS,
        )

        def work(connection: Connection) -> Page[Alert]:
            found = store.list_alerts(connection, chosen, limit=limit + 1, before=before)
            following = write_cursor(found[limit - 1].id) if len(found) > limit else None
            return Page(self._to_views(connection, found[:limit]), following)

        return await self._database.read(work)

    async def find(self, alert_id: int) -> AlertDetails | None:
        def work(connection: Connection) -> AlertDetails | None:
            found = store.find_alert(connection, alert_id)
            if found is None:
                return None
            (view,) = self._to_views(connection, [found])
            entries = store.list_history(connection, alert_id=alert_id, limit=KEPT_HISTORY)
            notices = [item for item in list_deliveries(connection, group=found.group) if _is_about(item, alert_id)]
            return AlertDetails(
                **view.model_dump(),
                history=[_to_entry(entry) for entry in entries],
                notices=[_to_notice(item) for item in notices],
            )

        return await self._database.read(work)

    async def history(self, since: int | None, limit: int) -> list[HistoryEntry]:
        since_ms = None if since is None else since * _MS
        found = await self._database.read(lambda c: store.list_history(c, since_ms=since_ms, limit=limit))
        return [_to_entry(entry) for entry in found]

    async def acknowledge(self, alert_id: int, who: str, why: str, seconds: int | None) -> None:
        now_ms = self._now_ms()
        until_ms = None if seconds is None else now_ms + seconds * _MS
        await self._database.write(lambda c: store.acknowledge(c, [alert_id], who, why, now_ms, until_ms=until_ms))

    async def unacknowledge(self, alert_id: int, who: str) -> None:
        now_ms = self._now_ms()
        await self._database.write(lambda c: store.unacknowledge(c, [alert_id], who, "", now_ms))

    async def silences(self, *, ended: bool) -> list[Silence]:
        now_ms = self._now_ms()
        found = await self._database.read(lambda c: store.list_silences(c, now_ms, ended=ended))
        return [_to_silence(item, now_ms) for item in found]

    async def silence(self, matchers: Iterable[model.Matcher], who: str, why: str, seconds: int) -> Silence:
        now_ms, parsed = self._now_ms(), list(matchers)
        until_ms = now_ms + seconds * _MS
        made = await self._database.write(
            lambda c: store.add_silence(c, parsed, who, why, now_ms, until_ms=until_ms)
        )  # fmt: skip
        return _to_silence(made, now_ms)

    async def unsilence(self, silence_id: int, who: str) -> Silence:
        now_ms = self._now_ms()
        ended = await self._database.write(lambda c: store.end_silence(c, silence_id, who, now_ms))
        return _to_silence(ended, now_ms)

    def _now_ms(self) -> int:
        return round(self._now() * _MS)

    def _to_views(self, connection: Connection, alerts: list[model.Alert]) -> list[Alert]:
        now_ms = self._now_ms()
        silences = store.list_silences(connection, now_ms)
        folded = Counter(alert.folded_under for alert in store.open_alerts(connection))
        return [_to_alert(alert, silences, folded[alert.id], now_ms) for alert in alerts]


def _to_alert(alert: model.Alert, silences: Iterable[model.Silence], folded: int, now_ms: int) -> Alert:
    silences = list(silences)
    cover = rules.silencing(alert, silences, now_ms) if alert.is_open else None
    since = iso_time(alert.opened_ms) if alert.since is None else iso_seconds(alert.since)
    return Alert(
        id=alert.id,
        kind=alert.kind,
        subject=alert.subject,
        group=alert.group,
        severity=alert.severity.value,
        state=rules.standing(alert, silences, now_ms).value,
        title=alert.title,
        text=alert.text,
        remedy=alert.remedy,
        count=alert.count,
        labels=dict(alert.labels),
        since=since,
        opened_at=iso_time(alert.opened_ms),
        updated_at=iso_time(alert.updated_ms),
        resolved_at=_moment(alert.resolved_ms),
        returns=alert.returns,
        stale=alert.stale,
        folded_under=alert.folded_under,
        folded=folded,
        acknowledged=_to_acknowledgement(alert, now_ms),
        silenced_by=None if cover is None else cover.id,
    )


def _to_acknowledgement(alert: model.Alert, now_ms: int) -> Acknowledgement | None:
    ack = alert.ack
    if ack is None or not ack.holds(now_ms):
        return None
    return Acknowledgement(who=ack.who, why=ack.why, at=iso_time(ack.at_ms), until=_moment(ack.until_ms))


def _to_entry(entry: model.Entry) -> HistoryEntry:
    return HistoryEntry(
        at=iso_time(entry.at_ms),
        action=entry.action.value,
        who=entry.who,
        text=entry.text,
        alert=entry.alert_id,
        silence=entry.silence_id,
    )


def _is_about(delivery: Delivery, alert_id: int) -> bool:
    return any(alert.id == alert_id for alert in delivery.notice.alerts)


def _to_notice(delivery: Delivery) -> NoticeSent:
    return NoticeSent(
        id=delivery.id,
        receiver=delivery.receiver,
        event=delivery.notice.event.value,
        state=delivery.state.value,
        attempts=delivery.attempts,
        created_at=iso_time(delivery.created_ms),
        ended_at=_moment(delivery.ended_ms),
        title=delivery.notice.title,
        error=delivery.error,
    )


def _to_silence(silence: model.Silence, now_ms: int) -> Silence:
    return Silence(
        id=silence.id,
        matchers=[str(matcher) for matcher in silence.matchers],
        created_at=iso_time(silence.created_ms),
        until=iso_time(silence.until_ms),
        who=silence.who,
        why=silence.why,
        active=silence.holds(now_ms),
        ended_at=_moment(silence.ended_ms),
        ended_by=silence.ended_by,
    )


def _moment(at_ms: int | None) -> str | None:
    return None if at_ms is None else iso_time(at_ms)
