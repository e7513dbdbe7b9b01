"""Findings become alerts, on both engines: opened, changed, damped, resolved, on record."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from functools import partial
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from seamark.core.errors import RejectedError
from seamark.core.findings import Finding, Severity
from seamark.monitoring.alerts import store
from seamark.monitoring.alerts.model import Action, Alert, Matcher, Scope
from seamark.monitoring.alerts.rules import Delay, Policy
from seamark.monitoring.alerts.store import AlertFilter
from seamark.monitoring.alerts.store.tables import alert_table
from seamark.storage.database import Database
from seamark.storage.events import read_events
from tests.unit.monitoring.makers import HOUR, MINUTE, NOW, finding


async def report(
    database: Database, findings: Iterable[Finding], now_ms: int = NOW, source: str = "judge", **options: Any
) -> None:
    present = list(findings)
    await database.write(lambda c: store.report(c, source, present, now_ms, **options))


async def open_alerts(database: Database) -> list[Alert]:
    return await database.read(store.open_alerts)


async def actions(database: Database, alert_id: int) -> list[Action]:
    found = await database.read(lambda c: store.list_history(c, alert_id=alert_id))
    return [entry.action for entry in reversed(found)]


async def topics(database: Database) -> list[str]:
    return [event.topic for event in await database.read(lambda c: read_events(c, 0))]


async def test_a_finding_opens_an_alert_with_all_it_says(database: Database) -> None:
    said = finding(severity=Severity.CRITICAL, since=1_699_999_000, count=3, labels={"source": "besu", "dest": "anvil"})
    await report(database, [said])
    (alert,) = await open_alerts(database)
    assert alert.name == ("message_stuck", "besu to anvil")
    assert (alert.severity, alert.count, alert.since) == (Severity.CRITICAL, 3, 1_699_999_000)
    assert (alert.title, alert.text, alert.remedy) == (said.title, said.text, said.remedy)
    assert dict(alert.labels) == {"source": "besu", "dest": "anvil"}
    assert alert.opened_ms == alert.updated_ms == NOW
    assert await actions(database, alert.id) == [Action.OPENED]
    (event,) = await database.read(lambda c: read_events(c, 0))
    assert (event.topic, event.key, event.payload["severity"]) == ("alert.opened", str(alert.id), "critical")


async def test_the_same_report_again_writes_nothing(database: Database) -> None:
    await report(database, [finding()])
    (before,) = await open_alerts(database)
    await report(database, [finding()], NOW + MINUTE)
    assert await open_alerts(database) == [before]
    assert await topics(database) == ["alert.opened"]
    (source,) = await database.read(store.list_sources)
    assert (source.reported_ms, source.findings) == (NOW + MINUTE, 1)


async def test_what_is_no_longer_reported_resolves_at_once(database: Database) -> None:
    await report(database, [finding(), finding(subject="other")])
    await report(database, [finding(subject="other")], NOW + MINUTE)
    (left,) = await open_alerts(database)
    assert left.subject == "other"
    (resolved,) = await database.read(lambda c: store.list_alerts(c, AlertFilter(is_open=False)))
    assert resolved.resolved_ms == NOW + MINUTE
    assert await actions(database, resolved.id) == [Action.OPENED, Action.RESOLVED]
    assert await topics(database) == ["alert.opened", "alert.opened", "alert.resolved"]


async def test_a_worse_severity_is_recorded_and_ends_an_acknowledgement(database: Database) -> None:
    await report(database, [finding()])
    (alert,) = await open_alerts(database)
    await database.write(lambda c: store.acknowledge(c, [alert.id], "bob", "on it", NOW))
    await report(database, [finding(count=5)], NOW + 1)
    (alert,) = await open_alerts(database)
    assert alert.count == 5
    assert alert.ack is not None
    await report(database, [finding(severity=Severity.CRITICAL)], NOW + 2)
    (alert,) = await open_alerts(database)
    assert (alert.severity, alert.ack) == (Severity.CRITICAL, None)
    await report(database, [finding(severity=Severity.INFO)], NOW + 3)
    expected = [Action.OPENED, Action.ACKNOWLEDGED, Action.RAISED, Action.LOWERED]
    assert await actions(database, alert.id) == expected


async def test_a_delay_is_measured_from_the_first_report(database: Database) -> None:
    policy = Policy(delays=(Delay("*", 2 * MINUTE),))
    await report(database, [finding()], policy=policy)
    assert await open_alerts(database) == []
    await database.write(lambda c: store.settle_due(c, NOW + MINUTE, policy=policy))
    assert await open_alerts(database) == []
    await database.write(lambda c: store.settle_due(c, NOW + 2 * MINUTE, policy=policy))
    (alert,) = await open_alerts(database)
    assert alert.opened_ms == NOW + 2 * MINUTE
    await database.write(lambda c: store.settle_due(c, NOW + 3 * MINUTE, policy=policy))
    assert await topics(database) == ["alert.opened"]


async def test_what_goes_within_its_delay_was_never_an_alert(database: Database) -> None:
    policy = Policy(delays=(Delay("*", 2 * MINUTE),))
    await report(database, [finding()], policy=policy)
    await report(database, [], NOW + MINUTE, policy=policy)
    await report(database, [finding()], NOW + 90_000, policy=policy)
    await database.write(lambda c: store.settle_due(c, NOW + 3 * MINUTE, policy=policy))
    assert await database.read(store.list_alerts) == []


async def test_flapping_is_damped_to_a_logarithm(database: Database) -> None:
    """Three minutes on, three minutes off, for three hours: a handful of alerts, not thirty."""
    now = NOW
    for _ in range(30):
        await report(database, [finding()], now)
        now += 3 * MINUTE
        await report(database, [], now)
        for _ in range(3):
            now += MINUTE
            await database.write(partial(store.settle_due, now_ms=now))
    seen = await topics(database)
    assert seen.count("alert.opened") <= 4
    (last,) = await open_alerts(database)
    assert last.returns > 25
    assert last.absent_ms is not None
    await database.write(lambda c: store.settle_due(c, now + HOUR))
    assert await open_alerts(database) == []


async def test_a_calm_hour_later_it_is_an_ordinary_alert_again(database: Database) -> None:
    await report(database, [finding()])
    await report(database, [], NOW + MINUTE)
    await report(database, [finding()], NOW + HOUR)
    (alert,) = await open_alerts(database)
    assert alert.returns == 0


async def test_two_producers_on_one_name_are_one_alert(database: Database) -> None:
    await report(database, [finding(title="a")], source="a")
    await report(database, [finding(severity=Severity.CRITICAL, title="b")], source="b")
    (alert,) = await open_alerts(database)
    assert (alert.severity, alert.title) == (Severity.CRITICAL, "b")
    await report(database, [], source="b")
    (alert,) = await open_alerts(database)
    assert (alert.severity, alert.title) == (Severity.WARNING, "a")
    await report(database, [], source="a")
    assert await open_alerts(database) == []


async def test_of_one_name_twice_in_a_report_the_worse_counts(database: Database) -> None:
    await report(database, [finding(severity=Severity.CRITICAL), finding()])
    (alert,) = await open_alerts(database)
    assert alert.severity is Severity.CRITICAL


async def test_a_thousand_lanes_fold_below_one_curse_and_come_back_after_the_grace(sqlite: Database) -> None:
    lanes = [
        finding(subject=f"lane {n}", group=f"besu to {n}", labels={"source": "besu", "dest": str(n)})
        for n in range(1000)
    ]
    curse = finding("cursed", "besu", severity=Severity.CRITICAL, group="besu", labels={"chain": "besu"})
    await report(sqlite, lanes)
    await report(sqlite, [curse], source="checks")
    await sqlite.write(lambda c: store.refold(c, NOW))
    alerts = await open_alerts(sqlite)
    (upper,) = [alert for alert in alerts if alert.folded_under is None]
    assert upper.kind == "cursed"
    assert {alert.folded_under for alert in alerts if alert is not upper} == {upper.id}
    await report(sqlite, [], NOW + MINUTE, source="checks")
    await sqlite.write(lambda c: store.refold(c, NOW + 2 * MINUTE))
    assert all(alert.folded_under == upper.id for alert in await open_alerts(sqlite))
    await sqlite.write(lambda c: store.refold(c, NOW + 7 * MINUTE))
    assert all(alert.folded_under is None for alert in await open_alerts(sqlite))
    assert await actions(sqlite, alerts[0].id) == [Action.OPENED, Action.FOLDED, Action.UNFOLDED]


async def test_alerts_of_a_silent_producer_stay_and_are_marked(database: Database) -> None:
    await report(database, [finding()], source="dead")
    await report(database, [finding(subject="both")], source="dead")
    later = NOW + HOUR
    await report(database, [finding(subject="both")], later, source="alive")
    await database.write(lambda c: store.refold(c, later))
    assert {alert.subject: alert.stale for alert in await open_alerts(database)} == {"both": False}
    await report(database, [finding()], later, source="dead")
    await report(database, [finding(subject="both")], later + HOUR, source="alive")
    await database.write(lambda c: store.refold(c, later + HOUR))
    assert {alert.subject: alert.stale for alert in await open_alerts(database)} == {
        "besu to anvil": True,
        "both": False,
    }


async def test_a_producer_can_be_forgotten(database: Database) -> None:
    await report(database, [finding(), finding(subject="b")], source="gone")
    assert await database.write(lambda c: store.forget_source(c, "gone", "ann", NOW + 1)) == 2
    assert await open_alerts(database) == []
    assert await database.read(store.list_sources) == []
    newest = (await database.read(store.list_history))[0]
    assert (newest.action, newest.who) == (Action.FORGOTTEN, "ann")
    with pytest.raises(LookupError):
        await database.write(lambda c: store.forget_source(c, "gone", "ann", NOW))


# ---- scopes ----

BESU, ANVIL = Scope.of({"138": "besu"}), Scope.of({"31337": "anvil"})
BOTH = Scope.of({"138": "besu", "31337": "anvil"})


async def scoped(database: Database, scope: Scope, found: list[Finding], now_ms: int = NOW) -> None:
    await database.write(lambda c: store.report(c, "ccip-judge", found, now_ms, scope=scope))


async def test_processes_with_other_chains_leave_each_other_s_findings_alone(database: Database) -> None:
    await scoped(database, BESU, [finding(subject="besu")])
    await scoped(database, ANVIL, [finding(subject="anvil")])
    await scoped(database, BESU, [finding(subject="besu")], NOW + MINUTE)
    assert {alert.subject for alert in await open_alerts(database)} == {"besu", "anvil"}
    await scoped(database, ANVIL, [], NOW + 2 * MINUTE)
    assert {alert.subject for alert in await open_alerts(database)} == {"besu"}
    sources = await database.read(store.list_sources)
    assert [(item.name, item.producer, item.scope) for item in sources] == [
        ("ccip-judge on anvil", "ccip-judge", frozenset({"31337"})),
        ("ccip-judge on besu", "ccip-judge", frozenset({"138"})),
    ]


async def test_what_both_of_two_say_ends_when_neither_says_it(database: Database) -> None:
    await scoped(database, BESU, [finding()])
    await scoped(database, ANVIL, [finding(severity=Severity.CRITICAL)])
    (alert,) = await open_alerts(database)
    assert alert.severity is Severity.CRITICAL
    await scoped(database, ANVIL, [], NOW + MINUTE)
    (alert,) = await open_alerts(database)
    assert alert.severity is Severity.WARNING
    await scoped(database, BESU, [], NOW + 2 * MINUTE)
    assert await open_alerts(database) == []


async def test_a_process_started_again_with_more_chains_takes_over(database: Database) -> None:
    await scoped(database, BESU, [finding(subject="old")])
    later = NOW + HOUR
    await scoped(database, BOTH, [finding(subject="new")], later)
    assert await database.write(lambda c: store.forget_ended(c, later)) == ["ccip-judge on besu"]
    assert {alert.subject for alert in await open_alerts(database)} == {"new"}
    newest = (await database.read(store.list_history))[0]
    assert (newest.action, newest.who) == (Action.FORGOTTEN, "seamark")
    assert newest.text.endswith("others look at all of it now")


async def test_who_is_not_silent_is_not_taken_over(database: Database) -> None:
    await scoped(database, BESU, [finding(subject="old")], NOW + HOUR - MINUTE)
    await scoped(database, BOTH, [], NOW + HOUR)
    assert await database.write(lambda c: store.forget_ended(c, NOW + HOUR)) == []


async def test_a_part_of_what_it_looked_at_is_not_enough(database: Database) -> None:
    await scoped(database, BOTH, [finding(subject="old")])
    await scoped(database, BESU, [], NOW + HOUR)
    await database.write(lambda c: store.report(c, "another", [], NOW + HOUR, scope=ANVIL))
    assert await database.write(lambda c: store.forget_ended(c, NOW + HOUR)) == []
    await scoped(database, ANVIL, [], NOW + HOUR)
    assert await database.write(lambda c: store.forget_ended(c, NOW + HOUR)) == ["ccip-judge on anvil, besu"]


def test_a_scope_of_many_parts_has_a_short_name_of_its_own() -> None:
    many = {str(number): f"chain {number}" for number in range(30)}
    one, other = Scope.of(many), Scope.of({**many, "30": "chain 30"})
    assert one.source("ccip-judge").startswith("ccip-judge on 30 chains, ")
    assert one == Scope.of(dict(reversed(many.items()))), "in whatever order they are listed"
    del many["29"]
    assert one.label != Scope.of({**many, "31": "chain 31"}).label != other.label
    assert Scope.of({}).source("alerts") == "alerts"


# ---- people ----


async def test_acknowledging_is_on_record_and_told(database: Database) -> None:
    await report(database, [finding(), finding(subject="b")])
    ids = [alert.id for alert in await open_alerts(database)]
    changed = await database.write(lambda c: store.acknowledge(c, ids, "bob", "on it", NOW + 1, until_ms=NOW + MINUTE))
    assert [alert.ack.who for alert in changed if alert.ack] == ["bob", "bob"]
    assert changed[0].is_acknowledged(NOW + 2)
    assert not changed[0].is_acknowledged(NOW + MINUTE)
    await database.write(lambda c: store.unacknowledge(c, ids[:1], "ann", "bob is ill", NOW + 2))
    entries = await database.read(lambda c: store.list_history(c, alert_id=ids[0], limit=2))
    assert [(entry.action, entry.who, entry.text) for entry in entries] == [
        (Action.UNACKNOWLEDGED, "ann", "bob is ill"),
        (Action.ACKNOWLEDGED, "bob", "on it"),
    ]
    assert (await topics(database))[-3:] == ["alert.acknowledged", "alert.acknowledged", "alert.unacknowledged"]


async def test_what_is_unknown_or_over_cannot_be_acknowledged_and_nothing_is_changed(database: Database) -> None:
    await report(database, [finding()])
    (alert,) = await open_alerts(database)
    with pytest.raises(store.NoSuchAlert, match="no alert 99"):
        await database.write(lambda c: store.acknowledge(c, [alert.id, 99], "bob", "", NOW))
    (alert,) = await open_alerts(database)
    assert alert.ack is None
    await report(database, [])
    with pytest.raises(RejectedError, match="is resolved"):
        await database.write(lambda c: store.acknowledge(c, [alert.id], "bob", "", NOW))


async def test_silences_are_listed_while_they_hold_and_kept_after(database: Database) -> None:
    matchers = [Matcher.parse("kind=message_*"), Matcher.parse("label.chain!=besu")]
    made = await database.write(lambda c: store.add_silence(c, matchers, "ann", "upgrade", NOW, until_ms=NOW + HOUR))
    assert made.matchers == tuple(matchers)
    assert await database.read(lambda c: store.list_silences(c, NOW)) == [made]
    assert await database.read(lambda c: store.list_silences(c, NOW + HOUR)) == []
    ended = await database.write(lambda c: store.end_silence(c, made.id, "bob", NOW + 1))
    assert (ended.ended_ms, ended.ended_by) == (NOW + 1, "bob")
    assert await database.read(lambda c: store.list_silences(c, NOW + 1)) == []
    assert await database.read(lambda c: store.list_silences(c, NOW + 1, ended=True)) == [ended]
    history = await database.read(store.list_history)
    assert [(entry.action, entry.who, entry.silence_id) for entry in history] == [
        (Action.UNSILENCED, "bob", made.id),
        (Action.SILENCED, "ann", made.id),
    ]
    with pytest.raises(RejectedError, match="over already"):
        await database.write(lambda c: store.end_silence(c, made.id, "bob", NOW + 2))
    with pytest.raises(store.NoSuchSilence):
        await database.write(lambda c: store.end_silence(c, 99, "bob", NOW))


async def test_a_silence_of_everything_or_of_the_past_is_refused(database: Database) -> None:
    with pytest.raises(RejectedError, match="needs a matcher"):
        await database.write(lambda c: store.add_silence(c, [], "ann", "", NOW, until_ms=NOW + 1))
    with pytest.raises(RejectedError, match="later than now"):
        await database.write(lambda c: store.add_silence(c, [Matcher("kind", "*")], "ann", "", NOW, until_ms=NOW))


# ---- reading and retention ----


async def test_lists_filter_and_turn_pages(database: Database) -> None:
    worst = {3: Severity.CRITICAL}
    said = [
        finding(f"kind_{n}", str(n), group="a_b" if n % 2 else "axb", severity=worst.get(n, Severity.INFO))
        for n in range(6)
    ]
    await report(database, said)

    async def subjects(limit: int = 200, before: int | None = None, **wanted: Any) -> list[str]:
        found = await database.read(lambda c: store.list_alerts(c, AlertFilter(**wanted), limit=limit, before=before))
        return [alert.subject for alert in found]

    assert await subjects(group="a_b") == ["5", "3", "1"], "_ is no wildcard"
    assert await subjects(group="a?b", limit=2) == ["5", "4"]
    assert await subjects(kind="*_3") == ["3"]
    assert await subjects(severities=[Severity.CRITICAL]) == ["3"]
    assert await subjects(since_ms=NOW + 1) == []
    first = await database.read(lambda c: store.list_alerts(c, limit=4))
    assert await subjects(before=first[-1].id) == ["1", "0"]


async def test_retention_keeps_what_open_alerts_went_through(database: Database) -> None:
    await report(database, [finding(), finding(subject="open")])
    await report(database, [finding(subject="open")], NOW + 1)
    await database.write(lambda c: store.add_silence(c, [Matcher("kind", "x")], "ann", "", NOW, until_ms=NOW + 1))
    while await database.write(lambda c: store.trim_alerts(c, NOW + 2)):
        pass
    (left,) = await database.read(store.list_alerts)
    assert left.subject == "open"
    history = await database.read(store.list_history)
    assert {entry.alert_id for entry in history} == {left.id}
    assert await database.read(lambda c: store.list_silences(c, NOW, ended=True)) == []


async def test_the_database_itself_refuses_a_second_open_alert_of_a_name(database: Database) -> None:
    await report(database, [finding()])
    copy = alert_table.insert().from_select(
        [column.name for column in alert_table.c if column.name != "id"],
        alert_table.select().with_only_columns(*[column for column in alert_table.c if column.name != "id"]),
    )
    with pytest.raises(IntegrityError):
        await database.write(lambda c: c.execute(copy))


# ---- any history ----


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_is_reported_the_open_alerts_are_what_is_present(sqlite: Database, seed: int) -> None:
    """Random sets of three producers; with damping off, open alerts are exactly the union of the present sets."""
    rng = random.Random(seed)
    policy = Policy(flap_window_ms=-1)
    present: dict[str, set[str]] = {}
    for step in range(60):
        source = rng.choice("abc")
        present[source] = {name for name in "uvwxyz" if rng.random() < 0.4}
        said = [finding(subject=name, severity=rng.choice(list(Severity))) for name in sorted(present[source])]
        await report(sqlite, said, NOW + step * MINUTE, source=source, policy=policy)
        alerts = await open_alerts(sqlite)
        assert {alert.subject for alert in alerts} == set().union(*present.values())
        assert len(alerts) == len({alert.name for alert in alerts})


async def test_many_who_report_at_once_open_each_alert_once(database: Database) -> None:
    """Producers in several processes, and the notifier, meet on the same names."""

    async def produce(source: str) -> None:
        rng = random.Random(source)
        for step in range(6):
            said = [finding(subject=name) for name in "uvwxyz" if rng.random() < 0.6]
            await report(database, said, NOW + step, source=source)
            await database.write(partial(store.settle_due, now_ms=NOW + step))
            await database.write(partial(store.refold, now_ms=NOW + step))

    await asyncio.gather(*(produce(f"producer {number}") for number in range(5)))
    names = [alert.name for alert in await open_alerts(database)]
    assert len(names) == len(set(names))
    everything = [finding(subject=name) for name in "uvwxyz"]
    await report(database, everything, NOW + HOUR, source="last")
    assert {alert.subject for alert in await open_alerts(database)} == set("uvwxyz")
