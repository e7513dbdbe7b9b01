"""When an answer is published, as pure functions of values: no I/O, clock, loop or logging. How quotes become one is in
`aggregation`, whose functions are offered here too: `from seamark.oracle import rules` is every decision of the oracle.

    quotes --aggregate--> Answer | Rejected --decide--> Trigger | Hold

Invariants:
- Arithmetic is exact. A price is a `Decimal` until the one rounding (half to even) to the feed's decimals; thresholds
  are compared by cross-multiplied integers.
- The order of the quotes has no influence, and no argument is changed.
- With one vote per venue, up to f lying venues of 2f + 1 cannot move the median outside the range of the honest ones.
- Nothing is clamped: an answer out of bounds is no answer.
"""

from __future__ import annotations

from seamark.core.units import PPB_PER_UNIT, Ppb
from seamark.oracle.aggregation import (
    aggregate,
    check_content,
    check_quote,
    follow_jump,
    follow_streaks,
    follow_window,
    is_frozen,
    is_held,
    median,
    outliers,
    weighted_median,
)
from seamark.oracle.model import (
    Answer,
    Decision,
    FeedState,
    Hold,
    HoldReason,
    Jump,
    Reason,
    Trigger,
    TriggerPolicy,
    Turn,
)

__all__ = [
    "aggregate",
    "chain_now",
    "check_content",
    "check_quote",
    "decide",
    "deviates",
    "deviation",
    "explain",
    "follow_jump",
    "follow_streaks",
    "follow_window",
    "heartbeat_due_at",
    "is_frozen",
    "is_held",
    "median",
    "moved",
    "outliers",
    "replaces",
    "weighted_median",
    "within_step",
]

BPS = 10_000


# ---- when to publish ------------------------------------------------------------------------------------------------


def deviates(old: int, new: int, threshold: Ppb) -> bool:
    """Whether |new - old| / |old| >= threshold, exactly; from zero every other answer deviates."""
    return new != 0 if old == 0 else abs(new - old) * PPB_PER_UNIT >= threshold * abs(old)


def deviation(old: int, new: int) -> Ppb:
    """|new - old| / |old| in parts per billion, rounded down; for display."""
    if old == 0:
        return Ppb(0 if new == 0 else PPB_PER_UNIT)
    return Ppb(abs(new - old) * PPB_PER_UNIT // abs(old))


def chain_now(state: FeedState, now: float) -> float:
    """The time that a consumer on the chain may see: ours or that of the newest block, whichever is later."""
    return max(now, float(state.block_time))


def heartbeat_due_at(state: FeedState, policy: TriggerPolicy) -> float:
    """When the next round is due, early enough that no consumer sees the feed expired."""
    return state.updated_at + policy.heartbeat * (PPB_PER_UNIT - policy.heartbeat_margin) / PPB_PER_UNIT


def decide(state: FeedState, answer: Answer, now: float, policy: TriggerPolicy, jump: Jump | None = None) -> Decision:
    """Whether an answer is published, given what the chain itself says (never what this process remembers sending).

    `jump` is what `follow_jump` made of the answers before: without it, an answer beyond `max_step` is held.
    """
    if state.paused:
        return Hold(HoldReason.FEED_PAUSED)
    if state.turn is not None and (state.turn.joins or not state.turn.eligible):
        return _among_others(state, state.turn, answer, policy, jump)
    reason = explain(state, answer.value, policy)
    if reason is None and chain_now(state, now) >= heartbeat_due_at(state, policy):
        reason = Reason.HEARTBEAT
    if reason is None:
        return Hold(HoldReason.CURRENT)
    if answer.observed_at <= state.started_at:
        return Hold(HoldReason.SAME_OBSERVATION)
    if is_held(state, answer, jump, policy):
        return Hold(HoldReason.JUMP)
    return _beside_parked(state, answer, now, policy, reason)


def _among_others(state: FeedState, turn: Turn, answer: Answer, policy: TriggerPolicy, jump: Jump | None) -> Decision:
    """Where several oracles answer each round: one that is open is answered whether the price has moved or not, because
    the others count on it.
    """
    if not turn.eligible:
        return Hold(HoldReason.NOT_OUR_TURN)
    return Hold(HoldReason.JUMP) if is_held(state, answer, jump, policy) else Trigger(Reason.JOIN)


def explain(state: FeedState, value: int, policy: TriggerPolicy) -> Reason | None:
    """Why `value` would follow the state's round, from the answers alone; None: only the heartbeat could ask for it."""
    if state.round == 0:
        return Reason.FIRST
    return Reason.DEVIATION if moved(state.answer, value, policy, state.decimals) else None


def moved(old: int, new: int, policy: TriggerPolicy, decimals: int) -> bool:
    """Whether a price has moved far enough to be published: by the ratio, and by the absolute distance where there is
    one (a ratio of a price near zero says little).
    """
    least = policy.absolute_deviation
    if least is not None and not abs(new - old) > least.scaleb(decimals):
        return False
    return deviates(old, new, policy.deviation)


def _beside_parked(state: FeedState, answer: Answer, now: float, policy: TriggerPolicy, reason: Reason) -> Decision:
    """An answer that waits for confirmation is confirmed by a later observation of about the same price.

    A submission too early only parks again and costs a transaction, so there is a pause after each.
    """
    parked = state.parked
    if parked is None or parked.round != state.round + 1 or within_step(state.answer, answer.value, state.max_step_bps):
        return Trigger(reason)
    if answer.observed_at <= parked.observed_at or chain_now(state, now) - parked.observed_at < policy.confirm_after:
        return Hold(HoldReason.PARKED)
    return Trigger(Reason.CONFIRM if within_step(parked.answer, answer.value, state.max_step_bps) else reason)


def replaces(
    state: FeedState,
    pending: int,
    observed_at: int,
    newer: Answer,
    *,
    waited: float,
    policy: TriggerPolicy,
    jump: Jump | None = None,
) -> bool:
    """Whether a newer answer should take the nonce of one that waits to be mined.

    It is worth it where the newer answer would itself be published right after the pending one: then one transaction
    does for two, and nobody reads the outdated price. That holds also where the price came back to what the chain has.
    Each replacement costs an eighth more, so there is time between them; and what waits for confirmation by the
    contract is left to it.

    Args:
        state: What the contract says.
        pending: The answer that waits.
        observed_at: When that was observed.
        newer: What the quotes come to now.
        waited: Seconds since the pending one was handed in.
        policy: The feed's thresholds.
        jump: What `follow_jump` made of the answers before.
    """
    if is_held(state, newer, jump, policy):
        return False
    if not policy.replace_after or waited < policy.replace_after or state.paused or state.parked is not None:
        return False
    return newer.observed_at > observed_at and moved(pending, newer.value, policy, state.decimals)


def within_step(old: int, new: int, max_step_bps: int) -> bool:
    """The contract's own rule: not more than `max_step_bps` away; 0 is no limit."""
    return max_step_bps == 0 or abs(new - old) * BPS <= abs(old) * max_step_bps
