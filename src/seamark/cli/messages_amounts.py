"""Amounts of tokens for people, as far as somebody has told their symbols and decimals; base units otherwise. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Final

from seamark.core.ids import Address
from seamark.core.units import from_base_units
from seamark.evm.address import ZERO_ADDRESS, to_checksum

__all__ = ["LINK_DECIMALS", "Tokens", "account", "amount_text"]

LINK_DECIMALS: Final = 18
NATIVE_DECIMALS: Final = 18
SHOWN_DIGITS: Final = 5
_DIGITS: Final = 120  # 256-bit numbers stay exact
_ADDRESS_LENGTH: Final = 42
_THOUSANDS: Final = 4  # whole digits from which a comma helps


class Tokens:
    """Fee tokens by (chain id, address)."""

    def __init__(self, known: Mapping[tuple[int, str], tuple[str, int]] | None = None) -> None:
        self._known = known or {}

    def text(self, chain_id: int | None, token: str, amount: str) -> str:
        """As in 0.0412 LINK; base units and the token's address where nobody knows it."""
        if token == ZERO_ADDRESS:
            return amount_text(int(amount), NATIVE_DECIMALS, "native")
        known = self._known.get((chain_id or 0, token))
        if known is None:
            return f"{int(amount):,} base units" + (f" of {account(token)[:8]}…" if token else "")
        return amount_text(int(amount), known[1], known[0])

    def symbol(self, chain_id: int | None, token: str) -> str:
        if token == ZERO_ADDRESS:
            return "native"
        known = self._known.get((chain_id or 0, token))
        return known[0] if known else account(token)


def amount_text(amount: int, decimals: int, symbol: str) -> str:
    """Five significant digits, whole digits always."""
    value = from_base_units(amount, decimals)
    if value == 0:
        return f"0 {symbol}"
    places = max(0, SHOWN_DIGITS - 1 - value.adjusted())
    with localcontext() as context:
        context.prec = _DIGITS
        rounded = value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)
    text = f"{rounded:,f}" if rounded.adjusted() >= _THOUSANDS else f"{rounded:f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} {symbol}"


def account(text: str) -> str:
    """With its checksum, where it is an EVM address; other chains' accounts stay as they are."""
    return to_checksum(Address(text)) if text.startswith("0x") and len(text) == _ADDRESS_LENGTH else text
