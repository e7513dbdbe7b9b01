"""Messages that wait for what their verifiers say off chain, and what was said.

Those that wait are read from both ends of a lane's final messages: the newest, which are the likeliest to be done by
now, and a page further on from where the last look ended, so that none is left out however many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, select, tuple_

from seamark.messages.model import LaneKey, Sent, Stage, Verified
from seamark.messages.protocol import LaneNames
from seamark.messages.store import tables
from seamark.messages.store.books import Changes
from seamark.messages.store.chains import read_heights
from seamark.messages.store.ledger import Ledger, take_turn
from seamark.messages.store.rows import decode_body

__all__ = [
    "START",
    "Place",
    "VerificationView",
    "Waiting",
    "read_verification",
    "record_verified",
    "sends_of",
    "unverified",
]

_message, _lane, _sighting, _verification = tables.message, tables.lane, tables.sighting, tables.verification


class Place(NamedTuple):
    """Where a page ended."""

    time: int
    no: int


START = Place(-1, -1)


class Waiting(NamedTuple):
    """A final message without a word of its verifiers."""

    no: int
    id: str
    lane: LaneKey
    time: int


class VerificationView(msgspec.Struct, frozen=True):
    """What verifiers said. `time` is that of the last one, by its own clock (seconds); `seen_ms` ours. `details` are
    the protocol's: who, and how many were needed.
    """

    time: int
    seen_ms: int
    details: dict[str, Any]


def unverified(
    connection: Connection, protocol: str, versions: str, after: Place, *, newest: int, further: int
) -> tuple[list[Waiting], Place]:
    """Messages that wait, each once, and where to go on; `START` when the end was reached.

    Args:
        versions: How the versions of lanes begin whose messages are verified off chain.
        after: Where the last look ended.
        newest: How many of the newest of each lane.
        further: How many behind `after`, over all lanes.
    """
    lanes = {
        row.id: LaneKey(row.protocol, row.source, row.channel, row.destination)
        for row in connection.execute(
            select(_lane).where(_lane.c.protocol == protocol, _lane.c.version.startswith(versions, autoescape=True))
        )
    }
    found: dict[int, Waiting] = {}
    page: list[Place] = []
    ended = True
    for lane_id, lane in lanes.items():
        own = (_message.c.lane_id == lane_id) & (_message.c.stage == Stage.FINALIZED.value)
        at = tuple_(_message.c.time, _message.c.no)
        oldest_first = (_message.c.time, _message.c.no)
        newest_first = (_message.c.time.desc(), _message.c.no.desc())
        query = select(_message.c.no, _message.c.id, _message.c.time).where(own)
        head = connection.execute(query.order_by(*newest_first).limit(newest)).all()
        rest = connection.execute(query.where(at > tuple_(*after)).order_by(*oldest_first).limit(further)).all()
        ended = ended and len(rest) < further
        page += [Place(row.time, row.no) for row in rest]
        for row in (*head, *rest):
            found.setdefault(row.no, Waiting(row.no, row.id, lane, row.time))
    # The lanes' pages are of one order: what lies behind the first that is full comes with the next look.
    page.sort()
    following = START if ended else page[min(further, len(page)) - 1]
    return list(found.values()), following


def sends_of(connection: Connection, numbers: Sequence[int]) -> dict[int, Sent]:
    """What the sends of some messages say, by number."""
    rows = connection.execute(
        select(_sighting.c.message_no, _sighting.c.body).where(_sighting.c.message_no.in_(numbers), _sighting.c.live)
    )
    return {row.message_no: body for row in rows if isinstance(body := decode_body(row.body), Sent)}


def record_verified(
    connection: Connection, protocol: str, names: Callable[[LaneKey], LaneNames], found: Sequence[Verified], now_ms: int
) -> Changes:
    """Store what verifiers said, in a unit of work of its own."""
    next_no = take_turn(connection)
    ledger = Ledger(
        connection,
        protocol=protocol,
        names=names,
        heights=read_heights(connection, protocol),
        next_no=next_no,
        now_ms=now_ms,
    )
    ledger.verify(found)
    return ledger.close()


def read_verification(connection: Connection, message_no: int) -> VerificationView | None:
    """What verifiers said of a message; None: not known."""
    row = connection.execute(select(_verification).where(_verification.c.message_no == message_no)).first()
    return None if row is None else VerificationView(row.time, row.seen_ms, msgspec.json.decode(row.details))
