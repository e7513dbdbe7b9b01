"""What time decides: late, at a stop, silent, slow."""

from __future__ import annotations

from collections.abc import Iterator

from seamark.core.findings import Finding, Severity
from seamark.core.units import format_duration
from seamark.messages.judgement.explain import WAITING, limit_of, next_step
from seamark.messages.judgement.model import LaneNow, Waiting
from seamark.messages.judgement.rules.words import about_lane, list_command, some_messages
from seamark.messages.judgement.settings import JudgeSettings
from seamark.messages.model import Stage

__all__ = ["STOPPED_MESSAGES", "TIMED"]

STOPPED_MESSAGES = 3  # so many late ones with nothing newer getting through: the lane stands still, not one message


def _as_of(now: LaneNow, stage: Stage) -> int:
    return now.source_at if stage is Stage.SENT else now.destination_at


def _stuck(now: LaneNow, _: JudgeSettings) -> Iterator[Finding]:
    """Messages that are late in a stage."""
    for stage in WAITING:
        waiting, limit = now.waiting.get(stage), limit_of(now.profile, stage)
        if waiting is None or limit is None or not waiting.late or not _is_followed(now, stage):
            continue
        age = _as_of(now, stage) - waiting.oldest
        stuck = f"not {next_step(stage, commits=now.profile.commits)}"
        stuck += " though verified" if stage is Stage.COMMITTED and now.profile.verifiers else ""
        severity = Severity.CRITICAL if age > limit.critical else Severity.WARNING
        yield about_lane(
            now,
            "message_stuck",
            severity,
            f"{some_messages(waiting.late, exact=waiting.exact)} {stuck} in time",
            part=stage,
            text=(
                f"the oldest was sent {format_duration(age)} ago and is still {stuck}; "
                f"expected within {format_duration(limit.warn)}, urgent after {format_duration(limit.critical)}; "
                f"{waiting.count} in this stage"
            ),
            remedy=_stuck_remedy(now, stage),
            since=waiting.oldest + limit.warn,
            count=waiting.late,
            stage=stage,
        )


def _is_followed(now: LaneNow, stage: Stage) -> bool:
    return now.lane.names.source_watched if stage is Stage.SENT else now.lane.names.destination_watched


def _stuck_remedy(now: LaneNow, stage: Stage) -> str:
    listed = list_command(now, stage)
    if stage is Stage.SENT:
        return f"see whether {now.lane.names.source} still finalizes blocks, then: {listed}"
    if stage is Stage.COMMITTED and now.ripe.count:
        return f"{some_messages(now.ripe.count)} may be executed by hand: seamark messages recover {now.ripe.example}"
    return listed


def _stopped(now: LaneNow, _: JudgeSettings) -> Iterator[Finding]:
    """A whole lane stands still: several are late, and nothing newer got through."""
    if not now.lane.names.destination_watched:
        return
    final, committed = now.waiting.get(Stage.FINALIZED), now.waiting.get(Stage.COMMITTED)
    if not now.profile.commits:
        yield from _nothing_executed(now, Stage.FINALIZED, _together(final, committed))
        return
    if final and final.late >= STOPPED_MESSAGES and (now.last_commit or 0) <= final.oldest:
        yield about_lane(
            now,
            "sent_not_committed",
            Severity.CRITICAL,
            f"no commit for {some_messages(final.count)} that wait for one",
            text=f"the last commit came {_ago(now.last_commit, now)}" if now.last_commit else "none has ever come",
            remedy="see whether the network is paused or the lane cursed: seamark ccip check",
            since=final.oldest,
            count=final.count,
        )
    yield from _nothing_executed(now, Stage.COMMITTED, committed)


def _together(final: Waiting | None, verified: Waiting | None) -> Waiting | None:
    """Those that wait for their execution where nothing is committed: verified, or not as far as is known."""
    if final is None or verified is None:
        return final or verified
    return Waiting(
        final.count + verified.count,
        min(final.oldest, verified.oldest),
        max(final.newest, verified.newest),
        final.late + verified.late,
        final.exact and verified.exact,
    )


def _nothing_executed(now: LaneNow, stage: Stage, waiting: Waiting | None) -> Iterator[Finding]:
    if waiting and waiting.late >= STOPPED_MESSAGES and (now.last_delivery or 0) <= waiting.oldest:
        yield about_lane(
            now,
            "committed_not_executed",
            Severity.CRITICAL,
            f"nothing is executed any more, {some_messages(waiting.count)} wait",
            text=(
                f"the newest that was delivered was sent {_ago(now.last_delivery, now)}"
                if now.last_delivery
                else "none was ever delivered, as far as is known"
            ),
            remedy=_stuck_remedy(now, stage),
            since=waiting.oldest,
            count=waiting.count,
        )


def _ago(time: int, now: LaneNow) -> str:
    return f"{format_duration(max(now.destination_at - time, 0))} ago"


def _silent(now: LaneNow, _: JudgeSettings) -> Iterator[Finding]:
    """A busy lane without a send."""
    limit, last = now.profile.silence_s, now.last_sent
    if limit is None or last is None or not now.lane.names.source_watched or now.source_at - last <= limit:
        return
    learned = now.profile.learned.gap_p99
    usual = f"; 99 in 100 sends follow within {format_duration(learned)}" if learned is not None else ""
    yield about_lane(
        now,
        "lane_silent",
        Severity.WARNING,
        f"nothing was sent for {format_duration(now.source_at - last)}",
        text=f"silent after {format_duration(limit)}{usual}",
        remedy=f"see whether the sender still runs, then: seamark ccip check; {list_command(now, 'executed')}",
        since=last + limit,
    )


def _slow(now: LaneNow, settings: JudgeSettings) -> Iterator[Finding]:
    rates, limit = now.rates, now.profile.latency_s
    if rates is None or rates.total is None or rates.total.count < settings.min_rated or rates.total.p95 <= limit:
        return
    total = rates.total
    yield about_lane(
        now,
        "latency_high",
        Severity.WARNING,
        f"one message in twenty takes longer than {format_duration(total.p95)}",
        text=(
            f"of the newest {total.count} half took {format_duration(total.p50)}, "
            f"95 % {format_duration(total.p95)}, 99 % {format_duration(total.p99)}; allowed {format_duration(limit)}"
        ),
        remedy=f"seamark messages report --daily, then: {list_command(now, 'committed')}",
        since=rates.since,
        count=total.count,
    )


TIMED = (_stuck, _stopped, _silent, _slow)
