"""From what is known of a lane to what is expected of it; pure.

    settings of the lane  >  learned (p95 x factor)  >  finality of the source chain (ccip.md's rule of thumb)

Because limits count from the send, an earlier stage's limit can never exceed a later one's. Where two limits of
different origin disagree, the weaker word gives way.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from seamark.messages.judgement.model import LaneProfile, Learned, Limit, Origin, Percentiles
from seamark.messages.judgement.settings import JudgeSettings, LaneRule
from seamark.messages.model import LaneKey
from seamark.messages.protocol import Profile

__all__ = ["Sample", "Slice", "default_limits", "lane_profile", "learn", "percentiles", "silence_limit"]

UNKNOWN_FINALITY_S = 1200.0
"""Where nobody knows how long a source takes to be final: 20 minutes, longer than most rollups need."""

MINUTE_S = 60
# By stage (final, committed, executed): what to add to 1.5 and to 2 times the finality. The last pair is the rule for a
# whole message; with instant finality it is the runbook's five minutes.
WARN_FACTOR, CRITICAL_FACTOR = 1.5, 2.0
SLACK_S = ((1 * MINUTE_S, 5 * MINUTE_S), (3 * MINUTE_S, 10 * MINUTE_S), (5 * MINUTE_S, 15 * MINUTE_S))
PAUSE_FACTOR = 1.5
"""A lane that pauses for hours every night is silent only when it pauses half as long again."""


class Sample(NamedTuple):
    """One message: its time and, where known, when it was sent, final, committed and executed. `good`: it was executed
    by the protocol's network at the first attempt, so its spans are normal ones.
    """

    time: int
    good: bool
    sent: int | None
    final: int | None
    committed: int | None
    executed: int | None


class Slice(NamedTuple):
    """The first messages of a part of the window, oldest first; `whole`: all of that part's messages."""

    samples: Sequence[Sample]
    whole: bool


def percentiles(values: Iterable[int]) -> Percentiles | None:
    """By nearest rank; None of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None

    def rank(share: float) -> int:
        return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]

    return Percentiles(rank(0.5), rank(0.95), rank(0.99), len(ordered))


def learn(slices: Sequence[Slice], minimum: int) -> Learned:
    """What a window of stored messages says. Spans that two chains' clocks made negative count as zero."""
    samples = [sample for part in slices for sample in part.samples]
    good = [sample for sample in samples if sample.good and sample.sent is not None]
    finality = [_span(item.sent, item.final) for item in good if item.final is not None]
    commit = [_span(item.sent, item.committed) for item in good if item.committed is not None]
    total = [_span(item.sent, item.executed) for item in good if item.executed is not None]
    gaps = _gaps(slices)

    def enough(spans: Sequence[int]) -> Percentiles | None:
        return percentiles(max(span, 0) for span in spans) if len(spans) >= minimum else None

    pauses = percentiles(gaps) if len(gaps) >= minimum else None
    return Learned(
        messages=len(total),
        finality=enough(finality),
        commit=enough(commit),
        total=enough(total),
        gap_p99=pauses.p99 if pauses else None,
        skewed=sum(span < 0 for span in (*commit, *total)),
    )


def _span(start: int | None, end: int | None) -> int:
    assert start is not None
    assert end is not None
    return end - start


def _gaps(slices: Sequence[Slice]) -> list[int]:
    """Seconds between sends that followed each other: across two parts only where the first is known to its end."""
    found: list[int] = []
    last: int | None = None
    for part in slices:
        for sample in part.samples:
            if last is not None:
                found.append(sample.time - last)
            last = sample.time
        if not part.whole:
            last = None
    return found


# ---- limits ---------------------------------------------------------------------------------------------------------


def default_limits(finality_s: float | None, *, instant: bool = False) -> tuple[Limit, Limit, Limit]:
    """Final, committed, executed: what finality alone makes one expect."""
    finality = 0.0 if instant else UNKNOWN_FINALITY_S if finality_s is None else finality_s
    first, second, third = (
        Limit(round(finality * WARN_FACTOR) + warn, round(finality * CRITICAL_FACTOR) + critical)
        for warn, critical in SLACK_S
    )
    return first, second, third


def lane_profile(
    lane: LaneKey, default: Profile, learned: Learned, rule: LaneRule, settings: JudgeSettings, *, at: int = 0
) -> LaneProfile:
    """What to expect of a lane."""
    wanted = (rule.final, rule.committed, rule.executed)
    seen = (learned.finality, learned.commit, learned.total)
    base = default_limits(default.finality_s, instant=default.instant)
    chosen = [
        _from_settings(given, settings) if given is not None else _from_learned(spans, settings) if spans else limit
        for given, spans, limit in zip(wanted, seen, base, strict=True)
    ]
    final, committed, executed = _in_order(chosen)
    instant_s = round(settings.latency) if default.instant else base[2].warn
    return LaneProfile(
        lane=lane,
        final=final,
        committed=committed,
        executed=executed,
        latency_s=instant_s if rule.latency is None else round(rule.latency),
        instant=default.instant,
        manual_after_s=None if default.manual_after_s is None else round(default.manual_after_s),
        commits=default.commits,
        verifiers=default.verifiers,
        silence_s=_silence(learned, rule, settings),
        learned=learned,
        at=at,
    )


def _from_settings(warn: float, settings: JudgeSettings) -> Limit:
    return Limit(round(warn), round(warn * settings.critical_factor), Origin.SETTINGS)


def _from_learned(spans: Percentiles, settings: JudgeSettings) -> Limit:
    warn = max(spans.p95 * settings.factor, settings.floor)
    return Limit(round(warn), round(warn * settings.critical_factor), Origin.LEARNED)


def _in_order(limits: Sequence[Limit]) -> list[Limit]:
    """The same with earlier stages' limits below later ones'. The strongest is placed first, of equals the last."""
    ranked = sorted(range(len(limits)), key=lambda place: (-limits[place].origin, -place))
    done: dict[int, Limit] = {}
    for place in ranked:
        below = [done[other] for other in done if other < place]
        above = [done[other] for other in done if other > place]
        limit = limits[place]
        done[place] = Limit(
            _between(limit.warn, [item.warn for item in below], [item.warn for item in above]),
            _between(limit.critical, [item.critical for item in below], [item.critical for item in above]),
            limit.origin,
        )
    return [done[place] for place in range(len(limits))]


def _between(value: int, below: Sequence[int], above: Sequence[int]) -> int:
    return min(max(value, *below) if below else value, *above) if above else max(value, *below) if below else value


def _silence(learned: Learned, rule: LaneRule, settings: JudgeSettings) -> int | None:
    if rule.silence is not None:
        return round(rule.silence) or None
    if learned.gap_p99 is None:
        return None
    return round(max(learned.gap_p99 * settings.silence_factor, settings.silence))


def silence_limit(profile: LaneProfile, longest_pause: int | None) -> int | None:
    """Seconds without a send after which a lane is silent, seen how long it has paused before."""
    if profile.silence_s is None or longest_pause is None:
        return profile.silence_s
    return max(profile.silence_s, round(longest_pause * PAUSE_FACTOR))
