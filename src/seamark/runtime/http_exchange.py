"""One HTTP request with method, headers and body of the caller's choice, and its whole small answer, whatever its
status: for services where a refusal has something to say. What goes wrong is told without the address.

Redirects are never followed: a signed or authorised request was meant for the address given.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import aiohttp
from yarl import URL

from seamark.core.errors import SettingsError, TemporaryError
from seamark.runtime.http import ResponseTooLargeError, read_limited

__all__ = ["HttpReply", "HttpRequest", "HttpSession", "exchange", "tls_context"]

HttpSession: TypeAlias = aiohttp.ClientSession
"""What callers pass through, so that they need not know the library."""

MAX_REPLY_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """`url` is sent as it is written: its path is encoded already. Headers and body may be secret."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class HttpReply:
    """`headers` have lower-case names. The body may hold a token."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def retry_after_s(self) -> float | None:
        """Seconds the other side asks to wait; the form with a date would need its clock and is not read."""
        text = self.headers.get("retry-after", "")
        return float(text) if text.isascii() and text.isdigit() else None


async def exchange(
    session: HttpSession,
    request: HttpRequest,
    *,
    timeout_s: float,
    tls: ssl.SSLContext | None = None,
    limit: int = MAX_REPLY_BYTES,
) -> HttpReply:
    """Send and read.

    Args:
        session: Shared.
        request: What to send.
        timeout_s: For all of it.
        tls: Whom to trust and who we are, where the system's authorities are not the answer.
        limit: Of the body, in bytes.

    Raises:
        TemporaryError: No answer, or one that is too large.
    """
    try:
        async with session.request(
            request.method,
            URL(request.url, encoded=True),
            headers=dict(request.headers),
            data=request.body or None,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            ssl=True if tls is None else tls,
        ) as response:
            body = await read_limited(response, limit)
            headers = {name.lower(): value for name, value in response.headers.items()}
            return HttpReply(response.status, headers, body)
    except TimeoutError as error:
        raise TemporaryError(f"no answer within {timeout_s:g} s") from error
    except ResponseTooLargeError:
        raise
    except aiohttp.InvalidURL:
        raise TemporaryError("the address is no URL") from None
    except aiohttp.ClientConnectorCertificateError:
        raise TemporaryError("its certificate is not trusted", remedy="name its authority as ca_file") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:  # their texts quote the address
        raise TemporaryError(f"cannot be reached ({type(error).__name__})") from None


def tls_context(ca_file: str | None, certificate: str | None, key: str | None, *, setting: str) -> ssl.SSLContext:
    """Whom to trust (None: the system's authorities) and the certificate to show, as PEM files.

    Raises:
        SettingsError: A file that cannot be read or does not fit the other.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        problem = f"{ca_file} holds no authority's certificate ({_reason(error)})"
        raise SettingsError(f"{setting}.ca_file", problem, remedy="name a PEM file") from None
    if certificate is not None:
        try:
            context.load_cert_chain(certificate, key, password=lambda: b"")  # never ask at a terminal
        except OSError as error:
            problem = f"{certificate} and {key} are no certificate with its unencrypted key ({_reason(error)})"
            raise SettingsError(f"{setting}.client_certificate", problem, remedy="name two PEM files") from None
    return context


def _reason(error: OSError) -> str:
    return error.strerror or getattr(error, "reason", "") or type(error).__name__
