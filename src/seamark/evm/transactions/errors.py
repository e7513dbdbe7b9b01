"""What a node means when it refuses a raw transaction.

Clients agree on no code (nearly all say -32000), so the text decides. The order of the rules matters: "replacement
transaction underpriced" also contains "transaction underpriced".

Two refusals are success candidates, never failures: ALREADY_KNOWN (the pool has these bytes, or just mined them) and
NONCE_TOO_LOW (the nonce is used, quite possibly by one of our own attempts). Only receipts tell.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

__all__ = ["Refusal", "classify"]


class Refusal(StrEnum):
    """Why the bytes were not taken."""

    ALREADY_KNOWN = "already_known"
    NONCE_TOO_LOW = "nonce_too_low"
    NONCE_TOO_HIGH = "nonce_too_high"  # a pool that keeps no gaps: an earlier nonce has to arrive first
    UNDERPRICED = "underpriced"  # below what this node takes; a higher offer helps
    REPLACEMENT_UNDERPRICED = "replacement_underpriced"  # another transaction with this nonce is in the pool
    NO_FUNDS = "no_funds"
    FEE_CAP = "fee_cap"  # the node's own limit on what a transaction may cost (geth: --rpc.txfeecap)
    NEVER = "never"  # no node will ever take these bytes
    UNAVAILABLE = "unavailable"  # anything else: a time-out, a full pool, a node in trouble


# geth, erigon, besu, nethermind, reth, anvil, arbitrum, avalanche, zkSync, substrate, openethereum
_TEXTS: Final = {
    Refusal.ALREADY_KNOWN: (
        "already known|already imported|known transaction|AlreadyKnown|OwnNonceAlreadyUsed|AlreadyImported"
        "|same hash was already|already in (the )?(mem)?pool|transaction already finalized"
    ),
    Refusal.NONCE_TOO_LOW: r"nonce (is )?too low|OldNonce|invalid transaction nonce|Pool\(Stale\)|nonce has already",
    Refusal.NONCE_TOO_HIGH: "nonce (is )?too (high|far|distant)|NonceGap|nonce gap",
    Refusal.REPLACEMENT_UNDERPRICED: (
        "replacement transaction underpriced|transaction replacement (is )?underpriced|ReplacementNotAllowed"
        "|another transaction with same nonce|another tx which has the same nonce"
    ),
    Refusal.FEE_CAP: "exceeds the configured cap|transaction fee cap exceeded",
    Refusal.NO_FUNDS: (
        "insufficient (funds|balance)|InsufficientFunds|upfront cost exceeds|not enough funds|would cause overdraft"
    ),
    Refusal.UNDERPRICED: (
        "underpriced|FeeTooLow|fee too low|gas price (.* )?(too low|below)|gasprice is less than"
        "|max fee per gas less than block base fee|does not satisfy your node's minimal gas"
    ),
    Refusal.NEVER: (
        "intrinsic gas|insufficient gas for floor data|exceeds block gas limit|gas limit too high|GasLimitExceeded"
        "|oversized data|max initcode size|invalid (sender|signature)|invalid chain ?id|negative value"
        "|gas uint64 overflow|gas too (low|high)|higher than max fee per gas|execution reverted|sender ?is ?contract"
        "|not an EOA|invalid RLP|failed to decode"
    ),
}
_RULES: Final = tuple((refusal, re.compile(text, re.IGNORECASE)) for refusal, text in _TEXTS.items())


def classify(error: Exception) -> Refusal:
    """Read the node's words out of an error."""
    text = str(error)
    return next((refusal for refusal, pattern in _RULES if pattern.search(text)), Refusal.UNAVAILABLE)
