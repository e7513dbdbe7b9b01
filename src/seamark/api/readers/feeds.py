"""Feeds and publications from the oracle's store.

Pages ask often and many at once after each event, so an answer is shared for a fifth of a second, and a feed's history
is read again only when its round has changed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby

from sqlalchemy import Connection

from seamark.api.cursors import read_cursor, write_cursor
from seamark.api.names import ChainNames
from seamark.api.ports import Page, chain_view
from seamark.api.readers.amounts import account_text, fee_view, percent_between, plain
from seamark.api.times import iso_seconds
from seamark.api.views import Feed, FeedPoint, Observation, PricePoint, Update
from seamark.core.units import Ppb, from_base_units
from seamark.oracle.model import Publication, PublicationState, Role
from seamark.oracle.store import FeedRow, list_feeds, list_publications
from seamark.runtime.clock import Clock, SystemClock
from seamark.storage.database import Database

__all__ = ["Observed", "StoredFeeds"]

HISTORY = 60  # points of the small line beside a price
SHARED_S = 0.2
STALE_FACTOR = 1.25  # a heartbeat may be late by the time a transaction takes; a quarter more is an outage
PPB_PER_PERCENT = Decimal(10_000_000)
PUBLISHED = (PublicationState.MINED, PublicationState.FINAL)


@dataclass(frozen=True, slots=True)
class Observed:
    """The newest price from the sources, published or not. `at` in seconds since the epoch."""

    price: Decimal
    at: float
    sources: int


def nothing_observed() -> Mapping[str, Observed]:
    """Where the publishers run in another process."""
    return {}


class StoredFeeds:
    """A `FeedReader`.

    Args:
        database: Where the oracle's tables are.
        names: The chains, by all their names.
        observed: The newest price of each feed by its name, as far as this process knows.
        clock: For ages.
    """

    def __init__(
        self,
        database: Database,
        names: ChainNames,
        *,
        observed: Callable[[], Mapping[str, Observed]] = nothing_observed,
        clock: Clock | None = None,
    ) -> None:
        self._database = database
        self._names = names
        self._observed = observed
        self._clock = clock or SystemClock()
        self._histories: dict[str, tuple[int, list[PricePoint]]] = {}
        self._lock = asyncio.Lock()
        self._shared: list[Feed] = []
        self._shared_until = 0.0

    async def feeds(self) -> list[Feed]:
        async with self._lock:
            if time.monotonic() >= self._shared_until:
                self._shared = await self._database.read(self._read_feeds)
                self._shared_until = time.monotonic() + SHARED_S
            return self._shared

    async def has_feed(self, name: str) -> bool:
        return any(feed.name == name for feed in await self.feeds())

    async def updates(self, feed: str | None, cursor: str | None, limit: int) -> Page[Update]:
        before = read_cursor(cursor)

        def work(connection: Connection) -> Page[Update]:
            rows = list_publications(connection, feed=feed, before=before, limit=limit + 1)
            shown = rows[:limit]
            following = write_cursor(shown[-1].id) if len(rows) > limit else None
            return Page(self._to_updates(connection, shown), following)

        return await self._database.read(work)

    def _read_feeds(self, connection: Connection) -> list[Feed]:
        rows = list_feeds(connection)
        return [
            self._to_feed(connection, name, list(group)) for name, group in groupby(rows, key=lambda row: row.ref.name)
        ]

    def _to_feed(self, connection: Connection, name: str, rows: list[FeedRow]) -> Feed:
        source = next((row for row in rows if row.ref.role is Role.SOURCE), rows[0])
        newest = list_publications(connection, feed=name, limit=1)
        deviation = source.deviation or Ppb(0)
        return Feed(
            name=name,
            description=source.description or name,
            decimals=source.decimals,
            heartbeat_seconds=source.heartbeat,
            deviation_threshold_percent=None if source.deviation is None else _percent(deviation),
            source=self._to_point(source, source),
            destinations=[self._to_point(row, source) for row in rows if row is not source],
            observation=self._to_observation(source),
            last_update=next(iter(self._to_updates(connection, newest)), None),
            history=self._history(connection, source),
        )

    def _to_point(self, row: FeedRow, source: FeedRow) -> FeedPoint:
        remote = row is not source
        price = row.price
        age = max(0.0, self._clock.now() - row.updated_at) if price is not None else None
        heartbeat = row.heartbeat or (source.heartbeat if remote else None)
        drift = percent_between(source.price, price) if remote and price is not None and source.price else None
        return FeedPoint(
            chain=chain_view(self._names.by_key(row.ref.chain, row.ref.chain_id)),
            address=account_text(row.ref.address),
            round=str(row.round) if row.round else None,
            answer=None if price is None else str(row.answer),
            price=None if price is None else plain(price),
            updated_at=None if price is None else iso_seconds(row.updated_at),
            age_seconds=None if age is None else round(age, 3),
            stale=age is None or (heartbeat is not None and age > heartbeat * STALE_FACTOR),
            paused=row.paused,
            rounds_behind=max(0, source.round - row.round) if remote else 0,
            drift_percent=drift,
        )

    def _to_observation(self, source: FeedRow) -> Observation | None:
        seen = self._observed().get(source.ref.name)
        if seen is None:
            return None
        deviation = None if source.price is None else percent_between(source.price, seen.price)
        return Observation(
            price=plain(seen.price), at=iso_seconds(seen.at), sources=seen.sources, deviation_percent=deviation
        )

    def _history(self, connection: Connection, source: FeedRow) -> list[PricePoint]:
        known = self._histories.get(source.ref.name)
        if known is None or known[0] != source.round:
            rows = list_publications(
                connection, feed=source.ref.name, chain_id=source.ref.chain_id, states=PUBLISHED, limit=HISTORY
            )
            known = source.round, [point for row in reversed(rows) if (point := _to_history(row)) is not None]
            self._histories[source.ref.name] = known
        return known[1]

    def _to_updates(self, connection: Connection, rows: list[Publication]) -> list[Update]:
        """`rows` are newest first; the one that each replaced is further down, or is looked up."""
        return [
            self._to_update(row, _answer_before(connection, row, rows[index + 1 :])) for index, row in enumerate(rows)
        ]

    def _to_update(self, row: Publication, before: Decimal | None) -> Update:
        chain = self._names.by_key(row.feed.chain, row.feed.chain_id)
        price = _price(row)
        return Update(
            feed=row.feed.name,
            chain=chain_view(chain),
            round=str(row.round),
            reason=str(row.reason),
            state=str(row.state),
            at=iso_seconds(row.planned_at),
            answer=None if row.answer is None else str(row.answer),
            price=None if price is None else plain(price),
            previous_price=None if before is None else plain(before),
            change_percent=None if before is None or price is None else percent_between(before, price),
            sources=len(row.quotes),
            tx=row.transaction,
            block=None if row.block_number is None else str(row.block_number),
            mined_at=None if row.block_time is None else iso_seconds(row.block_time),
            fee=None if row.fee is None else fee_view(row.fee, None, chain, self._names),
        )


def _price(row: Publication) -> Decimal | None:
    return None if row.answer is None else from_base_units(row.answer, row.decimals)


def _to_history(row: Publication) -> PricePoint | None:
    price = _price(row)
    return None if price is None else PricePoint(at=iso_seconds(row.block_time or row.planned_at), price=plain(price))


def _answer_before(connection: Connection, row: Publication, older: list[Publication]) -> Decimal | None:
    """The answer that a publication replaced: that of the same contract's newest published round before it."""
    for other in older:
        if other.feed == row.feed and other.state in PUBLISHED and other.round < row.round:
            return _price(other)
    for other in list_publications(
        connection, feed=row.feed.name, chain_id=row.feed.chain_id, states=PUBLISHED, before=row.id, limit=1
    ):
        return _price(other)
    return None


def _percent(ratio: Ppb) -> str:
    text = plain(Decimal(ratio) / PPB_PER_PERCENT)
    return text.rstrip("0").rstrip(".") if "." in text else text
