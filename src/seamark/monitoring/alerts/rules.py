"""What becomes of a name when its finding comes, changes, goes and comes back; what explains what; what is silent.

Pure: the present set, the open alert, a policy and the time go in; a `Step` comes out.

Damping: an alert that resolves and comes back within `flap_window` inherits how often that has happened. The first
time it goes it resolves at once; with each return its absence must last twice as long (`calm`, 2 x, 4 x … `calm_limit`)
until it counts as resolved. So a thing that flaps for ever tells of itself a logarithm of times.

Folding: an alert that says why ("chain besu is cursed") has those below it that say what follows from it ("lane besu to
anvil is late"). They stay open and on record and say nothing themselves; and for `fold_grace` after the upper one has
resolved, because what waited needs a while to arrive.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final

from seamark.core.findings import Finding, Severity
from seamark.core.times import DAY_MS
from seamark.core.units import format_duration
from seamark.monitoring.alerts.model import RANK, Alert, Silence, Source, Standing

__all__ = [
    "DEFAULT_DELAYS",
    "DEFAULT_FOLDS",
    "DEFAULT_POLICY",
    "SOURCE_SILENT",
    "Delay",
    "Fold",
    "Policy",
    "Step",
    "calm_needed_ms",
    "decide",
    "find_ended",
    "find_silent",
    "fold",
    "merge",
    "silencing",
    "standing",
    "worse",
]

SOURCE_SILENT: Final = "source_silent"
_MS: Final = 1000
_CHAIN_LABELS: Final = ("chain", "source", "dest", "destination")
"""Labels of findings whose value is the name of a chain."""


class Step(StrEnum):
    """What to do with a name."""

    NOTHING = "nothing"
    WAIT = "wait"
    OPEN = "open"
    UPDATE = "update"
    GO = "go"
    RETURN = "return"
    RESOLVE = "resolve"


@dataclass(frozen=True, slots=True)
class Delay:
    """Findings whose kind matches must stay for so long before they become an alert."""

    kind: str
    ms: int


@dataclass(frozen=True, slots=True)
class Fold:
    """While an alert of one of `by` is open for a chain (or lane), alerts of `kinds` on it are folded below it."""

    by: str
    kinds: tuple[str, ...]


DEFAULT_DELAYS: Final = (
    Delay("chain_unreachable", 60_000),
    Delay("service_*", 2 * 60_000),
    Delay(SOURCE_SILENT, 3 * 60_000),  # after a long stop all are silent, until each has had its first round
)
"""What restarts and busy hours bring by themselves; settings come before these."""

_STANDSTILL: Final = ("message_stuck", "sent_not_committed", "committed_not_executed", "lane_silent", "latency_high")

DEFAULT_FOLDS: Final = (
    Fold("cursed", (*_STANDSTILL, "nonce_blocked", "lane_disabled", "fee_*")),
    Fold("chain_unreachable", (*_STANDSTILL, "chain_behind", "feed_*", "router_unavailable", "fee_*", "service_*")),
    Fold("router_unavailable", ("lane_disabled", "fee_*")),
)
"""What explains what; kinds as producers name them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All spans in milliseconds."""

    delays: tuple[Delay, ...] = DEFAULT_DELAYS
    folds: tuple[Fold, ...] = DEFAULT_FOLDS
    flap_window_ms: int = 30 * 60_000
    calm_ms: int = 60_000
    calm_limit_ms: int = 30 * 60_000
    fold_grace_ms: int = 5 * 60_000
    silence_of_source_ms: int = 15 * 60_000
    forget_source_ms: int = 7 * DAY_MS

    def delay_of(self, kind: str) -> int:
        """The first that matches decides."""
        return next((delay.ms for delay in self.delays if fnmatchcase(kind, delay.kind)), 0)


DEFAULT_POLICY: Final = Policy()


def merge(findings: Sequence[Finding]) -> Finding:
    """Several producers on one name: the most severe speaks."""
    return max(findings, key=lambda finding: (RANK[finding.severity], finding.count))


def decide(finding: Finding | None, seen_ms: int, alert: Alert | None, now_ms: int, policy: Policy) -> Step:
    """What the present state asks for.

    Args:
        finding: What is reported under the name now.
        seen_ms: Since when.
        alert: The open alert of the name.
    """
    if finding is None:
        return Step.NOTHING if alert is None else _on_absence(alert, now_ms, policy)
    if alert is None:
        return Step.OPEN if now_ms - seen_ms >= policy.delay_of(finding.kind) else Step.WAIT
    if alert.absent_ms is not None:
        return Step.RETURN
    return Step.UPDATE if _differs(finding, alert) else Step.NOTHING


def _on_absence(alert: Alert, now_ms: int, policy: Policy) -> Step:
    needed = calm_needed_ms(alert.returns, policy)
    since = now_ms if alert.absent_ms is None else alert.absent_ms
    if now_ms - since >= needed:
        return Step.RESOLVE
    return Step.GO if alert.absent_ms is None else Step.WAIT


def calm_needed_ms(returns: int, policy: Policy) -> int:
    """How long the finding must be absent until the alert resolves."""
    doublings = min(returns - 1, 32)
    return 0 if returns == 0 else min(policy.calm_ms << doublings, policy.calm_limit_ms)


def _differs(finding: Finding, alert: Alert) -> bool:
    return (
        finding.severity != alert.severity
        or finding.count != alert.count
        or finding.title != alert.title
        or finding.text != alert.text
        or finding.remedy != alert.remedy
        or finding.group != alert.group
        or finding.since != alert.since
        or dict(finding.labels) != dict(alert.labels)
    )


def standing(alert: Alert, silences: Iterable[Silence], now_ms: int) -> Standing:
    """How it is shown."""
    if not alert.is_open:
        return Standing.RESOLVED
    if alert.folded_under is not None:
        return Standing.FOLDED
    if silencing(alert, silences, now_ms) is not None:
        return Standing.SILENCED
    return Standing.ACKNOWLEDGED if alert.is_acknowledged(now_ms) else Standing.FIRING


def silencing(alert: Alert, silences: Iterable[Silence], now_ms: int) -> Silence | None:
    """The silence that covers it, if any."""
    return next((item for item in silences if item.holds(now_ms) and item.covers(alert)), None)


def fold(alerts: Sequence[Alert], policy: Policy) -> dict[int, int]:
    """Alert -> the one that it is folded below.

    Args:
        alerts: All open ones, and those resolved within `fold_grace`.
    """
    uppers = [(alert, rule) for alert in alerts for rule in policy.folds if fnmatchcase(alert.kind, rule.by)]
    reach = [(upper, rule, _reach(upper)) for upper, rule in uppers]
    folded: dict[int, int] = {}
    for alert in alerts:
        if not alert.is_open:
            continue
        for upper, rule, chains in reach:
            if upper.id != alert.id and _is_below(alert, rule) and chains.covers(alert):
                folded[alert.id] = upper.id
                break
    return folded


def _is_below(alert: Alert, rule: Fold) -> bool:
    return not fnmatchcase(alert.kind, rule.by) and any(fnmatchcase(alert.kind, kind) for kind in rule.kinds)


@dataclass(frozen=True, slots=True)
class _Reach:
    """Which findings an upper one explains: those of its lane, or of its chain, and in any case those of its group."""

    group: str
    lane: tuple[str, str] | None
    chain: str | None

    def covers(self, alert: Alert) -> bool:
        if alert.group == self.group:
            return True
        if self.lane is not None:
            return _lane_of(alert.labels) == self.lane
        return self.chain is not None and self.chain in (alert.labels.get(label) for label in _CHAIN_LABELS)


def _reach(upper: Alert) -> _Reach:
    """A subject "CHAIN/PART" is about a part of the chain, "CHAIN/*" and "CHAIN" are about all of it."""
    _, is_part, part = upper.subject.partition("/")
    whole = not is_part or part == "*"
    return _Reach(upper.group, _lane_of(upper.labels), upper.labels.get("chain") if whole else None)


def _lane_of(labels: Mapping[str, str]) -> tuple[str, str] | None:
    source, dest = labels.get("source"), labels.get("dest", labels.get("destination"))
    return None if source is None or dest is None else (source, dest)


def find_silent(sources: Iterable[Source], now_ms: int, policy: Policy, *, own: Collection[str] = ()) -> list[Source]:
    """Those who should have reported long ago: three of their own rounds, and never less than the policy's span."""
    return [
        source
        for source in sources
        if source.name not in own
        and now_ms - source.reported_ms > max(3 * (source.every_ms or 0), policy.silence_of_source_ms)
    ]


def find_ended(
    sources: Iterable[Source],
    now_ms: int,
    policy: Policy,
    *,
    own: Collection[str] = (),
    told: Collection[str] = (),
) -> list[tuple[Source, str]]:
    """Silent ones that need not be waited for, and why: others of the kind look at all that it looked at (a process was
    started again with another list of chains), or it has said nothing for as long as the policy waits.

    `told`: those whose silence is an open alert. Only they end by their age: after a long stop all are silent.
    """
    known = list(sources)
    silent = find_silent(known, now_ms, policy, own=own)
    seen: dict[str, set[str]] = {}
    for source in known:
        if source not in silent:
            seen.setdefault(source.producer, set()).update(source.scope)
    ended = []
    for source in silent:
        if source.scope and source.scope <= seen.get(source.producer, set()):
            ended.append((source, "others look at all of it now"))
        elif source.name in told and now_ms - source.reported_ms > policy.forget_source_ms:
            ended.append((source, f"silent for more than {format_duration(policy.forget_source_ms / _MS)}"))
    return ended


def worse(first: Severity, second: Severity) -> bool:
    """Whether the first is the more severe."""
    return RANK[first] > RANK[second]
