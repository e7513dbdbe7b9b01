"""Opaque cursors: a row's immutable position as URL-safe text. Nothing secret, nothing trusted: a made-up one is
refused.
"""

from __future__ import annotations

import base64
import binascii

import msgspec

from seamark.api.ports import Position
from seamark.api.problems import ParameterError

__all__ = ["read_cursor", "write_cursor"]

_MAX_AT = 2**63 - 1
_MAX_KEY = 200


def write_cursor(position: Position | None) -> str | None:
    if position is None:
        return None
    packed = msgspec.json.encode([position.at, position.key])
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def read_cursor(text: str | None) -> Position | None:
    """Raises `ParameterError` where the text is not one of ours."""
    if text is None:
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        at, key = msgspec.json.decode(raw, type=tuple[int, str])
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise ParameterError("cursor", "is not a cursor of this API; take `next` of the page before") from error
    if not 0 <= at <= _MAX_AT or len(key) > _MAX_KEY:
        raise ParameterError("cursor", "is not a cursor of this API; take `next` of the page before")
    return Position(at, key)
