"""Lanes in the database: a key becomes a small number once, and carries names and coverage for whoever lists
messages.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

import msgspec
from sqlalchemy import Connection, select, tuple_

from seamark.core.ids import ChainId
from seamark.messages.model import LaneKey
from seamark.messages.protocol import LaneNames
from seamark.messages.store import tables
from seamark.storage.bulk import chunks, insert_new

__all__ = ["Lane", "Lanes", "all_lanes", "lane_labels", "name_columns", "read_lanes", "refresh_lanes"]

_lane = tables.lane


class Lane(msgspec.Struct, frozen=True):
    """A stored lane."""

    id: int
    key: LaneKey
    version: str
    names: LaneNames
    widest_commit: int


class Lanes:
    """The lanes that one unit of work touches, each read once."""

    def __init__(self, connection: Connection, names: Callable[[LaneKey], LaneNames]) -> None:
        self._connection = connection
        self._names = names
        self._by_key: dict[LaneKey, Lane] = {}
        self._by_id: dict[int, Lane] = {}

    def ensure(self, wanted: Mapping[LaneKey, str]) -> None:
        """Make lanes known, creating what is missing. `wanted` gives the version for a new one."""
        missing = [key for key in wanted if key not in self._by_key]
        if not missing:
            return
        self._load(missing)
        new = [self._row(key, wanted[key]) for key in missing if key not in self._by_key]
        if new:
            insert_new(self._connection, _lane, new)
            self._load(missing)

    def fetch(self, ids: Collection[int]) -> None:
        """Make lanes known by number."""
        missing = [number for number in ids if number not in self._by_id]
        for chunk in chunks(missing):
            self._take(select(_lane).where(_lane.c.id.in_(chunk)))

    def of(self, key: LaneKey) -> Lane:
        return self._by_key[key]

    def number(self, lane_id: int) -> Lane:
        return self._by_id[lane_id]

    def widen(self, widths: Mapping[int, int]) -> None:
        """Remember longer commits."""
        for lane_id, width in widths.items():
            lane = self._by_id[lane_id]
            if width > lane.widest_commit:
                self._connection.execute(_lane.update().where(_lane.c.id == lane_id).values(widest_commit=width))
                self._keep(msgspec.structs.replace(lane, widest_commit=width))

    def _row(self, key: LaneKey, version: str) -> dict[str, object]:
        return {**key._asdict(), "version": version, "widest_commit": 0, **name_columns(self._names(key))}

    def _load(self, keys: Collection[LaneKey]) -> None:
        columns = tuple_(_lane.c.protocol, _lane.c.source, _lane.c.channel, _lane.c.destination)
        for chunk in chunks(list(keys)):
            self._take(select(_lane).where(columns.in_([tuple(key) for key in chunk])))

    def _take(self, query: object) -> None:
        for lane in read_lanes(self._connection, query):
            self._keep(lane)

    def _keep(self, lane: Lane) -> None:
        self._by_key[lane.key] = lane
        self._by_id[lane.id] = lane


def name_columns(names: LaneNames) -> dict[str, object]:
    return {
        "source_name": names.source,
        "destination_name": names.destination,
        "source_chain": names.source_chain,
        "destination_chain": names.destination_chain,
        "source_watched": names.source_watched,
        "destination_watched": names.destination_watched,
    }


def read_lanes(connection: Connection, query: object) -> Iterable[Lane]:
    """Rows of the lane table as values."""
    for row in connection.execute(query):  # type: ignore[call-overload]
        names = LaneNames(
            source=row.source_name,
            destination=row.destination_name,
            source_chain=None if row.source_chain is None else ChainId(row.source_chain),
            destination_chain=None if row.destination_chain is None else ChainId(row.destination_chain),
            source_watched=row.source_watched,
            destination_watched=row.destination_watched,
        )
        key = LaneKey(row.protocol, row.source, row.channel, row.destination)
        yield Lane(row.id, key, row.version, names, row.widest_commit)


def refresh_lanes(connection: Connection, protocol: str, names: Callable[[LaneKey], LaneNames]) -> None:
    """Bring names and coverage of stored lanes up to the present settings; once, at start."""
    for lane in list(read_lanes(connection, select(_lane).where(_lane.c.protocol == protocol))):
        if (now := names(lane.key)) != lane.names:
            connection.execute(_lane.update().where(_lane.c.id == lane.id).values(**name_columns(now)))


def all_lanes(connection: Connection, protocol: str) -> list[Lane]:
    return list(read_lanes(connection, select(_lane).where(_lane.c.protocol == protocol)))


def lane_labels(lane: Lane) -> dict[str, str]:
    """The labels of every metric about a lane; bounded by the number of lanes."""
    names = lane.names
    return {"source": names.source, "dest": names.destination, "version": lane.version, "onramp": lane.key.channel}
