"""What is wrong, from what is true now: pure functions from values to findings.

Each rule looks at one lane (or chain, or curse) and says at most a few things about it, with the numbers, since when,
and the next command. A cause is told once: what stands still only because of a curse is told as its consequence, in the
curse's group and without urgency. What has not been read yet is never late: every age is taken as of the time up to
which the chain in question has been read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from seamark.core.findings import Finding, Severity
from seamark.core.units import format_duration, format_ratio
from seamark.messages.judgement.explain import WAITING, limit_of, next_step
from seamark.messages.judgement.model import (
    ChainNow,
    Curse,
    Few,
    JudgedLane,
    LaneNow,
    LogGap,
    Now,
    Waiting,
)
from seamark.messages.judgement.settings import JudgeSettings, rule_for
from seamark.messages.model import LaneKey, Stage

__all__ = [
    "curse_group",
    "curse_on",
    "judge",
    "judge_chain",
    "judge_curse",
    "judge_gap",
    "judge_lane",
    "judge_malformed",
    "lane_group",
    "lane_subject",
]

BEHIND_BLOCKS = 50  # as the tracker's health check
URGENT_FACTOR = 5  # a chain that is silent so many times longer than allowed is urgent
STOPPED_MESSAGES = 3  # so many late ones with nothing newer getting through: the lane stands still, not one message
BAD_SUCCESS_PPB = 800_000_000  # below 80 % delivered, or above 25 % failed, it is no longer a trend but an outage
BAD_ERROR_PPB = 250_000_000
PPB = 10**9

NAMED_GAPS = 5  # ranges of missing numbers in a text

DECISIVE = frozenset({"receiver_reverted", "receiver_out_of_gas", "token_failed", "token_rate_limited"})
"""Failures that the message itself causes. Where anybody may try (CCIP 2.0), others may be a bad attempt of a stranger,
and count only once the message is late."""
OPEN_TO_ALL = "2."
"""Generations in which anybody may execute."""

Rule = Callable[[LaneNow, JudgeSettings], Iterator[Finding]]


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


# ---- lanes ----------------------------------------------------------------------------------------------------------


def lane_subject(key: LaneKey) -> str:
    return "/".join(key)


def lane_group(lane: JudgedLane) -> str:
    return f"{lane.key.protocol} lane {lane.title}"


def curse_group(curse: Curse) -> str:
    return f"curse of {curse.chain}"


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


def _finding(
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


def _list(now: LaneNow, stage: str) -> str:
    names = now.lane.names
    return f"seamark messages list --source {names.source!r} --destination {names.destination!r} --stage {stage}"


def _messages(count: int, *, exact: bool = True) -> str:
    some = f"{count} message{'' if count == 1 else 's'}"
    return some if exact else f"at least {some}"


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
        severity = Severity.CRITICAL if age > limit.critical else Severity.WARNING
        yield _finding(
            now,
            "message_stuck",
            severity,
            f"{_messages(waiting.late, exact=waiting.exact)} {stuck} in time",
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
    listed = _list(now, stage)
    if stage is Stage.SENT:
        return f"see whether {now.lane.names.source} still finalizes blocks, then: {listed}"
    if stage is Stage.COMMITTED and now.ripe.count:
        return f"{_messages(now.ripe.count)} may be executed by hand: seamark messages recover {now.ripe.example}"
    return listed


def _stopped(now: LaneNow, _: JudgeSettings) -> Iterator[Finding]:
    """A whole lane stands still: several are late, and nothing newer got through."""
    if not now.lane.names.destination_watched:
        return
    final, committed = now.waiting.get(Stage.FINALIZED), now.waiting.get(Stage.COMMITTED)
    if not now.profile.commits:
        yield from _nothing_executed(now, Stage.FINALIZED, final)
        return
    if final and final.late >= STOPPED_MESSAGES and (now.last_commit or 0) <= final.oldest:
        yield _finding(
            now,
            "sent_not_committed",
            Severity.CRITICAL,
            f"no commit for {_messages(final.count)} that wait for one",
            text=f"the last commit came {_ago(now.last_commit, now)}" if now.last_commit else "none has ever come",
            remedy="see whether the network is paused or the lane cursed: seamark ccip check",
            since=final.oldest,
            count=final.count,
        )
    yield from _nothing_executed(now, Stage.COMMITTED, committed)


def _nothing_executed(now: LaneNow, stage: Stage, waiting: Waiting | None) -> Iterator[Finding]:
    if waiting and waiting.late >= STOPPED_MESSAGES and (now.last_delivery or 0) <= waiting.oldest:
        yield _finding(
            now,
            "committed_not_executed",
            Severity.CRITICAL,
            f"nothing is executed any more, {_messages(waiting.count)} wait",
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
    yield _finding(
        now,
        "lane_silent",
        Severity.WARNING,
        f"nothing was sent for {format_duration(now.source_at - last)}",
        text=f"silent after {format_duration(limit)}{usual}",
        remedy=f"see whether the sender still runs, then: seamark ccip check; {_list(now, 'executed')}",
        since=last + limit,
    )


def _slow(now: LaneNow, settings: JudgeSettings) -> Iterator[Finding]:
    rates, limit = now.rates, now.profile.latency_s
    if rates is None or rates.total is None or rates.total.count < settings.min_rated or rates.total.p95 <= limit:
        return
    total = rates.total
    yield _finding(
        now,
        "latency_high",
        Severity.WARNING,
        f"one message in twenty takes longer than {format_duration(total.p95)}",
        text=(
            f"of the newest {total.count} half took {format_duration(total.p50)}, "
            f"95 % {format_duration(total.p95)}, 99 % {format_duration(total.p99)}; allowed {format_duration(limit)}"
        ),
        remedy=f"seamark messages report --daily, then: {_list(now, 'committed')}",
        since=rates.since,
        count=total.count,
    )


def _failed(now: LaneNow, _: JudgeSettings) -> Iterator[Finding]:
    """Deliveries that failed and were not repaired."""
    reasons = _counting_failures(now)
    count = sum(reasons.values())
    if not count:
        return
    waiting = now.waiting.get(Stage.FAILED)
    example = now.failed_first
    yield _finding(
        now,
        "message_failed",
        Severity.WARNING,
        f"{_messages(count)} failed at {now.lane.names.destination}",
        text=", ".join(f"{number} {reason or 'unknown'}" for reason, number in sorted(reasons.items())),
        remedy=(f"remove the cause, then: seamark messages recover {example}" if example else _list(now, Stage.FAILED)),
        since=waiting.oldest if waiting else None,
        count=count,
    )


def _counting_failures(now: LaneNow) -> Mapping[str, int]:
    """Failures by reason. Where anybody may execute, one that the message did not cause counts once it is late."""
    reasons = {reason: number for reason, number in now.failed.items() if number > 0}
    waiting = now.waiting.get(Stage.FAILED)
    if not now.lane.version.startswith(OPEN_TO_ALL) or (waiting is not None and waiting.late):
        return reasons
    return {reason: number for reason, number in reasons.items() if reason in DECISIVE}


def _rates(now: LaneNow, settings: JudgeSettings) -> Iterator[Finding]:
    """Over messages that are old enough to be delivered: those on their way prove nothing."""
    rates = now.rates
    if rates is None or rates.matured < settings.min_rated or not now.lane.names.destination_watched:
        return
    missing, failed = rates.matured - rates.delivered, rates.failed
    if rates.delivered * PPB < settings.success_rate * rates.matured:
        bad = rates.delivered * PPB < BAD_SUCCESS_PPB * rates.matured
        yield _finding(
            now,
            "success_rate_low",
            Severity.CRITICAL if bad else Severity.WARNING,
            f"{rates.success:.1%} of matured messages are delivered",
            text=f"{missing} of {rates.matured} are not; at least {format_ratio(settings.success_rate)} should be",
            remedy=f"{_list(now, Stage.FAILED)}; {_list(now, Stage.COMMITTED)}",
            since=rates.since,
            count=missing,
        )
    if failed * PPB > settings.error_rate * rates.matured:
        bad = failed * PPB > BAD_ERROR_PPB * rates.matured
        yield _finding(
            now,
            "error_rate_high",
            Severity.CRITICAL if bad else Severity.WARNING,
            f"the delivery of {rates.error:.1%} of messages failed",
            text=f"{failed} of {rates.matured}; at most {format_ratio(settings.error_rate)} should",
            remedy=f"seamark messages report --daily; {_list(now, Stage.FAILED)}",
            since=rates.since,
            count=failed,
        )


def _blocked(now: LaneNow, _: JudgeSettings) -> Iterator[Finding]:
    """Ordered senders whose messages wait for an earlier one."""
    for item in now.blocked:
        yield _finding(
            now,
            "nonce_blocked",
            Severity.WARNING,
            f"{_messages(item.waiting)} of {item.sender} wait for an earlier one",
            part=item.sender,
            text=f"the first is {item.head} (nonce {item.nonce}, {item.stage}); later ones are skipped until it is run",
            remedy=f"seamark messages recover {item.head}",
            since=item.since,
            count=item.waiting,
        )


def _gaps(now: LaneNow, _: JudgeSettings) -> Iterator[Finding]:
    check = now.sequences
    if check is None or not check.missing:
        return
    ranges = [f"{first}" if first == last else f"{first}-{last}" for first, last in check.gaps]
    named = ", ".join(ranges[:NAMED_GAPS])
    more = f" and {len(ranges) - NAMED_GAPS} more" if len(ranges) > NAMED_GAPS else ""
    yield _finding(
        now,
        "sequence_gap",
        Severity.CRITICAL,
        f"{_messages(check.missing)} lack between numbers {check.first} and {check.upto}",
        text=f"missing: {named}{more}; the blocks were read, so a node has left out logs",
        remedy=f"add another endpoint for {now.lane.names.source}: what is missing is read again by itself",
        count=check.missing,
    )


def _odd(now: LaneNow, _: JudgeSettings) -> Iterator[Finding]:
    odd, names = now.odd, now.lane.names

    def about(few: Few, kind: str, severity: Severity, title: str, remedy: str) -> Iterator[Finding]:
        if few.count:
            some = _messages(few.count, exact=few.exact)
            yield _finding(
                now,
                kind,
                severity,
                f"{some} {title}",
                text=f"the newest is {few.example}",
                remedy=remedy,
                since=few.since,
                count=few.count,
            )

    show = "seamark messages show "
    yield from about(
        odd.reorged,
        "reorged_after_delivery",
        Severity.CRITICAL,
        f"delivered at {names.destination}, though the send has left {names.source} in a reorg",
        f"compare the balances of both chains, then: {show}{odd.reorged.example}",
    )
    yield from about(
        odd.uncalled,
        "delivered_without_callback",
        Severity.WARNING,
        "delivered, but the receiver's code did not run",
        f"see whether the receiver is a contract that takes messages: {show}{odd.uncalled.example}",
    )
    yield from about(odd.manual, "manual_execution", Severity.INFO, "delivered by hand", f"{show}{odd.manual.example}")
    yield from about(
        odd.conflicting,
        "conflicting_destination",
        Severity.CRITICAL,
        f"for which {names.destination} told of another lane or number",
        f"see whether both ends are of the same CCIP: {show}{odd.conflicting.example}",
    )


def _skew(now: LaneNow, _: JudgeSettings) -> Iterator[Finding]:
    if skewed := now.profile.learned.skewed:
        names = now.lane.names
        yield _finding(
            now,
            "clock_skew",
            Severity.INFO,
            f"{_messages(skewed)} arrived before being sent, by the chains' clocks",
            text=f"the clocks of {names.source} and {names.destination} differ; such spans count as zero",
            count=skewed,
        )


def _unwatched(now: LaneNow, _: JudgeSettings) -> Iterator[Finding]:
    names = now.lane.names
    count = sum(item.count for stage, item in now.waiting.items() if stage in WAITING)
    if names.destination_watched or not count:
        return
    yield _finding(
        now,
        "destination_not_watched",
        Severity.INFO,
        f"{names.destination} is not watched",
        text=f"{_messages(count)} left for it, and nobody sees how they fare",
        remedy="add the chain to the settings",
        count=count,
    )


TIMED: tuple[Rule, ...] = (_stuck, _stopped, _silent, _slow)
UNTIMED: tuple[Rule, ...] = (_failed, _rates, _blocked, _gaps, _odd, _skew, _unwatched)


# ---- chains, curses, counters ---------------------------------------------------------------------------------------


def judge_chain(chain: ChainNow, settings: JudgeSettings, now: float) -> list[Finding]:
    """Is a chain read, and is its clock right?"""
    found: list[Finding] = []
    blind = now - chain.good_at
    severity = Severity.CRITICAL if blind > settings.chain_silent * URGENT_FACTOR else Severity.WARNING
    lag = chain.head - chain.scanned

    def add(kind: str, severity: Severity, title: str, text: str, remedy: str = "", **more: int) -> None:
        found.append(
            Finding(
                kind=kind,
                subject=str(chain.chain_id),
                severity=severity,
                group=f"chain {chain.name}",
                title=f"{chain.name}: {title}",
                text=text,
                remedy=remedy,
                since=more.get("since"),
                count=more.get("count", 1),
                labels={"chain": chain.name},
            )
        )

    if blind > settings.chain_silent and chain.error:
        text = f"no look succeeded for {format_duration(blind)}: {chain.error}"
        add("chain_unreachable", severity, "cannot be read", text, "seamark config check --online", since=chain.good_at)
    elif blind > settings.chain_silent and lag > BEHIND_BLOCKS:
        text = f"stored up to block {chain.scanned} of {chain.head}; what is newer is not judged yet"
        remedy = "wait while it catches up; a faster endpoint helps"
        add("chain_behind", severity, f"{lag} blocks behind", text, remedy, since=chain.good_at)
    if chain.scanned_time - now > settings.clock_skew:
        ahead = format_duration(chain.scanned_time - now)
        text = "ages and latencies on its lanes are wrong by as much"
        add(
            "clock_skew",
            Severity.WARNING,
            f"its newest block is {ahead} in the future",
            text,
            "check this machine's clock",
        )
    return found


def judge_curse(curse: Curse, lanes: Sequence[LaneNow]) -> Finding:
    """One finding, however many messages stand still."""
    held = sum(item.count for now in lanes for stage, item in now.waiting.items() if stage in WAITING)
    what = "all lanes" if curse.subject == "*" else f"the lanes with {curse.subject_name}"
    titles = ", ".join(sorted({now.lane.title for now in lanes})) or "none that is known"
    return Finding(
        kind="cursed",
        subject=f"{curse.chain_id}/{curse.subject}",
        severity=Severity.CRITICAL,
        group=curse_group(curse),
        title=f"{curse.chain} is cursed: {what} stand still",
        text=f"{_messages(held)} held up; lanes: {titles}",
        remedy="nothing can be sent or executed until it is lifted; follow it with: seamark ccip check",
        since=curse.since,
        count=max(held, 1),
        labels={"chain": curse.chain},
    )


def judge_malformed(protocol: str, count: int) -> Finding:
    """Logs of watched contracts that are not what their signature says, in the last hour."""
    return Finding(
        kind="malformed_log",
        subject=protocol,
        severity=Severity.WARNING,
        group=f"{protocol} logs",
        title=f"{protocol}: {count} log{'' if count == 1 else 's'} could not be read in the last hour",
        text="they are counted and logged, not followed",
        remedy="the log names the transaction of each: look for 'malformed log'",
        count=count,
    )


def judge_gap(gap: LogGap) -> Finding:
    """Logs that a contract has counted and no node shows."""
    count = gap.last - gap.first + 1
    what = "sends" if gap.kind == "sent" else "commits"
    return Finding(
        kind="log_gap",
        subject=f"{lane_subject(gap.lane)}/{gap.kind}",
        severity=Severity.CRITICAL,
        group=f"chain {gap.chain}",
        title=f"{gap.chain}: {count} {what} are in no log",
        text=(
            f"the contract has counted up to {gap.last}, the ledger knows up to {gap.first - 1}; "
            f"blocks {gap.from_block} to {gap.to_block} were read again {gap.tries} times"
        ),
        remedy=f"add another endpoint for {gap.chain}: what is missing is read again by itself",
        since=gap.since,
        count=count,
        labels={"chain": gap.chain, "direction": gap.kind},
    )
