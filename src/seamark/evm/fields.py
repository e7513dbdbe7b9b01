"""What settings about chains are made of: addresses, node addresses, selectors, functions.

Each type says what is wrong with a value in words for the operator; whatever may hold a secret is shown redacted.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, PlainSerializer

from seamark.core.ids import Address
from seamark.evm.address import AddressError, parse_address, to_checksum
from seamark.evm.crypto import keccak256
from seamark.runtime.logs import redact_url

__all__ = ["AddressText", "FunctionText", "RpcUrl", "SelectorText"]

_MAX_UINT64: Final = 2**64 - 1
_FUNCTION: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*\([A-Za-z0-9_$,()\[\]]*\)", re.ASCII)
_FUNCTION_SELECTOR: Final = re.compile(r"0x[0-9a-fA-F]{8}", re.ASCII)
_ALIASES: Final = re.compile(r"\bu?int\b(?!\d)")


def _check_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        # The URL itself may carry a key: never quote all of it.
        raise ValueError(f"{redact_url(url)!r} is no node address; write http://host:port or https://…")
    return url


def _to_selector(value: Any) -> Any:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= _MAX_UINT64:
        raise ValueError(f"{value!r} is no chain selector; write a decimal uint64 above zero")
    return value


def _to_address(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("is a number to YAML, not an address; write it in quotes")  # noqa: TRY004 - as pydantic wants
    try:
        return parse_address(value)
    except AddressError as error:
        raise ValueError(str(error)) from None  # as pydantic wants it; the setting's name is added there


def _to_function(value: Any) -> Any:
    if isinstance(value, str) and _FUNCTION_SELECTOR.fullmatch(value):
        return value.lower()
    text = value.replace(" ", "") if isinstance(value, str) else ""
    if not _FUNCTION.fullmatch(text):
        raise ValueError(f"{value!r} is no function; write name(type,type) or its four bytes as 0x…")
    if _ALIASES.search(text.partition("(")[2]):
        raise ValueError(f"{value!r} has int or uint without its size; write int256 or uint256")
    return "0x" + keccak256(text.encode()).hex()[:8]


AddressText = Annotated[Address, BeforeValidator(_to_address), PlainSerializer(to_checksum, when_used="json")]
"""20 bytes in hex; where the case is mixed it must be the EIP-55 checksum."""

RpcUrl = Annotated[str, AfterValidator(_check_url), PlainSerializer(redact_url, when_used="json")]
"""A node's address; shown without its user, path and query, where providers put keys."""

SelectorText = Annotated[int, BeforeValidator(_to_selector), PlainSerializer(str, when_used="json")]
"""CCIP chain selector; text or a number in YAML, text in JSON (it exceeds 2**53)."""

FunctionText = Annotated[str, BeforeValidator(_to_function)]
"""The four bytes that name a function in a call, as 0x and 8 hex digits; may be written as its signature."""
