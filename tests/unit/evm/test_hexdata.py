from __future__ import annotations

import pytest

from seamark.evm.hexdata import HexError, hash32, parse_data, parse_quantity, to_data, to_quantity


@pytest.mark.parametrize(
    ("text", "number"), [("0x0", 0), ("0x1a", 26), ("0x00ff", 255), ("0xFF", 255), ("0x" + "f" * 64, 2**256 - 1)]
)
def test_quantities(text: str, number: int) -> None:
    assert parse_quantity(text) == number
    assert parse_quantity(to_quantity(number)) == number


@pytest.mark.parametrize(
    "text",
    ["", "0x", "1", "0xg", "-0x1", "0x-1", "0x1_0", " 0x1", "0x1\n", "0X1", "0x" + "f" * 65, 5, None, True, "0x٣"],
)
def test_not_a_quantity(text) -> None:
    with pytest.raises(HexError):
        parse_quantity(text)


def test_negative_numbers_have_no_quantity() -> None:
    with pytest.raises(HexError):
        to_quantity(-1)


@pytest.mark.parametrize("raw", [b"", b"\0", b"\xff\0", bytes(100)])
def test_data(raw: bytes) -> None:
    assert parse_data(to_data(raw)) == raw


@pytest.mark.parametrize("text", ["", "00", "0x0", "0x 0", "0x00 11", "0xzz", None, b"0x00", "0xé0"])
def test_not_data(text) -> None:
    with pytest.raises(HexError):
        parse_data(text)


def test_hashes() -> None:
    assert hash32("0x" + "AB" * 32) == "0x" + "ab" * 32
    for bad in ("0x" + "ab" * 31, "ab" * 33, "0x" + "zz" * 32, 7):
        with pytest.raises(HexError):
            hash32(bad)


def test_long_text_is_cut() -> None:
    with pytest.raises(HexError) as caught:
        parse_data("x" * 5000)
    assert len(str(caught.value)) < 120
