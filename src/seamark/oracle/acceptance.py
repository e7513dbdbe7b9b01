"""A person's word that a held jump is true: an event beside those that tell of the hold, kept for good.

    oracle.held --(seamark oracle accept)--> oracle.accepted --the publisher reads it--> published, oracle.released

It counts for the jump that was held when it was given: where the price has jumped on since, that jump waits anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from seamark.oracle.model import FeedRef
from seamark.storage.events import Event, append_events, read_events, take_turn

__all__ = ["ACCEPTED", "Acceptance", "Held", "accept", "find_acceptance", "held_feeds"]

HELD: Final = "oracle.held"
RELEASED: Final = "oracle.released"
ACCEPTED: Final = "oracle.accepted"
_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Held:
    """A feed whose answers are held back, in the words of its publisher."""

    feed: str
    chain: str
    address: str
    detail: str
    at_ms: int
    payload: dict[str, object]


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Who said so, and why."""

    who: str
    why: str
    at_ms: int


def held_feeds(connection: Connection) -> list[Held]:
    """The feeds that are held now, as the events tell; one that was accepted counts until it is released."""
    held: dict[tuple[str, str], Held] = {}
    after = 0
    while page := read_events(connection, after, topics=(HELD, RELEASED), limit=_PAGE):
        after = page[-1].id
        for event in page:
            payload = event.payload
            key = (str(payload.get("chain_id")), str(payload.get("address")).lower())
            held.pop(key, None)
            if event.topic == HELD:
                chain, address = str(payload.get("chain")), str(payload.get("address"))
                held[key] = Held(event.key, chain, address, str(payload.get("detail")), event.at_ms, payload)
    return list(held.values())


def accept(connection: Connection, held: Held, *, who: str, why: str) -> None:
    """Confirm what is held."""
    take_turn(connection)
    append_events(connection, [Event(ACCEPTED, held.feed, {**held.payload, "who": who, "why": why})])


def find_acceptance(connection: Connection, *, ref: FeedRef, after: int, since_ms: int) -> Acceptance | None:
    """The newest acceptance of a feed's jump that is held since then."""
    found = None
    while page := read_events(connection, after, topics=(ACCEPTED,), limit=_PAGE):
        after = page[-1].id
        for event in page:
            payload = event.payload
            same = str(payload.get("address")).lower() == ref.address.lower()
            if same and str(payload.get("chain_id")) == str(ref.chain_id) and event.at_ms >= since_ms:
                found = Acceptance(str(payload.get("who")), str(payload.get("why")), event.at_ms)
    return found
