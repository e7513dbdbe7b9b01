"""Amounts and differences for people: exact text, never a float. Pure."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, localcontext

from seamark.api.names import NATIVE_DECIMALS, ChainName, ChainNames, TokenName
from seamark.api.views import Fee
from seamark.core.ids import Address
from seamark.core.units import from_base_units
from seamark.evm.address import ZERO_ADDRESS, to_checksum

__all__ = ["account_text", "fee_view", "percent_between", "plain"]

_DIGITS = 120  # 256-bit numbers stay exact
_PERCENT_PLACES = Decimal("0.0001")
_SHOWN_DIGITS = 5  # significant digits of an amount that a person reads
_ADDRESS_LENGTH = 42


def plain(number: Decimal) -> str:
    """Without an exponent."""
    return f"{number:f}"


def percent_between(before: Decimal, after: Decimal) -> str | None:
    """(after - before) / |before| in per cent, to four places; None from zero."""
    if before == 0:
        return None
    with localcontext() as context:
        context.prec = _DIGITS
        change = (after - before) * 100 / abs(before)
        rounded = change.quantize(_PERCENT_PLACES, rounding=ROUND_HALF_EVEN)
    return plain(rounded or abs(rounded))


def fee_view(amount: int, token: str | None, chain: ChainName, names: ChainNames) -> Fee:
    """A fee in the token at an address; None or the zero address is the chain's own currency."""
    native = token is None or token == ZERO_ADDRESS
    known = TokenName(chain.native, NATIVE_DECIMALS) if native else names.token(chain.chain_id, token or "")
    if known is None:
        return Fee(amount=str(amount), token=account_text(token or ""), symbol=None, text=f"{amount} base units")
    text = f"{_readable(from_base_units(amount, known.decimals))} {known.symbol}"
    return Fee(amount=str(amount), token=None if native else account_text(token or ""), symbol=known.symbol, text=text)


def _readable(amount: Decimal) -> str:
    """A few significant digits, whole digits always."""
    if amount == 0:
        return "0"
    places = max(0, _SHOWN_DIGITS - 1 - amount.adjusted())
    with localcontext() as context:
        context.prec = _DIGITS
        text = plain(amount.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN))
    return text.rstrip("0").rstrip(".") if "." in text else text


def account_text(account: str) -> str:
    """With its checksum, where it is an EVM address; other chains' accounts stay as they are."""
    return to_checksum(Address(account)) if account.startswith("0x") and len(account) == _ADDRESS_LENGTH else account
