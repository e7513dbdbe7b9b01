"""The outermost layer: who may ask (Host), how much (sizes), and what every answer carries (security headers).

There are no accounts yet, so the server listens on loopback and trusts whoever reaches it. A web page elsewhere must
not be that one: a browser lets it resolve a name of its own to 127.0.0.1 and read the answers (DNS rebinding), unless
the server refuses names that are not its own. There is no CORS header anywhere, so other origins cannot read by plain
requests.
"""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seamark.api.problems import problem_response
from seamark.runtime.hosts import LOOPBACK_NAMES, host_name

__all__ = ["Guard"]

MAX_QUERY_BYTES = 4096  # the longest sensible set of filters, with 50 message ids, is below this
MAX_BODY_BYTES = 64 * 1024  # what changes something here is some hundred bytes

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = [
    (b"content-security-policy", CONTENT_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
]

log = structlog.get_logger("seamark.api")


class Guard:
    """ASGI middleware.

    Args:
        app: What is guarded.
        names: Host names that are answered beside loopback's, without port; None answers any (where the network decides
            who may connect).
    """

    def __init__(self, app: ASGIApp, *, names: Collection[str] | None) -> None:
        self._app = app
        self._names = None if names is None else frozenset(name.lower() for name in names) | LOOPBACK_NAMES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def guarded_send(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message = {
                    **message,
                    "headers": [*message.get("headers", []), *_missing_headers(message, scope["path"])],
                }
            await send(message)

        refusal = self._refuse(scope)
        if refusal is not None:
            await problem_response(*refusal)(scope, receive, guarded_send)
            return
        try:
            await self._app(scope, receive, guarded_send)
        except Exception:
            log.exception("request failed", path=scope["path"])
            if started:
                raise
            detail = "an internal error; the log of the service tells more"
            await problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, detail)(scope, receive, guarded_send)

    def _refuse(self, scope: Scope) -> tuple[int, str] | None:
        headers = dict(scope["headers"])
        if self._names is not None and host_name(headers.get(b"host", b"").decode("latin-1")) not in self._names:
            return HTTPStatus.MISDIRECTED_REQUEST, (
                "this server does not answer to that host name; use localhost, or add the name to api.allowed_hosts"
            )
        if len(scope["query_string"]) > MAX_QUERY_BYTES:
            return HTTPStatus.REQUEST_URI_TOO_LONG, f"the query is longer than {MAX_QUERY_BYTES} bytes"
        length = headers.get(b"content-length", b"0")
        if b"transfer-encoding" in headers or not length.isdigit() or int(length) > MAX_BODY_BYTES:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "nothing here takes so large a body"
        return None


def _missing_headers(message: Any, path: str) -> list[tuple[bytes, bytes]]:
    present = {name.lower() for name, _ in message.get("headers", [])}
    wanted = SECURITY_HEADERS
    if path.startswith(("/api", "/health", "/metrics")):
        wanted = [*wanted, (b"cache-control", b"no-store")]
    return [(name, value) for name, value in wanted if name not in present]
