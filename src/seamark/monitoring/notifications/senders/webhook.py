"""Our own webhook: the notice as JSON, signed.

    POST … Content-Type: application/json
    Seamark-Event: firing          Seamark-Delivery: 42
    Seamark-Signature: t=1763719800,v1=<hex of HMAC-SHA256(secret, "1763719800." + body)>

The time is part of what is signed, so an old request cannot be replayed for long; the delivery's number is the same
each time the same notice is tried, so a receiver can leave out what it has.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

import msgspec

from seamark.core.errors import TemporaryError
from seamark.monitoring.notifications.model import Notice, Outcome
from seamark.runtime.clock import Clock
from seamark.runtime.http_post import Session, post_json

__all__ = ["SIGNATURE_HEADER", "WebhookSender", "sign"]

SIGNATURE_HEADER: Final = "Seamark-Signature"


def sign(secret: bytes, at: int, body: bytes) -> str:
    """The signature header's value. `at` is seconds since the epoch."""
    digest = hmac.new(secret, f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


class WebhookSender:
    """Posts notices to one address."""

    def __init__(self, url: str, secret: bytes | None, *, session: Session, clock: Clock) -> None:
        self._url = url
        self._secret = secret
        self._session = session
        self._clock = clock

    async def send(self, notice: Notice) -> Outcome:
        body = msgspec.json.encode(notice)
        headers = {"Seamark-Event": notice.event.value, "Seamark-Delivery": str(notice.delivery)}
        if self._secret is not None:
            headers[SIGNATURE_HEADER] = sign(self._secret, int(self._clock.now()), body)
        try:
            reply = await post_json(self._session, self._url, body, headers)
        except TemporaryError as error:
            return Outcome(delivered=False, error=error.message)
        if reply.accepted:
            return Outcome(delivered=True)
        return Outcome(delivered=False, error=f"answered HTTP {reply.status}", retry_after_s=reply.retry_after_s)
