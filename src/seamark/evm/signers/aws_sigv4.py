"""AWS Signature Version 4 over headers: what a request to AWS must carry to be believed. Pure.

    canonical request ──► its hash, the time and the scope ──► HMAC with a key derived for day, region and service

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html; tests hold vectors of AWS's
own suite. Only what an API at "/" needs: the path is "/" and there is no query.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

__all__ = ["Credentials", "signed_headers"]

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_END: Final = "aws4_request"


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key; `token` with temporary ones. `expires_at` is seconds since the epoch, None: never."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    expires_at: float | None = None


def signed_headers(
    credentials: Credentials,
    *,
    method: str,
    host: str,
    headers: Mapping[str, str],
    body: bytes,
    region: str,
    service: str,
    now: float,
) -> dict[str, str]:
    """The headers to send: those given, the date, the token and the authorization. All but the last are signed.

    Args:
        credentials: Whose.
        method: Such as POST.
        host: As the Host header has it: with a port, where it is not the scheme's own.
        headers: What else is sent.
        body: What is sent.
        region: Such as eu-central-1.
        service: Such as kms.
        now: Seconds since the epoch; AWS takes requests of the last five minutes.
    """
    time = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    sent = {**headers, "X-Amz-Date": time}
    if credentials.token is not None:
        sent["X-Amz-Security-Token"] = credentials.token
    canonical = {name.lower(): " ".join(value.split()) for name, value in sent.items()} | {"host": host}
    names = ";".join(sorted(canonical))
    lines = "".join(f"{name}:{canonical[name]}\n" for name in sorted(canonical))
    request = f"{method}\n/\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{time[:8]}/{region}/{service}/{_END}"
    to_sign = f"{_ALGORITHM}\n{time}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = _derived(credentials.secret_key, time[:8], region, service)
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    authorization = (
        f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return {**sent, "Authorization": authorization}


def _derived(secret: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, _END):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
