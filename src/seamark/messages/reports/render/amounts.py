"""Amounts of money for people: exact decimals cut to five significant digits, whole digits always. Pure."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Final

from seamark.core.units import from_base_units

__all__ = ["LINK_DECIMALS", "amount_text"]

LINK_DECIMALS: Final = 18
SHOWN_DIGITS: Final = 5
_DIGITS: Final = 120  # 256-bit numbers stay exact


def amount_text(amount: int, decimals: int, symbol: str) -> str:
    """As in "0.0412 LINK"."""
    value = from_base_units(amount, decimals)
    if value == 0:
        return f"0 {symbol}"
    places = max(0, SHOWN_DIGITS - 1 - value.adjusted())
    with localcontext() as context:
        context.prec = _DIGITS
        rounded = value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)
    text = f"{rounded:,f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} {symbol}"
