"""Asking who grants identities (AWS's and Google's token and metadata services): once, and briefly."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from seamark.core.errors import TemporaryError
from seamark.runtime.http_exchange import HttpReply, HttpRequest, HttpSession, exchange

__all__ = ["ask_identity"]

TIMEOUT_S: Final = 3.0  # they are near; a machine without a metadata service must not wait long to hear so


async def ask_identity(session: HttpSession, request: HttpRequest, whom: str, remedy: str) -> HttpReply:
    """The answer, of status 200. `whom` begins what a person reads where there is none.

    Raises:
        TemporaryError: No answer in time, or another status.
    """
    try:
        reply = await exchange(session, request, timeout_s=TIMEOUT_S)
    except TemporaryError as error:
        raise TemporaryError(f"{whom}: {error.message}", remedy=remedy) from error
    if reply.status != HTTPStatus.OK:
        raise TemporaryError(f"{whom} answers with status {reply.status}", remedy=remedy)
    return reply
