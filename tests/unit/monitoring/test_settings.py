"""Settings of alerts: strict, with units, and never showing a secret."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.core.findings import Severity
from seamark.monitoring.alerts.rules import DEFAULT_DELAYS, Delay
from seamark.monitoring.notifications.rules import Escalation
from seamark.monitoring.settings import AlertSettings
from seamark.runtime.settings import SettingsProblems, validate_settings

OPS = {"name": "ops", "webhook": {"env": "OPS"}}
CHAT = {"name": "chat", "apprise": {"file": "/run/secrets/chat"}}


def read(**values: Any) -> AlertSettings:
    return validate_settings(AlertSettings, values)


def test_everything_has_a_default() -> None:
    settings = read()
    assert settings.routing() == ()
    assert settings.timing().wait_ms == 10_000
    assert settings.policy().delays == DEFAULT_DELAYS


def test_without_routes_everybody_is_told_of_warnings() -> None:
    (route,) = read(receivers=[OPS, CHAT]).routing()
    assert (route.to, route.severity, route.kinds) == (("ops", "chat"), Severity.WARNING, ("*",))


def test_all_of_it() -> None:
    settings = read(
        receivers=[{**OPS, "signing": {"env": "KEY"}, "per_minute": 5}, CHAT],
        routes=[
            {
                "to": ["chat"],
                "severity": "critical",
                "kinds": ["feed_*"],
                "groups": ["besu*"],
                "repeat": "2h",
                "resolved": False,
                "escalate": [{"after": "15m", "to": ["ops"]}],
            },
            {"to": ["ops"], "repeat": None},
        ],
        wait="30s",
        pause="5m",
        delays=[{"kind": "feed_*", "by": "2m"}],
        calm="2m",
        portal="https://seamark.example",
    )
    first, second = settings.routing()
    assert (first.severity, first.repeat_ms, first.resolved) == (Severity.CRITICAL, 7_200_000, False)
    assert first.escalations == (Escalation(900_000, ("ops",)),)
    assert second.repeat_ms is None
    assert settings.timing().pause_ms == 300_000
    assert settings.policy().delays[0] == Delay("feed_*", 120_000)
    assert settings.policy().calm_ms == 120_000


@pytest.mark.parametrize(("values", "words"), [
    ({"receivers": [OPS, OPS]}, "two receivers are called 'ops'"),
    ({"routes": [{"to": ["ops"]}]}, "a route names the receiver 'ops', which there is not; known: none is defined"),
    ({"receivers": [OPS], "routes": [{"to": ["ops"], "escalate": [{"after": "5m", "to": ["x"]}]}]}, "receiver 'x'"),
    ({"receivers": [{"name": "x"}]}, "reached in exactly one way"),
    ({"receivers": [{**OPS, "apprise": {"env": "X"}}]}, "reached in exactly one way"),
    ({"receivers": [{**CHAT, "signing": {"env": "X"}}]}, "only webhooks are signed"),
    ({"receivers": [{"name": "x", "webhook": {}}]}, "name the secret in exactly one way"),
    ({"receivers": [{"name": "x", "webhook": {"env": "A", "file": "B"}}]}, "name the secret in exactly one way"),
    ({"receivers": [{"name": "Ops!", "webhook": {"env": "A"}}]}, "pattern"),
    ({"wait": 10}, "10 has no unit"),
    ({"portal": "example.org"}, "write https://"),
    ({"reciever": []}, "did you mean receivers"),
    ({"receivers": [OPS], "routes": [{"to": []}]}, "must not be empty"),
])  # fmt: skip
def test_what_is_wrong_is_told(values: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsProblems) as caught:
        read(**values)
    assert words in str(caught.value)


def test_a_secret_is_never_shown() -> None:
    settings = read(receivers=[{"name": "ops", "webhook": {"value": "https://x/hunter2"}}])
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in settings.model_dump_json()
