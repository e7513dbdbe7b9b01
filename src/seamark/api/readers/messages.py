"""Messages from the tracker's store, joined with the feeds that they carry.

A message is one of ours when its sender is the contract of a feed on the source chain. Its round is read from the
payload (`contracts/src/libraries/PriceUpdate.sol`), which the message's id is a hash of: once read it is known for
good. Whether it is late, and its story in words, are the judge's (`messages/judgement/explain.py`).
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from msgspec.structs import replace
from sqlalchemy import Connection

from seamark.api.cursors import BAD_CURSOR
from seamark.api.names import ChainName, ChainNames
from seamark.api.ports import MessageFilter, Page, chain_view
from seamark.api.problems import ParameterError
from seamark.api.readers.amounts import account_text, fee_view
from seamark.api.readers.stages import state_of, to_stages
from seamark.api.times import iso_seconds, iso_time
from seamark.api.views import (
    Failure,
    Lane,
    LaneState,
    Message,
    MessageDetails,
    Sighting,
    Stage,
    Transition,
)
from seamark.core.errors import RejectedError
from seamark.core.ids import ChainId
from seamark.messages import store
from seamark.messages.judgement import LaneProfile, explain, is_late, read_curses, read_profile
from seamark.messages.model import UNTOLD, LaneKey
from seamark.messages.model import Stage as Place
from seamark.oracle.model import Role
from seamark.oracle.store import list_feeds
from seamark.storage.database import Database

__all__ = ["StoredMessages", "round_of_payload"]

KNOWN_ROUNDS = 20_000
PAYLOAD_VERSION = 1
PAYLOAD_WORDS = 7  # version, feed id, round, answer, observedAt, updatedAt, decimals
_WORD_DIGITS = 64
_ROUND_WORD = 2
_MAX_ROUND = 2**80 - 1
SYSTEM_CLOCK: Callable[[], float] = time.time

Senders: TypeAlias = Mapping[tuple[int, str], str]
"""(source chain id, contract) -> feed."""


class StoredMessages:
    """A `MessageReader`."""

    def __init__(self, database: Database, names: ChainNames, now: Callable[[], float] = SYSTEM_CLOCK) -> None:
        self._database = database
        self._now = now
        self._names = names
        self._rounds: OrderedDict[str, int | None] = OrderedDict()

    async def search(self, wanted: MessageFilter, cursor: str | None, limit: int) -> Page[Message]:
        def work(connection: Connection) -> Page[Message]:
            senders = _read_senders(connection)
            chosen = _to_store_filter(wanted, senders)
            if chosen is None:
                return Page([], None)
            if len(wanted.ids) > 1:
                views, following = _find_several(connection, chosen, wanted.ids, limit), None
            else:
                page = store.list_messages(connection, chosen, limit=limit, cursor=cursor)
                views, following = page.messages, page.next
            profiles = _Profiles(connection)
            return Page([self._to_message(connection, view, senders, profiles) for view in views], following)

        try:
            return await self._database.read(work)
        except RejectedError as error:
            raise ParameterError("cursor", BAD_CURSOR) from error

    async def find(self, message_id: str) -> MessageDetails | None:
        def work(connection: Connection) -> MessageDetails | None:
            found = store.find_message(connection, message_id)
            return None if found is None else self._to_details(connection, found)

        return await self._database.read(work)

    async def lanes(self) -> list[LaneState]:
        return [self._to_lane(view) for view in await self._database.read(store.list_lanes)]

    # --- rows to views ---

    def _ends(self, view: store.MessageView | store.LaneView) -> tuple[ChainName, ChainName]:
        source = self._names.of_lane(view.source, view.source_chain, view.source_name)
        destination = self._names.of_lane(view.destination, view.destination_chain, view.destination_name)
        return source, destination

    def _to_message(
        self, connection: Connection, view: store.MessageView, senders: Senders, profiles: _Profiles
    ) -> Message:
        feed = senders.get((view.source_chain or 0, view.sender))
        round_ = None if feed is None else self._round(connection, view.id)
        return Message(**self._fields(view, feed, round_, profiles.of(view)))

    def _fields(
        self, view: store.MessageView, feed: str | None, round_: int | None, profile: LaneProfile | None
    ) -> dict[str, Any]:
        source, destination = self._ends(view)
        known = (view.sent_time, view.finalized_time, view.committed_time, view.executed_time)
        moved = max((moment for moment in known if moment is not None), default=view.time)
        ended = view.stage in (Place.EXECUTED, Place.RECOVERED, Place.FAILED)
        total = _span(view.sent_time, view.executed_time) if ended else None
        failed = view.stage == Place.FAILED
        return {
            "id": view.id,
            "protocol": view.protocol,
            "version": view.version or None,
            "lane": Lane(source=chain_view(source), destination=chain_view(destination)),
            "sequence": None if view.sequence == UNTOLD else str(view.sequence),
            "stage": view.stage,
            "state": state_of(view.stage),
            "sender": account_text(view.sender) or None,
            "receiver": account_text(view.receiver) or None,
            "sent_at": None if view.sent_time is None else iso_seconds(view.sent_time),
            "updated_at": iso_seconds(moved),
            "total_seconds": total,
            "stages": to_stages(view),
            "fee": fee_view(int(view.fee_amount), view.fee_token, source, self._names) if view.sender else None,
            "failure": Failure(kind=view.reason, text=view.error or view.reason, raw=None) if failed else None,
            "attempts": view.attempts,
            "manual": view.manual,
            "callback": view.callback,
            "destination_watched": view.destination_watched,
            "commits": _has_commits(view, profile),
            "verified": view.verified,
            "by_hand": view.by_hand,
            "late": is_late(view, profile, self._now()),
            "feed": feed,
            "round": None if round_ is None else str(round_),
        }

    def _to_details(self, connection: Connection, found: store.MessageDetail) -> MessageDetails:
        view = found.message
        feed = _read_senders(connection).get((view.source_chain or 0, view.sender))
        profile = _Profiles(connection).of(view)
        fields = self._fields(view, feed, None if feed is None else _round_of(found), profile)
        if fields["failure"] is not None:
            fields["failure"] = fields["failure"].model_copy(update={"raw": _return_data(found)})
        blocks = {item.tx: str(item.block_number) for item in found.sightings if item.live}
        fields["stages"] = [_with_block(stage, blocks) for stage in fields["stages"]]
        return MessageDetails(
            **fields,
            sightings=[self._to_sighting(item) for item in found.sightings],
            transitions=[self._to_transition(item) for item in found.transitions],
            explanation=self._explain(connection, view, profile),
        )

    def _explain(self, connection: Connection, view: store.MessageView, profile: LaneProfile | None) -> list[str]:
        """Without its first sentence, which tells number, lane and age: those are fields."""
        source, destination = self._ends(view)
        named = replace(view, source_name=source.label, destination_name=destination.label)
        return explain(named, profile, self._now(), curses=read_curses(connection, view.protocol))[1:]

    def _to_sighting(self, item: store.SightingView) -> Sighting:
        return Sighting(
            kind=item.kind,
            chain=chain_view(self._names.by_chain_id(ChainId(item.chain_id))),
            block=str(item.block_number),
            block_hash=item.block_hash,
            block_at=iso_seconds(item.time),
            tx=item.tx,
            log_index=item.log_index,
            retracted=not item.live,
            details=item.body,
        )

    def _to_transition(self, item: store.TransitionView) -> Transition:
        chain = None if item.chain_id is None else chain_view(self._names.by_chain_id(ChainId(item.chain_id)))
        return Transition(
            step=item.step,
            before=item.before,
            after=item.after,
            at=None if item.time is None else iso_seconds(item.time),
            seen_at=iso_time(item.seen_ms),
            chain=chain,
            block=None if item.block_number is None else str(item.block_number),
            block_hash=item.block_hash,
        )

    def _to_lane(self, view: store.LaneView) -> LaneState:
        source, destination = self._ends(view)
        return LaneState(
            lane=Lane(source=chain_view(source), destination=chain_view(destination)),
            protocol=view.protocol,
            version=view.version,
            contract=account_text(view.channel) or None,
            total=view.total,
            stages=view.stages,
            last_sent=_text(view.last_sent),
            last_committed=_text(view.last_committed),
            last_executed=_text(view.last_executed),
            source_watched=view.source_watched,
            destination_watched=view.destination_watched,
        )

    # --- the round that a message carries ---

    def _round(self, connection: Connection, message_id: str) -> int | None:
        if message_id not in self._rounds:
            found = store.find_message(connection, message_id)
            self._rounds[message_id] = None if found is None else _round_of(found)
            if len(self._rounds) > KNOWN_ROUNDS:
                self._rounds.popitem(last=False)
        return self._rounds[message_id]


class _Profiles:
    """What is normal on each lane, read once per lane."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[LaneKey, LaneProfile | None] = {}

    def of(self, view: store.MessageView) -> LaneProfile | None:
        lane = LaneKey(view.protocol, view.source, view.channel, view.destination)
        if lane not in self._known:
            self._known[lane] = read_profile(self._connection, lane)
        return self._known[lane]


def _has_commits(view: store.MessageView, profile: LaneProfile | None) -> bool:
    """Whether its lane commits before it executes, as the judge knows it; before its first look, as usual."""
    return view.committed_time is not None or profile is None or profile.commits


def round_of_payload(data: str) -> int | None:
    """The round in a price update, `abi.encode(uint8 version, bytes32 feedId, uint80 roundId, …)`; else None."""
    digits = data.removeprefix("0x")
    if len(digits) != PAYLOAD_WORDS * _WORD_DIGITS:
        return None
    words = [int(digits[at : at + _WORD_DIGITS], 16) for at in range(0, len(digits), _WORD_DIGITS)]
    return words[_ROUND_WORD] if words[0] == PAYLOAD_VERSION and words[_ROUND_WORD] <= _MAX_ROUND else None


def _round_of(found: store.MessageDetail) -> int | None:
    for item in found.sightings:
        data = item.body.get("details", {}).get("data") if item.kind == "sent" else None
        if data is not None:
            return round_of_payload(data)
    return None


def _with_block(stage: Stage, blocks: Mapping[str, str]) -> Stage:
    """With the block of its transaction, which lists do not hold."""
    return stage.model_copy(update={"block": stage.block or blocks.get(stage.tx or "")})


def _return_data(found: store.MessageDetail) -> str | None:
    """Of the last failure that still stands."""
    runs = [
        item.body for item in found.sightings if item.kind == "executed" and item.live and not item.body["succeeded"]
    ]
    return runs[-1].get("details", {}).get("return_data") if runs else None


def _read_senders(connection: Connection) -> Senders:
    return {
        (int(row.ref.chain_id), row.ref.address): row.ref.name
        for row in list_feeds(connection)
        if row.ref.role is Role.SOURCE
    }


def _to_store_filter(wanted: MessageFilter, senders: Senders) -> store.MessageFilter | None:
    """None: nothing can match."""
    sender = wanted.sender
    if wanted.feed is not None:
        contracts = [address for (_, address), feed in senders.items() if feed == wanted.feed]
        if not contracts or (sender is not None and sender not in contracts):
            return None
        sender = contracts[0]
    return store.MessageFilter(
        protocol=wanted.protocol,
        source=_chain_text(wanted.source),
        destination=_chain_text(wanted.destination),
        stage=[Place(stage) for stage in wanted.stages],
        sender=sender,
        receiver=wanted.receiver,
        tx=wanted.tx,
        id=wanted.ids[0] if len(wanted.ids) == 1 else None,
        since=wanted.since,
        until=wanted.until,
    )


def _find_several(
    connection: Connection, chosen: store.MessageFilter, ids: Iterable[str], limit: int
) -> list[store.MessageView]:
    found: list[store.MessageView] = []
    for message_id in ids:
        found += store.list_messages(connection, replace(chosen, id=message_id), limit=1).messages
    found.sort(key=lambda view: (view.time, view.sequence), reverse=True)
    return found[:limit]


def _chain_text(chain: ChainName | None) -> str | None:
    """As the tracker names an end of a lane: the protocol's number where it is known."""
    if chain is None:
        return None
    return chain.key if chain.selector is None else str(chain.selector)


def _span(start: int | None, end: int | None) -> float | None:
    return None if start is None or end is None else float(max(end - start, 0))


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)
