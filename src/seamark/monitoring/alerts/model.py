"""Alerts and what people do about them.

A finding (`seamark.core.findings`) is what a producer reports as true now. An *alert* is the time during which a
finding of one name (kind, subject) was true, whoever reported it: it opens, may change its severity, and resolves; a
later one of the same name is another alert. At most one alert of a name is open.

An open alert speaks unless it is *folded* below another one that explains it, *silenced* by a person's matchers, or
*acknowledged*: then somebody has it and nobody is told again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Final, Self

from seamark.core.findings import Severity

__all__ = ["RANK", "Ack", "Action", "Alert", "Entry", "Matcher", "Name", "Scope", "Silence", "Source", "Standing"]

RANK: Final = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}
"""How severities compare."""

Name = tuple[str, str]
"""(kind, subject)."""


class Standing(StrEnum):
    """How an alert is shown: the first that applies."""

    RESOLVED = "resolved"
    FOLDED = "folded"
    SILENCED = "silenced"
    ACKNOWLEDGED = "acknowledged"
    FIRING = "firing"


class Action(StrEnum):
    """What can be done to an alert or a silence; the words of the history."""

    OPENED = "opened"
    RAISED = "raised"
    LOWERED = "lowered"
    WENT = "went"
    RETURNED = "returned"
    RESOLVED = "resolved"
    FOLDED = "folded"
    UNFOLDED = "unfolded"
    ACKNOWLEDGED = "acknowledged"
    UNACKNOWLEDGED = "unacknowledged"
    SILENCED = "silenced"
    UNSILENCED = "unsilenced"
    FORGOTTEN = "forgotten"
    NOTIFIED = "notified"
    UNDELIVERED = "undelivered"


@dataclass(frozen=True, slots=True)
class Ack:
    """Somebody has it. `until_ms` None: until it resolves or gets worse."""

    who: str
    why: str
    at_ms: int
    until_ms: int | None = None

    def holds(self, now_ms: int) -> bool:
        return self.until_ms is None or now_ms < self.until_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert as stored. Times are milliseconds since the epoch, but for `since`, which is the finding's, in seconds.

    `absent_ms`: since when the finding is gone while the alert still waits (it has flapped). `returns`: how often it
    came back shortly after it had gone. `stale`: nobody has confirmed it for too long.
    """

    id: int
    kind: str
    subject: str
    severity: Severity
    group: str
    title: str
    text: str = ""
    remedy: str = ""
    since: int | None = None
    count: int = 1
    labels: Mapping[str, str] = field(default_factory=dict)
    opened_ms: int = 0
    updated_ms: int = 0
    resolved_ms: int | None = None
    absent_ms: int | None = None
    returns: int = 0
    stale: bool = False
    folded_under: int | None = None
    ack: Ack | None = None

    @property
    def name(self) -> Name:
        return self.kind, self.subject

    @property
    def is_open(self) -> bool:
        return self.resolved_ms is None

    def is_acknowledged(self, now_ms: int) -> bool:
        return self.ack is not None and self.ack.holds(now_ms)


_MATCHER = re.compile(r"(?P<field>kind|group|subject|severity|label\.[A-Za-z_][A-Za-z0-9_]*)(?P<op>!?=)(?P<glob>.+)")


@dataclass(frozen=True, slots=True)
class Matcher:
    """`kind=message_*`, `group!=besu`, `label.source=besu`: a field, and a glob that its value matches or does not."""

    field: str
    glob: str
    negated: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read it as a person writes it.

        Raises:
            ValueError: No known field, no operator, or no value.
        """
        found = _MATCHER.fullmatch(text.strip())
        if found is None:
            raise ValueError(
                f"{text!r} is no matcher; write kind=…, group=…, subject=…, severity=… or label.NAME=… (!= for not; "
                "* and ? stand for anything)"
            )
        return cls(found["field"], found["glob"], found["op"] == "!=")

    def __str__(self) -> str:
        return f"{self.field}{'!=' if self.negated else '='}{self.glob}"

    def matches(self, alert: Alert) -> bool:
        return fnmatchcase(self._value(alert), self.glob) != self.negated

    def _value(self, alert: Alert) -> str:
        if self.field.startswith("label."):
            return alert.labels.get(self.field.removeprefix("label."), "")
        return str(getattr(alert, self.field))


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Alerts that match all of it are not told of until `until_ms`. `ended_ms`: taken back before."""

    id: int
    matchers: tuple[Matcher, ...]
    created_ms: int
    until_ms: int
    who: str
    why: str
    ended_ms: int | None = None
    ended_by: str = ""

    def holds(self, now_ms: int) -> bool:
        return self.ended_ms is None and now_ms < self.until_ms

    def covers(self, alert: Alert) -> bool:
        return all(matcher.matches(alert) for matcher in self.matchers)


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the history: what was done to which alert or silence, when, by whom."""

    at_ms: int
    action: Action
    alert_id: int | None
    who: str
    text: str
    silence_id: int | None = None
    id: int = 0


NAMED: Final = 4  # parts that a scope is called by; more are counted


@dataclass(frozen=True, slots=True)
class Scope:
    """What one producer looks at, of all that producers of its kind may: its chains, its feeds. Producers of one kind
    with other scopes are other sources, so that two processes on one database do not take back each other's findings.

    `parts` are compared, so they must stay the same over restarts; `label` is what people, and the source's name, call
    them.
    """

    label: str
    parts: frozenset[str]

    @classmethod
    def of(cls, named: Mapping[str, str], *, noun: str = "chains") -> Self:
        """From the parts and what people call them; `noun`: what they are, where they are too many to name."""
        if len(named) <= NAMED:
            return cls(", ".join(sorted(named.values())), frozenset(named))
        digest = sha256("\n".join(sorted(named)).encode()).hexdigest()[:6]
        return cls(f"{len(named)} {noun}, {digest}", frozenset(named))

    def source(self, producer: str) -> str:
        """What a producer with this scope is called."""
        return f"{producer} on {self.label}" if self.parts else producer


@dataclass(frozen=True, slots=True)
class Source:
    """Somebody who reports findings. `every_ms`: how often at least, as far as it said so. `producer` and `scope`: of
    which kind it is, and what it looks at; no parts where it looks at everything of its kind.
    """

    name: str
    reported_ms: int
    every_ms: int | None
    findings: int
    producer: str = ""
    scope: frozenset[str] = frozenset()
