"""Units: durations, ratios, exact decimals. Amounts of money are integers in base units or `Decimal`, never floats.

A ratio (deviation threshold, tolerance) is an integer in parts per billion, so that comparisons are exact; a bare
number is refused when written by a person because "0.5" means a half to some and half a percent to others.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation, localcontext
from typing import NewType

__all__ = [
    "PPB_PER_UNIT",
    "Ppb",
    "Seconds",
    "Wei",
    "format_duration",
    "format_ratio",
    "from_base_units",
    "parse_decimal",
    "parse_duration",
    "parse_ratio",
    "parse_wei",
    "to_base_units",
]

Wei = NewType("Wei", int)
"""Base units of a chain's native currency."""

Ppb = NewType("Ppb", int)
"""Parts per billion: 0.5 % is 5_000_000."""

Seconds = NewType("Seconds", float)

PPB_PER_UNIT = 1_000_000_000
_PPB_PER_PERCENT = PPB_PER_UNIT // 100
_PPB_PER_BASIS_POINT = PPB_PER_UNIT // 10_000

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_RATIO = re.compile(r"(\d+(?:\.\d+)?)\s*(%|ppb|ppm|bps)")
_RATIO_UNIT = {"%": _PPB_PER_PERCENT, "ppb": 1, "ppm": 1000, "bps": _PPB_PER_BASIS_POINT}
_MONEY = re.compile(r"(\d+(?:\.\d+)?)\s*(wei|gwei|ether)", re.ASCII)
_MONEY_PLACES = {"wei": 0, "gwei": 9, "ether": 18}
_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?")
# Enough for int256 (77 digits) times 10**36, so that no conversion rounds behind our back.
_DIGITS = 120
_EXACT = Context(prec=_DIGITS)
_ONE = Decimal(1)


def parse_duration(text: str) -> Seconds:
    """Read "250ms", "30s", "1h30m", "1d".

    Raises:
        ValueError: No unit, no number, or anything else beside them.
    """
    rest = text.strip()
    if rest.startswith("-"):
        raise ValueError(f"{text!r} is negative; a time span is zero or more")
    parts = _DURATION.findall(rest)
    if not parts or _DURATION.sub("", rest).strip():
        raise ValueError(f"{text!r} is not a duration: write a number with a unit, such as 250ms, 30s, 5m, 1h30m or 1d")
    return Seconds(sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts))


def format_duration(seconds: float) -> str:
    """Write a span as a person would: "850ms", "42s", "3m20s", "1h05m", "2d3h"."""
    if seconds < 0:
        return f"-{format_duration(-seconds)}"
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    whole = round(seconds)
    if whole < 60:  # noqa: PLR2004 - seconds in a minute
        return f"{whole}s"
    minutes, secs = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours}h" if hours else f"{days}d"
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{secs:02d}s" if secs else f"{minutes}m"


def parse_ratio(text: str) -> Ppb:
    """Read "0.5%", "50bps", "5000ppm" or "5000000ppb" as parts per billion.

    Raises:
        ValueError: No unit (0.5 could mean a half or half a percent), negative, or finer than one part per billion.
    """
    if text.strip().startswith("-"):
        raise ValueError(f"{text!r} is negative; a ratio is zero or more")
    match = _RATIO.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a ratio: write a unit, such as 0.5%, 50bps or 5000000ppb")
    scaled = Decimal(match[1]) * _RATIO_UNIT[match[2]]
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{text!r} is finer than one part per billion")
    return Ppb(int(scaled))


def format_ratio(ratio: Ppb) -> str:
    """Write parts per billion as a percentage without trailing zeros."""
    percent = (Decimal(ratio) / _PPB_PER_PERCENT).normalize()
    return f"{percent:f}%"


def parse_decimal(text: str) -> Decimal:
    """Read a plain or scientific decimal number exactly.

    Raises:
        ValueError: Anything else: empty, NaN, infinity, digits of other scripts, underscores, absurd exponents.
    """
    # Nearly every price looks like this, and the look is cheap: digits, a dot at most, and too few to be out of range.
    if len(text) <= _DIGITS // 2 and text.isascii() and text.replace(".", "", 1).isdigit():
        return Decimal(text)
    if not _DECIMAL.fullmatch(text) or not text.isascii():
        raise ValueError(f"{text[:40]!r} is not a decimal number")
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"{text[:40]!r} is not a decimal number") from error
    if abs(number.adjusted()) > _DIGITS // 2:
        raise ValueError(f"{text[:40]!r} is out of any price's range")
    return number


def parse_wei(text: str) -> Wei:
    """Read "0.2 ether", "30 gwei" or "1000 wei"; exact.

    Raises:
        ValueError: No unit, no number, a part of a wei, or less than nothing.
    """
    found = _MONEY.fullmatch(text.strip())
    if found is None:
        raise ValueError(
            f"{text!r} is not an amount: write a number with a unit, such as 0.2 ether, 30 gwei or 1000 wei"
        )
    with localcontext() as context:
        context.prec = _DIGITS
        amount = parse_decimal(found[1]).scaleb(_MONEY_PLACES[found[2]])
    if amount != amount.to_integral_value():
        raise ValueError(f"{text!r} is not a whole number of wei")
    return Wei(int(amount))


def to_base_units(value: Decimal, decimals: int) -> int:
    """Scale to an integer with `decimals` places, half to even."""
    return int(value.scaleb(decimals, _EXACT).quantize(_ONE, ROUND_HALF_EVEN, _EXACT))


def from_base_units(amount: int, decimals: int) -> Decimal:
    """The exact decimal that `amount` base units stand for."""
    return Decimal(amount).scaleb(-decimals, _EXACT)
