"""Ticks through `aggregate` and `decide`, exactly as a publisher runs them, with a virtual clock and a simulated chain.

    ticks of one moment -> follow_streaks, follow_window -> aggregate -> follow_jump -> decide -> a round, after `delay`

The clock stands at each tick's time, and between ticks wherever the heartbeat falls due or a round lands; nothing else
happens in time, so a year takes as long as its ticks do. A source tells its last price until its next tick. One round
is on its way at a time, as with the publisher; a round that was submitted lands as it was decided. The contract's own
step limit is not simulated: `max_step` is the breaker.

Invariant: the same ticks and the same plan give the same figures, on every machine.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import groupby

from seamark.core.units import Ppb, from_base_units
from seamark.oracle.aggregation.statistics import relative
from seamark.oracle.backtest.ticks import Tick, to_quote
from seamark.oracle.model import (
    AggregationPolicy,
    Answer,
    FeedState,
    HoldReason,
    Jump,
    Quote,
    Reason,
    Rejected,
    Sample,
    Streak,
    Trigger,
    TriggerPolicy,
)
from seamark.oracle.rules import aggregate, decide, follow_jump, follow_streaks, follow_window, heartbeat_due_at

__all__ = ["Costs", "Figures", "Plan", "Point", "Update", "replay"]

_LEAST_STEP_S = 1.0  # between looks at a heartbeat that is due and finds no answer


@dataclass(frozen=True, slots=True)
class Costs:
    """What a round costs. `gas` per submission, `gas_price` in wei."""

    gas: int = 0
    gas_price: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is tried: a feed's rules, its decimals, and how long a round takes to land (seconds)."""

    aggregation: AggregationPolicy
    trigger: TriggerPolicy
    decimals: int = 8
    delay: float = 0.0
    costs: Costs = field(default_factory=Costs)


@dataclass(frozen=True, slots=True)
class Update:
    """One round as it landed. `time`: when; `price` in units of the quote currency."""

    time: float
    round: int
    price: Decimal
    reason: Reason


@dataclass(frozen=True, slots=True)
class Point:
    """One moment: the reference's price and the chain's, where there is one."""

    time: float
    reference: Decimal
    on_chain: Decimal | None
    error: Ppb | None


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of it. Errors are of the price on chain against the reference, at each tick; ages in seconds."""

    ticks: int
    start: float
    end: float
    updates: tuple[Update, ...]
    by_reason: Mapping[str, int]
    rejected: Mapping[str, int]
    held: int
    worst_error: Ppb
    worst_at: float
    mean_error: Ppb
    p99_error: Ppb
    worst_age: float
    expired_seconds: float
    cost_wei: int
    points: tuple[Point, ...]


def replay(ticks: Iterable[Tick], plan: Plan, reference: Sequence[Tick] | None = None) -> Figures:
    """Run the feed over the ticks.

    Args:
        ticks: In the order of their time.
        plan: The feed.
        reference: What the price really was, by time; where missing, what the ticks themselves came to at each moment,
            so that the error tells how far the chain lags behind the market.

    Raises:
        ValueError: No ticks.
    """
    run = _Run(plan, reference)
    for time, moment in groupby(ticks, key=lambda tick: tick.time):
        run.until(time)
        run.tell([to_quote(tick) for tick in moment], time)
    return run.figures()


class _Run:
    """One replay: the publisher's state, the chain's, and what is noted."""

    def __init__(self, plan: Plan, reference: Sequence[Tick] | None) -> None:
        self._plan = plan
        self._reference = reference
        self._times = [tick.time for tick in reference or ()]
        self._state = FeedState(0, 0, 0, 0, plan.decimals, "backtest", 0, 0)
        self._quotes: dict[str, Quote] = {}
        self._streaks: dict[str, Streak] = {}
        self._window: Mapping[str, tuple[Sample, ...]] = {}
        self._jump: Jump | None = None
        self._sent: tuple[float, Answer, Reason] | None = None
        self._updates: list[Update] = []
        self._points: list[Point] = []
        self._rejected: Counter[str] = Counter()
        self._held = 0
        self._ticks = 0
        self._moments: list[float] = []

    def tell(self, quotes: Sequence[Quote], now: float) -> None:
        self._ticks += len(quotes)
        self._moments.append(now)
        self._quotes.update((quote.source, quote) for quote in quotes)
        self._streaks = follow_streaks(self._streaks, list(self._quotes.values()))
        self._window = follow_window(self._window, self._quotes.values(), now, self._plan.aggregation)
        result = self._look(now)
        if isinstance(result, Rejected):
            self._rejected[str(result.why)] += 1
        self._note(now, result)

    def until(self, time: float) -> None:
        """What happens between the tick before and this one."""
        while (now := self._next(time)) is not None:
            landed = self._land(now)
            # A venue that is polled tells its last price again; how old that price may be is `max_age`.
            self._quotes = {name: quote.but(received_at=now) for name, quote in self._quotes.items()}
            rounds = len(self._updates)
            self._look(now)
            if not landed and self._sent is None and len(self._updates) == rounds:
                return  # without a new tick there will be no answer before this span's end

    def _next(self, time: float) -> float | None:
        """The next moment before `time` at which something falls due."""
        if not self._moments:
            return None
        if self._sent is not None:
            return self._sent[0] if self._sent[0] < time else None
        if not self._state.round:
            return None
        due = heartbeat_due_at(self._state, self._plan.trigger)
        return max(due, self._moments[-1] + _LEAST_STEP_S) if self._moments[-1] < due < time else None

    def _land(self, now: float) -> bool:
        """The round that is on its way, if it is mined by now."""
        if self._sent is None or self._sent[0] > now:
            return False
        at, answer, reason = self._sent
        self._sent = None
        self._state = replace(
            self._state,
            round=self._state.round + 1,
            answer=answer.value,
            started_at=answer.observed_at,
            updated_at=int(at),
            block_number=self._state.block_number + 1,
            block_time=int(at),
        )
        price = from_base_units(answer.value, self._plan.decimals)
        self._updates.append(Update(at, self._state.round, price, reason))
        return True

    def _look(self, now: float) -> Answer | Rejected:
        """What the publisher does at each tick of its own."""
        self._land(now)
        result = aggregate(
            self._quotes.values(),
            now=now,
            policy=self._plan.aggregation,
            decimals=self._plan.decimals,
            streaks=self._streaks,
            window=self._window,
        )
        if isinstance(result, Rejected):
            return result
        trigger = self._plan.trigger
        self._jump = follow_jump(self._state, result, self._jump, now, trigger)
        if self._sent is not None:
            return result
        decision = decide(self._state, result, now, trigger, self._jump)
        if isinstance(decision, Trigger):
            self._sent = (now + self._plan.delay, result, decision.reason)
            self._land(now)
        elif decision.reason is HoldReason.JUMP:
            self._held += 1
        return result

    # ---- what is noted ----------------------------------------------------------------------------------------------

    def _note(self, now: float, result: Answer | Rejected) -> None:
        true = self._true_price(now, result)
        if true is None:
            return
        on_chain = self._state.price
        error = None if on_chain is None else relative(abs(on_chain - true), true)
        self._points.append(Point(now, true, on_chain, error))

    def _true_price(self, now: float, result: Answer | Rejected) -> Decimal | None:
        if self._reference is None:
            return result.price if isinstance(result, Answer) else None
        index = bisect.bisect_right(self._times, now)
        return self._reference[index - 1].price if index else None

    def figures(self) -> Figures:
        if not self._moments:
            raise ValueError("there are no ticks")
        end = self._moments[-1]
        self._land(end)
        errors = sorted((point.error, point.time) for point in self._points if point.error is not None)
        worst = max(errors, key=lambda item: (item[0], -item[1]), default=(Ppb(0), end))
        ages = list(_ages(self._updates, end))
        heartbeat = self._plan.trigger.heartbeat
        costs = self._plan.costs
        return Figures(
            ticks=self._ticks,
            start=self._moments[0],
            end=end,
            updates=tuple(self._updates),
            by_reason={str(reason): count for reason, count in _count(self._updates).items()},
            rejected=dict(sorted(self._rejected.items())),
            held=self._held,
            worst_error=worst[0],
            worst_at=worst[1],
            mean_error=Ppb(sum(error for error, _ in errors) // len(errors)) if errors else Ppb(0),
            p99_error=errors[-(-len(errors) * 99 // 100) - 1][0] if errors else Ppb(0),
            worst_age=max(ages, default=0.0),
            expired_seconds=sum(max(age - heartbeat, 0.0) for age in ages),
            cost_wei=len(self._updates) * costs.gas * costs.gas_price,
            points=tuple(self._points),
        )


def _count(updates: Sequence[Update]) -> dict[Reason, int]:
    counted = Counter(update.reason for update in updates)
    return {reason: counted[reason] for reason in Reason if counted[reason]}


def _ages(updates: Sequence[Update], end: float) -> Iterator[float]:
    """How old each round was when the next one took its place, or the recording ended."""
    times = [update.time for update in updates]
    yield from (after - before for before, after in zip(times, [*times[1:], end], strict=True)) if times else ()
