"""One URL: JSON-RPC 2.0 in batches, with a deadline, learned limits and replies that are believed only when complete.

A reply may come in any order; each call must be answered exactly once. Half a reply, a foreign id, an id twice, HTML or
broken JSON make the whole request fail with `BadReply`: nothing of it is used. An error object for one call is that
call's own result.

Only the host and port of the URL ever leave this class; providers put keys into the rest.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from urllib.parse import unquote, urlsplit

import aiohttp
import msgspec

from seamark.core.errors import RejectedError, TemporaryError
from seamark.evm.rpc.classify import classify, classify_status
from seamark.evm.rpc.errors import (
    BadReply,
    CallReverted,
    NodeFault,
    RateLimited,
    RequestRefused,
    ResultTooLarge,
    RpcTimeout,
    RpcUnavailable,
)
from seamark.evm.rpc.lean import Lean
from seamark.evm.rpc.limits import FIRST_BATCH, MAX_BATCH, BlockRange, InFlight, StepLimit
from seamark.evm.rpc.observer import RpcObserver
from seamark.runtime.clock import Clock
from seamark.runtime.http import ResponseTooLargeError, read_limited
from seamark.runtime.logs import BLOT, redact_url

__all__ = ["Answer", "Endpoint", "Request"]

DEADLINE_S: Final = 10.0  # a healthy node answers in well under 1 s; providers give up at 10 s themselves
MAX_REPLY_BYTES: Final = 64 * 1024 * 1024  # logs of 10,000 busy blocks; more means: ask for less
SHORTEST_SECRET: Final = 6  # characters of a URL's part that is blotted out of a node's words
BROKEN_RETRIES: Final = 1  # a kept-alive connection may die just as it is used; a fresh one tells
_HTTP_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Request:
    """One call."""

    method: str
    params: tuple[Any, ...] = ()


_NO_RESULT: Final = msgspec.Raw(b"")
"""A reply without the field; null is another thing."""


class _ErrorObject(msgspec.Struct):
    code: int | float = 0
    message: str | None = None
    data: Any = None


class _Reply(msgspec.Struct):
    id: int | str | None = None
    result: msgspec.Raw = _NO_RESULT
    error: _ErrorObject | None = None


Answer: TypeAlias = msgspec.Raw | TemporaryError | RejectedError
"""A call's result, still as JSON, or its own error."""

_REPLIES: Final = msgspec.json.Decoder(list[_Reply])
_REPLY: Final = msgspec.json.Decoder(_Reply)


class Endpoint:
    """Sends calls to one node.

    Args:
        url: Where the node is; may hold a secret.
        session: The process's HTTP session.
        clock: For pauses and latency.
        observer: Told about each request.
        deadline_s: For one HTTP request, from the first byte sent to the last received.
    """

    def __init__(
        self,
        url: str,
        *,
        session: aiohttp.ClientSession,
        clock: Clock,
        observer: RpcObserver,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self.label = redact_url(url).partition("://")[2].partition("/")[0] or "endpoint"
        self._url = url
        self._secrets = _secret_parts(url)
        self._session = session
        self._clock = clock
        self._observer = observer
        self._deadline_s = deadline_s
        self._next_id = 0
        self.block_range = BlockRange(clock)
        self.batch_size = StepLimit(FIRST_BATCH, MAX_BATCH, clock)
        self.in_flight = InFlight(clock)
        self.lean = Lean(clock)

    def __repr__(self) -> str:
        return f"Endpoint({self.label})"

    async def ask(self, method: str, *params: Any) -> msgspec.Raw:
        """One call; raises its error."""
        answer = (await self.ask_together([Request(method, params)]))[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def ask_many(self, requests: Sequence[Request]) -> list[Answer]:
        """Any number of calls, in batches side by side.

        Raises:
            NodeFault: A whole batch failed; the others are abandoned.
        """
        size = self.batch_size.value
        if len(requests) <= size:
            return await self.ask_together(requests)
        parts = [requests[at : at + size] for at in range(0, len(requests), size)]
        tasks = [asyncio.ensure_future(self.ask_together(part)) for part in parts]
        try:
            return [answer for answers in await asyncio.gather(*tasks) for answer in answers]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def ask_together(self, requests: Sequence[Request]) -> list[Answer]:
        """Calls in one HTTP request where the endpoint takes so many, so that one node answers them at one time.

        Raises:
            NodeFault: No usable reply.
        """
        if not requests:
            return []
        if len(requests) > self.batch_size.value:
            return await self._halves(requests)
        try:
            answers = await self._send(requests)
        except (ResultTooLarge, RequestRefused) as error:
            # As a whole it is too much, or more than one is: both are cured by asking for less at once.
            if len(requests) == 1:
                raise
            self._refused(len(requests), error)
            return await self._halves(requests)
        self.batch_size.accepted(len(requests))
        return answers

    async def _halves(self, requests: Sequence[Request]) -> list[Answer]:
        middle = max(1, len(requests) // 2)
        first = await self.ask_together(requests[:middle])
        return first + await self.ask_together(requests[middle:])

    def _refused(self, size: int, error: Exception) -> None:
        self.batch_size.refused(size, lasting=not isinstance(error, ResultTooLarge))
        self._observer.limit(self.label, "batch_size", self.batch_size.value)

    # ---- one HTTP request -------------------------------------------------------------------------------------------

    async def _send(self, requests: Sequence[Request]) -> list[Answer]:
        method = requests[0].method
        first_id = self._next_id
        self._next_id += len(requests)
        body = _encode(requests, first_id)
        pause = self.in_flight.pause_left
        if pause:
            raise RateLimited(f"{self.label}: pausing, as it asked", retry_after=pause)
        async with self.in_flight:
            started = self._clock.monotonic()
            try:
                status, retry_after, raw = await self._post(method, body)
                answers = self._match(requests, first_id, status, retry_after, raw)
            except (NodeFault, RejectedError) as error:
                self._note(method, error)
                raise
            finally:
                self._observer.requested(self.label, method, len(requests), self._clock.monotonic() - started)
        for request, answer in zip(requests, answers, strict=True):
            if isinstance(answer, Exception):
                self._note(request.method, answer)
        self.in_flight.succeeded()
        return answers

    async def _post(self, method: str, body: bytes) -> tuple[int, float | None, bytes]:
        for attempt in range(BROKEN_RETRIES + 1):
            try:
                return await self._post_once(method, body)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                if attempt == BROKEN_RETRIES or isinstance(error, aiohttp.ClientConnectorError):
                    raise RpcUnavailable(f"{self.label}: {method}: {_describe(error)}") from None
        raise AssertionError("the loop above returns or raises")

    async def _post_once(self, method: str, body: bytes) -> tuple[int, float | None, bytes]:
        # Errors of the HTTP library quote the URL, so they are never chained: `from None`.
        try:
            async with (
                asyncio.timeout(self._deadline_s),
                self._session.post(
                    self._url, data=body, headers={"Content-Type": "application/json"}, allow_redirects=False
                ) as response,
            ):
                return response.status, _retry_after(response), await read_limited(response, MAX_REPLY_BYTES)
        except TimeoutError:
            raise RpcTimeout(f"{self.label}: {method}: no answer within {self._deadline_s:g} s") from None
        except ResponseTooLargeError as error:
            raise ResultTooLarge(f"{self.label}: {method}: {error}") from None
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            raise
        except aiohttp.ClientPayloadError:
            raise BadReply(f"{self.label}: {method}: the reply breaks off") from None
        except (aiohttp.ClientError, ValueError) as error:
            raise RpcUnavailable(f"{self.label}: {method}: {_describe(error)}") from None

    # ---- the reply --------------------------------------------------------------------------------------------------

    def _match(
        self, requests: Sequence[Request], first_id: int, status: int, retry_after: float | None, raw: bytes
    ) -> list[Answer]:
        method = requests[0].method
        failure = classify_status(self.label, method, status, retry_after=retry_after)
        if failure is not None and not isinstance(failure, RpcUnavailable):
            raise failure
        replies = self._parse(method, status, raw, failure)
        if len(replies) == 1 and replies[0].error is not None and (len(requests) > 1 or replies[0].id is None):
            whole = self._error(method, replies[0].error)
            if len(requests) == 1:
                return [whole]
            if isinstance(whole, CallReverted):  # one call's own answer, and the others are missing
                raise BadReply(f"{self.label}: {method}: 1 of {len(requests)} calls was answered")
            raise whole
        if failure is not None and not any(reply.error for reply in replies):
            raise failure
        by_id: dict[int, _Reply] = {}
        for reply in replies:
            if type(reply.id) is not int or reply.id in by_id or not 0 <= reply.id - first_id < len(requests):
                raise BadReply(f"{self.label}: {method}: the reply answers a call that was not made, or one twice")
            by_id[reply.id] = reply
        if len(by_id) != len(requests):
            raise BadReply(f"{self.label}: {method}: {len(by_id)} of {len(requests)} calls were answered")
        return [self._answer(request, by_id[first_id + at]) for at, request in enumerate(requests)]

    def _parse(self, method: str, status: int, raw: bytes, failure: Exception | None) -> list[_Reply]:
        try:
            return _REPLIES.decode(raw) if raw.lstrip()[:1] == b"[" else [_REPLY.decode(raw)]
        except msgspec.MsgspecError:
            if failure is not None:
                raise failure from None
            note = f"HTTP status {status}" if status != _HTTP_OK else "the reply"
            raise BadReply(f"{self.label}: {method}: {note} is not JSON-RPC") from None

    def _answer(self, request: Request, reply: _Reply) -> Answer:
        if reply.error is not None:
            return self._error(request.method, reply.error)
        if reply.result is _NO_RESULT:
            return BadReply(f"{self.label}: {request.method}: the reply has neither result nor error")
        return reply.result

    def _error(self, method: str, error: _ErrorObject) -> TemporaryError | RejectedError:
        message = self._blot(error.message or "an error without a message")
        return classify(self.label, method, int(error.code), message, error.data)

    def _blot(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, BLOT)
        return _URL.sub(lambda found: redact_url(found[0]), text)

    def _note(self, method: str, error: Exception) -> None:
        self._observer.failed(self.label, method, type(error).__name__)
        if isinstance(error, RateLimited):
            self.in_flight.rate_limited(error.retry_after)
            self._observer.limit(self.label, "in_flight", self.in_flight.limit)


_URL: Final = re.compile(r"\b[a-z+]+://[^\s'\"<>]+", re.IGNORECASE)


def _encode(requests: Sequence[Request], first_id: int) -> bytes:
    calls = [
        {"jsonrpc": "2.0", "id": first_id + at, "method": request.method, "params": request.params}
        for at, request in enumerate(requests)
    ]
    return msgspec.json.encode(calls if len(calls) > 1 else calls[0])


def _describe(error: Exception) -> str:
    """What happened, without the library's text, which may quote the URL."""
    if isinstance(error, aiohttp.ClientSSLError):
        return "the TLS handshake failed"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the host name does not resolve"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection ({error.os_error.strerror or 'refused'})"
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError):
        return "the connection was closed"
    return f"the request failed ({type(error).__name__})"


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    """Seconds to wait, from Retry-After or the rate limit headers; dates are not worth their parsing here."""
    headers = response.headers
    for name in ("Retry-After", "RateLimit-Reset", "X-RateLimit-Reset-After", "X-RateLimit-Reset"):
        written = headers.get(name, "").strip()
        if written.isascii() and written.isdigit() and len(written) <= len("86400"):
            return float(written)
    return None


def _secret_parts(url: str) -> tuple[str, ...]:
    parts = urlsplit(url)
    pieces = [parts.username or "", parts.password or "", *parts.path.split("/"), *re.split("[&=;]", parts.query)]
    found = {form for piece in pieces for form in (piece, unquote(piece)) if len(form) >= SHORTEST_SECRET}
    return tuple(sorted(found, key=len, reverse=True))
