"""Sending to real servers on loopback: our webhook, and what apprise makes for Slack, PagerDuty, mail and JSON."""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from apprise.plugins import pagerduty, slack

from seamark.core.errors import SettingsError
from seamark.core.findings import Severity
from seamark.monitoring.notifications.model import SCHEMA, Event, Notice, NoticedAlert, read_notice, write_notice
from seamark.monitoring.notifications.senders import Sender, open_receivers
from seamark.monitoring.notifications.text import Links, compose, compose_test
from seamark.monitoring.settings import AlertSettings
from seamark.runtime.http import make_session
from tests.support.clock import FakeClock
from tests.support.receivers import Recorder, recorder, smtp_server
from tests.unit.monitoring.makers import MINUTE, NOW, alert

LINKS = Links("https://seamark.example/", "https://runbooks.example/alerts")
HIDDEN = "T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with make_session() as opened:
        yield opened


@pytest.fixture
async def server() -> AsyncIterator[Recorder]:
    async with recorder() as recording:
        yield recording


def notice(event: Event = Event.FIRING, **changes: Any) -> Notice:
    stuck = alert(
        7, title="3 messages are stuck from besu to anvil", text="committed 25m ago, not executed; normal is 4m",
        remedy="seamark messages list --late", severity=Severity.CRITICAL, count=3, since=NOW // 1000 - 1500,
        labels={"source": "besu", "dest": "anvil"},
    )  # fmt: skip
    below = {7: [alert(8), alert(9), alert(10, "fee_quote_failed")]}
    made = compose(event, "besu to anvil", [stuck], below, "seamark-7-1", LINKS, NOW)
    return msgspec.structs.replace(made, delivery=42, **changes)


async def open_one(
    session: aiohttp.ClientSession, environment: dict[str, str] | None = None, **receiver: Any
) -> Sender:
    settings = AlertSettings.model_validate({"receivers": [{"name": "it", **receiver}]})
    opened = await open_receivers(
        settings, session=session, clock=FakeClock(NOW / 1000), environment=environment or {}
    )  # fmt: skip
    return opened["it"].sender


# ---- the webhook ----


async def test_the_webhook_gets_the_stable_json_signed(server: Recorder, session: aiohttp.ClientSession) -> None:
    webhook = {"value": f"{server.url}/hooks/x?k=v"}
    sender = await open_one(session, webhook=webhook, signing={"value": "topsecret"})
    assert (await sender.send(notice())).delivered
    (request,) = server.requests
    assert request.path == "/hooks/x?k=v"
    assert request.headers["Content-Type"] == "application/json"
    assert (request.headers["Seamark-Event"], request.headers["Seamark-Delivery"]) == ("firing", "42")
    moment, _, signature = request.headers["Seamark-Signature"].partition(",")
    signed = f"{moment.removeprefix('t=')}.".encode() + request.body
    assert signature == "v1=" + hmac.new(b"topsecret", signed, hashlib.sha256).hexdigest()
    assert int(moment.removeprefix("t=")) == NOW // 1000


async def test_the_schema_of_the_webhook_is_stable(server: Recorder, session: aiohttp.ClientSession) -> None:
    """Receivers rely on these names and forms; they may only grow under this schema's name."""
    sender = await open_one(session, webhook={"value": server.url})
    await sender.send(notice())
    body = msgspec.json.decode(server.requests[0].body)
    assert "Seamark-Signature" not in server.requests[0].headers
    (stuck,) = body.pop("alerts")
    text = body.pop("text")
    assert body == {
        "schema": "seamark.alerts.v1",
        "event": "firing",
        "delivery": 42,
        "at": "2023-11-14T22:13:20Z",
        "dedup_key": "seamark-7-1",
        "group": "besu to anvil",
        "severity": "critical",
        "title": "CRITICAL: 3 messages are stuck from besu to anvil",
        "link": "https://seamark.example/#/alerts/7",
    }
    assert stuck == {
        "id": 7,
        "kind": "message_stuck",
        "subject": "subject 7",
        "severity": "critical",
        "group": "besu to anvil",
        "title": "3 messages are stuck from besu to anvil",
        "text": "committed 25m ago, not executed; normal is 4m",
        "remedy": "seamark messages list --late",
        "count": 3,
        "labels": {"source": "besu", "dest": "anvil"},
        "since": "2023-11-14T21:48:20Z",
        "opened_at": "2023-11-14T22:13:20Z",
        "resolved_at": None,
        "acknowledged_by": None,
        "folded": 3,
        "stale": False,
        "link": "https://seamark.example/#/alerts/7",
        "runbook": "https://runbooks.example/alerts#message_stuck",
    }
    assert text.splitlines() == [
        "CRITICAL 3 messages are stuck from besu to anvil [message_stuck, alert 7]",
        "committed 25m ago, not executed; normal is 4m",
        "Since 2023-11-14T21:48:20Z (25m), 3 of them",
        "Explains 3 more, which stay folded: 2 message_stuck, 1 fee_quote_failed",
        "Do: seamark messages list --late",
        "Runbook: https://runbooks.example/alerts#message_stuck",
        "Page: https://seamark.example/#/alerts/7",
        "",
        "If you have it: seamark alerts ack 7 --why '…'",
    ]


@pytest.mark.parametrize("status", [500, 404, 302])
async def test_what_is_not_taken_is_told_in_words(
    server: Recorder, session: aiohttp.ClientSession, status: int
) -> None:
    server.answers = [status]
    server.headers = {"Location": f"{server.url}/elsewhere"}
    outcome = await (await open_one(session, webhook={"value": server.url})).send(notice())
    assert (outcome.delivered, outcome.error) == (False, f"answered HTTP {status}")
    assert len(server.requests) == 1, "a redirect is not followed"


async def test_a_wish_to_wait_is_passed_on(server: Recorder, session: aiohttp.ClientSession) -> None:
    server.answers, server.headers = [429, 429], {"Retry-After": "77"}
    sender = await open_one(session, webhook={"value": server.url})
    assert (await sender.send(notice())).retry_after_s == 77
    server.headers = {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}
    assert (await sender.send(notice())).retry_after_s is None


async def test_a_server_that_is_not_there_is_told_without_its_address(session: aiohttp.ClientSession) -> None:
    outcome = await (await open_one(session, webhook={"value": "http://127.0.0.1:9/hidden"})).send(notice())
    assert outcome.error == "cannot be reached (ClientConnectorError)"


async def test_an_answer_without_end_is_not_read(server: Recorder, session: aiohttp.ClientSession) -> None:
    server.headers = {"X-Pad": "x"}
    sender = await open_one(session, webhook={"value": server.url})
    assert (await sender.send(notice())).delivered


# ---- apprise ----


async def test_slack_gets_title_text_and_colour(
    server: Recorder, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slack.NotifySlack, "webhook_url", f"{server.url}/services")
    sender = await open_one(session, {"SLACK": f"slack://{HIDDEN}/#ops"}, apprise={"env": "SLACK"})
    assert (await sender.send(notice())).delivered
    (request,) = server.requests
    assert request.path == f"/services/{HIDDEN}"
    said = request.body.decode()
    assert "CRITICAL: 3 messages are stuck" in said
    assert "https://runbooks.example/alerts#message_stuck" in said
    assert "github" not in said, "no pictures of apprise's"


async def test_the_pager_sees_one_incident_and_its_end(
    server: Recorder, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(pagerduty.PAGERDUTY_API_LOOKUP, "us", f"{server.url}/v2/enqueue")
    sender = await open_one(session, apprise={"value": "pagerduty://routingkey@apikey/besu/ccip"})
    for event in (Event.FIRING, Event.REPEATED, Event.RESOLVED):
        assert (await sender.send(notice(event))).delivered
    bodies = [msgspec.json.decode(request.body) for request in server.requests]
    assert [body["event_action"] for body in bodies] == ["trigger", "trigger", "resolve"]
    assert {body["dedup_key"] for body in bodies} == {"seamark-7-1"}
    assert {body["routing_key"] for body in bodies} == {"routingkey"}
    assert bodies[0]["payload"]["severity"] == "critical"
    assert bodies[0]["payload"]["source"] == "besu", "what the URL says wins"
    assert bodies[0]["payload"]["summary"].startswith("CRITICAL: 3 messages are stuck")
    assert bodies[0]["links"] == [{"href": "https://seamark.example/#/alerts/7"}]


async def test_a_key_of_the_user_s_own_wins(
    server: Recorder, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(pagerduty.PAGERDUTY_API_LOOKUP, "us", server.url)
    sender = await open_one(session, apprise={"value": "pagerduty://routingkey@apikey?dedup=mine"})
    await sender.send(notice())
    assert msgspec.json.decode(server.requests[0].body)["dedup_key"] == "mine"


async def test_mail_goes_out_by_smtp(session: aiohttp.ClientSession) -> None:
    async with smtp_server() as mailbox:
        url = f"mailto://127.0.0.1:{mailbox.port}?from=seamark@example.org&to=ops@example.org&format=text"
        sender = await open_one(session, apprise={"value": url})
        outcome = await sender.send(notice())
        assert outcome.delivered, outcome.error
    ((sender_, to, mail),) = mailbox.envelopes
    assert "seamark@example.org" in sender_
    assert to == ["ops@example.org"]
    assert mail["Subject"] == "CRITICAL: 3 messages are stuck from besu to anvil"
    body = mail.get_body(("plain",))
    assert body is not None
    assert "Do: seamark messages list --late" in body.get_content()


async def test_any_service_of_apprise_is_told_the_severity(server: Recorder, session: aiohttp.ClientSession) -> None:
    sender = await open_one(session, apprise={"value": server.url.replace("http://", "json://")})
    for made in (notice(), notice(severity=Severity.WARNING), notice(severity=Severity.INFO), notice(Event.RESOLVED)):
        assert (await sender.send(made)).delivered
    kinds = [msgspec.json.decode(request.body)["type"] for request in server.requests]
    assert kinds == ["failure", "warning", "info", "success"]


async def test_what_a_service_refuses_is_told_without_the_secret(
    server: Recorder, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slack.NotifySlack, "webhook_url", server.url)
    server.answers = [403]
    outcome = await (await open_one(session, apprise={"value": f"slack://{HIDDEN}"})).send(notice())
    gone = await open_one(session, apprise={"value": "json://user:hunter2@127.0.0.1:9/hidden"})
    unreachable = await gone.send(notice())
    assert outcome.error == "the service answered 403"
    assert unreachable.error == "the service cannot be reached"


async def test_the_reason_is_told_however_quiet_the_log_is(
    server: Recorder, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "level", logging.CRITICAL)
    logging.getLogger("apprise").setLevel(logging.NOTSET)
    server.answers = [403]
    sender = await open_one(session, apprise={"value": server.url.replace("http://", "json://")})
    assert (await sender.send(notice())).error == "the service answered 403"


async def test_what_apprise_logs_goes_nowhere(session: aiohttp.ClientSession) -> None:
    """At debug level it logs whole addresses."""
    heard: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.name)

    ear = Ear()
    logging.getLogger().addHandler(ear)
    logging.getLogger("apprise").setLevel(logging.DEBUG)
    try:
        await (await open_one(session, apprise={"value": "json://user:hunter2@127.0.0.1:9/hidden"})).send(notice())
    finally:
        logging.getLogger().removeHandler(ear)
        logging.getLogger("apprise").setLevel(logging.NOTSET)
    assert "apprise" not in heard


# ---- settings to receivers ----


@pytest.mark.parametrize(
    ("receiver", "problem"),
    [
        ({"webhook": {"value": "ftp://x"}}, r"alerts\.receivers\[0\]\.webhook: is no address of a web server"),
        ({"webhook": {"env": "NONE"}}, r"alerts\.receivers\[0\]\.webhook\.env: the variable NONE is not set"),
        ({"apprise": {"value": "nonsense://s3cret"}}, r"receivers\[0\]\.apprise: is no URL that apprise understands"),
        ({"apprise": {"value": "slack://s3cret"}}, r"receivers\[0\]\.apprise: is no URL that apprise understands"),
        ({"apprise": {"value": " "}}, r"receivers\[0\]\.apprise: is empty"),
        ({"apprise": {"file": "/nowhere/s"}}, r"receivers\[0\]\.apprise\.file: cannot read /nowhere/s"),
    ],
)
async def test_a_receiver_that_cannot_work_is_found_at_the_start(
    session: aiohttp.ClientSession, receiver: dict[str, Any], problem: str
) -> None:
    with pytest.raises(SettingsError, match=problem) as caught:
        await open_one(session, **receiver)
    assert "s3cret" not in str(caught.value)


async def test_secrets_come_from_private_files(
    server: Recorder, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    file = tmp_path / "url"
    file.write_text(f"{server.url}/hidden\n")
    file.chmod(0o644)
    with pytest.raises(SettingsError, match=r"webhook\.file: .* has mode 0644"):
        await open_one(session, webhook={"file": str(file)})
    file.chmod(0o600)
    assert (await (await open_one(session, webhook={"file": str(file)})).send(notice())).delivered


# ---- words ----


def test_a_notice_is_stored_as_it_is_sent() -> None:
    assert read_notice(write_notice(notice())) == notice()
    assert notice().schema == SCHEMA


def test_ends_repeats_and_escalations_lead_with_what_they_are() -> None:
    one = alert(1, title="stuck", resolved_ms=NOW + 25 * MINUTE)
    titles = {
        event: compose(event, "g", [one], {}, "k", LINKS, NOW + 25 * MINUTE).title
        for event in (Event.RESOLVED, Event.REPEATED, Event.ESCALATED)
    }
    assert titles == {
        Event.RESOLVED: "RESOLVED after 25m: stuck",
        Event.REPEATED: "WARNING (still): stuck",
        Event.ESCALATED: "WARNING (not acknowledged): stuck",
    }
    text = compose(Event.RESOLVED, "g", [one], {}, "k", LINKS, NOW).text
    assert "From 2023-11-14T22:13:20Z to 2023-11-14T22:38:20Z" in text
    assert "ack" not in text


def test_what_was_escalated_is_told_as_severe_as_its_step_says() -> None:
    made = compose(Event.ESCALATED, "g", [alert(title="stuck")], {}, "k", LINKS, NOW, least=Severity.CRITICAL)
    assert (made.severity, made.title) == (Severity.CRITICAL, "CRITICAL (not acknowledged): stuck")
    assert made.alerts[0].severity is Severity.WARNING
    mild = compose(Event.FIRING, "g", [alert(severity=Severity.CRITICAL)], {}, "k", LINKS, NOW, least=Severity.WARNING)
    assert mild.severity is Severity.CRITICAL


def test_many_alerts_are_counted_and_the_first_told() -> None:
    alerts = [alert(n, severity=Severity.CRITICAL if n == 1 else Severity.WARNING) for n in range(1, 41)]
    made = compose(Event.FIRING, "besu", alerts, {}, "k", LINKS, NOW)
    assert made.title == "CRITICAL: 40 alerts on besu, first: message_stuck 1"
    assert "… and 30 more: seamark alerts list --group 'besu'" in made.text
    assert len(made.alerts) == 40


def test_an_alert_that_nobody_confirms_says_so() -> None:
    assert "who reported it is silent" in compose(Event.FIRING, "g", [alert(stale=True)], {}, "k", LINKS, NOW).text


def test_a_test_says_that_nothing_is_wrong() -> None:
    made = compose_test("chat", "ann", LINKS, NOW)
    assert made.event is Event.TEST
    assert "ann tries the receiver chat. Nothing is wrong" in made.text


def test_every_field_of_an_alert_is_in_the_schema() -> None:
    assert set(NoticedAlert.__struct_fields__) >= {"id", "kind", "subject", "severity", "group", "runbook", "link"}
