"""Settings of alerts: who is told what, when again, and how findings become alerts.

    alerts:
      receivers:
        - {name: ops, webhook: {file: /run/secrets/ops-url}, signing: {file: /run/secrets/ops-key}}
        - {name: chat, apprise: {env: SLACK_URL}}
      routes:
        - {to: [chat], severity: warning, escalate: [{after: 15m, to: [ops]}]}

A receiver's address is a secret as a whole: it is named by file or environment, and never shown.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from seamark.core.findings import Severity
from seamark.core.units import Seconds
from seamark.monitoring.alerts.rules import DEFAULT_DELAYS, DEFAULT_FOLDS, Delay, Policy
from seamark.monitoring.notifications.rules import Escalation, Route, Timing
from seamark.runtime.settings import Duration, SettingsModel

__all__ = [
    "AlertSettings",
    "DelaySettings",
    "EscalationSettings",
    "ReceiverSettings",
    "RouteSettings",
    "SecretSettings",
]

_MS = 1000


class SecretSettings(SettingsModel):
    """Exactly one of three ways to name a secret."""

    file: str | None = None
    """File that holds it, readable by its owner alone."""

    env: str | None = None
    """Name of the environment variable that holds it."""

    value: SecretStr | None = None
    """The secret itself; for `${NAME}`, never written down."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(way is not None for way in (self.file, self.env, self.value)) != 1:
            raise ValueError("name the secret in exactly one way; file, env or value")
        return self


class ReceiverSettings(SettingsModel):
    """Somebody who can be told."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")
    """Appears in metrics, logs and the history."""

    webhook: SecretSettings | None = None
    """URL that gets our own JSON."""

    signing: SecretSettings | None = None
    """Key of the webhook's HMAC-SHA256 signature."""

    apprise: SecretSettings | None = None
    """URL of any service that apprise knows: slack://, mailto://, pagerduty:// and the rest."""

    per_minute: int = Field(20, ge=1, le=600)
    """Notices that it gets in a minute at most; what is above waits, and newer ones take its place."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.webhook is None) == (self.apprise is None):
            raise ValueError("a receiver is reached in exactly one way; give webhook or apprise")
        if self.signing is not None and self.webhook is None:
            raise ValueError("only webhooks are signed; remove signing")
        return self


class EscalationSettings(SettingsModel):
    """Who else, and when."""

    after: Duration
    """Since the alert opened, without an acknowledgement."""

    to: tuple[str, ...] = Field(min_length=1)

    severity: Severity = Severity.INFO
    """Told as if it were at least so severe."""


class RouteSettings(SettingsModel):
    """Which alerts go to whom. All routes that match apply."""

    to: tuple[str, ...] = Field(min_length=1)
    """Names of receivers."""

    severity: Severity = Severity.WARNING
    """The least severity that goes there."""

    kinds: tuple[str, ...] = Field(("*",), min_length=1)
    """Kinds of findings, * and ? allowed."""

    groups: tuple[str, ...] = Field(("*",), min_length=1)
    """Groups of findings (lanes, chains), * and ? allowed."""

    repeat: Duration | None = Seconds(4 * 3600.0)
    """Told again after this long without an acknowledgement; null: never."""

    resolved: bool = True
    """Whether the end is told too."""

    escalate: tuple[EscalationSettings, ...] = ()


class DelaySettings(SettingsModel):
    """Findings that must stay for a while before they become an alert."""

    kind: str
    """A kind of finding, * and ? allowed."""

    by: Duration


def _check_url(url: str) -> str:
    if url and not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} is no address of a page; write https://…")
    return url


class AlertSettings(SettingsModel):
    """Alerts and notifications. Without receivers, alerts are kept and shown and nobody is told."""

    receivers: tuple[ReceiverSettings, ...] = ()
    routes: tuple[RouteSettings, ...] = ()
    """None: everything from warnings on to every receiver."""

    portal: Annotated[str, AfterValidator(_check_url)] = ""
    """Address of the page, for links; empty: as the API listens."""

    runbook: str = "docs/runbooks/alerts.md"
    """Where the runbook is served; links are this, #, and the kind."""

    wait: Duration = Seconds(10.0)
    """How long a new group of alerts gathers before it is told."""

    pause: Duration = Seconds(60.0)
    """How long at least between two notices of one group to one receiver; a resolve notice does not wait."""

    delays: tuple[DelaySettings, ...] = ()
    """The first that matches a finding's kind decides; others become alerts at once."""

    flap_window: Duration = Seconds(1800.0)
    """An alert that comes back within this after it resolved is flapping: its next end must last."""

    calm: Duration = Seconds(60.0)
    """How long the end of a flapping alert must last; doubles with each return."""

    calm_limit: Duration = Seconds(1800.0)
    """The most that it doubles to."""

    fold_grace: Duration = Seconds(300.0)
    """How long alerts stay folded after what explained them (a curse, a chain that was away) has resolved."""

    source_silence: Duration = Seconds(900.0)
    """A producer of findings that says nothing for so long (or three of its own rounds) is a finding itself."""

    forget_source: Duration = Seconds(7 * 86400.0)
    """A producer that says nothing for so long is taken for gone, and what it alone reported ends. Sooner, where
    others look at all that it looked at."""

    give_up: Duration = Seconds(24 * 3600.0)
    """How long a notice is tried."""

    keep: Duration = Seconds(90 * 86400.0)
    """How long resolved alerts, their history and their notices are kept."""

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        names = [receiver.name for receiver in self.receivers]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"two receivers are called {twice!r}; rename one")
        for route in self.routes:
            for name in (*route.to, *(name for step in route.escalate for name in step.to)):
                if name not in names:
                    known = ", ".join(names) or "none is defined"
                    raise ValueError(f"a route names the receiver {name!r}, which there is not; known: {known}")
        return self

    def policy(self) -> Policy:
        return Policy(
            delays=(*(Delay(item.kind, _ms(item.by)) for item in self.delays), *DEFAULT_DELAYS),
            folds=DEFAULT_FOLDS,
            flap_window_ms=_ms(self.flap_window),
            calm_ms=_ms(self.calm),
            calm_limit_ms=_ms(self.calm_limit),
            fold_grace_ms=_ms(self.fold_grace),
            silence_of_source_ms=_ms(self.source_silence),
            forget_source_ms=_ms(self.forget_source),
        )

    def timing(self) -> Timing:
        return Timing(_ms(self.wait), _ms(self.pause))

    def routing(self) -> tuple[Route, ...]:
        """The routes as rules; the default one where none is given."""
        if not self.routes and self.receivers:
            return (Route(to=tuple(receiver.name for receiver in self.receivers)),)
        return tuple(_route(item) for item in self.routes)


def _route(item: RouteSettings) -> Route:
    return Route(
        to=item.to,
        severity=item.severity,
        kinds=item.kinds,
        groups=item.groups,
        repeat_ms=None if item.repeat is None else _ms(item.repeat),
        resolved=item.resolved,
        escalations=tuple(Escalation(_ms(step.after), step.to, step.severity) for step in item.escalate),
    )


def _ms(seconds: float) -> int:
    return round(seconds * _MS)
