"""Messages that were sent and not relayed, and when they expire.

The inbox refuses a message `window` seconds after it was sent. `resendMessage` sends the same message again, with a new
identifier: so what counts is the newest live send, and an expired message can be saved.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from sqlalchemy import Connection

from seamark.messages.model import Stage
from seamark.messages.protocols.op_interop.model import PROTOCOL
from seamark.messages.store import MessageFilter, find_message, late, list_lanes, list_messages

__all__ = ["LaneUnrelayed", "Unrelayed", "expiring", "unrelayed_by_lane"]

OPEN = (Stage.SENT, Stage.FINALIZED)


class Unrelayed(msgspec.Struct, frozen=True):
    """A message on its way. Times in seconds since the epoch; `sends`: how often it was sent, `last_sent`: newest."""

    message_id: str
    source: str
    destination: str
    first_sent: int
    last_sent: int
    sends: int
    expires: int

    def expired(self, now: float) -> bool:
        """Executable up to and including `expires`."""
        return now > self.expires


class LaneUnrelayed(msgspec.Struct, frozen=True):
    """Messages of one lane that were sent before a time and are not relayed; `oldest` in seconds since the epoch."""

    source: str
    destination: str
    messages: int
    oldest: int


def unrelayed_by_lane(
    connection: Connection, *, before: int, chains: Collection[int] | None = None
) -> list[LaneUnrelayed]:
    """Two ranges of an index per lane. Only lanes whose destination is read: else nobody would see the relay; with
    `chains`, read here.
    """
    found = []
    for lane in list_lanes(connection):
        if lane.protocol != PROTOCOL or not lane.destination_watched:
            continue
        if chains is not None and lane.destination_chain not in chains:
            continue
        parts = [late(connection, lane.id, stage, before) for stage in OPEN]
        oldest = [part.oldest for part in parts if part.oldest is not None]
        if oldest:
            count = sum(part.messages for part in parts)
            found.append(LaneUnrelayed(lane.source_name, lane.destination_name, count, min(oldest)))
    return found


def expiring(
    connection: Connection, *, window_s: int, before: int, chains: Collection[int] | None = None, limit: int = 200
) -> list[Unrelayed]:
    """Messages whose newest send was before a time and that nobody relayed, the oldest first; `chains`: to where."""
    wanted = MessageFilter(protocol=PROTOCOL, stage=OPEN, until=before)
    found: list[Unrelayed] = []
    cursor = None
    while len(found) < limit:
        page = list_messages(connection, wanted, limit=limit, cursor=cursor)
        for view in page.messages:
            if chains is not None and view.destination_chain not in chains:
                continue
            detail = find_message(connection, view.id)
            assert detail is not None
            sends = [item.time for item in detail.sightings if item.kind == "sent" and item.live]
            if sends and max(sends) < before:
                found.append(
                    Unrelayed(
                        view.id,
                        view.source_name,
                        view.destination_name,
                        min(sends),
                        max(sends),
                        len(sends),
                        max(sends) + window_s,
                    )
                )
        cursor = page.next
        if cursor is None:
            break
    return sorted(found, key=lambda item: item.expires)[:limit]
