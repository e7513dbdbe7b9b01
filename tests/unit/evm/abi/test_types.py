from __future__ import annotations

import pytest

from seamark.evm.abi.errors import AbiTypeError
from seamark.evm.abi.types import MAX_NESTING, canonical, head_size, is_dynamic, params_from_json, parse_params


def one(text: str):
    (param,) = parse_params(text)
    return param


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("uint", "uint256"),
        ("int", "int256"),
        ("byte", "bytes1"),
        ("uint80", "uint80"),
        ("function", "function"),
        ("address payable", "address"),
        ("uint256[][3]", "uint256[][3]"),
        ("(uint256 a, (bytes32, string s)[2] b)[]", "(uint256,(bytes32,string)[2])[]"),
        ("tuple(uint8 a)", "(uint8)"),
        ("  ( uint8  ,  bool )[]  ", "(uint8,bool)[]"),
    ],
)
def test_canonical_form(written: str, expected: str) -> None:
    assert canonical(one(written).type) == expected


def test_names_and_modifiers() -> None:
    first, second, third = parse_params("uint64 indexed from, bytes calldata data, (address to) memory")
    assert (first.name, first.indexed) == ("from", True)
    assert (second.name, second.indexed) == ("data", False)
    assert third.name == ""


def test_no_parameters() -> None:
    assert parse_params("") == parse_params("  ") == ()


@pytest.mark.parametrize(
    "text",
    [
        "uint7",
        "uint0",
        "uint08",
        "uint264",
        "int512",
        "bytes0",
        "bytes33",
        "fixed128x18",
        "addres",
        "()",
        "(uint8",
        "uint8)",
        "uint8,",
        ",uint8",
        "uint8[0]",
        "uint8[99999999]",
        "uint8[-1]",
        "uint8[x]",
        "uint8 a b",
        "uint8 a; uint8 b",
        "uint٣",
    ],
)
def test_not_a_type(text: str) -> None:
    with pytest.raises(AbiTypeError):
        parse_params(text)


@pytest.mark.parametrize("text", ["uint8" + "[]" * (MAX_NESTING + 1), "(" * 40 + "uint8" + ")" * 40])
def test_absurd_nesting_is_refused(text: str) -> None:
    with pytest.raises(AbiTypeError, match="nest"):
        parse_params(text)


@pytest.mark.parametrize(
    ("text", "dynamic", "size"),
    [
        ("uint8", False, 32),
        ("uint8[3]", False, 96),
        ("(uint8,bytes4)[2]", False, 128),
        ("string", True, 32),
        ("string[2]", True, 32),
        ("(uint8,bytes)", True, 32),
        ("uint8[]", True, 32),
    ],
)
def test_layout(text: str, dynamic: bool, size: int) -> None:
    type_ = one(text).type
    assert is_dynamic(type_) is dynamic
    assert head_size(type_) == size


def test_json_parameters() -> None:
    (param,) = params_from_json(
        [
            {
                "name": "updates",
                "type": "tuple[2][]",
                "components": [{"name": "token", "type": "address"}, {"name": "value", "type": "uint224"}],
            }
        ]
    )
    assert param.name == "updates"
    assert canonical(param.type) == "(address,uint224)[2][]"


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "a"},
        {"name": "a", "type": 7},
        {"name": "a", "type": "tuple"},
        {"name": "a", "type": "tuple", "components": []},
        {"name": "a", "type": "uint8[)"},
    ],
)
def test_malformed_json_parameters(entry) -> None:
    with pytest.raises(AbiTypeError):
        params_from_json([entry])
