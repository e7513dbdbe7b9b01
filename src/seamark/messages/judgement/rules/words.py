"""How findings are worded: names, groups, counts, and the commands that they point to."""

from __future__ import annotations

from seamark.core.findings import Finding, Severity
from seamark.messages.judgement.model import Curse, JudgedLane, LaneNow
from seamark.messages.model import LaneKey

__all__ = ["about_lane", "curse_group", "failures", "lane_group", "lane_subject", "list_command", "some_messages"]

_FAILURES = {
    "receiver_reverted": "refused by the receiver",
    "receiver_out_of_gas": "ran out of gas at the receiver",
    "not_enough_gas": "ran out of gas",
    "verification_failed": "without a valid proof",
    "finality_refused": "not final enough for the receiver",
    "token_rate_limited": "held by a token's rate limit",
    "token_no_liquidity": "without enough tokens in the pool",
    "token_failed": "refused by a token or its pool",
    "cursed": "held by a curse",
    "no_reason": "without a reason",
    "other": "for another reason",
    "": "for an unknown reason",
}
"""What a class of failures says of some messages, behind their number."""


def lane_subject(key: LaneKey) -> str:
    return "/".join(key)


def lane_group(lane: JudgedLane) -> str:
    return f"{lane.key.protocol} lane {lane.title}"


def curse_group(curse: Curse) -> str:
    return f"curse of {curse.chain}"


def about_lane(
    now: LaneNow,
    kind: str,
    severity: Severity,
    title: str,
    *,
    part: str = "",
    text: str = "",
    remedy: str = "",
    since: int | None = None,
    count: int = 1,
    **labels: str,
) -> Finding:
    lane = now.lane
    return Finding(
        kind=kind,
        subject=lane_subject(lane.key) + (f"/{part}" if part else ""),
        severity=severity,
        group=lane_group(lane),
        title=f"{lane.title}: {title}",
        text=text,
        remedy=remedy,
        since=since,
        count=count,
        labels={**lane.labels, **labels},
    )


def list_command(now: LaneNow, stage: str) -> str:
    names = now.lane.names
    return f"seamark messages list --source {names.source!r} --destination {names.destination!r} --stage {stage}"


def failures(reason: str) -> str:
    """A class of failures in words; a new one as it is called."""
    return _FAILURES.get(reason, reason.replace("_", " "))


def some_messages(count: int, *, exact: bool = True) -> str:
    some = f"{count} message{'' if count == 1 else 's'}"
    return some if exact else f"at least {some}"
