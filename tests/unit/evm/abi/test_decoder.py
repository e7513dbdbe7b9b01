from __future__ import annotations

import time

import pytest

from seamark.core.errors import RejectedError
from seamark.evm.abi import DecodeError, compile_decoder, parse_params

ADDRESS = bytes.fromhex("ab" * 20)


def word(number: int) -> bytes:
    return (number % (1 << 256)).to_bytes(32, "big")


def decode(types: str, *words: int | bytes):
    data = b"".join(part if isinstance(part, bytes) else word(part) for part in words)
    return compile_decoder(parse_params(types))(data)


def test_static_values() -> None:
    types = "uint256, int256, bool, address, bytes4, uint80, int24"
    words: list[int | bytes] = [5, -5, 1, ADDRESS.rjust(32, b"\0"), b"abcd".ljust(32, b"\0"), (1 << 80) - 1, -(1 << 23)]
    assert decode(types, *words) == (5, -5, True, "0x" + "ab" * 20, b"abcd", (1 << 80) - 1, -(1 << 23))


def test_the_ends_of_signed_integers() -> None:
    ends = ((1 << 255) - 1, -(1 << 255), 127, -128)
    assert decode("int256, int256, int8, int8", *ends) == ends


def test_booleans_are_booleans() -> None:
    (value,) = decode("bool", 0)
    assert value is False


def test_names_make_records_and_plain_types_make_tuples() -> None:
    record = decode("(uint8 _value, uint8 from, uint8) pair, (uint8,uint8) plain", 1, 2, 3, 4, 5)
    assert record.pair == (1, 2, 3)
    assert (record.pair.value, record.pair.from_, record.pair[2]) == (1, 2, 3)
    assert type(record.plain) is tuple


def test_names_of_strangers_cannot_become_code() -> None:
    from seamark.evm.abi.types import Param, Scalar  # noqa: PLC0415

    name = '"); __import__("os").abort(); ("'
    assert compile_decoder([Param(Scalar("bool"), name)])(word(1)) == (True,)


def test_large_fixed_arrays() -> None:
    (values,) = decode("uint16[100]", *range(100))
    assert values == tuple(range(100))
    (rows,) = decode("(uint8 a, uint16[3] b)[20]", *([1, 2, 3, 4] * 20))
    assert rows == ((1, (2, 3, 4)),) * 20
    assert rows[3].b == (2, 3, 4)


def test_dynamic_values() -> None:
    assert decode("string, bytes", 64, 128, 3, b"abc".ljust(32, b"\0"), 33, b"x" * 33 + bytes(31)) == ("abc", b"x" * 33)


def test_what_follows_the_encoding_is_ignored() -> None:
    assert decode("uint8", 7, 1, 2, 3) == (7,)


def test_no_types_need_no_data() -> None:
    assert decode("") == ()


@pytest.mark.parametrize(
    ("types", "words", "problem"),
    [
        ("uint256", [], "value: the data ends too early"),
        ("uint8 a", [256], "a: out of range for uint8"),
        ("uint24 a", [1 << 24], "out of range for uint24"),
        ("int8 a", [128], "out of range for int8"),
        ("int8 a", [-129], "out of range for int8"),
        ("bool a", [2], "a: a bool is 0 or 1"),
        ("bool a", [1 << 255], "a bool is 0 or 1"),
        ("address a", [1 << 160], "a: the padding is not zero"),
        ("bytes4 a", [1], "a: the padding is not zero"),
        ("function a", [1], "a: the padding is not zero"),
        ("bytes a", [32], "a: the data ends too early"),
        ("bytes a", [0, 0], "a: the offset is out of bounds"),
        ("bytes a", [1 << 64, 0], "a: the offset is out of bounds"),
        ("bytes a", [(1 << 64) - 1, 0], "a: the data ends too early"),
        ("bytes a", [32, 1 << 64, 0], "a: the length is out of bounds"),
        ("bytes a", [32, (1 << 64) - 1, 0], "a: the data ends too early"),
        ("bytes a", [32, 1, 0x61], "a: the padding is not zero"),
        ("bytes a", [32, 33, 0], "a: the data ends too early"),
        ("string a", [32, 1, b"\xff".ljust(32, b"\0")], "a: not valid UTF-8"),
        ("string a", [32, 3, b"\xed\xa0\x80".ljust(32, b"\0")], "a: not valid UTF-8"),
        ("uint8[] a", [32, 2, 1], "a: the data ends too early"),
        ("uint8[] a", [32, (1 << 64) - 1, 1], "a: the data ends too early"),
        ("uint8[] a", [32, 1, 256], r"a\[\]: out of range"),
        ("bytes[2] a", [32, 64], "a: the data ends too early"),
        ("bytes[] a", [32, 1, 0], r"a\[\]: the offset is out of bounds"),
        ("(uint8 x, bytes y)[] a", [32, 1, 32, 1], r"a\[\].*the data ends too early"),
        ("(uint8 x, (bool z) w) a", [1, 2], r"a\.w\.z: a bool is 0 or 1"),
        ("uint8[2] a", [1, 300], r"a\[1\]: out of range"),
        ("uint8[50] a", [300] * 50, r"a\[\]: out of range"),
    ],
)
def test_refusals_name_the_place(types: str, words: list[int | bytes], problem: str) -> None:
    with pytest.raises(DecodeError, match=problem) as caught:
        decode(types, *words)
    assert isinstance(caught.value, RejectedError)


def test_an_offset_into_its_own_head_is_refused() -> None:
    # eth-abi counts the static pair as one word and would accept 64 here.
    with pytest.raises(DecodeError, match="offset"):
        decode("(uint256[2] pair, bytes data) a", 32, 1, 2, 64, 0)


def test_shared_offsets_cannot_blow_up() -> None:
    # 5 levels of 100 offsets that all lead to the next level: 10 billion items out of 16 kB.
    levels, width = 5, 100
    level = word(width) + word(width * 32) * width
    data = word(32) + level * levels + word(0)
    started = time.process_time()
    with pytest.raises(DecodeError, match="share too much"):
        compile_decoder(parse_params("bytes" + "[]" * levels))(data)
    assert time.process_time() - started < 1


def test_modest_sharing_is_accepted() -> None:
    # Two empty byte strings in one place, as compact encoders write them.
    assert decode("bytes[]", 32, 2, 64, 64, 0) == ((b"", b""),)


def test_deepest_allowed_nesting_compiles() -> None:
    (value,) = decode("uint8" + "[]" * 12, *([32] + [1, 32] * 11 + [1, 7]))
    for _ in range(12):
        (value,) = value
    assert value == 7
