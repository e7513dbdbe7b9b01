"""From a decision to a stored publication, and what a receipt makes of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from seamark.core.ids import Hash32
from seamark.evm.ports import Outcome, TxState
from seamark.oracle.model import (
    Answer,
    FeedRef,
    FeedState,
    Planned,
    Publication,
    PublicationState,
    Reason,
    Turn,
    Vote,
)
from seamark.oracle.targets.receipts import ParkedLog, PublishedLog, SubmittedLog, Told, read_receipt

__all__ = [
    "attempt_key",
    "came_to_nothing",
    "from_journal",
    "settle",
    "settle_losers",
    "spender",
    "state_after",
    "to_publication",
    "votes_of",
]

REPLACED_FOR_GOOD_S: Final = 86_400.0  # the journal does not tell when the winner is final: a day is beyond all chains


def attempt_key(ref: FeedRef, round_id: int, attempt: int) -> str:
    """The natural key of one attempt at one round."""
    key = f"{spender(ref)}:{round_id}"
    return key if attempt == 1 else f"{key}#{attempt}"


def spender(ref: FeedRef) -> str:
    """Whose the feed's transactions are, to the sender: what all their keys begin with."""
    return f"{ref.chain_id}:{ref.address}:round"


def came_to_nothing(outcome: Outcome, ref: FeedRef) -> bool:
    """Whether an attempt has ended without its round. One that is on its way, or was orphaned after it had published,
    has not: its transaction is sent again by the sender.
    """
    if outcome.state in (TxState.REPLACED, TxState.FOREIGN):
        return True
    receipt = outcome.receipt
    if receipt is None:
        return False
    told = read_receipt(receipt, ref.address) if receipt.succeeded else None
    return not isinstance(told, PublishedLog | SubmittedLog)


def settle(publication: Publication, outcome: Outcome, *, now: float) -> Publication:
    """How a publication stands, by its transaction and receipt. Pure."""
    receipt = outcome.receipt
    superseded = publication.state is PublicationState.SUPERSEDED
    if outcome.state in (TxState.REPLACED, TxState.FOREIGN):
        closed = outcome.state is TxState.FOREIGN or now - publication.planned_at > REPLACED_FOR_GOOD_S
        state = PublicationState.SUPERSEDED if superseded else PublicationState.REPLACED
        return replace(publication, state=state, closed=closed)
    if receipt is None and superseded:
        return publication  # a reorg brought its nonce back; it is the newer attempt that is sent for it
    if receipt is None:
        return replace(publication, state=PublicationState.BROADCAST, transaction=_last_hash(outcome))
    told = read_receipt(receipt, publication.feed.address) if receipt.succeeded else None
    common = replace(
        publication,
        transaction=receipt.transaction_hash,
        block_number=receipt.block_number,
        fee=receipt.gas_used * receipt.effective_gas_price,
        mined_at=publication.mined_at or now,
        closed=outcome.state is TxState.CONFIRMED,
    )
    taken = PublicationState.FINAL if outcome.state is TxState.CONFIRMED else PublicationState.MINED
    return _with_end(common, told, taken)


def _with_end(common: Publication, told: Told | None, taken: PublicationState) -> Publication:
    match told:
        case PublishedLog():
            return replace(
                common, state=taken, answer=told.answer, observed_at=told.started_at, block_time=told.updated_at
            )
        case SubmittedLog():  # our part of the round is in, whether it has an answer yet or not
            time = told.published.updated_at if told.published else common.block_time
            return replace(common, state=taken, answer=told.submission, block_time=time)
        case ParkedLog():
            return replace(
                common,
                state=PublicationState.PARKED,
                answer=told.parked.answer,
                observed_at=told.parked.observed_at,
            )
    return replace(common, state=PublicationState.REVERTED)


def settle_losers(
    attempts: Sequence[Publication], winner: Publication, outcomes: Mapping[str, Outcome], *, now: float
) -> list[Publication]:
    """The attempts at the winner's round and nonce that it was mined instead of. They are no failures."""
    losers = [replace(one, state=PublicationState.SUPERSEDED) for one in attempts if one.key != winner.key]
    return [settle(one, outcomes[one.key], now=now) for one in losers]


def to_publication(planned: Planned, outcome: Outcome) -> Publication:
    answer = planned.answer
    return Publication(
        key=planned.key,
        feed=planned.feed,
        round=planned.round,
        attempt=planned.attempt,
        state=PublicationState.BROADCAST,
        reason=planned.reason,
        planned_at=planned.planned_at,
        answer=answer.value,
        decimals=answer.decimals,
        observed_at=answer.observed_at,
        quotes=tuple((quote.source, f"{quote.price:f}") for quote in answer.quotes),
        transaction=_last_hash(outcome),
        votes=votes_of(answer, planned.planned_at),
    )


def votes_of(answer: Answer, now: float) -> tuple[Vote, ...]:
    """Every source's part in an answer, by name. The age is the venue's own where it tells its time."""
    told = [(quote, None) for quote in answer.quotes] + [(item.quote, item.fault) for item in answer.rejected]
    votes = [
        Vote(quote.source, quote.venue, quote.price, now - quote.observed_at, quote.weight, fault)
        for quote, fault in told
    ]
    return tuple(sorted(votes, key=lambda vote: vote.source))


def _last_hash(outcome: Outcome) -> Hash32 | None:
    return outcome.hashes[-1] if outcome.hashes else None


def from_journal(ref: FeedRef, round_id: int, attempt: int, *, decimals: int, now: float) -> Publication:
    """One that only the journal knows of. Its answer comes with the receipt, its reason is derived then."""
    return Publication(
        key=attempt_key(ref, round_id, attempt),
        feed=ref,
        round=round_id,
        attempt=attempt,
        state=PublicationState.BROADCAST,
        reason=Reason.HEARTBEAT,
        planned_at=now,
        decimals=decimals,
    )


def state_after(state: FeedState, outcome: Outcome, ref: FeedRef) -> FeedState | None:
    """The contract's state as a receipt tells it; None if it tells nothing newer than what is known."""
    receipt = outcome.receipt
    if receipt is None or not receipt.succeeded or receipt.block_number < state.block_number:
        return None
    told = read_receipt(receipt, ref.address)
    match told:
        case ParkedLog():
            return replace(state, parked=told.parked, block_number=receipt.block_number)
        case SubmittedLog():
            after = state if told.published is None else _with_round(state, told.published, receipt.block_number)
            # Which round is next, and from when, the contract alone knows: until it is read again there is none.
            unpaid = state.turn.unpaid if state.turn is not None else ""
            turn = Turn(told.round + 1, eligible=False, why=f"answered round {told.round}", unpaid=unpaid)
            return replace(after or state, turn=turn, block_number=receipt.block_number)
        case PublishedLog():
            return _with_round(state, told, receipt.block_number)
    return None


def _with_round(state: FeedState, told: PublishedLog, block_number: int) -> FeedState | None:
    if told.round < state.round:
        return None
    return replace(
        state,
        round=told.round,
        answer=told.answer,
        started_at=told.started_at,
        updated_at=told.updated_at,
        parked=None,
        block_number=block_number,
        block_time=max(state.block_time, told.updated_at),
    )
