"""The notifier over a real database: told once, again after a crash, by one process at a time, at a bounded rate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from seamark.core.findings import Finding, Severity
from seamark.monitoring.alerts import store as alert_store
from seamark.monitoring.alerts.model import Action, Matcher
from seamark.monitoring.metrics import AlertMetrics
from seamark.monitoring.notifications import store
from seamark.monitoring.notifications.model import Event, Notice, Outcome, State
from seamark.monitoring.notifications.senders import Receiver, open_receivers
from seamark.monitoring.notifications.service import Notifier
from seamark.monitoring.notifications.text import Links
from seamark.monitoring.settings import AlertSettings
from seamark.runtime.events import Signal
from seamark.runtime.http import make_session
from seamark.storage.database import Database, open_database
from tests.support.clock import FakeClock
from tests.support.receivers import recorder
from tests.unit.monitoring.makers import HOUR, MINUTE, SECOND, finding

SETTINGS = {
    "receivers": [{"name": "chat", "webhook": {"value": "http://x"}}, {"name": "phone", "webhook": {"value": "http://x"}}],
    "routes": [{"to": ["chat"], "escalate": [{"after": "15m", "to": ["phone"]}]}],
}  # fmt: skip


@dataclass(slots=True)
class FakeSender:
    """Takes what it is sent, unless told otherwise."""

    taken: list[Notice] = field(default_factory=list)
    tried: list[Notice] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    before: Callable[[], Any] | None = None

    async def send(self, notice: Notice) -> Outcome:
        self.tried.append(notice)
        if self.before is not None:
            await self.before()
        outcome = self.outcomes.pop(0) if self.outcomes else Outcome(delivered=True)
        if outcome.delivered:
            self.taken.append(notice)
        return outcome


FAILS = Outcome(delivered=False, error="answered HTTP 500")


@dataclass(slots=True)
class Desk:
    """One process."""

    database: Database
    clock: FakeClock
    settings: dict[str, Any] = field(default_factory=lambda: SETTINGS)
    holder: str = "one"
    per_minute: int = 20
    chat: FakeSender = field(default_factory=FakeSender)
    phone: FakeSender = field(default_factory=FakeSender)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    notifier: Notifier = field(init=False)
    said: dict[str, list[Finding]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.notifier = Notifier(
            AlertSettings.model_validate(self.settings),
            {
                "chat": Receiver("chat", self.chat, self.per_minute),
                "phone": Receiver("phone", self.phone, self.per_minute),
            },
            links=Links("http://127.0.0.1:8400", "runbook"),
            database=self.database,
            metrics=AlertMetrics(self.registry),
            signal=Signal(),
            clock=self.clock,
            holder=self.holder,
        )

    def now_ms(self) -> int:
        return round(self.clock.now() * 1000)

    async def report(self, findings: Iterable[Finding], source: str = "judge") -> None:
        present = self.said[source] = list(findings)
        await self.database.write(lambda c: alert_store.report(c, source, present, self.now_ms()))

    async def turn(self, later_ms: int = 0, *, producers: bool = True) -> None:
        """Later; producers say the same again meanwhile."""
        self.clock.advance(later_ms / 1000)
        for source in self.said if producers else ():
            await self.report(self.said[source], source)
        await self.notifier.turn()
        await self.notifier.drain()

    def metrics(self) -> str:
        return generate_latest(self.registry).decode()


@pytest.fixture
def desk(sqlite: Database) -> Desk:
    return Desk(sqlite, FakeClock())


def said(sender: FakeSender) -> list[Event]:
    return [notice.event for notice in sender.taken]


# ---- the life of an alert ----


async def test_told_once_escalated_and_told_resolved(database: Database) -> None:
    desk = Desk(database, FakeClock())
    await desk.report([finding()])
    await desk.turn(9 * SECOND)
    assert not desk.chat.taken, "those that come together are told together"
    await desk.turn(SECOND)
    for _ in range(10):
        await desk.turn(MINUTE)
    assert said(desk.chat) == [Event.FIRING]
    assert not desk.phone.taken
    await desk.turn(5 * MINUTE)
    assert said(desk.phone) == [Event.ESCALATED]
    await desk.report([])
    await desk.turn(SECOND)
    await desk.turn(HOUR)
    assert said(desk.chat) == [Event.FIRING, Event.RESOLVED]
    assert said(desk.phone) == [Event.ESCALATED, Event.RESOLVED]
    assert len({notice.dedup_key for notice in [*desk.chat.taken, *desk.phone.taken]}) == 1
    assert desk.chat.taken[1].alerts[0].resolved_at is not None


async def test_a_curse_over_a_thousand_lanes_is_one_notice(desk: Desk) -> None:
    lanes = [
        finding(subject=str(n), group=f"besu to {n}", labels={"source": "besu", "dest": str(n)}) for n in range(1000)
    ]
    curse = finding("cursed", "besu", severity=Severity.CRITICAL, group="besu", labels={"chain": "besu"})
    await desk.report([curse, *lanes])
    await desk.turn(10 * SECOND)
    (notice,) = desk.chat.taken
    assert notice.title == "CRITICAL: cursed on besu"
    assert notice.alerts[0].folded == 1000
    assert "Explains 1000 more" in notice.text


async def test_an_acknowledgement_ends_repeats_and_escalation(desk: Desk) -> None:
    await desk.report([finding()])
    await desk.turn(10 * SECOND)
    (alert,) = await desk.database.read(alert_store.open_alerts)
    await desk.database.write(partial(acknowledge, alert_id=alert.id, now_ms=desk.now_ms()))
    for _ in range(30):
        await desk.turn(HOUR)
    assert said(desk.chat) == [Event.FIRING]
    assert not desk.phone.taken


def acknowledge(connection: Any, alert_id: int, now_ms: int) -> None:
    alert_store.acknowledge(connection, [alert_id], "bob", "on it", now_ms)


async def test_a_silenced_alert_is_not_told_and_told_when_the_silence_ends(desk: Desk) -> None:
    await desk.report([finding()])
    until = desk.now_ms() + HOUR
    matchers = [Matcher("kind", "message_*")]
    await desk.database.write(
        lambda c: alert_store.add_silence(c, matchers, "ann", "upgrade", desk.now_ms(), until_ms=until)
    )
    await desk.turn(HOUR - 1)
    assert not desk.chat.taken
    await desk.turn(2)
    assert said(desk.chat) == [Event.FIRING]


async def test_what_was_told_is_on_record(desk: Desk) -> None:
    await desk.report([finding()])
    await desk.turn(10 * SECOND)
    history = await desk.database.read(alert_store.list_history)
    assert history[0].action is Action.NOTIFIED
    assert history[0].text == "firing: notice 1 to chat"
    (delivery,) = await desk.database.read(store.list_deliveries)
    assert (delivery.state, delivery.attempts, delivery.receiver) == (State.SENT, 1, "chat")


# ---- crashes and failures ----


async def test_a_notice_is_tried_until_it_is_taken_always_under_one_number(desk: Desk) -> None:
    desk.chat.outcomes = [FAILS] * 5
    await desk.report([finding()])
    await desk.turn(10 * SECOND)
    for _ in range(60):
        await desk.turn(5 * SECOND)
    assert len(desk.chat.tried) == 6
    assert {notice.delivery for notice in desk.chat.tried} == {1}
    assert said(desk.chat) == [Event.FIRING]
    assert 'seamark_notifications_total{outcome="failed",receiver="chat"} 5.0' in desk.metrics()
    assert 'seamark_notifications_total{outcome="sent",receiver="chat"} 1.0' in desk.metrics()


async def test_a_receiver_s_wish_to_wait_is_heard(desk: Desk) -> None:
    desk.chat.outcomes = [Outcome(delivered=False, error="answered HTTP 429", retry_after_s=600.0)]
    await desk.report([finding()])
    await desk.turn(10 * SECOND)
    await desk.turn(599 * SECOND)
    assert len(desk.chat.tried) == 1
    await desk.turn(2 * SECOND)
    assert len(desk.chat.taken) == 1


async def test_a_receiver_that_was_away_is_told_how_it_stands_not_all_that_was(desk: Desk) -> None:
    desk.chat.outcomes = [FAILS] * 12
    for round_ in range(8):
        await desk.report([finding(subject=str(n)) for n in range(round_ + 1)])
        await desk.turn(2 * MINUTE)
    desk.chat.outcomes = []
    await desk.turn(10 * MINUTE)
    (notice,) = desk.chat.taken
    assert len(notice.alerts) == 8
    deliveries = await desk.database.read(store.list_deliveries)
    states = [item.state for item in deliveries if item.receiver == "chat"]
    assert states.count(State.SENT) == 1
    assert set(states) == {State.SENT, State.SUPERSEDED}


async def test_what_nobody_takes_for_a_day_is_given_up(sqlite: Database) -> None:
    desk = Desk(sqlite, FakeClock(), {**SETTINGS, "routes": [{"to": ["chat"], "repeat": None}]})
    desk.chat.outcomes = [FAILS] * 1000
    await desk.report([finding()])
    for _ in range(25 * 3):
        await desk.turn(20 * MINUTE)
    deliveries = await desk.database.read(store.list_deliveries)
    assert State.GIVEN_UP in {item.state for item in deliveries}
    assert {item.error for item in deliveries if item.state is State.GIVEN_UP} == {"answered HTTP 500"}


async def test_a_receiver_that_fails_is_an_alert_to_the_others(sqlite: Database) -> None:
    everybody = {**SETTINGS, "routes": [{"to": ["chat", "phone"]}]}
    desk = Desk(sqlite, FakeClock(), everybody)
    desk.chat.outcomes = [FAILS] * 1000
    await desk.report([finding()])
    for _ in range(5):
        await desk.turn(MINUTE)
    (notice,) = [item for item in desk.phone.taken if item.group == "seamark"]
    assert notice.alerts[0].kind == "receiver_failing"
    assert "answered HTTP 500" in notice.text
    desk.chat.outcomes = []
    await desk.turn(10 * MINUTE)
    await desk.turn(MINUTE)
    assert [item.event for item in desk.phone.taken if item.group == "seamark"] == [Event.FIRING, Event.RESOLVED]


async def test_an_error_inside_a_sender_is_a_failure_without_its_text(desk: Desk) -> None:
    async def explode() -> None:
        raise KeyError("https://user:hunter2@example.org")

    desk.chat.before = explode
    await desk.report([finding()])
    await desk.turn(10 * SECOND)
    (delivery,) = await desk.database.read(store.list_deliveries)
    assert delivery.error == "failed inside (KeyError)"


async def test_killed_after_sending_and_before_noting_it_the_next_process_sends_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/seamark.db"
    first = Desk(await open_database(url), FakeClock())
    await first.report([finding()])
    gate = asyncio.Event()
    first.chat.before = gate.wait
    first.clock.advance(10)
    await first.notifier.turn()
    await asyncio.sleep(0.01)
    assert len(first.chat.tried) == 1
    for task in asyncio.all_tasks():
        if task.get_name() == "alerts to chat":
            task.cancel()
    await first.notifier.drain()
    await first.database.close()

    second = Desk(await open_database(url), first.clock, holder="two")
    await second.turn()
    assert not second.chat.tried, "the lease of the killed one still holds"
    await second.turn(15 * SECOND)
    assert [notice.delivery for notice in second.chat.taken] == [first.chat.tried[0].delivery]
    assert second.chat.taken[0].dedup_key == first.chat.tried[0].dedup_key
    await second.turn(MINUTE)
    assert said(second.chat) == [Event.FIRING]
    await second.database.close()


async def test_of_several_processes_one_sends_and_another_takes_over_at_once(database: Database) -> None:
    clock = FakeClock()
    one, two = Desk(database, clock), Desk(database, clock, holder="two")
    await one.report([finding()])
    await one.turn(10 * SECOND)
    await two.turn()
    assert (one.notifier.leads, two.notifier.leads) == (True, False)
    assert (said(one.chat), said(two.chat)) == ([Event.FIRING], [])
    assert "seamark_notifier_leads 0.0" in two.metrics()
    assert 'state="firing"} 1.0' in two.metrics(), "who does not send shows the same alerts"
    for _ in range(20):
        clock.advance(2)
        await one.turn()
        await two.turn()
    assert one.notifier.leads, "a lease is renewed"

    running = asyncio.create_task(one.notifier.run())
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await one.report([])
    await two.turn()
    assert two.notifier.leads
    assert said(two.chat) == [Event.RESOLVED]


async def test_one_receiver_that_hangs_delays_neither_the_other_nor_the_looks(sqlite: Database) -> None:
    desk = Desk(sqlite, FakeClock(), {**SETTINGS, "routes": [{"to": ["chat", "phone"]}]})
    gate, told = asyncio.Event(), asyncio.Event()
    desk.chat.before = gate.wait
    desk.phone.before = partial(_set, told)
    await desk.report([finding()])
    desk.clock.advance(10)
    for _ in range(3):
        await desk.notifier.turn()
    async with asyncio.timeout(5):
        await told.wait()
    assert len(desk.chat.tried) == 1
    gate.set()
    await desk.notifier.drain()
    assert len(desk.chat.taken) == 1


async def _set(event: asyncio.Event) -> None:
    event.set()


async def test_a_receiver_gets_at_most_its_rate(sqlite: Database) -> None:
    desk = Desk(sqlite, FakeClock(), per_minute=5)
    await desk.report([finding(subject=str(n), group=str(n)) for n in range(12)])
    await desk.turn(10 * SECOND)
    assert len(desk.chat.taken) == 5
    await desk.turn(30 * SECOND)
    assert len(desk.chat.taken) == 5
    await desk.turn(31 * SECOND)
    await desk.turn(61 * SECOND)
    assert len({notice.group for notice in desk.chat.taken}) == 12


async def test_receivers_that_left_the_settings_are_owed_nothing(sqlite: Database) -> None:
    desk = Desk(sqlite, FakeClock())
    desk.chat.outcomes = [FAILS]
    await desk.report([finding()])
    await desk.turn(10 * SECOND)
    without = {"receivers": [{"name": "phone", "webhook": {"value": "http://x"}}]}
    other = Notifier(
        AlertSettings.model_validate(without),
        {"phone": Receiver("phone", desk.phone, 20)},
        links=Links("", ""),
        database=sqlite,
        metrics=AlertMetrics(CollectorRegistry()),
        signal=Signal(),
        clock=desk.clock,
        holder="one",
    )
    desk.clock.advance(60)
    await other.turn()
    await other.drain()
    states = {item.receiver: item.state for item in await sqlite.read(store.list_deliveries)}
    assert states == {"chat": State.GIVEN_UP, "phone": State.SENT}


# ---- producers ----


async def test_a_producer_that_fell_silent_is_told_of_and_its_alerts_stay(desk: Desk) -> None:
    await desk.report([finding()], source="judge of besu")
    await desk.turn(10 * SECOND)
    await desk.turn(16 * MINUTE, producers=False)
    await desk.turn(3 * MINUTE, producers=False)
    await desk.turn(MINUTE, producers=False)
    told = {notice.group: notice for notice in desk.chat.taken}
    assert told["seamark"].title == "WARNING: judge of besu has stopped reporting"
    assert "What it found last (1) stays as it was" in told["seamark"].text
    (stuck,) = [alert for alert in await desk.database.read(alert_store.open_alerts) if alert.kind == "message_stuck"]
    assert stuck.stale
    assert 'seamark_findings_source_silent{source="judge of besu"} 1.0' in desk.metrics()
    await desk.report([finding()], source="judge of besu")
    await desk.turn(MINUTE)
    assert said(desk.chat)[-1] is Event.RESOLVED
    (stuck,) = await desk.database.read(alert_store.open_alerts)
    assert not stuck.stale


async def test_after_a_long_stop_nobody_is_called_silent_before_his_first_round(desk: Desk) -> None:
    await desk.report([finding()])
    await desk.turn(10 * SECOND)
    await desk.turn(24 * HOUR, producers=False)
    await desk.turn(2 * MINUTE, producers=False)
    await desk.turn(SECOND)
    await desk.turn(10 * MINUTE)
    kinds = {alert.kind for notice in desk.chat.taken for alert in notice.alerts}
    assert kinds == {"message_stuck"}


async def test_a_producer_that_stays_silent_is_forgotten_in_the_end(desk: Desk) -> None:
    await desk.report([finding()], source="judge of besu")
    await desk.turn(10 * SECOND)
    for span in (16 * MINUTE, 4 * MINUTE, 6 * 24 * HOUR):
        await desk.turn(span, producers=False)
    assert {alert.kind for alert in await desk.database.read(alert_store.open_alerts)} >= {"message_stuck"}
    await desk.turn(24 * HOUR, producers=False)
    assert "judge of besu" not in {item.name for item in await desk.database.read(alert_store.list_sources)}
    assert await desk.database.read(alert_store.open_alerts) == []
    texts = [entry.text for entry in await desk.database.read(alert_store.list_history)]
    assert "source judge of besu with 1 findings: silent for more than 7d" in texts


async def test_after_a_stop_of_weeks_nobody_is_forgotten_before_his_first_round(desk: Desk) -> None:
    await desk.report([finding()])
    await desk.turn(10 * SECOND)
    await desk.turn(30 * 24 * HOUR, producers=False)
    await desk.turn(SECOND)
    kinds = [alert.kind for alert in await desk.database.read(alert_store.open_alerts)]
    assert kinds == ["message_stuck"]
    assert Event.RESOLVED not in said(desk.chat)


async def test_open_alerts_are_counted_and_stay_at_zero_when_gone(desk: Desk) -> None:
    await desk.report([finding(), finding(subject="b")])
    await desk.turn()
    labels = '{kind="message_stuck",severity="warning",state="firing"}'
    assert f"seamark_alerts{labels} 2.0" in desk.metrics()
    await desk.report([])
    await desk.turn()
    assert f"seamark_alerts{labels} 0.0" in desk.metrics()


async def test_old_alerts_and_notices_are_trimmed(desk: Desk) -> None:
    await desk.report([finding()])
    await desk.turn(10 * SECOND)
    await desk.report([])
    await desk.turn(SECOND)
    await desk.turn(91 * 24 * HOUR)
    assert await desk.database.read(alert_store.list_alerts) == []
    assert await desk.database.read(store.list_deliveries) == []


# ---- for real ----


async def test_through_settings_to_a_server_and_back(sqlite: Database) -> None:
    """Settings, secrets, HTTP: a server that fails first is told in the end, once, with the same number."""
    async with recorder() as server, make_session() as session:
        server.answers = [503, 500]
        settings = AlertSettings.model_validate(
            {"receivers": [{"name": "ops", "webhook": {"env": "OPS"}, "signing": {"env": "KEY"}}]}
        )
        clock = FakeClock()
        environment = {"OPS": server.url, "KEY": "k"}
        receivers = await open_receivers(settings, session=session, clock=clock, environment=environment)
        notifier = Notifier(
            settings,
            receivers,
            links=Links("http://127.0.0.1:8400", "runbook"),
            database=sqlite,
            metrics=AlertMetrics(CollectorRegistry()),
            signal=Signal(),
            clock=clock,
        )
        await sqlite.write(lambda c: alert_store.report(c, "judge", [finding()], round(clock.now() * 1000)))
        for _ in range(10):
            clock.advance(10)
            await notifier.turn()
            await notifier.drain()
        assert [request.headers["Seamark-Delivery"] for request in server.requests] == ["1", "1", "1"]
        assert len({request.body for request in server.requests}) == 1


async def test_a_receiver_that_is_owed_much_does_not_hide_what_others_are_owed(sqlite: Database) -> None:
    desk = Desk(sqlite, FakeClock(), {**SETTINGS, "routes": [{"to": ["chat"]}]})
    await desk.report([finding(subject=str(n), group=str(n)) for n in range(4)])
    desk.chat.outcomes = [FAILS]
    await desk.turn(10 * SECOND)
    (first, *_) = await sqlite.read(partial(store.due_deliveries, now_ms=desk.now_ms()))
    await sqlite.write(lambda c: store.enqueue(c, [("phone", first.notice)], desk.now_ms()))
    due = await sqlite.read(partial(store.due_deliveries, now_ms=desk.now_ms(), limit=2))
    assert [item.receiver for item in due] == ["chat", "chat", "phone"]
