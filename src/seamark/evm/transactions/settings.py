"""What an operator may choose about sending. Times in seconds, amounts in wei."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from seamark.evm.transactions.fees import FeePolicy
from seamark.evm.transactions.rules import Patience

__all__ = ["SenderSettings"]

_GAS_MARGIN_PERCENT: Final = 120  # an estimate is for one state of the chain; the state moves before it is mined


@dataclass(frozen=True, slots=True)
class SenderSettings:
    """Settings of one sender.

    `confirmations` counts the transaction's own block: 1 for chains with instant finality. With `final_tag` the node's
    own notion decides, and `confirmations` only where the node has none.
    """

    fees: FeePolicy = field(default_factory=FeePolicy)
    patience: Patience = field(default_factory=Patience)
    spend_per_day: int | None = None  # wei, of all keys together; None: no limit
    confirmations: int = 1
    final_tag: Literal["finalized", "safe"] | None = None
    poll_s: float = 1.0
    simulate: bool = False  # eth_call before every transaction: one more request, but a revert costs nothing
    gas_margin_percent: int = _GAS_MARGIN_PERCENT
    gas_max_age_s: float = 600.0  # then estimated again, beside the hot path
    fee_refresh_s: float = 4.0
    fee_max_age_s: float = 30.0  # an older snapshot is not offered upon; then a transaction waits for a new one
