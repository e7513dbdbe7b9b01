"""The circuit breaker: an answer far from the one on chain waits until it has proved itself.

    answer beyond max_step --> Jump (held) --a later observation near it, within confirm_within--> released
                                          --answers of agreeing_venues venues jumped too------> released at once
                                          --another price, or too late------------------------> a new Jump

The reference is what the chain says, never what this process remembers, so a restart keeps the breaker: an answer that
was held is held again, for one `confirm_after` at most. It resets by itself when the price is back within the step, or
when the jump is published. A feed without a round has no reference, and its first answer is never a jump.
"""

from __future__ import annotations

from decimal import localcontext

from seamark.core.units import PPB_PER_UNIT
from seamark.oracle.aggregation.statistics import DIGITS
from seamark.oracle.model import Answer, FeedState, Jump, TriggerPolicy

__all__ = ["follow_jump", "is_held"]


def follow_jump(state: FeedState, answer: Answer, jump: Jump | None, now: float, policy: TriggerPolicy) -> Jump | None:
    """What is waiting for confirmation after this answer; None: nothing is."""
    if not _jumps(state, answer.value, policy):
        return None
    waits = jump is not None and jump.base == state.answer and now - jump.since <= policy.confirm_within
    if jump is not None and waits and _near(jump.value, answer.value, policy):
        return jump
    return Jump(state.answer, answer.value, answer.observed_at, now)


def is_held(state: FeedState, answer: Answer, jump: Jump | None, policy: TriggerPolicy) -> bool:
    """Whether the breaker keeps an answer back. Without a jump before it (None), every step beyond the limit is."""
    if not _jumps(state, answer.value, policy) or _enough_agree(state, answer, policy):
        return False
    if jump is None or jump.base != state.answer or not _near(jump.value, answer.value, policy):
        return True
    return answer.observed_at < jump.observed_at + max(policy.confirm_after, 1)


def _jumps(state: FeedState, value: int, policy: TriggerPolicy) -> bool:
    return policy.max_step is not None and state.round > 0 and _beyond(state.answer, value, policy.max_step)


def _near(old: int, new: int, policy: TriggerPolicy) -> bool:
    return policy.max_step is None or not _beyond(old, new, policy.max_step)


def _beyond(old: int, new: int, limit: int) -> bool:
    """|new - old| / |old| > limit, exactly."""
    return new != 0 if old == 0 else abs(new - old) * PPB_PER_UNIT > limit * abs(old)


def _enough_agree(state: FeedState, answer: Answer, policy: TriggerPolicy) -> bool:
    """Whether so many venues, each by its own price, are beyond the step on the answer's side."""
    if policy.agreeing_venues is None or policy.max_step is None:
        return False
    up = answer.value > state.answer
    with localcontext(prec=DIGITS):
        prices = [quote.price.scaleb(answer.decimals) for quote in answer.quotes]
        limit = abs(state.answer) * policy.max_step
        agreeing = [
            price
            for price in prices
            if abs(price - state.answer) * PPB_PER_UNIT > limit and (price > state.answer) is up
        ]
    return len(agreeing) >= policy.agreeing_venues
