"""What to do next about each nonce: pure decisions over the journal and what the chain says.

Facts come from nodes that may lag behind each other, so nothing final hangs on one reading:

- mined means a receipt of one of our own attempts; a nonce that is used without such a receipt is *not* foreign yet, it
  is undecided until the block where that was first seen is final, and some seconds have passed;
- a receipt that vanishes sends its slot back to BROADCAST once another block stands in the place of its own. Where none
  does, the node lags or the chain lost its end: nothing is decided, and the same bytes go out again now and then, which
  costs nothing in the first case ("nonce too low") and is right in the second;
- a transaction is only ever replaced at its own nonce. So nothing can be mined twice, whatever else is misjudged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from seamark.core.ids import Hash32
from seamark.evm.ports import TxState
from seamark.evm.transactions.fees import FeePolicy, Hold, Market, next_fees, pays
from seamark.evm.transactions.model import Entry, Fees, Slot
from seamark.evm.types import Receipt

__all__ = [
    "Bump",
    "Keep",
    "Move",
    "Patience",
    "Plan",
    "Resend",
    "UsedSince",
    "Verdict",
    "View",
    "judge",
    "may_be_foreign",
    "needs_receipts",
    "next_move",
    "next_nonce",
    "plan_recovery",
]


@dataclass(frozen=True, slots=True)
class View:
    """One look at the chain.

    `head` is the newest block, `final` the newest that stays, `latest` and `pending` the signer's transaction counts in
    the newest block and with the pool's. `receipts` are those found of the attempts asked for. `settled` is the count
    in block `final`, where it was asked for. `orphaned` are the nonces whose receipt is gone and whose block another
    one has taken the place of.
    """

    head: int
    final: int
    latest: int
    pending: int
    now_ms: int
    receipts: Mapping[Hash32, Receipt]
    settled: int | None = None
    orphaned: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in milliseconds, before the same bytes or a higher offer are sent."""

    resend_ms: int = 5_000  # the pool's count says that it lost the transaction
    remind_ms: int = 60_000  # no sign of loss: a pool behind a load balancer may have forgotten
    bump_ms: int = 30_000
    replace_ms: int = 0  # since the last offer at the nonce, before a newer intent may replace it
    foreign_ms: int = 5_000  # a lagging endpoint may know the count before it knows the receipt


# ---- recovery --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plan:
    """What a starting sender does, in this order. All are nonces.

    `fill`: holes that a transfer to ourselves uses up. `resend`: the very same bytes. `settle`: used on chain, so look
    for the receipt of whichever attempt won.
    """

    fill: tuple[int, ...]
    resend: tuple[int, ...]
    settle: tuple[int, ...]


def plan_recovery(open_nonces: Iterable[int], latest: int, pending: int) -> Plan:
    """Compare the journal's unfinished nonces with the chain's count.

    Nonces below `pending` that we do not know belong to somebody else's transactions in the pool: not holes.
    """
    nonces = sorted(open_nonces)
    known = set(nonces)
    first_free = max(latest, pending)
    fill = [nonce for nonce in range(first_free, nonces[-1] if nonces else 0) if nonce not in known]
    return Plan(
        fill=tuple(fill),
        resend=tuple(nonce for nonce in nonces if nonce >= latest),
        settle=tuple(nonce for nonce in nonces if nonce < latest),
    )


def next_nonce(journal_highest: int | None, latest: int, pending: int) -> int:
    """The first nonce that is free for sure: behind the journal, the chain and the pool."""
    return max(latest, pending, 0 if journal_highest is None else journal_highest + 1)


# ---- state ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UsedSince:
    """When a nonce was first seen used without a receipt of ours: the head then, and the time."""

    head: int
    ms: int


@dataclass(frozen=True, slots=True)
class Keep:
    """Nothing changed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The slot's new state. With MINED and CONFIRMED come the winning entry and its receipt."""

    state: TxState
    winner: Entry | None = None
    receipt: Receipt | None = None


def needs_receipts(slot: Slot, latest: int) -> bool:
    """Below the chain's count something used the nonce; and what was mined before may have been orphaned."""
    return slot.nonce < latest or slot.winner is not None


def judge(slot: Slot, view: View, used: UsedSince | None, patience: Patience) -> Verdict | Keep:
    """The slot's state as of this look.

    Args:
        slot: What the journal holds for the nonce.
        view: What the chain says.
        used: When this nonce was first seen used without a receipt of ours; None if it never was.
        patience: How long to look for a receipt.
    """
    found = _winning(slot, view)
    if found is not None:
        entry, receipt = found
        state = TxState.CONFIRMED if receipt.block_number <= view.final else TxState.MINED
        known = slot.winner
        same = known is not None and known.id == entry.id and known.state is state
        if same and known is not None and known.receipt is not None and known.receipt.block_hash == receipt.block_hash:
            return Keep()
        return Verdict(state, entry, receipt)
    if slot.winner is not None:
        return Verdict(TxState.BROADCAST) if slot.nonce in view.orphaned else Keep()
    if may_be_foreign(slot, view, used, patience) and (view.settled is None or slot.nonce < view.settled):
        return Verdict(TxState.FOREIGN)
    return Keep()


def may_be_foreign(slot: Slot, view: View, used: UsedSince | None, patience: Patience) -> bool:
    """Whether the nonce has been used without a receipt of ours long enough to ask for the count in a final block."""
    if slot.nonce >= view.latest or used is None or slot.winner is not None or _winning(slot, view) is not None:
        return False
    return used.head <= view.final and view.now_ms - used.ms >= patience.foreign_ms


def _winning(slot: Slot, view: View) -> tuple[Entry, Receipt] | None:
    for entry in slot.entries:
        for attempt in entry.attempts:
            receipt = view.receipts.get(attempt.hash)
            if receipt is not None:
                return entry, receipt
    return None


# ---- pushing ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Resend:
    """The same bytes again."""


@dataclass(frozen=True, slots=True)
class Bump:
    """A new attempt with these fees, at the same nonce."""

    fees: Fees


Move: TypeAlias = Resend | Bump | Hold | None


def next_move(
    slot: Slot, view: View, *, sent_ms: int | None, refused: bool, market: Market, policy: FeePolicy, patience: Patience
) -> Move:
    """How to push a slot that is in no block yet, or in none that this look could see.

    A higher offer goes out only where fees can be what is missing: blocks came since the last attempt, and either it is
    this nonce's turn or the offer no longer pays for the next block. (A chain that stands still is not helped by money,
    nor is a transaction that waits for an earlier nonce.)

    Args:
        slot: Its nonce is not used yet. One that was mined and is not proven to be off the chain gets nothing but the
            same bytes.
        view: What the chain says.
        sent_ms: When the current bytes last went out; None if not since the start.
        refused: A node called the last attempt underpriced.
        market: What the chain asks.
        policy: The operator's limits.
        patience: How long to wait.
    """
    last = slot.current.last
    if sent_ms is None:
        return Resend()
    missing = view.pending <= slot.nonce
    if slot.winner is not None:
        return Resend() if missing and view.now_ms - sent_ms >= patience.resend_ms else None
    age = view.now_ms - last.at_ms
    stuck = age >= patience.bump_ms and view.head > last.head
    short = slot.nonce == view.latest or not pays(last.fees, market, policy)
    held: Hold | None = None
    if (stuck and short) or (refused and age >= patience.resend_ms):
        fees = next_fees(slot.highest_fees, market, policy)
        if isinstance(fees, Fees):
            return Bump(fees)
        held = fees
    if view.now_ms - sent_ms >= (patience.resend_ms if missing else patience.remind_ms):
        return Resend()
    return held
