from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.core.units import (
    Ppb,
    format_duration,
    format_ratio,
    from_base_units,
    parse_decimal,
    parse_duration,
    parse_ratio,
    parse_wei,
    to_base_units,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("30s", 30),
        ("5m", 300),
        ("1h30m", 5400),
        ("1d", 86400),
        ("2w", 1209600),
        (" 1.5h ", 5400),
        ("1h 30m", 5400),
    ],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "s", "5x", "-5s", "5s or so", "1e3s"])
def test_durations_without_number_or_unit_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|negative"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.85, "850ms"),
        (42, "42s"),
        (200, "3m20s"),
        (300, "5m"),
        (3900, "1h05m"),
        (183600, "2d3h"),
        (86400, "1d"),
        (-5, "-5s"),
    ],
)
def test_durations_are_written_for_people(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "ppb"),
    [
        ("0.5%", 5_000_000),
        ("50bps", 5_000_000),
        ("5000ppm", 5_000_000),
        ("5000000ppb", 5_000_000),
        ("0%", 0),
        ("100 %", 10**9),
    ],
)
def test_ratios_have_units(text: str, ppb: int) -> None:
    assert parse_ratio(text) == ppb


@pytest.mark.parametrize("text", ["0.5", "0,5%", "half", "-1%", "0.00000001%", "1e-3%", ""])
def test_ratios_that_could_mean_two_things_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_ratio(text)


@given(st.integers(0, 10**12))
def test_ratio_survives_writing_and_reading(ppb: int) -> None:
    assert parse_ratio(format_ratio(Ppb(ppb))) == ppb


@pytest.mark.parametrize("text", ["1", "-1.5", "+.5", "5.", "1e3", "1.25E-7", "0"])
def test_decimals_are_exact(text: str) -> None:
    assert parse_decimal(text) == Decimal(text)


@pytest.mark.parametrize(
    "text", ["", "nan", "NaN", "inf", "-Infinity", "1_000", "0x10", "1,5", " 1", "\u0661", "1e9999", "1e500", "--1"]
)
def test_numbers_that_are_no_prices_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_decimal(text)


@pytest.mark.parametrize(
    ("text", "amount"),
    [("0.2 ether", 2 * 10**17), ("30gwei", 30 * 10**9), (" 1000 wei ", 1000), ("0.000000001 gwei", 1), ("0 wei", 0)],
)
def test_amounts_of_money_have_a_unit(text: str, amount: int) -> None:
    assert parse_wei(text) == amount


@pytest.mark.parametrize("text", ["", "1", "0.5", "1 eth", "-1 wei", "1.5 wei", "1e18 wei", "1 ETHER", "0x1 wei"])
def test_anything_else_is_no_amount(text: str) -> None:
    with pytest.raises(ValueError, match=r"amount|whole number"):
        parse_wei(text)


@pytest.mark.parametrize(
    ("value", "decimals", "amount"),
    [("1.5", 0, 2), ("2.5", 0, 2), ("-2.5", 0, -2), ("3000.123456785", 8, 300012345678), ("0", 18, 0)],
)
def test_scaling_rounds_half_to_even(value: str, decimals: int, amount: int) -> None:
    assert to_base_units(Decimal(value), decimals) == amount


@given(st.integers(-(2**255), 2**255 - 1), st.integers(0, 36))
def test_scaling_is_exact_for_every_int256(amount: int, decimals: int) -> None:
    assert to_base_units(from_base_units(amount, decimals), decimals) == amount
