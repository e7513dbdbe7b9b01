"""The way of one source's reports to its feed, the same for every kind of source.

    hub (HTTP, websocket, chain, …)  --Outlet-->  subscriber of the feed

A hub owns what many sources share (a session, a connection, a pinned block) and pushes each source's quotes and
failures through that source's outlet as they come. The outlet counts health, says once per outage that it fails, stamps
the weight and the patience that the settings give the source, and keeps a subscriber that fails away from the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import structlog

from seamark.oracle.model import Quote, SourceFailure, SourceReport
from seamark.runtime.clock import Clock

__all__ = ["AnySource", "Outlet", "SourceHealth", "SourceHub", "Subscriber"]

Subscriber = Callable[[SourceReport], object]

log = structlog.get_logger("seamark.oracle.sources")


class AnySource(Protocol):
    """What every kind of source declares. It is a frozen value; its hub does the work.

    `name` is unique within a feed, `venue` is whose vote it is. `deadline` is how long its first report may take, in
    seconds. `weight` counts in a weighted median. `max_age` in seconds takes the place of the feed's (daily rates).
    """

    @property
    def name(self) -> str: ...
    @property
    def venue(self) -> str: ...
    @property
    def deadline(self) -> float: ...
    @property
    def weight(self) -> int: ...
    @property
    def max_age(self) -> float | None: ...


S_contra = TypeVar("S_contra", bound=AnySource, contravariant=True)


@dataclass(slots=True)
class SourceHealth:
    """How one source fares. Times in seconds since the epoch; `latency` in seconds, of the last reply."""

    ok: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    failing_since: float | None = None
    last_ok_at: float | None = None
    last_error: str = ""
    latency: float = 0.0


class SourceHub(Protocol[S_contra]):
    """Runs all sources of one kind. Feeds come (`subscribe`) and go (`drop`) before and while it runs."""

    def subscribe(
        self, source: S_contra, *, interval: float, subscriber: Subscriber, feed: str = ""
    ) -> SourceHealth: ...

    def drop(self, feed: str) -> None: ...

    async def run(self) -> None: ...


class Outlet:
    """One source's way to one feed.

    Args:
        source: Whose reports these are.
        subscriber: Takes them.
        feed: Whose subscriber it is, for the log.
        clock: Time.
    """

    __slots__ = ("_clock", "_subscriber", "_terms", "feed", "health", "source")

    def __init__(self, source: AnySource, subscriber: Subscriber, feed: str, clock: Clock) -> None:
        self.source = source
        self.feed = feed
        self.health = SourceHealth()
        self._subscriber = subscriber
        self._clock = clock
        self._terms = source.weight != 1 or source.max_age is not None

    def quote(self, quote: Quote, *, latency: float = 0.0) -> None:
        """Hand over a quote."""
        health = self.health
        if health.failing_since is not None:
            log.info("source is back", source=self.source.name)
            health.failing_since = None
        health.ok += 1
        health.last_ok_at = quote.received_at
        health.latency = latency
        if self._terms:
            age = self.source.max_age if quote.max_age is None else quote.max_age
            quote = quote.but(weight=self.source.weight, max_age=age)
        self._hand_over(quote)

    def failure(self, kind: str, detail: str) -> None:
        """Hand over a failure: `kind` is one of a few words, `detail` one line without secrets."""
        health, now = self.health, self._clock.now()
        if health.failing_since is None:  # once per outage, not once per poll
            log.warning("source failed", source=self.source.name, kind=kind, detail=detail)
            health.failing_since = now
        health.failures[kind] = health.failures.get(kind, 0) + 1
        health.last_error = detail
        self._hand_over(SourceFailure(self.source.name, self.source.venue, kind, detail, now))

    def _hand_over(self, report: SourceReport) -> None:
        try:
            self._subscriber(report)
        except Exception:  # whatever is wrong with one feed, the others go on
            log.exception("feed cannot use a report", feed=self.feed, source=self.source.name)
