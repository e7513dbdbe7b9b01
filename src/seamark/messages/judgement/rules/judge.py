"""What is wrong, from what is true now: pure functions from values to findings.

Each rule looks at one lane (or chain, or curse) and says at most a few things about it, with the numbers, since when,
and the next command. A cause is told once: what stands still only because of a curse is told as its consequence, in the
curse's group and without urgency. What has not been read yet is never late: every age is taken as of the time up to
which the chain in question has been read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from seamark.core.findings import Finding, Severity
from seamark.messages.judgement.model import Curse, JudgedLane, LaneNow, Now
from seamark.messages.judgement.rules.chains import judge_chain, judge_curse, judge_gap, judge_malformed
from seamark.messages.judgement.rules.deliveries import UNTIMED
from seamark.messages.judgement.rules.timing import TIMED
from seamark.messages.judgement.rules.words import curse_group
from seamark.messages.judgement.settings import JudgeSettings, rule_for

__all__ = ["curse_on", "judge", "judge_lane"]


def judge(now: Now, settings: JudgeSettings) -> list[Finding]:
    """All that is wrong."""
    found: list[Finding] = []
    for lane in now.lanes:
        muted = rule_for(settings, lane.lane.key.protocol, lane.lane.names).mute
        found += judge_lane(lane, settings, curse_on(lane.lane, now.curses), muted=muted)
    for chain in now.chains:
        found += judge_chain(chain, settings, now.at)
    for curse in now.curses:
        stopped = [lane for lane in now.lanes if curse.stops(lane.lane.key, lane.lane.names)]
        found.append(judge_curse(curse, stopped))
    if now.malformed:
        found.append(judge_malformed(now.protocol, now.malformed))
    return [*found, *(judge_gap(gap) for gap in now.gaps)]


def curse_on(lane: JudgedLane, curses: Iterable[Curse]) -> Curse | None:
    """The first curse that stops a lane."""
    return next((curse for curse in curses if curse.stops(lane.key, lane.names)), None)


def judge_lane(
    now: LaneNow, settings: JudgeSettings, curse: Curse | None = None, *, muted: bool = False
) -> list[Finding]:
    """Everything about one lane."""
    timed = [] if muted else [finding for rule in TIMED for finding in rule(now, settings)]
    if curse is not None:
        timed = [_consequence(finding, curse) for finding in timed]
    return [*timed, *(finding for rule in UNTIMED for finding in rule(now, settings))]


def _consequence(finding: Finding, curse: Curse) -> Finding:
    return replace(
        finding,
        severity=Severity.INFO,
        group=curse_group(curse),
        title=f"{finding.title} (because {curse.chain} is cursed)",
        labels={**finding.labels, "cause": "cursed"},
    )
