"""Solidity's ABI types as a small tree, and the text forms that name them.

Source: the contract ABI specification of Solidity 0.8. The `fixed` types have no values in Solidity and are refused,
and so are arrays of length zero and empty tuples, which no contract can declare: without them every element takes at
least one word, so a length is always bounded by the data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from seamark.evm.abi.errors import AbiTypeError

__all__ = [
    "WORD",
    "AbiType",
    "Array",
    "Param",
    "Scalar",
    "Tuple",
    "canonical",
    "head_size",
    "is_dynamic",
    "parse_params",
]

WORD: Final = 32
MAX_NESTING: Final = 12  # a compiled decoder nests one loop per array, and Python allows 20
MAX_ARRAY_LENGTH: Final = 1 << 20  # of a fixed array; its head alone would be 32 MB
MAX_BITS: Final = 256

_SCALAR: Final = re.compile(r"(u?int|bytes)(\d{1,3})", re.ASCII)
_PLAIN: Final = frozenset({"address", "bool", "string", "bytes", "function"})
_ALIASES: Final = {"uint": "uint256", "int": "int256", "byte": "bytes1"}
_WORD_TOKEN: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*", re.ASCII)
_DIMENSION: Final = re.compile(r"\[(\d{0,7})\]", re.ASCII)
_MODIFIERS: Final = frozenset({"indexed", "calldata", "memory", "storage", "payable"})


@dataclass(frozen=True, slots=True)
class Scalar:
    """One word, or `bytes` / `string`. `bits` is the width of an integer, `size` the length of a bytesN."""

    name: str
    bits: int = 0
    size: int = 0

    @property
    def signed(self) -> bool:
        return self.name.startswith("int")


@dataclass(frozen=True, slots=True)
class Array:
    """`item[length]`, or `item[]` where length is None."""

    item: AbiType
    length: int | None


@dataclass(frozen=True, slots=True)
class Tuple:
    """A struct: named or unnamed components."""

    components: tuple[Param, ...]


AbiType: TypeAlias = Scalar | Array | Tuple


@dataclass(frozen=True, slots=True)
class Param:
    """A type with a name, which may be empty."""

    type: AbiType
    name: str = ""
    indexed: bool = False


def canonical(type_: AbiType) -> str:
    """The type as it stands in a signature that is hashed."""
    match type_:
        case Scalar(name=name):
            return name
        case Array(item=item, length=length):
            return f"{canonical(item)}[{'' if length is None else length}]"
        case Tuple(components=components):
            return f"({','.join(canonical(part.type) for part in components)})"


def is_dynamic(type_: AbiType) -> bool:
    """Whether the value stands behind an offset."""
    match type_:
        case Scalar(name=name):
            return name in ("bytes", "string")
        case Array(item=item, length=length):
            return length is None or is_dynamic(item)
        case Tuple(components=components):
            return any(is_dynamic(part.type) for part in components)


def head_size(type_: AbiType) -> int:
    """Bytes that the type takes in the head of what contains it."""
    if is_dynamic(type_):
        return WORD
    match type_:
        case Array(item=item, length=length):
            return head_size(item) * (length or 0)
        case Tuple(components=components):
            return sum(head_size(part.type) for part in components)
        case _:
            return WORD


def parse_scalar(text: str) -> Scalar:
    """Read "uint64", "bytes32", "address" and the like.

    Raises:
        AbiTypeError: Solidity has no such type.
    """
    name = _ALIASES.get(text, text)
    if name in _PLAIN:
        return Scalar(name, size=24 if name == "function" else 0)
    found = _SCALAR.fullmatch(name)
    if found is None or found[2].startswith("0"):
        raise AbiTypeError(f"{text[:60]!r} is not an ABI type")
    width = int(found[2])
    if found[1] == "bytes":
        if width > WORD:
            raise AbiTypeError(f"{text!r} is not an ABI type: bytes1 to bytes32")
        return Scalar(name, size=width)
    if width > MAX_BITS or width % 8:
        raise AbiTypeError(f"{text!r} is not an ABI type: 8 to 256 bits in steps of 8")
    return Scalar(name, bits=width)


def parse_params(text: str) -> tuple[Param, ...]:
    """Read a parameter list without its outer parentheses: "uint80 id, (address to, bytes data)[] calls".

    Raises:
        AbiTypeError: Not such a list.
    """
    return _Reader(text).read_all()


def params_from_json(entries: Iterable[dict[str, Any]]) -> tuple[Param, ...]:
    """Read `inputs`, `outputs` or `components` of a JSON ABI.

    Raises:
        AbiTypeError: A malformed entry.
    """
    return tuple(_param_from_json(entry, 0) for entry in entries)


def with_dimensions(item: AbiType, suffix: str, context: str) -> AbiType:
    """Wrap an element type in the arrays that "[3][]" stands for."""
    rest = suffix
    while rest:
        found = _DIMENSION.match(rest)
        if found is None:
            raise AbiTypeError(f"{context[:60]!r}: {rest[:20]!r} is not an array suffix")
        item = Array(item, _length(found[1], context))
        rest = rest[found.end() :]
    return item


def check_nesting(type_: AbiType, depth: int = 0) -> None:
    """Refuse types that nest deeper than any real contract's."""
    if depth > MAX_NESTING:
        raise AbiTypeError(f"types nest more than {MAX_NESTING} deep")
    match type_:
        case Array(item=item):
            check_nesting(item, depth + 1)
        case Tuple(components=components):
            for part in components:
                check_nesting(part.type, depth + 1)


def _length(digits: str, context: str) -> int | None:
    if not digits:
        return None
    length = int(digits)
    if not 0 < length <= MAX_ARRAY_LENGTH:
        raise AbiTypeError(f"{context[:60]!r}: an array has 1 to {MAX_ARRAY_LENGTH} elements")
    return length


def _param_from_json(entry: dict[str, Any], depth: int) -> Param:
    written = entry.get("type")
    name = entry.get("name", "")
    if not isinstance(written, str) or not isinstance(name, str) or depth > MAX_NESTING:
        raise AbiTypeError("an ABI parameter needs a type and a name, both text")
    base, bracket, dimensions = written.partition("[")
    if base == "tuple":
        parts = entry.get("components")
        if not isinstance(parts, list) or not parts:
            raise AbiTypeError(f"the tuple {name!r} has no components")
        item: AbiType = Tuple(tuple(_param_from_json(part, depth + 1) for part in parts))
    else:
        item = parse_scalar(base)
    type_ = with_dimensions(item, bracket + dimensions, written)
    check_nesting(type_)
    return Param(type_, name, bool(entry.get("indexed")))


class _Reader:
    """A cursor over a parameter list."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def read_all(self) -> tuple[Param, ...]:
        self._skip()
        if self._at == len(self._text):
            return ()
        params = self._list(0)
        if self._at != len(self._text):
            raise self._bad("the list ends here")
        for param in params:
            check_nesting(param.type)
        return params

    def _list(self, depth: int) -> tuple[Param, ...]:
        params = [self._param(depth)]
        while self._take(","):
            params.append(self._param(depth))
        return tuple(params)

    def _param(self, depth: int) -> Param:
        if depth > MAX_NESTING:
            raise AbiTypeError(f"types nest more than {MAX_NESTING} deep")
        type_ = self._type(depth)
        words = []
        while word := self._word():
            words.append(word)
        indexed = "indexed" in words
        names = [word for word in words if word not in _MODIFIERS]
        if len(names) > 1:
            raise self._bad(f"{names[1]!r} is one name too many")
        return Param(type_, names[0] if names else "", indexed)

    def _type(self, depth: int) -> AbiType:
        self._skip()
        if self._take("("):
            item: AbiType = self._components(depth)
        else:
            word = self._word()
            if word == "tuple" and self._take("("):
                item = self._components(depth)
            elif word:
                item = parse_scalar(word)
            else:
                raise self._bad("a type is missing")
        start = self._at
        while found := _DIMENSION.match(self._text, self._at):
            self._at = found.end()
        return with_dimensions(item, self._text[start : self._at], self._text)

    def _components(self, depth: int) -> Tuple:
        parts = self._list(depth + 1)
        if not self._take(")"):
            raise self._bad("')' is missing")
        return Tuple(parts)

    def _skip(self) -> None:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1

    def _take(self, mark: str) -> bool:
        self._skip()
        if self._text.startswith(mark, self._at):
            self._at += 1
            return True
        return False

    def _word(self) -> str:
        self._skip()
        found = _WORD_TOKEN.match(self._text, self._at)
        if found is None:
            return ""
        self._at = found.end()
        return found[0]

    def _bad(self, problem: str) -> AbiTypeError:
        return AbiTypeError(f"{self._text[:80]!r} at {self._at}: {problem}")
