"""What it means for a transaction that a node refused it.

Two refusals are success candidates, never failures: ALREADY_KNOWN (the pool has these bytes, or just mined them) and
NONCE_TOO_LOW (the nonce is used, quite possibly by one of our own attempts). Only receipts tell. The nodes' many
wordings are read in `evm.rpc.classify`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from seamark.evm.rpc import errors

__all__ = ["Refusal", "refusal_of"]


class Refusal(StrEnum):
    """Why the bytes were not taken."""

    ALREADY_KNOWN = "already_known"
    NONCE_TOO_LOW = "nonce_too_low"
    NONCE_TOO_HIGH = "nonce_too_high"  # a pool that keeps no gaps: an earlier nonce has to arrive first
    UNDERPRICED = "underpriced"  # below what this node takes, or its pool is full; a higher offer helps
    REPLACEMENT_UNDERPRICED = "replacement_underpriced"  # another transaction with this nonce is in the pool
    NO_FUNDS = "no_funds"
    FEE_CAP = "fee_cap"  # the node's own limit on what a transaction may cost (geth: --rpc.txfeecap)
    NEVER = "never"  # no node will ever take these bytes
    UNAVAILABLE = "unavailable"  # anything else: a time-out, a node in trouble


_REFUSALS: Final[dict[type[Exception], Refusal]] = {
    errors.AlreadyKnown: Refusal.ALREADY_KNOWN,
    errors.NonceTooLow: Refusal.NONCE_TOO_LOW,
    errors.NonceTooHigh: Refusal.NONCE_TOO_HIGH,
    errors.ReplacementUnderpriced: Refusal.REPLACEMENT_UNDERPRICED,
    errors.Underpriced: Refusal.UNDERPRICED,
    errors.InsufficientFunds: Refusal.NO_FUNDS,
    errors.FeeCapExceeded: Refusal.FEE_CAP,
    errors.InvalidTransaction: Refusal.NEVER,
}


def refusal_of(error: Exception) -> Refusal:
    """Sort an error of `send_raw`. What is not surely a refusal counts as a node in trouble: it is tried again."""
    return next((refusal for kind, refusal in _REFUSALS.items() if isinstance(error, kind)), Refusal.UNAVAILABLE)
