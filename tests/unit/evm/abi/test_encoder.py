from __future__ import annotations

import pytest

from seamark.evm.abi import EncodeError, compile_encoder, parse_params

ADDRESS = "0x" + "ab" * 20


def encode(types: str, *values):
    return compile_encoder(parse_params(types))(values)


def word(number: int) -> bytes:
    return (number % (1 << 256)).to_bytes(32, "big")


def test_heads_then_tails() -> None:
    assert encode("uint8 a, bytes b, bool c, string d", 7, b"xy", True, "é") == b"".join(
        [
            word(7),
            word(128),
            word(1),
            word(192),
            word(2),
            b"xy".ljust(32, b"\0"),
            word(2),
            "é".encode().ljust(32, b"\0"),
        ]
    )


def test_addresses_and_hashes_may_be_text() -> None:
    assert encode("address a", ADDRESS) == encode("address a", bytes.fromhex("ab" * 20)) == bytes(12) + b"\xab" * 20
    assert encode("address a", ADDRESS.replace("ab", "AB")) == encode("address a", ADDRESS)
    assert encode("bytes32 a", "0x" + "cd" * 32) == b"\xcd" * 32


def test_arrays() -> None:
    assert encode("uint8[] a", []) == word(32) + word(0)
    assert encode("uint8[2] a", (1, 2)) == word(1) + word(2)
    assert encode("bytes[1] a", [b""]) == word(32) + word(32) + word(0)


@pytest.mark.parametrize(
    ("types", "value"),
    [
        ("uint8 a", 256),
        ("uint8 a", -1),
        ("int8 a", 128),
        ("int8 a", -129),
        ("uint8 a", True),
        ("uint8 a", 1.0),
        ("uint8 a", "1"),
        ("bool a", 1),
        ("bool a", None),
        ("address a", ADDRESS[:-2]),
        ("address a", ADDRESS[2:]),
        ("address a", "0x" + "zz" * 20),
        ("address a", "0x" + "ab cd " * 6 + "abcd"),
        ("address a", b"\0" * 19),
        ("address a", bytearray(20)),
        ("bytes4 a", b"abc"),
        ("bytes4 a", b"abcde"),
        ("bytes4 a", "abcd"),
        ("bytes4 a", "0xabcdefgh"),
        ("bytes a", "0x00"),
        ("bytes a", bytearray(2)),
        ("string a", b"text"),
        ("string a", "\ud800"),
        ("uint8[2] a", [1]),
        ("uint8[2] a", [1, 2, 3]),
        ("uint8[] a", 5),
        ("uint8[] a", "12"),
        ("uint8[] a", {1: 2}),
        ("(uint8 b) a", 1),
        ("(uint8 b) a", (1, 2)),
    ],
)
def test_values_that_do_not_fit_are_refused(types: str, value) -> None:
    with pytest.raises(EncodeError, match=r"^a"):
        encode(types, value)


def test_errors_name_the_place() -> None:
    with pytest.raises(EncodeError, match=r"^a\[\]\.b: 256 is out of range for uint8"):
        encode("(uint8 b)[] a", [(1,), (256,)])
    with pytest.raises(EncodeError, match=r"^value 1: "):
        encode("uint8, uint8", 1, "x")
    with pytest.raises(EncodeError, match="2 values are needed, not 1"):
        encode("uint8, uint8", 1)


def test_long_values_are_not_quoted_whole() -> None:
    with pytest.raises(EncodeError) as caught:
        encode("uint8 a", "x" * 10_000)
    assert len(str(caught.value)) < 120
