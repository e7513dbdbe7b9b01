"""Prices that contracts tell: what to call and what the answers mean. Pure; `chainquotes` makes the calls.

All calls of a reading are for one block, and so is the price. Arithmetic is integers and `Decimal`; a tick is rounded
toward minus infinity, as Uniswap's own library does, never toward zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Final, Protocol

from seamark.core.ids import Address
from seamark.evm.types import Call

__all__ = ["ChainSource", "ChainlinkFeed", "OnchainError", "Reading", "Told", "UniswapTwap", "VaultRate"]

WORD: Final = 32
DIGITS: Final = 60
TICK_BASE: Final = Decimal("1.0001")  # Uniswap v3 white paper, 6.1
MAX_TICK: Final = 887_272  # TickMath.MAX_TICK
MAX_UINT160: Final = 2**160 - 1

# Selectors: the first four bytes of the keccak-256 of the signature.
OBSERVE: Final = bytes.fromhex("883bdbfd")  # observe(uint32[])
LATEST_ROUND: Final = bytes.fromhex("feaf968c")  # latestRoundData()
DECIMALS: Final = bytes.fromhex("313ce567")  # decimals()
CONVERT: Final = bytes.fromhex("07a2d13a")  # convertToAssets(uint256)


class OnchainError(Exception):
    """The answers make no price. `kind` is one word for metrics: "shape", "round", "liquidity", "number"."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Told:
    """A price and its time (seconds since the epoch)."""

    price: Decimal
    observed_at: float


class Reading(Protocol):
    """Calls for one block, and what their answers come to."""

    @property
    def chain(self) -> str: ...

    def calls(self, block: int) -> list[Call]: ...

    def read(self, answers: Sequence[bytes], block_time: int) -> Told:
        """Raises `OnchainError`."""
        ...


@dataclass(frozen=True, slots=True)
class ChainSource:
    """One price on one chain."""

    name: str
    venue: str
    reading: UniswapTwap | ChainlinkFeed | VaultRate
    deadline: float = 5.0
    weight: int = 1
    max_age: float | None = None


@dataclass(frozen=True, slots=True)
class UniswapTwap:
    """The geometric mean price of token0 in token1 over `window` seconds (inverted: token1 in token0).

    `observe` itself reverts ("OLD") where the pool's observations do not reach back so far.
    """

    chain: str
    pool: Address
    decimals0: int
    decimals1: int
    window: int
    invert: bool = False
    min_liquidity: int = 0

    def calls(self, block: int) -> list[Call]:
        arguments = b"".join(_word(number) for number in (WORD, 2, self.window, 0))
        return [Call(self.pool, OBSERVE + arguments, block)]

    def read(self, answers: Sequence[bytes], block_time: int) -> Told:
        ticks, seconds_per_liquidity = _two_arrays(answers[0])
        liquidity = self._liquidity((seconds_per_liquidity[1] - seconds_per_liquidity[0]) % 2**160)
        if liquidity < self.min_liquidity:
            raise OnchainError("liquidity", f"mean liquidity {liquidity} is below {self.min_liquidity}")
        tick = (_signed(ticks[1]) - _signed(ticks[0])) // self.window  # floors, also below zero
        if abs(tick) > MAX_TICK:
            raise OnchainError("number", f"a mean tick of {tick} does not exist")
        with localcontext(prec=DIGITS):
            price = TICK_BASE**tick * Decimal(10) ** (self.decimals0 - self.decimals1)
            return Told(1 / price if self.invert else price, block_time)

    def _liquidity(self, difference: int) -> int:
        """The harmonic mean, as OracleLibrary.consult computes it; 0 for a pool that tells nothing."""
        return self.window * MAX_UINT160 // (difference << 32) if difference else 0


@dataclass(frozen=True, slots=True)
class ChainlinkFeed:
    """The latest round of a feed (AggregatorV3Interface), refused where it is incomplete or carried over."""

    chain: str
    feed: Address

    def calls(self, block: int) -> list[Call]:
        return [Call(self.feed, LATEST_ROUND, block), Call(self.feed, DECIMALS, block)]

    def read(self, answers: Sequence[bytes], block_time: int) -> Told:
        round_id, answer, _, updated_at, answered_in = _words(answers[0], 5)
        decimals = _decimals(answers[1])
        if updated_at == 0:
            raise OnchainError("round", "the latest round is not complete")
        if answered_in < round_id:
            raise OnchainError("round", f"round {round_id} carries the answer of round {answered_in}")
        if updated_at > block_time:
            raise OnchainError("round", f"the round is of {updated_at}, later than its block")
        return Told(_scaled(_signed(answer), decimals), updated_at)


@dataclass(frozen=True, slots=True)
class VaultRate:
    """What one share is worth in the asset (ERC-4626 convertToAssets: without fees and limits)."""

    chain: str
    vault: Address
    asset_decimals: int

    def calls(self, block: int) -> list[Call]:
        # The shares' decimals are read along; the rate is asked for 10^18 units, which every vault can express.
        return [Call(self.vault, CONVERT + _word(10**18), block), Call(self.vault, DECIMALS, block)]

    def read(self, answers: Sequence[bytes], block_time: int) -> Told:
        (assets,) = _words(answers[0], 1)
        shares = _decimals(answers[1])
        if assets == 0:
            raise OnchainError("number", "a share is worth nothing")
        return Told(_scaled(assets, self.asset_decimals + 18 - shares), block_time)


# ---- words ----------------------------------------------------------------------------------------------------------


def _word(number: int) -> bytes:
    return number.to_bytes(WORD, "big")


def _words(data: bytes, count: int) -> list[int]:
    if len(data) < count * WORD:
        raise OnchainError("shape", f"{len(data)} bytes where {count * WORD} were expected; check the address")
    return [int.from_bytes(data[start : start + WORD], "big") for start in range(0, count * WORD, WORD)]


def _two_arrays(data: bytes) -> tuple[list[int], list[int]]:
    """Two dynamic arrays of two elements each."""
    words = _words(data, 8)
    if words[:2] != [2 * WORD, 5 * WORD] or words[2] != 2 or words[5] != 2:  # noqa: PLR2004 - two moments were asked for
        raise OnchainError("shape", "not two arrays of two; check that the address is a Uniswap v3 pool")
    return words[3:5], words[6:8]


def _signed(word: int) -> int:
    return word - 2**256 if word >= 2**255 else word


def _decimals(data: bytes) -> int:
    (decimals,) = _words(data, 1)
    if decimals > 77:  # noqa: PLR2004 - digits of an int256
        raise OnchainError("number", f"{decimals} decimals")
    return decimals


def _scaled(value: int, decimals: int) -> Decimal:
    with localcontext(prec=160):  # an int256 has 77 digits; nothing may be rounded here
        return Decimal(value).scaleb(-decimals)
