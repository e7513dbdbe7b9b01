"""The oracle join: round on the source, message id, round on each destination.

A message is one of a feed's when the feed's contract on the source chain sent it and it holds a price update. Both
stores are read in one snapshot, so that a round never stands at a destination before the message that brought it is
seen to have arrived, unless that message is older than the ones looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from sqlalchemy import Connection

from seamark.api.join_views import Carriage, DestinationNow, FeedJoin, JoinedRound, SourceNow
from seamark.api.names import ChainNames
from seamark.api.ports import chain_view
from seamark.api.readers.amounts import account_text, percent_between, plain
from seamark.api.times import iso_seconds
from seamark.messages.model import Stage
from seamark.messages.store import MessageFilter, MessageView, list_messages
from seamark.messages.store.payloads import payloads_of
from seamark.oracle.model import Role
from seamark.oracle.payload import PriceUpdate, read_price_update
from seamark.oracle.store import FeedRow, list_feeds
from seamark.runtime.clock import Clock, SystemClock
from seamark.storage.database import Database

__all__ = ["StoredJoin"]

LOOKED_AT: Final = 200  # newest messages of a feed, of all its destinations
ON_ITS_WAY: Final = (Stage.SENT, Stage.FINALIZED, Stage.COMMITTED)


@dataclass(frozen=True, slots=True)
class Carried:
    """A message of a feed and the round in it."""

    message: MessageView
    update: PriceUpdate


class StoredJoin:
    """A `JoinReader`.

    Args:
        database: Where the oracle's and the messages' tables are.
        names: The chains, by all their names.
        clock: For ages.
    """

    def __init__(self, database: Database, names: ChainNames, *, clock: Clock | None = None) -> None:
        self._database = database
        self._names = names
        self._clock = clock or SystemClock()

    async def join(self, feed: str, rounds: int) -> FeedJoin | None:
        """The newest rounds of a feed; None where no published or watched feed is called so."""
        return await self._database.read(partial(self._join, feed=feed, rounds=rounds))

    async def feeds(self) -> list[str]:
        """Names of all feeds that have a source."""
        rows = await self._database.read(list_feeds)
        return [row.ref.name for row in rows if row.ref.role is Role.SOURCE]

    def _join(self, connection: Connection, *, feed: str, rounds: int) -> FeedJoin | None:
        rows = [row for row in list_feeds(connection) if row.ref.name == feed]
        source = next((row for row in rows if row.ref.role is Role.SOURCE), None)
        if source is None:
            return None
        carried = _carried(connection, source)
        remotes = [row for row in rows if row is not source]
        now = self._clock.now()
        return FeedJoin(
            now=iso_seconds(now),
            feed=feed,
            source=self._source(source, now),
            destinations=self._destinations(source, remotes, carried, now),
            rounds=self._rounds(carried)[:rounds],
        )

    def _source(self, row: FeedRow, now: float) -> SourceNow:
        price = row.price
        return SourceNow(
            chain=chain_view(self._names.by_key(row.ref.chain, row.ref.chain_id)),
            address=account_text(row.ref.address),
            round=str(row.round) if row.round else None,
            price=None if price is None else plain(price),
            updated_at=None if price is None else iso_seconds(row.updated_at),
            age_seconds=None if price is None else round(max(0.0, now - row.updated_at), 3),
        )

    def _destinations(
        self, source: FeedRow, remotes: Sequence[FeedRow], carried: Sequence[Carried], now: float
    ) -> list[DestinationNow]:
        """Those whose contracts are read, then those that only messages tell of, as long as rounds are sent there."""
        read = {(int(row.ref.chain_id), row.ref.address) for row in remotes}
        found = [self._watched(source, row, carried, now) for row in remotes]
        others: dict[tuple[str, str], list[Carried]] = {}
        for item in carried:
            message = item.message
            if (message.destination_chain, message.receiver) not in read:
                others.setdefault((message.destination, message.receiver), []).append(item)
        return found + [self._unwatched(source, items, now) for items in others.values() if not _ended(items, carried)]

    def _watched(self, source: FeedRow, row: FeedRow, carried: Sequence[Carried], now: float) -> DestinationNow:
        there = (int(row.ref.chain_id), row.ref.address)
        mine = [item for item in carried if (item.message.destination_chain, item.message.receiver) == there]
        price = row.price
        drift = percent_between(source.price, price) if source.price and price is not None else None
        return DestinationNow(
            chain=chain_view(self._names.by_key(row.ref.chain, row.ref.chain_id)),
            address=account_text(row.ref.address),
            watched=True,
            round=str(row.round) if row.round else None,
            price=None if price is None else plain(price),
            updated_at=None if price is None else iso_seconds(row.updated_at),
            age_seconds=None if price is None else round(max(0.0, now - row.updated_at), 3),
            rounds_behind=max(0, source.round - row.round) if row.round else None,
            drift_percent=drift,
            brought_by=self._brought(mine, row.round),
            waiting=_count(mine, ON_ITS_WAY),
            failed=_count(mine, (Stage.FAILED,)),
        )

    def _unwatched(self, source: FeedRow, items: Sequence[Carried], now: float) -> DestinationNow:
        """From the deliveries alone: the newest round that arrived."""
        newest = items[0].message
        arrived = [item for item in items if _arrived(item.message) is not None]
        best = max(arrived, key=lambda item: item.update.round, default=None)
        update = best.update if best else None
        drift = percent_between(source.price, update.price) if source.price and update else None
        chain = self._names.of_lane(newest.destination, newest.destination_chain, newest.destination_name)
        return DestinationNow(
            chain=chain_view(chain),
            address=account_text(newest.receiver) or None,
            watched=False,
            round=str(update.round) if update else None,
            price=plain(update.price) if update else None,
            updated_at=iso_seconds(update.updated_at) if update else None,
            age_seconds=round(max(0.0, now - update.updated_at), 3) if update else None,
            rounds_behind=max(0, source.round - update.round) if update else None,
            drift_percent=drift,
            brought_by=self._carriage(best) if best else None,
            waiting=_count(items, ON_ITS_WAY),
            failed=_count(items, (Stage.FAILED,)),
        )

    def _rounds(self, carried: Sequence[Carried]) -> list[JoinedRound]:
        by_round: dict[int, list[Carried]] = {}
        for item in carried:
            by_round.setdefault(item.update.round, []).append(item)
        return [
            JoinedRound(
                round=str(number),
                price=plain(items[0].update.price),
                updated_at=iso_seconds(items[0].update.updated_at),
                observed_at=iso_seconds(items[0].update.observed_at),
                tx=next((item.message.sent_tx for item in items if item.message.sent_tx), None),
                carried=[self._carriage(item) for item in items],
            )
            for number, items in sorted(by_round.items(), reverse=True)
        ]

    def _brought(self, items: Sequence[Carried], number: int) -> Carriage | None:
        """The first delivery of a round; a later one of the same round changed nothing."""
        found = [item for item in items if item.update.round == number and _arrived(item.message) is not None]
        first = min(found, key=lambda item: _arrived(item.message) or 0, default=None)
        return self._carriage(first) if first else None

    def _carriage(self, item: Carried) -> Carriage:
        message = item.message
        arrived = _arrived(message)
        chain = self._names.of_lane(message.destination, message.destination_chain, message.destination_name)
        return Carriage(
            chain=chain_view(chain),
            message=message.id,
            stage=message.stage,
            sent_at=None if message.sent_time is None else iso_seconds(message.sent_time),
            arrived_at=None if arrived is None else iso_seconds(arrived),
            carried_seconds=None if message.seconds.total is None or arrived is None else float(message.seconds.total),
            lag_seconds=None if arrived is None else float(max(0, arrived - item.update.updated_at)),
        )


def _carried(connection: Connection, source: FeedRow) -> list[Carried]:
    """The newest messages of a feed that hold a round, newest first."""
    page = list_messages(connection, MessageFilter(sender=source.ref.address), limit=LOOKED_AT)
    mine = [message for message in page.messages if message.source_chain in (None, source.ref.chain_id)]
    payloads = payloads_of(connection, [message.id for message in mine])
    found = []
    for message in mine:
        update = read_price_update(payloads.get(message.id, ""))
        if update is not None:
            found.append(Carried(message, update))
    return found


def _ended(items: Sequence[Carried], carried: Sequence[Carried]) -> bool:
    """Whether rounds for the same chain have since gone to another receiver, and nothing is outstanding: the sender was
    configured anew.
    """
    last = items[0].message  # the newest first
    elsewhere = any(
        item.message.destination == last.destination
        and item.message.receiver != last.receiver
        and (item.message.sent_time or 0) > (last.sent_time or 0)
        for item in carried
    )
    return elsewhere and not _count(items, (*ON_ITS_WAY, Stage.FAILED))


def _arrived(message: MessageView) -> int | None:
    """When it was delivered; None for what was not, or failed."""
    return message.executed_time if message.stage in (Stage.EXECUTED, Stage.RECOVERED) else None


def _count(items: Sequence[Carried], stages: Sequence[Stage]) -> int:
    return sum(item.message.stage in stages for item in items)
