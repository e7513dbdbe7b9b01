"""The journal's words, as frozen values.

A *slot* is one nonce of the signer. It holds one entry, or several when a newer intent replaced an older one at the
same nonce; exactly one of them is *current* (the one whose bytes we go on sending). An entry has one *attempt* per
signed version of it: same nonce, other fees. At most one attempt of a slot can ever be mined: they share the nonce.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seamark.core.ids import Address, Hash32
from seamark.evm.ports import Intent, Outcome, TxState
from seamark.evm.types import Receipt

__all__ = ["FILLER_PREFIX", "FINAL_STATES", "Attempt", "Entry", "Fees", "Slot", "filler_intent", "is_at_least"]

FILLER_PREFIX: Final = "seamark:fill:"
"""Keys of the transactions that only use up a nonce; callers' keys must not start with it."""

FINAL_STATES: Final = frozenset({TxState.CONFIRMED, TxState.FOREIGN})
_RANK: Final = {TxState.SIGNED: 0, TxState.BROADCAST: 1, TxState.MINED: 2, TxState.CONFIRMED: 3}
_PLAIN_TRANSFER_GAS: Final = 21_000  # yellow paper, G_transaction: all that a transfer to an account without code costs


@dataclass(frozen=True, slots=True)
class Fees:
    """What a transaction offers per gas, in wei.

    EIP-1559: `cap` is maxFeePerGas, `tip` is maxPriorityFeePerGas. Legacy: both are gasPrice.
    """

    cap: int
    tip: int
    legacy: bool = False

    @property
    def is_zero(self) -> bool:
        return self.cap == 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One signed version. `at_ms` is when it was signed, `head` the newest block known then."""

    hash: Hash32
    raw: bytes
    fees: Fees
    at_ms: int
    head: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One intent in the journal. `id` is its row; `attempts` are in the order they were signed, never empty."""

    id: int
    key: str
    nonce: int
    to: Address | None
    data: bytes
    value: int
    gas: int
    state: TxState
    created_ms: int
    current: bool
    attempts: tuple[Attempt, ...]
    receipt: Receipt | None = None

    @property
    def last(self) -> Attempt:
        return self.attempts[-1]

    @property
    def is_filler(self) -> bool:
        return self.key.startswith(FILLER_PREFIX)

    @property
    def intent(self) -> Intent:
        """What was asked for."""
        return Intent(self.key, self.to, self.data, self.value, self.gas)

    def outcome(self) -> Outcome:
        hashes = tuple(attempt.hash for attempt in self.attempts)
        return Outcome(self.key, self.nonce, self.state, hashes, self.receipt)


@dataclass(frozen=True, slots=True)
class Slot:
    """All that the journal holds for one nonce, oldest first."""

    nonce: int
    entries: tuple[Entry, ...]

    @property
    def current(self) -> Entry:
        """The one whose bytes we send."""
        return next(entry for entry in reversed(self.entries) if entry.current)

    @property
    def hashes(self) -> tuple[Hash32, ...]:
        return tuple(attempt.hash for entry in self.entries for attempt in entry.attempts)

    @property
    def winner(self) -> Entry | None:
        """The entry that is in a block, as far as we know."""
        return next((entry for entry in self.entries if entry.state in (TxState.MINED, TxState.CONFIRMED)), None)

    @property
    def highest_fees(self) -> Fees:
        """What a replacement has to beat: a pool compares with whichever attempt it holds."""
        fees = [attempt.fees for entry in self.entries for attempt in entry.attempts]
        return Fees(max(one.cap for one in fees), max(one.tip for one in fees), legacy=fees[-1].legacy)


def is_at_least(state: TxState, wanted: TxState) -> bool:
    """Whether a waiter for `wanted` has its answer: that far along, or it will never get there."""
    if state in (TxState.REPLACED, TxState.FOREIGN):
        return True
    return _RANK[state] >= _RANK.get(wanted, len(_RANK))


def filler_intent(nonce: int, signer: Address) -> Intent:
    """A transfer of nothing to ourselves: uses up a nonce and does nothing else."""
    return Intent(f"{FILLER_PREFIX}{nonce}", signer, b"", gas_limit=_PLAIN_TRANSFER_GAS)
