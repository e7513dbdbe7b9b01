"""Lists with filters and cursors.

Lists are newest first by (time, no) and paged by position, never by offset, so a page costs the same at any depth and a
message that moves on while someone pages is neither skipped nor shown twice because of its stage.

How a page is found, so that the work follows the page and not the ledger:

    what names single messages (an id, a transaction)      looked up
    a part that has few messages, counted to a bound       all of these looked at
    what fits a quarter of all                             the newest messages looked at
    else                                                   the part with the fewest messages, read from the newest on

Each way is one index (`lists_ways`); the other parts of the filter are checked on the way (`lists_filter`).
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from seamark.core.errors import RejectedError
from seamark.messages.model import MAX_SEQUENCE, Stage
from seamark.messages.store import tables
from seamark.messages.store.lanes import read_lanes
from seamark.messages.store.lists_filter import (
    Conditions,
    Flag,
    LateRange,
    MessageFilter,
    Place,
    checks,
    named,
    span_of,
)
from seamark.messages.store.lists_ways import (
    ORDER,
    Reach,
    Way,
    measured,
    read_in_order,
    read_in_slices,
    read_sorted,
    ways_of,
)
from seamark.messages.store.rows import MessageView, view_of

__all__ = ["MAX_LIMIT", "Flag", "LateRange", "MessageFilter", "MessagePage", "list_messages", "views_of"]

MAX_LIMIT = 500
FEW = 2000  # messages: all looked at
MANY = 20_000  # counted up to here to tell which way is the shorter one
LONG = 50_000  # what an account or a flag with more is taken for
BROAD = 4  # a way with a quarter of all messages is no short cut

_message, _lane, _tally = tables.message, tables.lane, tables.tally

Unsaid = Callable[..., Conditions]
"""Those parts of the filter that a way does not answer (`said`), to be checked."""


class MessagePage(msgspec.Struct, frozen=True):
    """Messages, newest first; `next` is the cursor of the page behind, None at the end."""

    messages: list[MessageView]
    next: str | None


def list_messages(
    connection: Connection, wanted: MessageFilter | None = None, *, limit: int = 50, cursor: str | None = None
) -> MessagePage:
    """One page.

    Raises:
        RejectedError: A cursor that no page has given.
    """
    wanted = wanted or MessageFilter()
    limit = max(1, min(limit, MAX_LIMIT))
    after = _read_cursor(cursor)
    _set_planner(connection)
    found = _places(connection, wanted, after, limit + 1)
    page = found[:limit]
    following = _write_cursor(page[-1]) if len(found) > limit else None
    rows = connection.execute(select(_message).where(_message.c.no.in_([place.no for place in page]))).mappings()
    by_no = {row["no"]: row for row in rows}
    return MessagePage(views_of(connection, [by_no[place.no] for place in page]), following)


def views_of(connection: Connection, rows: Sequence[Any]) -> list[MessageView]:
    """Rows of the message table, for the world."""
    ids = {row["lane_id"] for row in rows}
    lanes = {lane.id: lane for lane in read_lanes(connection, select(_lane).where(_lane.c.id.in_(ids)))}
    return [view_of(row, lanes[row["lane_id"]]) for row in rows]


def _set_planner(connection: Connection) -> None:
    """For this transaction. PostgreSQL reads a whole table where it expects to be lucky soon, compiles what it takes
    for long, and plans once for values as different as a sender of one message and one of a million.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(
            "SELECT set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true), "
            "set_config('plan_cache_mode', 'force_custom_plan', true)"
        )


# ---- which way ------------------------------------------------------------------------------------------------------


def _places(connection: Connection, wanted: MessageFilter, after: Place | None, limit: int) -> list[Place]:
    """The newest `limit` that fit."""
    everywhere, lanes = _chosen_lanes(connection, wanted)
    stages = _chosen_stages(wanted)
    if stages is None:
        return []
    span = span_of(wanted, after)
    unsaid = partial(checks, wanted, None if everywhere else lanes, stages)
    if single := named(wanted):
        return read_sorted(connection, [*single, *span_of(wanted, after, openly=False), *unsaid()], limit)
    ways = ways_of(connection, wanted, lanes, stages, everywhere)
    ways = measured(connection, ways, span, FEW)
    if not ways:
        return read_in_order(connection, [*span, *unsaid()], limit) if lanes else []
    shortest = min(ways, key=_length)
    if shortest.messages <= FEW:
        return _all_of(connection, shortest, span_of(wanted, after, openly=shortest.timed), unsaid, limit)
    if len(ways) > 1:
        shortest = min(measured(connection, ways, span, MANY), key=_length)
    return _many(connection, shortest, span, unsaid, _reach(connection, wanted, after), limit)


def _length(way: Way) -> int:
    """For comparison: what was not counted to the end is taken for long."""
    return way.messages if way.exact or way.tallied else max(way.messages, LONG)


def _all_of(connection: Connection, way: Way, span: Conditions, unsaid: Unsaid, limit: int) -> list[Place]:
    return read_sorted(connection, [*way.conditions, *span, *unsaid(said=way.said)], limit) if way.messages else []


def _many(  # noqa: PLR0917 - what was found out on the way here
    connection: Connection, way: Way, span: Conditions, unsaid: Unsaid, reach: Reach, limit: int
) -> list[Place]:
    if way.messages * BROAD > reach.messages:  # most of the newest messages fit
        return read_in_order(connection, [*span, *unsaid()], limit)
    if not way.ranges:
        return read_in_order(connection, [*way.conditions, *span, *unsaid(said=way.said)], limit)
    # Messages on their way are all of the last days, those of an account come evenly.
    reach = reach._replace(messages=_length(way), even=way.name != "stages")
    return read_in_slices(connection, [*way.conditions, *span], unsaid(said=way.said), reach, limit)


def _reach(connection: Connection, wanted: MessageFilter, after: Place | None) -> Reach:
    """The times between which everything lies that fits, and how many messages there are in all."""
    newest = select(_message.c.time).order_by(*ORDER).limit(1).scalar_subquery()
    oldest = select(_message.c.time).order_by(_message.c.time, _message.c.no).limit(1).scalar_subquery()
    total = select(func.sum(_tally.c.messages)).where(_tally.c.kind == "stage").scalar_subquery()
    high, low, messages = connection.execute(select(newest, oldest, total)).one()
    bounds = [high + 1, wanted.until, after and after.time + 1]
    if wanted.late is not None:
        bounds.append(max((part.before for part in wanted.late), default=low))
    return Reach(max(low, wanted.since or low), min(item for item in bounds if item is not None), int(messages or 0))


def _chosen_stages(wanted: MessageFilter) -> list[str] | None:
    """The stages to look in, none for all; None where nothing can fit."""
    allowed = [set(wanted.stage)] if wanted.stage else []
    if wanted.reason is not None:
        allowed.append({Stage.FAILED})
    if wanted.late is not None:
        allowed.append({part.stage for part in wanted.late})
    if not allowed:
        return []
    both = set.intersection(*allowed)
    return [stage.value for stage in Stage if stage in both] or None


def _chosen_lanes(connection: Connection, wanted: MessageFilter) -> tuple[bool, list[int]]:
    """Whether these are all lanes, and their numbers."""
    conditions: Conditions = []
    for name in ("protocol", "version"):
        if (value := getattr(wanted, name)) is not None:
            conditions.append(_lane.c[name] == value)
    for name in ("source", "destination"):
        if (value := getattr(wanted, name)) is not None:
            conditions.append((_lane.c[name] == value) | (_lane.c[f"{name}_name"] == value))
    if wanted.channel is not None:
        conditions.append(_lane.c.channel == wanted.channel.lower())
    if wanted.lane is not None:
        conditions.append(_lane.c.id == wanted.lane)
    chosen = list(connection.execute(select(_lane.c.id).where(*conditions)).scalars())
    if not conditions:
        return True, chosen
    everything = connection.execute(select(func.count()).select_from(_lane)).scalar_one()
    return len(chosen) == everything, chosen


# ---- cursors --------------------------------------------------------------------------------------------------------


def _write_cursor(place: Place) -> str:
    return urlsafe_b64encode(f"{place.time}.{place.no}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str | None) -> Place | None:
    if cursor is None:
        return None
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        time, _, number = text.partition(".")
        place = Place(int(time), int(number))
    except ValueError as error:
        raise _bad_cursor() from error
    if not all(abs(part) <= MAX_SEQUENCE for part in place):  # more than the databases hold
        raise _bad_cursor()
    return place


def _bad_cursor() -> RejectedError:
    return RejectedError("the cursor is not one that a page has given", remedy="start again without it")
