"""Asks the venues.

One task per request, each with its own pace and deadline, so a slow venue delays nobody. Sources with the same request
share one reply. Every reply ends in a quote or in a failure with a class from a short list, handed to the subscriber of
the source at once; nothing a venue answers can stop the poller, nor can a subscriber that fails stop the others.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import aiohttp

from seamark.oracle.model import Quote
from seamark.oracle.sources.adapters import AdapterSource, read_adapter
from seamark.oracle.sources.allowance import Allowance
from seamark.oracle.sources.outlet import Outlet, SourceHealth, Subscriber
from seamark.oracle.sources.source import ContentError, Request, Source, decode_json, read_quote
from seamark.oracle.tasks import Loops
from seamark.runtime.clock import Clock
from seamark.runtime.http import ResponseTooLargeError, read_limited

__all__ = ["QuotePoller"]

MAX_REPLY_BYTES: Final = 1_000_000  # a ticker has a few hundred bytes, the largest list of them some hundred kilobytes
LONGEST_PAUSE_S: Final = 300.0  # a venue may ask for more patience; a feed cannot wait longer to look again
RATE_LIMIT_PAUSE_S: Final = 10.0  # where a venue limits us without saying for how long
_RATE_LIMITED: Final = frozenset({418, 429})  # 418 is Binance's word for "banned for a while"


@dataclass(slots=True)
class _Subscription:
    source: Source | AdapterSource
    interval: float
    outlet: Outlet


@dataclass(frozen=True, slots=True)
class _Reply:
    document: Any
    received_at: float
    age: float


class _FetchError(Exception):
    """No usable reply; `kind` is the class of the failure, `pause` how long the venue wants to be left alone."""

    def __init__(self, kind: str, detail: str, pause: float = 0.0) -> None:
        super().__init__(detail)
        self.kind = kind
        self.pause = pause


class QuotePoller:
    """Polls all sources of all feeds. A `Service`.

    Args:
        session: Makes the requests; owned and closed by whoever made it.
        clock: For pace and times of receipt.
    """

    name = "oracle-sources"

    def __init__(self, *, session: aiohttp.ClientSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock
        self._requests: dict[Request, list[_Subscription]] = {}
        self._allowances: dict[str, Allowance] = {}
        self._loops = Loops()

    def subscribe(
        self, source: Source | AdapterSource, *, interval: float, subscriber: Subscriber, feed: str = ""
    ) -> SourceHealth:
        """Ask for this source every `interval` seconds while `run()` runs, and hand each report over.

        `feed` says whose subscriber it is, for the log and for `drop`.
        """
        outlet = Outlet(source, subscriber, feed, self._clock)
        allowance = self._allowances.setdefault(source.venue, Allowance())
        allowance.limit(source.rate, source.budget)
        allowance.requests += source.request not in self._requests
        subscriptions = self._requests.setdefault(source.request, [])
        subscriptions.append(_Subscription(source, interval, outlet))
        self._loops.start(source.request, partial(self._poll, source.request, subscriptions))
        return outlet.health

    def drop(self, feed: str) -> None:
        """Ask no more for this feed. What other feeds ask for goes on; what nobody asks for any more ends."""
        for request, subscriptions in list(self._requests.items()):
            venue = subscriptions[0].source.venue
            if not any(item.outlet.feed == feed for item in subscriptions):
                continue
            subscriptions[:] = [item for item in subscriptions if item.outlet.feed != feed]
            if not subscriptions:
                del self._requests[request]
                self._loops.stop(request)
                self._allowances[venue].requests -= 1
            self._limit_anew(venue)

    def _limit_anew(self, venue: str) -> None:
        """The limits of those that are left; what was used stays used."""
        allowance = self._allowances[venue]
        allowance.rate = allowance.budget = None
        for subscriptions in self._requests.values():
            for item in subscriptions:
                if item.source.venue == venue:
                    allowance.limit(item.source.rate, item.source.budget)

    def budgets(self) -> dict[str, tuple[int, int]]:
        """Today's requests of each venue with a budget: made, and allowed."""
        now = self._clock.now()
        limits = self._allowances.items()
        return {venue: (one.used_today(now), one.budget) for venue, one in limits if one.budget is not None}

    async def run(self) -> None:
        """Until cancelled."""
        await self._loops.run()

    async def _poll(self, request: Request, subscriptions: list[_Subscription]) -> None:
        due = self._clock.monotonic()
        allowance = self._allowances[subscriptions[0].source.venue]
        while True:
            await self._wait_for_turn(allowance, subscriptions)
            pause = await self.poll_once(request)
            interval = max(min(item.interval for item in subscriptions), allowance.pace)
            now = self._clock.monotonic()
            due += interval
            if due <= now:  # late: what was missed is not made up for
                due = now + interval
            due = max(due, now + pause)
            # A little jitter, so that many feeds do not ask one venue in the same millisecond for ever.
            wait = due - now + interval * random.uniform(-0.02, 0.02)  # noqa: S311
            await self._clock.sleep(max(wait, 0.0))

    async def _wait_for_turn(self, allowance: Allowance, subscriptions: list[_Subscription]) -> None:
        """Until the venue's limits allow one more request."""
        while (wait := allowance.take(self._clock.now())) > 0:
            if allowance.is_spent:
                for item in subscriptions:
                    item.outlet.failure("budget", f"the day's {allowance.budget} requests are used up")
            await self._clock.sleep(wait)

    async def poll_once(self, request: Request) -> float:
        """Make one request and hand out what it gave; returns how long the venue wants to be left alone."""
        subscriptions = self._requests[request]
        deadline = max(item.source.deadline for item in subscriptions)
        started = self._clock.monotonic()
        try:
            reply = await self._fetch(request, deadline)
        except _FetchError as error:
            for item in subscriptions:
                item.outlet.failure(error.kind, str(error))
            return error.pause
        latency = self._clock.monotonic() - started
        for item in subscriptions:
            self._report(item, reply, latency)
        return 0.0

    async def _fetch(self, request: Request, deadline: float) -> _Reply:
        try:
            async with (
                asyncio.timeout(deadline),
                self._session.request(
                    "GET" if request.body is None else "POST",
                    request.url,
                    headers=dict(request.headers),
                    data=request.body,
                    allow_redirects=False,
                ) as response,
            ):
                _check_status(response)
                body = await read_limited(response, MAX_REPLY_BYTES)
                return _Reply(decode_json(body), self._clock.now(), _age(response.headers))
        except TimeoutError:
            raise _FetchError("timeout", f"no complete reply within {deadline:g} s") from None
        except ContentError as error:
            raise _FetchError(error.kind, str(error)) from error
        except ResponseTooLargeError as error:
            raise _FetchError("too_large", str(error)) from None
        except aiohttp.ClientConnectorError as error:
            raise _FetchError("connect", f"cannot connect: {error.strerror or type(error).__name__}") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # The library's text may quote the address, which may hold a key.
            raise _FetchError("http", f"broken reply ({type(error).__name__})") from None

    def _report(self, item: _Subscription, reply: _Reply, latency: float) -> None:
        try:
            quote = _read(item.source, reply)
        except ContentError as error:
            item.outlet.failure(error.kind, str(error))
            return
        item.outlet.quote(quote, latency=latency)


def _read(source: Source | AdapterSource, reply: _Reply) -> Quote:
    if isinstance(source, AdapterSource):
        return read_adapter(source, reply.document, reply.received_at, age=reply.age)
    return read_quote(source, reply.document, reply.received_at, age=reply.age)


def _check_status(response: aiohttp.ClientResponse) -> None:
    status = response.status
    if status in _RATE_LIMITED:
        raise _FetchError("rate_limited", f"HTTP {status}", _pause_asked(response.headers))
    if 300 <= status < 400:  # noqa: PLR2004 - redirection; following it would let a venue choose where we go
        raise _FetchError("redirect", f"HTTP {status}, not followed")
    if status != 200:  # noqa: PLR2004
        raise _FetchError(f"http_{status // 100}xx", f"HTTP {status}")


def _pause_asked(headers: Mapping[str, str]) -> float:
    seconds = _seconds(headers.get("Retry-After"))
    return RATE_LIMIT_PAUSE_S if seconds is None else min(seconds, LONGEST_PAUSE_S)


def _age(headers: Mapping[str, str]) -> float:
    return _seconds(headers.get("Age")) or 0.0


def _seconds(text: str | None) -> float | None:
    """A header's whole seconds; anything else (Retry-After may also be a date) counts as not told."""
    return float(text) if text is not None and text.isascii() and text.isdigit() else None
