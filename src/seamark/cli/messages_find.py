"""One message by its id or the beginning of it, with what else is known that helps to understand it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from sqlalchemy import Connection

from seamark.cli.messages_amounts import Tokens
from seamark.core.errors import RejectedError
from seamark.messages.judgement import Curse, LaneProfile, read_curses, read_profile
from seamark.messages.model import LaneKey, NoticeKind
from seamark.messages.reports.model import SPANS
from seamark.messages.reports.store import chain_ends, recent_totals, scope_lanes, token_names
from seamark.messages.store import (
    MessageDetail,
    MessageFilter,
    MessageView,
    NoticeView,
    find_message,
    list_messages,
    list_notices,
)
from seamark.oracle.model import Role
from seamark.oracle.payload import PriceUpdate, read_price_update
from seamark.oracle.store import FeedRow, list_feeds

__all__ = ["Carried", "Found", "find_id", "gather"]

WHOLE_ID = 66  # 0x and 64 digits
CHOICES = 5
NOTICES = 10
BEARING = (
    NoticeKind.CURSED,
    NoticeKind.UNCURSED,
    NoticeKind.NONCE_SKIPPED,
    NoticeKind.EXECUTION_SKIPPED,
    NoticeKind.ALREADY_ATTEMPTED,
    NoticeKind.PAUSED,
    NoticeKind.UNPAUSED,
    NoticeKind.GAS_PAID,
)
"""Notices that may have to do with a message: what stops a lane, and what is about the message itself."""


@dataclass(frozen=True, slots=True)
class Carried:
    """The price that a message carries, and where its feed stands on the destination now (None: not watched)."""

    feed: str | None
    update: PriceUpdate
    arrived: FeedRow | None


@dataclass(frozen=True, slots=True)
class Found:
    """A message and its surroundings. `usual` are seconds of the lane's newest deliveries, by span."""

    detail: MessageDetail
    tokens: Tokens
    chains: dict[int, str]
    usual: dict[str, Counter[int]] = field(default_factory=dict)
    notices: list[NoticeView] = field(default_factory=list)
    carried: Carried | None = None
    profile: LaneProfile | None = None
    curses: list[Curse] = field(default_factory=list)


def find_id(connection: Connection, text: str) -> str | None:
    """The whole id; None where no message has it.

    Raises:
        RejectedError: It begins several ids, or cannot begin one.
    """
    wanted = text.strip().lower()
    if not wanted.startswith("0x") or any(digit not in "0123456789abcdef" for digit in wanted[2:]):
        raise RejectedError(
            f"{text[:80]!r} is no message id", remedy="an id is 0x and hex digits; its beginning is enough"
        )
    found = list_messages(connection, MessageFilter(id=wanted), limit=CHOICES + 1).messages
    if len(found) > 1:
        ids = ", ".join(message.id[: len(wanted) + 8] + "…" for message in found[:CHOICES])
        raise RejectedError(f"several messages begin with {wanted}: {ids}", remedy="give more digits")
    return found[0].id if found else None


def gather(connection: Connection, message_id: str) -> Found | None:
    """Everything that `show` tells; None where there is no such message."""
    detail = find_message(connection, message_id)
    if detail is None:
        return None
    message = detail.message
    return Found(
        detail=detail,
        tokens=Tokens(token_names(connection)),
        chains={end.chain_id: end.name for end in chain_ends(connection) if end.chain_id is not None},
        usual=_usual(connection, message),
        notices=_notices(connection, message),
        carried=_carried(connection, detail),
        profile=read_profile(connection, _key(message)),
        curses=read_curses(connection, message.protocol),
    )


def _key(message: MessageView) -> LaneKey:
    return LaneKey(message.protocol, message.source, message.channel, message.destination)


def _usual(connection: Connection, message: MessageView) -> dict[str, Counter[int]]:
    key = _key(message)
    for lane_id, lane in scope_lanes(connection).items():
        if lane.key == key:
            return {name: recent_totals(connection, lane_id, name) for name in SPANS}
    return {}


def _notices(connection: Connection, message: MessageView) -> list[NoticeView]:
    """Those since its send that name it, its sender, an end of its lane, or everything on one of its chains."""
    names = {"", "*", message.id, message.sender, message.source, message.destination}
    found = list_notices(
        connection, protocol=message.protocol, kinds=BEARING, since=message.time, until=_until(message), limit=200
    )
    ends = {message.source_chain, message.destination_chain}
    return [notice for notice in found if notice.chain_id in ends and notice.subject in names][:NOTICES]


def _until(message: MessageView) -> int | None:
    return None if message.executed_time is None else max(message.executed_time, message.time) + 1


def _carried(connection: Connection, detail: MessageDetail) -> Carried | None:
    message = detail.message
    data = next((item.body.get("details", {}).get("data") for item in detail.sightings if item.kind == "sent"), None)
    update = read_price_update(data) if data else None
    if update is None:
        return None
    feeds = list_feeds(connection)
    name = next(
        (
            row.ref.name
            for row in feeds
            if row.ref.role is Role.SOURCE
            and (row.ref.chain_id, row.ref.address) == (message.source_chain, message.sender)
        ),
        None,
    )
    there = (message.destination_chain, message.receiver)
    arrived = next((row for row in feeds if (row.ref.chain_id, row.ref.address) == there), None)
    return Carried(name or (arrived.ref.name if arrived else None), update, arrived)
