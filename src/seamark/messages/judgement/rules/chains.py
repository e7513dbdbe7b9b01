"""What is said of chains, curses, and logs that lack."""

from __future__ import annotations

from collections.abc import Sequence

from seamark.core.findings import Finding, Severity
from seamark.core.units import format_duration
from seamark.messages.judgement.explain import WAITING
from seamark.messages.judgement.model import ChainNow, Curse, LaneNow, LogGap
from seamark.messages.judgement.rules.words import curse_group, lane_subject, some_messages
from seamark.messages.judgement.settings import JudgeSettings

__all__ = ["BEHIND_BLOCKS", "judge_chain", "judge_curse", "judge_gap", "judge_malformed"]

BEHIND_BLOCKS = 50  # as the tracker's health check
URGENT_FACTOR = 5  # a chain that is silent so many times longer than allowed is urgent


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
        text=f"{some_messages(held)} held up; lanes: {titles}",
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
