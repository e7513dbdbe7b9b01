"""Who is told what, when: pure decisions, and simulations of long stretches of time."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.core.findings import Severity
from seamark.monitoring.alerts.model import Ack, Alert, Standing
from seamark.monitoring.notifications.model import Event
from seamark.monitoring.notifications.rules import Escalation, Route, Send, Sent, Timing, backoff_ms, plan
from tests.unit.monitoring.makers import HOUR, MINUTE, NOW, SECOND, alert

TIMING = Timing(wait_ms=10 * SECOND, pause_ms=MINUTE)
ROUTE = Route(to=("chat",), repeat_ms=4 * HOUR)
FIRING = Standing.FIRING
LATER = NOW + 10 * SECOND


def stand(*alerts: Alert, how: Standing = FIRING) -> list[tuple[Alert, Standing]]:
    return [(item, how) for item in alerts]


def sent(alerts: dict[int, Severity], last_ms: int = NOW, receiver: str = "chat") -> Sent:
    return Sent(receiver, "besu to anvil", "seamark-1-7", alerts, NOW, last_ms)


def only(sends: Sequence[Send]) -> Send:
    (send,) = sends
    return send


# ---- the first notice ----


def test_a_new_group_waits_for_those_that_come_with_it() -> None:
    first, second = alert(1), alert(2, opened_ms=NOW + 9 * SECOND)
    assert plan(stand(first, second), [ROUTE], [], LATER - 1, TIMING) == []
    send = only(plan(stand(first, second), [ROUTE], [], LATER, TIMING))
    assert (send.receiver, send.event) == ("chat", Event.FIRING)
    assert [item.id for item in send.alerts] == [1, 2]
    assert send.told is not None
    assert send.told.alerts == {1: Severity.WARNING, 2: Severity.WARNING}
    assert send.incident == f"seamark-1-{NOW}"


def test_the_worst_comes_first() -> None:
    alerts = [alert(1, severity=Severity.WARNING), alert(2, severity=Severity.CRITICAL), alert(3)]
    assert [item.id for item in only(plan(stand(*alerts), [ROUTE], [], LATER, TIMING)).alerts] == [2, 1, 3]


def test_each_group_is_told_by_itself() -> None:
    alerts = stand(alert(1, group="a"), alert(2, group="b"), alert(3, group="a"))
    assert [(send.group, len(send.alerts)) for send in plan(alerts, [ROUTE], [], LATER, TIMING)] == [("a", 2), ("b", 1)]


@pytest.mark.parametrize("how", [Standing.FOLDED, Standing.SILENCED, Standing.ACKNOWLEDGED])
def test_what_does_not_speak_is_not_told(how: Standing) -> None:
    assert plan(stand(alert(), how=how), [ROUTE], [], LATER, TIMING) == []


@pytest.mark.parametrize(("route", "taken"), [
    (Route(to=("chat",)), True),
    (Route(to=("chat",), severity=Severity.INFO), True),
    (Route(to=("chat",), severity=Severity.CRITICAL), False),
    (Route(to=("chat",), kinds=("feed_*", "message_*")), True),
    (Route(to=("chat",), kinds=("feed_*",)), False),
    (Route(to=("chat",), groups=("besu to *",)), True),
    (Route(to=("chat",), groups=("anvil to *",)), False),
])  # fmt: skip
def test_a_route_takes_by_severity_kind_and_group(route: Route, taken: bool) -> None:
    assert bool(plan(stand(alert()), [route], [], LATER, TIMING)) is taken


def test_several_routes_to_one_receiver_are_one_notice() -> None:
    routes = [Route(to=("chat", "ops")), Route(to=("chat",), kinds=("message_*",))]
    assert [send.receiver for send in plan(stand(alert()), routes, [], LATER, TIMING)] == ["chat", "ops"]


# ---- what follows ----


def test_nothing_new_nothing_said() -> None:
    known = sent({1: Severity.WARNING})
    assert plan(stand(alert(count=5)), [ROUTE], [known], NOW + HOUR, TIMING) == []


def test_one_more_or_a_worse_one_is_told_after_the_pause() -> None:
    known = sent({1: Severity.WARNING})
    for changed in ([alert(1), alert(2)], [alert(1, severity=Severity.CRITICAL)]):
        assert plan(stand(*changed), [ROUTE], [known], NOW + MINUTE - 1, TIMING) == []
        send = only(plan(stand(*changed), [ROUTE], [known], NOW + MINUTE, TIMING))
        assert (send.event, send.incident) == (Event.FIRING, known.incident)


def test_a_milder_one_is_not_news() -> None:
    known = sent({1: Severity.CRITICAL})
    assert plan(stand(alert(severity=Severity.WARNING)), [ROUTE], [known], NOW + HOUR, TIMING) == []


def test_what_became_too_mild_for_the_route_is_still_told_resolved() -> None:
    route = Route(to=("chat",), severity=Severity.CRITICAL)
    known = sent({1: Severity.CRITICAL})
    assert plan(stand(alert(severity=Severity.WARNING)), [route], [known], NOW + HOUR, TIMING) == []
    assert only(plan([], [route], [known], NOW + HOUR, TIMING)).event is Event.RESOLVED


def test_it_is_repeated_until_somebody_has_it() -> None:
    known = sent({1: Severity.WARNING})
    send = only(plan(stand(alert()), [ROUTE], [known], NOW + 4 * HOUR, TIMING))
    assert send.event is Event.REPEATED
    assert plan(stand(alert(), how=Standing.ACKNOWLEDGED), [ROUTE], [known], NOW + 4 * HOUR, TIMING) == []
    never = Route(to=("chat",), repeat_ms=None)
    assert plan(stand(alert()), [never], [known], NOW + 400 * HOUR, TIMING) == []


def test_an_acknowledgement_that_ran_out_is_told_again() -> None:
    known = sent({1: Severity.WARNING}, last_ms=NOW)
    over = alert(ack=Ack("bob", "", NOW, NOW + HOUR))
    assert only(plan(stand(over), [ROUTE], [known], NOW + HOUR, TIMING)).event is Event.FIRING
    again = sent({1: Severity.WARNING}, last_ms=NOW + HOUR)
    assert plan(stand(over), [ROUTE], [again], NOW + 2 * HOUR, TIMING) == []


def test_the_end_is_told_when_all_that_was_told_is_over() -> None:
    known = sent({1: Severity.WARNING, 2: Severity.WARNING})
    assert plan(stand(alert(2)), [ROUTE], [known], NOW + 1, TIMING) == []
    send = only(plan([], [ROUTE], [known], NOW + 1, TIMING))
    assert (send.event, send.told, send.incident, send.silent) == (Event.RESOLVED, None, known.incident, False)


def test_a_route_may_want_no_ends() -> None:
    route = Route(to=("chat",), resolved=False)
    send = only(plan([], [route], [sent({1: Severity.WARNING})], NOW, TIMING))
    assert send.silent
    assert send.told is None


@pytest.mark.parametrize("how", [Standing.FOLDED, Standing.SILENCED, Standing.ACKNOWLEDGED])
def test_what_was_told_and_then_fell_silent_is_neither_repeated_nor_forgotten(how: Standing) -> None:
    known = sent({1: Severity.WARNING})
    assert plan(stand(alert(), how=how), [ROUTE], [known], NOW + 40 * HOUR, TIMING) == []
    assert only(plan([], [ROUTE], [known], NOW + 40 * HOUR, TIMING)).event is Event.RESOLVED


def test_an_alert_that_was_never_told_is_not_told_resolved() -> None:
    """Told of 1, which resolved; 2 is silenced from its start: the incident is over for the receiver."""
    known = sent({1: Severity.WARNING})
    send = only(plan(stand(alert(2), how=Standing.SILENCED), [ROUTE], [known], NOW, TIMING))
    assert send.event is Event.RESOLVED


def test_what_was_told_stays_told_when_the_routes_change() -> None:
    known = sent({1: Severity.WARNING})
    elsewhere = Route(to=("ops",))
    sends = plan(stand(alert()), [elsewhere], [known], LATER, TIMING)
    assert [send.receiver for send in sends] == ["ops"]


# ---- escalation ----


ESCALATING = Route(to=("chat",), escalations=(Escalation(15 * MINUTE, ("phone",)), Escalation(HOUR, ("boss",))))


def test_nobody_reacts_and_the_next_are_told() -> None:
    known = [sent({1: Severity.WARNING})]
    assert plan(stand(alert()), [ESCALATING], known, NOW + 15 * MINUTE - 1, TIMING) == []
    send = only(plan(stand(alert()), [ESCALATING], known, NOW + 15 * MINUTE, TIMING))
    assert (send.receiver, send.event) == ("phone", Event.ESCALATED)
    known.append(sent({1: Severity.WARNING}, NOW + 15 * MINUTE, "phone"))
    assert plan(stand(alert()), [ESCALATING], known, NOW + 20 * MINUTE, TIMING) == []
    assert only(plan(stand(alert()), [ESCALATING], known, NOW + HOUR, TIMING)).receiver == "boss"


def test_a_step_may_raise_the_severity() -> None:
    route = Route(to=("chat",), escalations=(Escalation(MINUTE, ("phone",), Severity.CRITICAL),))
    send = only(plan(stand(alert()), [route], [sent({1: Severity.WARNING})], NOW + MINUTE, TIMING))
    assert (send.receiver, send.severity) == ("phone", Severity.CRITICAL)
    first = only(plan(stand(alert()), [route], [], LATER, TIMING))
    assert (first.receiver, first.severity) == ("chat", Severity.INFO), "nothing is raised for those told at once"


def test_who_acknowledges_in_time_spares_the_others() -> None:
    known = [sent({1: Severity.WARNING})]
    acknowledged = stand(alert(), how=Standing.ACKNOWLEDGED)
    assert plan(acknowledged, [ESCALATING], known, NOW + 2 * HOUR, TIMING) == []


def test_who_was_woken_is_told_the_end_even_if_it_was_acknowledged_since() -> None:
    known = [sent({1: Severity.WARNING}, NOW, "phone"), sent({1: Severity.WARNING})]
    assert plan(stand(alert(), how=Standing.ACKNOWLEDGED), [ESCALATING], known, NOW + HOUR, TIMING) == []
    ends = plan([], [ESCALATING], known, NOW + HOUR, TIMING)
    assert [(send.receiver, send.event) for send in ends] == [("chat", Event.RESOLVED), ("phone", Event.RESOLVED)]


# ---- long stretches ----


@pytest.mark.parametrize("seed", range(8))
def test_any_history_ends_with_every_receiver_let_go_and_every_alert_told_in_time(seed: int) -> None:
    """A random day. At each moment: who was told of an incident is told its end exactly once; what spoke without a
    break for `wait` + `pause` has been told.
    """
    rng = random.Random(seed)
    alerts: dict[int, Alert] = {}
    standing: dict[int, Standing] = {}
    known: dict[tuple[str, str], Sent] = {}
    told_at: dict[int, int] = {}
    speaks_since: dict[int, int] = {}
    balance: Counter[tuple[str, str, str]] = Counter()
    number, now = 0, NOW
    for step in range(500):
        now += rng.randint(1, 40) * SECOND
        ending = step > 400
        if not ending and rng.random() < 0.1:
            number += 1
            severity = rng.choice([Severity.WARNING, Severity.CRITICAL])
            alerts[number] = alert(number, group=rng.choice("ab"), severity=severity, opened_ms=now)
            standing[number], speaks_since[number] = FIRING, now
        if alerts and rng.random() < (0.9 if ending else 0.08):
            gone = rng.choice(list(alerts))
            del alerts[gone], standing[gone]
            speaks_since.pop(gone, None)
        if alerts and rng.random() < 0.2:
            some = rng.choice(list(alerts))
            standing[some] = rng.choice([FIRING, FIRING, Standing.SILENCED, Standing.ACKNOWLEDGED, Standing.FOLDED])
            if standing[some] is FIRING:
                speaks_since.setdefault(some, now)
            else:
                speaks_since.pop(some, None)
        sends = plan([(item, standing[key]) for key, item in alerts.items()], [ESCALATING], known.values(), now, TIMING)
        for send in sends:
            place = (send.receiver, send.group)
            if send.event is Event.RESOLVED:
                balance[*place, send.incident] -= 1
                del known[place]
            else:
                balance[*place, send.incident] += place not in known
                assert send.told is not None
                known[place] = send.told
            if send.receiver == "chat":
                told_at.update(dict.fromkeys((item.id for item in send.alerts), now))
        for key, since in speaks_since.items():
            if now - since > TIMING.wait_ms + TIMING.pause_ms:
                assert key in told_at, "an alert that speaks must have been told"
    assert not alerts
    assert not known
    assert set(balance.values()) == {0}


def test_a_hundred_hours_of_one_alert_are_a_few_notices() -> None:
    known: list[Sent] = []
    events = []
    for now in range(NOW, NOW + 100 * HOUR, MINUTE):
        for send in plan(stand(alert()), [ROUTE], known, now, TIMING):
            events.append(send.event)
            known = [send.told] if send.told else []
    assert events == [Event.FIRING, *[Event.REPEATED] * 24]


# ---- trying again ----


def test_pauses_grow_to_ten_minutes() -> None:
    assert [backoff_ms(n, 0.0) // SECOND for n in range(1, 10)] == [5, 10, 20, 40, 80, 160, 320, 600, 600]


@given(st.integers(1, 10**6), st.floats(0, 1))
def test_pauses_have_bounds(attempts: int, jitter: float) -> None:
    assert 4000 <= backoff_ms(attempts, jitter) <= 600_000
