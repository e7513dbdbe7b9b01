"""Outgoing JSON: one request, one answer in a few words. What goes wrong is told without the address, which may be
a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import aiohttp

from seamark.core.errors import TemporaryError
from seamark.runtime.http import ResponseTooLargeError, read_limited

__all__ = ["PostReply", "Session", "post_json"]

Session: TypeAlias = aiohttp.ClientSession
"""What callers pass through, so that they need not know the library."""

MAX_REPLY_BYTES: Final = 64 * 1024  # a receiver says "ok"; who sends more is not read
_TIMEOUT_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class PostReply:
    """The status, and the seconds that the other side asks to wait, where it named them."""

    status: int
    retry_after_s: float | None

    @property
    def accepted(self) -> bool:
        return 200 <= self.status < 300  # noqa: PLR2004 - RFC 9110, section 15.3


async def post_json(
    session: Session,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    timeout_s: float = _TIMEOUT_S,
) -> PostReply:
    """Post; redirects are not followed, because the signature and the body were meant for the address given.

    Raises:
        TemporaryError: No answer. The message has no part of the URL.
    """
    try:
        async with session.post(
            url,
            data=body,
            headers={"Content-Type": "application/json", **headers},
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=timeout_s),
        ) as response:
            await read_limited(response, MAX_REPLY_BYTES)  # so that the connection can be used again
            return PostReply(response.status, _seconds(response.headers.get("Retry-After")))
    except TimeoutError as error:
        raise TemporaryError(f"no answer within {timeout_s:g} s") from error
    except ResponseTooLargeError:
        raise
    except aiohttp.InvalidURL:
        raise TemporaryError("the address is no URL") from None
    except (aiohttp.ClientError, OSError) as error:
        raise TemporaryError(f"cannot be reached ({type(error).__name__})") from error


def _seconds(text: str | None) -> float | None:
    """Only the form in seconds; a date is rare and would need the other side's clock."""
    return float(text) if text is not None and text.isascii() and text.isdigit() else None
