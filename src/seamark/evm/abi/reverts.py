"""Why a call reverted, in words. Source: Solidity's `Error(string)` and `Panic(uint256)`, plus custom errors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from seamark.evm.abi.errors import DecodeError
from seamark.evm.abi.items import SELECTOR_BYTES, Error

__all__ = ["Revert", "decode_revert"]

_REASON: Final = Error.parse("error Error(string reason)")
_PANIC: Final = Error.parse("error Panic(uint256 code)")
_PANICS: Final = {
    0x00: "compiler panic",
    0x01: "assertion failed",
    0x11: "arithmetic overflow",
    0x12: "division by zero",
    0x21: "invalid enum value",
    0x22: "bad storage byte array",
    0x31: "pop of an empty array",
    0x32: "array index out of bounds",
    0x41: "out of memory",
    0x51: "call of an uninitialised function",
}
_SHOWN_BYTES = 36


@dataclass(frozen=True, slots=True)
class Revert:
    """A decoded revert; `str()` is one line for a person.

    `values` is a record; `name` is "" where the data is empty or of no known error.
    """

    name: str
    values: Any
    text: str

    def __str__(self) -> str:
        return self.text


def decode_revert(data: bytes, known: Iterable[Error] = ()) -> Revert:
    """Explain revert data; never fails, unknown data is shown as hex."""
    if not data:
        return Revert("", (), "reverted without a reason")
    for error in (_REASON, _PANIC, *known):
        if data[:SELECTOR_BYTES] == error.selector:
            try:
                values = error.decode(data)
            except DecodeError:
                break
            return Revert(error.name, values, _describe(error, values))
    shown = data[:_SHOWN_BYTES].hex() + ("…" if len(data) > _SHOWN_BYTES else "")
    return Revert("", (), f"reverted with unknown data 0x{shown}")


def _describe(error: Error, values: Any) -> str:
    if error is _REASON:
        return f"reverted: {values[0]}"
    if error is _PANIC:
        return f"reverted: {_PANICS.get(values[0], 'panic')} (Panic {values[0]:#x})"
    return f"reverted: {error.name}({', '.join(_show(value) for value in values)})"


def _show(value: Any) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)
