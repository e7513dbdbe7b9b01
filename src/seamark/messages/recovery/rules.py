"""Pure decisions of recovery: may a message be executed by hand now, and what is there to say of it.

The order of the questions is the order in which a person wants to know: is it done, is it gone, does anything forbid
it for everybody, is it committed, is it its turn. The rules are those of `OffRamp.manuallyExecute` (1.2 to 1.6): after
a failure at once, untouched only when the commit is older than the contract's threshold; ordered messages that were
never tried strictly in their order; nothing while cursed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from seamark.core.units import format_duration
from seamark.messages.recovery.model import Answer, Case, ExecutionState, Gas, Head, Standing, Trial, Verdict

__all__ = ["advise", "gas_limit", "held_up", "in_nonce_order", "judge", "judge_together", "refusal"]

FLOOR_GAS = 240_000
"""No execution by hand needs less: proof, state, routing and event around a receiver that does nothing (about
130,000), and the rule that a call passes on 63/64 of what is left. The value of CCIP's own tools."""

MESSAGE_OVERHEAD_GAS = 200_000
"""Beside the receiver's own limit, for each message. The value of CCIP's own tools."""

ESTIMATE_MARGIN_PERCENT = 115
"""Of an estimate: it is for one state of the chain, and the state moves before the transaction is mined."""


def judge(case: Case, standing: Standing, head: Head | None = None) -> Verdict:
    """May the message be executed by hand now?

    Args:
        case: What the ledger knows.
        standing: What the destination says.
        head: Who stands before it in its sender's queue, where the ledger knows.
    """
    return (
        _over(case, standing)
        or _forbidden(case, standing)
        or _untimely(case, standing, head)
        or Verdict(Answer.READY, _why_ready(standing))
    )


def _over(case: Case, standing: Standing) -> Verdict | None:
    if standing.state is ExecutionState.SUCCESS:
        done = f" in transaction {case.executed_transaction}" if case.executed_transaction else ""
        return Verdict(Answer.DONE, f"It has been executed with success{done}.")
    if case.retracted:
        return Verdict(Answer.RETRACTED, f"Its send left {case.source_name} in a reorg: there is nothing to execute.")
    return None


def _forbidden(case: Case, standing: Standing) -> Verdict | None:
    if standing.cursed:
        text = f"{standing.cursed} is cursed on {case.destination_name}: the OffRamp executes nothing, by whomever."
        return Verdict(Answer.CURSED, text, "wait until the curse is lifted")
    if standing.obstacle:
        return Verdict(Answer.REFUSED, standing.obstacle, standing.obstacle_remedy)
    if standing.state is ExecutionState.IN_PROGRESS:
        return Verdict(Answer.REFUSED, "The OffRamp says that it is being executed.", "look again in a minute")
    return None


def _untimely(case: Case, standing: Standing, head: Head | None) -> Verdict | None:
    if standing.needs_commit and standing.committed_at is None:
        return _not_committed(case)
    if standing.state is ExecutionState.FAILURE:
        return None
    if waiting := _too_early(standing):
        return waiting
    if standing.nonce and standing.next_nonce is not None and standing.nonce != standing.next_nonce:
        return _blocked(case, standing, head)
    return None


def judge_together(cases: Sequence[Case], standings: Sequence[Standing]) -> list[Verdict]:
    """For a batch in nonce order: each message that can go makes way for the next of its sender."""
    turn: dict[tuple[object, str], int] = {}
    verdicts = []
    for case, standing in zip(cases, standings, strict=True):
        queue = (case.lane, case.sender)
        expected = max(standing.next_nonce or 0, turn.get(queue, 0))
        seen = replace(standing, next_nonce=expected) if standing.next_nonce is not None else standing
        verdict = judge(case, seen)
        if verdict.allowed and standing.nonce and standing.state is ExecutionState.UNTOUCHED:
            turn[queue] = standing.nonce + 1
        verdicts.append(verdict)
    return verdicts


def _not_committed(case: Case) -> Verdict:
    text = (
        f"It is not committed on {case.destination_name}: the network has not vouched for it, so nobody can execute it."
    )
    if not case.finalized:
        return Verdict(Answer.NOT_COMMITTED, text, f"wait: its block on {case.source_name} is not known to be final")
    remedy = "nobody but the network can commit; if others of the lane are committed meanwhile, report it to CCIP"
    return Verdict(Answer.NOT_COMMITTED, text, remedy)


def _too_early(standing: Standing) -> Verdict | None:
    opens_at = standing.opens_at
    if opens_at is None or standing.now > opens_at:
        return None
    left = opens_at - standing.now + 1
    text = (
        "Nobody has tried it yet. The network alone may execute it for"
        f" {format_duration(standing.open_after_s)} after the commit; {format_duration(left)} are left."
    )
    return Verdict(Answer.TOO_EARLY, text, f"wait {format_duration(left)}, then run the same command")


def _why_ready(standing: Standing) -> str:
    if standing.state is ExecutionState.FAILURE:
        return "It was tried and failed: anybody may execute it by hand."
    if standing.committed_at is None:
        return "Anybody may execute it."
    age = format_duration(max(standing.now - standing.committed_at, 0))
    return f"It was committed {age} ago and nobody has tried it: anybody may execute it by hand now."


def _blocked(case: Case, standing: Standing, head: Head | None) -> Verdict:
    text = (
        f"It is ordered: nonce {standing.nonce} of {case.sender}. The next one that {case.destination_name} takes is"
        f" {standing.next_nonce}."
    )
    if head is None:
        return Verdict(Answer.NONCE_BLOCKED, text, "execute that message first; the ledger does not know it")
    remedy = f"{_recover(head)}, or all of them in order: seamark messages recover --sender {case.sender}"
    return Verdict(Answer.NONCE_BLOCKED, text, remedy)


def held_up(case: Case, standing: Standing, head: Head) -> Verdict:
    """For a message of a batch whose turn never comes, because one before it stays."""
    text = f"It is ordered: nonce {standing.nonce} of {case.sender}. Nonce {head.nonce} stays, so it would be skipped."
    return Verdict(Answer.NONCE_BLOCKED, text, _recover(head))


def _recover(head: Head) -> str:
    return f"recover the head of the queue first: seamark messages recover {head.id} (#{head.sequence}, {head.stage})"


def in_nonce_order(cases: Sequence[Case]) -> list[Case]:
    """A batch in the order in which it must be executed: by destination and lane, then as sent."""
    return sorted(cases, key=lambda case: (case.lane, case.sequence))


def gas_limit(estimate: int | None, least: int) -> int:
    """What a transaction that executes by hand is given.

    Args:
        estimate: The node's, for the sender whom the OffRamp tells the truth; None where it had none.
        least: The receivers' limits with `MESSAGE_OVERHEAD_GAS` each.
    """
    margined = 0 if estimate is None else -(-estimate * ESTIMATE_MARGIN_PERCENT // 100)
    return max(margined, least, FLOOR_GAS)


def refusal(chain: str, gas: int, sent: int, *, chains: Collection[str], max_gas: int, per_day: int) -> str:
    """Why a transaction may not be sent without a confirmation; "" where it may.

    Args:
        chain: Where to.
        gas: Its limit.
        sent: How many were sent in the last 24 hours.
        chains: Those that are allowed.
        max_gas: The highest limit that is allowed.
        per_day: How many are allowed.
    """
    if chain not in chains:
        return f"chain {chain} is not among its chains ({', '.join(chains)})"
    if gas > max_gas:
        return f"{gas} gas is above its max_gas of {max_gas}"
    if sent >= per_day:
        return f"{sent} were sent in the last 24 hours, and its per_day is {per_day}"
    return ""


def advise(case: Case, trial: Trial, gas: Gas) -> str:
    """What a trial means for the operator, in one or two sentences."""
    if trial.succeeds is None:
        return f"It could not be tried: {trial.text}."
    if trial.succeeds:
        return _promise(case, trial)
    text = f"Executed now it would fail: {trial.text}."
    if trial.helpful_gas_limit is not None:
        return f"{text} With {trial.helpful_gas_limit} gas it would succeed: add --gas-limit {trial.helpful_gas_limit}."
    remedy = _REMEDIES.get(trial.reason, "")
    if trial.reason == "receiver_out_of_gas" and gas.receiver is None:
        remedy = "No higher limit that was tried helps; most likely the receiver reverts without a reason."
    return f"{text} {remedy}".rstrip()


def _promise(case: Case, trial: Trial) -> str:
    if trial.callback is False:
        return (
            f"Executed now it would count as a success, but no code would be run: {case.receiver} is no contract that"
            " takes CCIP messages."
        )
    changed = f" with {trial.gas_limit} gas instead of {trial.sent_gas_limit}" if _raised(trial) else ""
    before = " What made it fail before is gone." if case.reason and not changed else ""
    return f"Executed now{changed} it would succeed.{before}"


def _raised(trial: Trial) -> bool:
    return trial.gas_limit != trial.sent_gas_limit


_REMEDIES = {
    "receiver_reverted": "Repair the receiver, or bring about what it asks for; then run the same command.",
    "token_rate_limited": "The pool's rate limit is used up: wait until it has refilled, or have it raised.",
    "token_failed": "The token's pool refuses: look at its liquidity, its roles and its lane. USDC and LBTC need what"
    " their issuer attests of the send: give it with --attestation (see docs/how-to/recover-a-message.md).",
    "not_enough_gas": "Give the whole transaction more gas.",
    "verification_failed": "The verifiers' results are not enough or not right: fetch them again.",
}
"""By classes of `protocols.ccip.failures`; other protocols use the same words."""
