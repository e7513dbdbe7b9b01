"""Revert data of CCIP's contracts in words, however deep and however short it is cut.

The table has every custom error of all published versions. Errors wrap errors (an OffRamp's around a pool's around a
token's), and contracts keep at most 132 bytes of what a call returned (four words behind a selector), so data is read
as far as it goes: a blob inside is read like the whole, and of a blob that is cut short the front part is told.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

import msgspec

from seamark.evm.abi import DecodeError, Error, Param, decode_revert

__all__ = ["SELECTOR_BYTES", "blob", "describe_revert", "known_error"]

SELECTOR_BYTES = 4
_WORD = 32
_DEEPEST = 4  # layers; contracts produce three
_SHOWN_BYTES = 36
_CUT = "…"

_REASON = Error.parse("error Error(string reason)")
_PANIC = Error.parse("error Panic(uint256 code)")


@lru_cache(maxsize=1)
def _signatures() -> dict[bytes, str]:
    document = msgspec.json.decode((files(__package__) / "data" / "errors.json").read_bytes())
    return {bytes.fromhex(selector[2:]): signature for selector, signature in document["errors"]}


@lru_cache(maxsize=512)
def known_error(selector: bytes) -> Error | None:
    """The error with this selector, of any published contract of CCIP."""
    signature = _signatures().get(selector)
    return Error.parse(f"error {signature}") if signature else None


def describe_revert(data: bytes, depth: int = 0) -> str:
    """One line for a person; never fails."""
    selector = data[:SELECTOR_BYTES]
    if selector == _REASON.selector and not _is_whole(data):
        return f"reverted: {_front_of_text(data)}"
    error = known_error(selector) if len(data) >= SELECTOR_BYTES else None
    if error is None or depth >= _DEEPEST:
        return str(decode_revert(data))
    shown = ", ".join(_argument(data, position, param, depth) for position, param in enumerate(error.inputs))
    return f"reverted: {error.name}({shown})"


def blob(data: bytes, position: int) -> bytes:
    """The `bytes` argument at a position (behind arguments of one word each), as much of it as is there."""
    body = data[SELECTOR_BYTES:]
    offset = int.from_bytes(body[position * _WORD : (position + 1) * _WORD])
    length = int.from_bytes(body[offset : offset + _WORD])
    return body[offset + _WORD : offset + _WORD + length]


def _argument(data: bytes, position: int, param: Param, depth: int) -> str:
    """One argument. Those of CCIP's errors are words, blobs and texts; the few lists and structs are left out."""
    name = getattr(param.type, "name", "")
    word = data[SELECTOR_BYTES + position * _WORD :][:_WORD]
    if len(word) < _WORD or not name:
        return _CUT
    if name == "bytes":
        return _inner(blob(data, position), depth)
    return _text(blob(data, position)) if name == "string" else _word(name, word)


def _inner(inner: bytes, depth: int) -> str:
    selector = inner[:SELECTOR_BYTES]
    if known_error(selector) or selector in (_REASON.selector, _PANIC.selector):
        return describe_revert(inner, depth + 1).removeprefix("reverted: ")
    return _hex(inner)


def _word(name: str, word: bytes) -> str:
    if name == "address":
        return "0x" + word[-20:].hex()
    if name == "bool":
        return str(any(word)).lower()
    if name.startswith("bytes"):
        return "0x" + word[: int(name.removeprefix("bytes"))].hex()
    return str(int.from_bytes(word, signed=name.startswith("int")))


def _is_whole(data: bytes) -> bool:
    try:
        _REASON.decode(data)
    except DecodeError:
        return False
    return True


def _front_of_text(data: bytes) -> str:
    return _text(blob(data, 0)) + _CUT


def _text(raw: bytes) -> str:
    return raw.rstrip(b"\0").decode(errors="replace")


def _hex(raw: bytes) -> str:
    return "0x" + raw[:_SHOWN_BYTES].hex() + (_CUT if len(raw) > _SHOWN_BYTES else "")
