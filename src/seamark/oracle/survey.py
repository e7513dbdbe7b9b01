"""Every source asked once, and what the feed would make of it: for checks and explanations, through the same code.

    Sources (as the publisher's)  --one report each-->  aggregate, decide (as the publisher's)  -->  Opinion

What needs a history (a source that stands still, an average over a window, an answer that waits for confirmation) has
none here: a source cannot be found frozen, an average is of one moment, and a jump is told as one that would be held.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from seamark.oracle.explain import FAULTS
from seamark.oracle.model import Answer, FeedState, HoldReason, Quote, Rejected, SourceFailure, SourceReport, Trigger
from seamark.oracle.plan import FeedPlan
from seamark.oracle.rules import aggregate, decide, follow_window
from seamark.oracle.sources.hubs import Sources
from seamark.runtime.clock import Clock

__all__ = ["Opinion", "SourceLine", "ask_once", "judge"]

GRACE_S = 1.0  # beyond the slowest source's own deadline
ONCE_S = 3_600.0  # between two questions: within a survey there is no second

HOLDS = {
    HoldReason.CURRENT: "nothing to publish: the round on chain is current",
    HoldReason.SAME_OBSERVATION: "nothing to publish: the round on chain is as new",
    HoldReason.PARKED: "waits to confirm the answer that the contract has parked",
    HoldReason.FEED_PAUSED: "the contract is paused",
    HoldReason.JUMP: "would be held: a jump beyond max_step that waits for confirmation",
}


@dataclass(frozen=True, slots=True)
class SourceLine:
    """One source. `verdict` is "used", or a word for why not; `detail` says it in words."""

    source: str
    venue: str
    weight: int
    verdict: str
    detail: str = ""
    price: str | None = None
    age: float | None = None
    untimed: bool = False

    @property
    def used(self) -> bool:
        return self.verdict == "used"


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the feed would do now. `decision` is in words; `reason` where it would publish."""

    sources: tuple[SourceLine, ...]
    result: Answer | Rejected
    decision: str
    reason: str | None = None


async def ask_once(plans: Sequence[FeedPlan], sources: Sources, clock: Clock) -> dict[str, dict[str, SourceReport]]:
    """The first report of every source: by feed, by source. Silent ones are missing when their deadline is over."""
    told: dict[str, dict[str, SourceReport]] = {plan.ref.name: {} for plan in plans}
    expected = sum(len(plan.sources) for plan in plans)
    complete = asyncio.Event()

    def take(feed: str, report: SourceReport) -> None:
        told[feed].setdefault(report.source, report)
        if sum(map(len, told.values())) >= expected:
            complete.set()

    for plan in plans:
        for source in plan.sources:
            sources.subscribe(source, interval=ONCE_S, subscriber=partial(take, plan.ref.name), feed=plan.ref.name)
    patience = max((source.deadline for plan in plans for source in plan.sources), default=0.0) + GRACE_S
    running = asyncio.create_task(sources.run())
    waiting = [asyncio.create_task(complete.wait()), asyncio.create_task(clock.sleep(patience))]
    try:
        await asyncio.wait([running, *waiting], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
    finally:
        for task in (running, *waiting):
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task
    return told


def judge(plan: FeedPlan, told: dict[str, SourceReport], state: FeedState | None, *, now: float) -> Opinion:
    """What these reports come to. Without the contract's state nothing can be decided, and 8 decimals are assumed."""
    quotes = [report for report in told.values() if isinstance(report, Quote)]
    bounds = None
    if state is not None and state.min_answer is not None and state.max_answer is not None:
        bounds = (state.min_answer, state.max_answer)
    result = aggregate(
        quotes,
        now=now,
        policy=plan.aggregation,
        decimals=8 if state is None else state.decimals,
        feed_bounds=bounds,
        window=follow_window({}, quotes, now, plan.aggregation),
    )
    return Opinion(_lines(plan, told, result, now), result, *_decision(plan, result, state, now))


def _decision(plan: FeedPlan, result: Answer | Rejected, state: FeedState | None, now: float) -> tuple[str, str | None]:
    if isinstance(result, Rejected):
        return f"no answer: {result.detail}", None
    if state is None:
        return "unknown: the contract was not read", None
    decision = decide(state, result, now, plan.trigger)
    if isinstance(decision, Trigger):
        return f"would publish round {state.next_round}: {decision.reason}", str(decision.reason)
    return HOLDS.get(decision.reason, f"nothing to publish: {decision.reason}"), None


def _lines(
    plan: FeedPlan, told: dict[str, SourceReport], result: Answer | Rejected, now: float
) -> tuple[SourceLine, ...]:
    faults = {item.quote.source: item.fault for item in result.rejected}
    lines = []
    for source in plan.sources:
        report = told.get(source.name)
        line = partial(SourceLine, source.name, source.venue, source.weight)
        if report is None:
            lines.append(line("silent", f"nothing within {source.deadline:g} s"))
        elif isinstance(report, SourceFailure):
            lines.append(line(report.kind, report.detail))
        else:
            fault = faults.get(source.name)
            lines.append(
                line(
                    "used" if fault is None else str(fault),
                    "" if fault is None else FAULTS[fault],
                    price=f"{report.price:f}" if report.price.is_finite() else str(report.price),
                    age=now - report.observed_at,
                    untimed=report.untimed,
                )
            )
    return tuple(lines)
