"""What to offer per gas: pure rules over a snapshot of the market.

First offer: the next block's base fee, grown by the 12.5 % per block that EIP-1559 allows for a few blocks, plus the
tip that others paid lately. A replacement offers 12.5 % more of *both* fees (geth and Erigon ask for 10 %), and so much
more tip that the price that is really paid, base fee and tip, grows by more than 10 % (Nethermind and Besu look at that
one, Besu strictly). A pool behind a load balancer may be of any client, so every replacement satisfies all of them. Two
limits hold everywhere: never more than the operator's ceiling, and on a chain without fees nothing is ever bumped (0
plus 10 % is 0: no pool would take it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from seamark.evm.transactions.model import Fees

__all__ = ["FeePolicy", "Hold", "Market", "is_free", "mean_reward", "next_fees", "pays", "quote"]

GROWTH_BLOCKS: Final = (
    4  # the base fee may rise this many full blocks in a row before a fresh offer falls behind (+60 %)
)
REPLACED_WITHIN: Final = 2  # blocks that a replacement may be late: by then the base fee is up to 27 % higher
_GWEI: Final = 10**9


class Hold(StrEnum):
    """Why a transaction is left as it is."""

    ZERO_FEE = "zero_fee"  # the chain takes no fees: only the same bytes again
    CEILING = "ceiling"  # more would break the operator's limit
    TOO_SOON = "too_soon"  # the last offer was made a moment ago
    BUDGET = "budget"  # more would break the limit on what may be spent in a day
    SIGNER = "signer"  # the signer is away, or its policy forbids the higher offer


@dataclass(frozen=True, slots=True)
class FeePolicy:
    """The operator's limits, in wei per gas. A ceiling of 0 says that the chain takes no fees."""

    ceiling: int = 500 * _GWEI
    min_tip: int = 0
    max_tip: int = 50 * _GWEI
    growth_blocks: int = GROWTH_BLOCKS
    legacy: bool = False  # type 0 also where the chain has a base fee


@dataclass(frozen=True, slots=True)
class Market:
    """What the chain asks, in wei per gas. `next_base` is None before EIP-1559; `tip` is what others paid lately."""

    next_base: int | None
    tip: int
    gas_price: int


def is_free(market: Market, policy: FeePolicy) -> bool:
    """Whether the chain takes no fees: it asks for none, or the operator says so.

    (anvil asks for 1 gwei even when started with zero fees; only the operator can know.)
    """
    return policy.ceiling == 0 or (not market.next_base and market.gas_price == 0)


def mean_reward(rewards: Sequence[Sequence[int]]) -> int | None:
    """Mean of the non-zero rewards of an eth_feeHistory answer (one percentile); None when nobody paid a tip."""
    paid = [block[0] for block in rewards if block and block[0] > 0]
    return sum(paid) // len(paid) if paid else None


def quote(market: Market, policy: FeePolicy) -> Fees:
    """The first offer. Never above the ceiling, even when the market is: then it waits for the market."""
    if is_free(market, policy):
        return Fees(0, 0, legacy=market.next_base is None or policy.legacy)
    if market.next_base is None:
        price = min(max(market.gas_price, policy.min_tip), policy.ceiling)
        return Fees(price, price, legacy=True)
    tip = max(min(market.tip, policy.max_tip), policy.min_tip)
    if policy.legacy:  # the whole price is paid, so no more than what one more block could ask
        price = min(_grown(market.next_base, 1) + tip, policy.ceiling)
        return Fees(price, price, legacy=True)
    cap = min(_grown(market.next_base, policy.growth_blocks) + tip, policy.ceiling)
    return Fees(cap, min(tip, cap))


def pays(fees: Fees, market: Market, policy: FeePolicy) -> bool:
    """Whether the offer is enough for the next block, as far as fees go."""
    if market.next_base is None:
        return fees.cap >= market.gas_price
    return fees.cap >= market.next_base + policy.min_tip and fees.tip >= policy.min_tip


def next_fees(previous: Fees, market: Market, policy: FeePolicy) -> Fees | Hold:
    """The offer of a replacement: at least 12.5 % more, at least the market; the price paid more than 10 % higher.

    Where the ceiling leaves less than 12.5 % but still what every pool accepts, the ceiling is offered.
    """
    if is_free(market, policy):
        return Hold.ZERO_FEE
    asked = quote(market, policy)
    tip = max(_bumped(previous.tip), asked.tip, _lifting_tip(previous, market))
    cap = max(_bumped(previous.cap), asked.cap, tip)
    fees = Fees(min(cap, policy.ceiling), min(tip, policy.ceiling), legacy=previous.legacy)
    if fees.legacy:
        fees = Fees(fees.cap, fees.cap, legacy=True)
    if fees.cap < _accepted_everywhere(previous.cap) or fees.tip < _accepted_everywhere(previous.tip):
        return Hold.CEILING
    return fees


def _grown(base: int, blocks: int) -> int:
    """The highest base fee after so many full blocks: base * 1.125^blocks, rounded up."""
    grown: int = -(-base * 9**blocks // 8**blocks)
    return grown


def _bumped(fee: int) -> int:
    """12.5 % more, rounded up, and strictly more than 10 % even for the smallest numbers."""
    return max(-(-fee * 9 // 8), _accepted_everywhere(fee))


def _lifting_tip(previous: Fees, market: Market) -> int:
    """The least tip with which the price paid is enough of a step, at any base fee of the next blocks.

    The higher the base fee, the more tip it takes, as the base fee is the part of the price that does not grow; until
    the old cap is reached, where the old price ends.
    """
    if market.next_base is None:
        return 0
    base = min(_grown(market.next_base, REPLACED_WITHIN), previous.cap - min(previous.tip, previous.cap))
    return _accepted_everywhere(min(previous.cap, base + previous.tip)) - base


def _accepted_everywhere(fee: int) -> int:
    """The least replacement that Besu's strict rule (new * 100 > old * 110) takes; geth's (>=) is weaker."""
    return fee * 11 // 10 + 1
