"""One JSON-RPC call with headers of its own, for admin interfaces: their error codes are kept, because there they are
the answer. Chains are read by `seamark.evm.rpc`, which knows endpoints, batches and limits.

Only host and port of the address ever leave this module.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
import msgspec

from seamark.core.errors import RejectedError, TemporaryError
from seamark.runtime.http import ResponseTooLargeError, read_limited
from seamark.runtime.logs import redact_url

__all__ = ["RpcRefusal", "address_label", "bearer_token", "call_rpc"]

MAX_REPLY_BYTES: Final = 1024 * 1024
MAX_TEXT: Final = 200  # characters of the other side's words that an error keeps


class RpcRefusal(RejectedError):
    """The other side answered with an error object."""

    def __init__(self, label: str, method: str, code: int, text: str) -> None:
        super().__init__(f"{label}: {method}: {text[:MAX_TEXT]} ({code})")
        self.code = code
        self.text = text[:MAX_TEXT]


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""


class _Reply(msgspec.Struct):
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: _Error | None = None


_REPLY: Final = msgspec.json.Decoder(_Reply)


def address_label(url: str) -> str:
    """Host and port."""
    return redact_url(url).partition("://")[2].partition("/")[0] or "endpoint"


async def call_rpc(
    session: aiohttp.ClientSession,
    url: str,
    method: str,
    params: tuple[Any, ...],
    *,
    timeout_s: float,
    headers: Mapping[str, str] | None = None,
) -> msgspec.Raw:
    """Call once; the result as JSON.

    Raises:
        TemporaryError: No usable answer.
        RpcRefusal: An error object.
    """
    label = address_label(url)
    body = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    try:
        async with session.post(
            url,
            data=body,
            headers={"Content-Type": "application/json", **(headers or {})},
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=timeout_s),
        ) as response:
            status, raw = response.status, await read_limited(response, MAX_REPLY_BYTES)
    except TimeoutError:
        raise TemporaryError(f"{label}: {method}: no answer within {timeout_s:g} s") from None
    except ResponseTooLargeError as error:
        raise TemporaryError(f"{label}: {method}: {error}") from None
    except (aiohttp.ClientError, ValueError, OSError) as error:  # their texts quote the address
        raise TemporaryError(f"{label}: {method}: cannot be reached ({type(error).__name__})") from None
    try:
        reply = _REPLY.decode(raw)
    except msgspec.MsgspecError:
        raise TemporaryError(f"{label}: {method}: HTTP status {status}, and no JSON-RPC") from None
    if reply.error is not None:
        raise RpcRefusal(label, method, reply.error.code, reply.error.message)
    return reply.result


def bearer_token(secret: bytes, now: float) -> str:
    """The value of an Authorization header: a JSON web token, HS256, with its time of issue alone.

    As the execution engine's interface takes it (ethereum/execution-apis, `engine/authentication.md`): servers take
    tokens of the last minute, so each call has its own.
    """
    head = _base64(b'{"alg":"HS256","typ":"JWT"}')
    claims = _base64(msgspec.json.encode({"iat": int(now)}))
    signed = head + b"." + claims
    return "Bearer " + (signed + b"." + _base64(hmac.new(secret, signed, hashlib.sha256).digest())).decode()


def _base64(content: bytes) -> bytes:
    return urlsafe_b64encode(content).rstrip(b"=")
