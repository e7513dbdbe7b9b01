"""Outgoing questions: one GET, one small answer. What goes wrong is told without the address, which may be a secret."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import aiohttp

from seamark.core.errors import TemporaryError
from seamark.runtime.http import ResponseTooLargeError, read_limited

__all__ = ["get_bytes"]

_TIMEOUT_S: Final = 15.0


async def get_bytes(
    session: aiohttp.ClientSession, url: str, *, limit: int, timeout_s: float = _TIMEOUT_S
) -> bytes | None:
    """The body of an answer of at most `limit` bytes; None where nothing is there (404). Redirects are not followed.

    Raises:
        TemporaryError: No answer, or another status than 200.
    """
    try:
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        async with session.get(url, allow_redirects=False, timeout=timeout) as response:
            body = await read_limited(response, limit)
            if response.status == HTTPStatus.NOT_FOUND:
                return None
            if response.status != HTTPStatus.OK:
                raise TemporaryError(f"answers with status {response.status}")
            return body
    except TimeoutError as error:
        raise TemporaryError(f"no answer within {timeout_s:g} s") from error
    except ResponseTooLargeError:
        raise
    except aiohttp.InvalidURL:
        raise TemporaryError("the address is no URL") from None
    except (aiohttp.ClientError, OSError) as error:
        raise TemporaryError(f"cannot be reached ({type(error).__name__})") from error
