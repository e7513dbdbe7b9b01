"""Opaque cursors: a row's place as URL-safe text. Nothing secret, nothing trusted: a made-up one is refused."""

from __future__ import annotations

import base64
import binascii

from seamark.api.problems import ParameterError

__all__ = ["BAD_CURSOR", "read_cursor", "write_cursor"]

BAD_CURSOR = "is not a cursor of this API; take `next` of the page before"
_MAX = 2**63 - 1


def write_cursor(place: int) -> str:
    return base64.urlsafe_b64encode(str(place).encode()).decode().rstrip("=")


def read_cursor(text: str | None) -> int | None:
    """The place behind a cursor.

    Raises:
        ParameterError: The text is not one of ours.
    """
    if text is None:
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise ParameterError("cursor", BAD_CURSOR) from error
    if not raw.isdigit() or int(raw) > _MAX:
        raise ParameterError("cursor", BAD_CURSOR)
    return int(raw)
