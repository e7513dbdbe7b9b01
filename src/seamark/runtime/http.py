"""Outgoing HTTP with limits: nobody on the other side can hang us, flood us or follow us.

One session per process is enough. It keeps no cookies, takes no proxy or credentials from the environment, bounds the
time for connecting and for silence, and says who is asking. The size of an answer is bounded where it is read, because
only the reader knows what is sane (`read_limited`).
"""

from __future__ import annotations

from typing import Any, Final

import aiohttp

import seamark
from seamark.core.errors import TemporaryError

__all__ = ["RedirectRefusedError", "ResponseTooLargeError", "make_session", "read_limited", "without_redirects"]

CONNECT_TIMEOUT_S: Final = 5.0  # a TCP and TLS handshake around the world takes under 1 s
SILENCE_TIMEOUT_S: Final = 20.0  # nothing received for so long: the other side is gone
TOTAL_TIMEOUT_S: Final = 60.0  # callers set shorter deadlines of their own
KEEP_ALIVE_S: Final = 30.0
MAX_CONNECTIONS_PER_HOST: Final = 32
MAX_HEADER_BYTES: Final = 32 * 1024
_CHUNK_BYTES: Final = 256 * 1024


class ResponseTooLargeError(TemporaryError):
    """The other side sends more than the reader is ready to hold. `limit` is in bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the response is larger than {limit} bytes")
        self.limit = limit


def make_session(
    *, total_timeout_s: float = TOTAL_TIMEOUT_S, per_host: int = MAX_CONNECTIONS_PER_HOST
) -> aiohttp.ClientSession:
    """A session to share; close it at the end. Call it inside the event loop."""
    connector = aiohttp.TCPConnector(
        limit=0,  # a limit for all hosts together would let a few silent ones block the others
        limit_per_host=per_host,
        keepalive_timeout=KEEP_ALIVE_S,
        ttl_dns_cache=60,
    )
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(
            total=total_timeout_s, sock_connect=CONNECT_TIMEOUT_S, sock_read=min(SILENCE_TIMEOUT_S, total_timeout_s)
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": f"seamark/{seamark.__version__}"},
        trust_env=False,
        read_bufsize=_CHUNK_BYTES,
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
    )


class RedirectRefusedError(Exception):
    """The other side sends us elsewhere, and we do not go."""


def without_redirects(session: aiohttp.ClientSession) -> aiohttp.ClientSession:
    """A session over the same connections that refuses redirects: for websockets, which cannot be told not to follow.

    Close it before the other one. Its requests raise `RedirectRefusedError`.
    """

    async def refuse(*given: Any) -> None:
        raise RedirectRefusedError(f"HTTP {given[2].response.status}")

    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(refuse)
    return aiohttp.ClientSession(
        connector=session.connector,
        connector_owner=False,
        timeout=session.timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=session.headers,
        trust_env=False,
        trace_configs=[trace],
    )


async def read_limited(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The whole body, if it has at most `limit` bytes after decompression.

    Raises:
        ResponseTooLargeError: It has more; the connection is closed then, not drained.
    """
    if response.content_length is not None and response.content_length > limit:
        response.close()
        raise ResponseTooLargeError(limit)
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > limit:
            response.close()
            raise ResponseTooLargeError(limit)
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
