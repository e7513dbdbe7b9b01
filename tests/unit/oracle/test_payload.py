from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.oracle.payload import PriceUpdate, read_price_update


def encoded(*words: int) -> str:
    return "0x" + "".join(f"{word % 2**256:064x}" for word in words)


@given(st.integers(0, 2**80 - 1), st.integers(-(2**255), 2**255 - 1), st.integers(0, 2**64 - 1), st.integers(0, 255))
def test_what_was_encoded_comes_back(round_: int, answer: int, at: int, decimals: int) -> None:
    found = read_price_update(encoded(1, 0xFEED, round_, answer, at, at, decimals))
    assert found == PriceUpdate(f"0x{0xFEED:064x}", round_, answer, at, at, decimals)


def test_the_price_is_exact() -> None:
    found = read_price_update(encoded(1, 1, 2, -123_456_789, 5, 6, 8))
    assert found is not None
    assert found.price == Decimal("-1.23456789")


@pytest.mark.parametrize(
    "data",
    [
        "",
        "0x",
        "0x00",
        encoded(2, 1, 1, 1, 1, 1, 8),  # another version
        encoded(1, 1, 1, 1, 1, 8),  # a word short
        encoded(1, 1, 1, 1, 1, 1, 8, 0),  # a word too many
        encoded(1, 1, 2**80, 1, 1, 1, 8),  # dirty bits above a uint80
        encoded(1, 1, 1, 1, 2**64, 1, 8),
        encoded(1, 1, 1, 1, 1, 1, 256),
        "0x" + "zz" * 224,
    ],
)
def test_anything_else_is_no_update(data: str) -> None:
    assert read_price_update(data) is None
