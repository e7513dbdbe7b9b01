"""An in-memory market and message ledger behind the API's ports: what a test sets is what the routes serve.

`Story` also tells it live: each change is stored in the fakes and appended to a real event log, as the services do.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from operator import itemgetter
from typing import Any

from seamark.api.cursors import read_cursor, write_cursor
from seamark.api.names import ChainName, ChainNames
from seamark.api.ports import MessageFilter, Page, chain_view
from seamark.api.times import iso_time
from seamark.api.views import (
    ChainState,
    Failure,
    Fee,
    Feed,
    FeedPoint,
    Lane,
    LaneState,
    Message,
    MessageDetails,
    Observation,
    PricePoint,
    Sighting,
    Stage,
    Transition,
    Update,
)
from seamark.core.ids import ChainId, Selector
from seamark.evm.address import to_checksum
from seamark.runtime.events import Signal
from seamark.storage.database import Database
from seamark.storage.events import Event, append_events

HOME = ChainName("mainline", "Chain 138", ChainId(138), Selector(13_800_000_000_000_000_138))
AWAY = ChainName("anvil", "Anvil local", ChainId(31337), Selector(7759470850252068959))
NAMES = ChainNames([HOME, AWAY])
STEPS = ("sent", "finalized", "committed", "executed")
TAKES_S = {"finalized": 2, "committed": 3, "executed": 1}
SENDER = "0x5fbdb2315678afecb367f032d93f642f64180aa3"
RECEIVER = "0xe7f1725e7734ce288f8367e1bb143e90bb3f0512"


def hash_of(number: int, salt: str = "a") -> str:
    return "0x" + f"{number:04x}".rjust(6, salt) + f"{number * 2654435761 % 2**64:016x}" + salt * 42


def now_ms() -> int:
    return int(time.time() * 1000)


def chain_state(chain: ChainName, block: int) -> ChainState:
    return ChainState(
        chain=chain_view(chain), block=str(block), block_at=iso_time(now_ms()), finalized=str(block - 2), reorgs=0
    )


def make_point(chain: ChainName, round_: int | None, price: str | None, at_ms: int, **changes: Any) -> FeedPoint:
    remote = chain is not HOME
    base: dict[str, Any] = {
        "chain": chain_view(chain),
        "address": to_checksum(SENDER if not remote else RECEIVER),
        "round": None if round_ is None else str(round_),
        "answer": None if price is None else str(int(Decimal(price) * 10**8)),
        "price": price,
        "updated_at": None if price is None else iso_time(at_ms),
        "age_seconds": None if price is None else round((now_ms() - at_ms) / 1000, 3),
        "stale": price is None,
        "paused": False,
        "rounds_behind": 0,
        "drift_percent": "0.0000" if remote and price is not None else None,
    }
    return FeedPoint(**{**base, **changes})


def make_update(feed: str, round_: int, price: str, previous: str | None, at_ms: int, **changes: Any) -> Update:
    change = None if previous is None else f"{(Decimal(price) / Decimal(previous) - 1) * 100:.4f}"
    base: dict[str, Any] = {
        "feed": feed,
        "chain": chain_view(HOME),
        "round": str(round_),
        "reason": "deviation" if previous else "first",
        "state": "final",
        "at": iso_time(at_ms),
        "answer": str(int(Decimal(price) * 10**8)),
        "price": price,
        "previous_price": previous,
        "change_percent": change,
        "tx": hash_of(round_, "b"),
        "block": str(1000 + round_),
        "mined_at": iso_time(at_ms + 1000),
        "fee": Fee(amount="182340000000000", token=None, symbol="ETH", text="0.00018234 ETH"),
        "sources": 3,
    }
    return Update(**{**base, **changes})


def make_feed(name: str, price: str, round_: int, at_ms: int, **changes: Any) -> Feed:
    base: dict[str, Any] = {
        "name": name,
        "description": name.replace("/", " / "),
        "decimals": 8,
        "heartbeat_seconds": 60.0,
        "deviation_threshold_percent": "0.5",
        "source": make_point(HOME, round_, price, at_ms),
        "destinations": [make_point(AWAY, round_, price, at_ms)],
        "observation": Observation(price=price, at=iso_time(at_ms), sources=3, deviation_percent="0.0000"),
        "last_update": None,
        "history": [],
    }
    return Feed(**{**base, **changes})


def make_message(
    number: int, stage: str = "executed", *, sent_ms: int | None = None, failed: str = "", **changes: Any
) -> Message:
    """A message whose stages took `TAKES_S` each."""
    sent = now_ms() - 10_000 if sent_ms is None else sent_ms
    reached = STEPS.index(stage) if stage in STEPS else (3 if stage in {"failed", "recovered"} else 0)
    stages: list[Stage] = []
    at = sent
    for index, step in enumerate(STEPS):
        at += TAKES_S.get(step, 0) * 1000
        done = index <= reached
        state = "done" if done else "waiting"
        if index == reached and stage in STEPS[:3]:
            state = "current"
        if done and stage == "retracted":
            state = "retracted"
        if stage == "failed" and index == 3:
            state = "failed"
        stages.append(
            Stage(
                name=step,
                state=state,
                at=iso_time(at) if done else None,
                seconds=float(TAKES_S.get(step, 0)) if done else None,
                block=str(100 + number) if done else None,
                tx=hash_of(number * 10 + index, "c") if done and step != "finalized" else None,
            )
        )
    total = sum(item.seconds or 0 for item in stages) if reached == 3 else None
    base: dict[str, Any] = {
        "id": hash_of(number),
        "protocol": "ccip",
        "version": "1.6",
        "lane": Lane(source=chain_view(HOME), destination=chain_view(AWAY)),
        "sequence": str(number),
        "stage": stage,
        "state": {"recovered": "succeeded", "executed": "succeeded", "failed": "failed", "retracted": "retracted"}.get(
            stage, "in_flight"
        ),
        "sender": to_checksum(SENDER),
        "receiver": to_checksum(RECEIVER),
        "sent_at": iso_time(sent),
        "updated_at": iso_time(sent + int((total or 0) * 1000)),
        "total_seconds": total,
        "stages": stages,
        "fee": Fee(amount="41200000000000000", token=to_checksum(SENDER), symbol="LINK", text="0.0412 LINK"),
        "failure": Failure(
            kind="receiver_reverted", text=failed or "the receiver reverted: EnforcedPause()", raw="0xd93c0665"
        )
        if stage == "failed"
        else None,
        "attempts": int(reached == 3),
        "manual": False if reached == 3 else None,
        "callback": True if stage == "executed" else None,
        "destination_watched": True,
        "feed": "ETH/USD",
        "round": str(number),
    }
    return Message(**{**base, **changes})


def make_details(message: Message) -> MessageDetails:
    sightings = [
        Sighting(
            kind=stage.name,
            chain=message.lane.source if stage.name == "sent" else message.lane.destination,
            block=stage.block or "0",
            block_hash=hash_of(7, "d"),
            block_at=stage.at,
            tx=stage.tx,
            log_index=2,
            retracted=message.stage == "retracted",
            details={"sequence": message.sequence or ""},
        )
        for stage in message.stages
        if stage.tx is not None
    ]
    reached = [stage for stage in message.stages if stage.at]
    moves = [
        Transition(
            step=stage.name,
            before=reached[index - 1].name if index else None,
            after=stage.name,
            at=stage.at,
            seen_at=stage.at,
            chain=message.lane.source,
            block=stage.block,
            block_hash=None,
        )
        for index, stage in enumerate(reached)
    ]
    return MessageDetails(**message.model_dump(), sightings=sightings, transitions=moves)


@dataclass
class FakeFeeds:
    """Feeds by name and all updates."""

    items: dict[str, Feed] = field(default_factory=dict)
    published: list[Update] = field(default_factory=list)

    async def feeds(self) -> list[Feed]:
        return [self.items[name] for name in sorted(self.items)]

    async def has_feed(self, name: str) -> bool:
        return name in self.items

    async def updates(self, feed: str | None, cursor: str | None, limit: int) -> Page[Update]:
        rows = [(number, update) for number, update in enumerate(self.published) if feed in (None, update.feed)]
        return paginate(rows, cursor, limit)


@dataclass
class FakeMessages:
    """Messages in the order in which they were first put."""

    rows: dict[str, tuple[int, Message]] = field(default_factory=dict)

    def put(self, message: Message) -> None:
        known = self.rows.get(message.id)
        self.rows[message.id] = (known[0] if known else len(self.rows), message)

    async def search(self, wanted: MessageFilter, cursor: str | None, limit: int) -> Page[Message]:
        rows = [(number, message) for number, message in self.rows.values() if matches(message, wanted)]
        return paginate(rows, cursor, limit)

    async def find(self, message_id: str) -> MessageDetails | None:
        row = self.rows.get(message_id)
        return make_details(row[1]) if row else None

    async def lanes(self) -> list[LaneState]:
        messages = [message for _, message in self.rows.values()]
        if not messages:
            return []
        return [
            LaneState(
                lane=messages[0].lane,
                protocol=protocol,
                version="1.6",
                contract=to_checksum(SENDER),
                total=len(messages),
                stages=dict(Counter(message.stage for message in messages if message.protocol == protocol)),
                last_sent=messages[-1].sequence,
                last_committed=None,
                last_executed=None,
                source_watched=True,
                destination_watched=True,
            )
            for protocol in sorted({message.protocol for message in messages})
        ]


def matches(message: Message, wanted: MessageFilter) -> bool:
    def chain_is(name: ChainName | None, chain: Any) -> bool:
        return name is None or chain.key == name.key

    hashes = {stage.tx for stage in message.stages}
    return (
        chain_is(wanted.source, message.lane.source)
        and chain_is(wanted.destination, message.lane.destination)
        and (not wanted.stages or message.stage in wanted.stages)
        and wanted.sender in (None, (message.sender or "").lower())
        and wanted.receiver in (None, (message.receiver or "").lower())
        and (wanted.tx is None or wanted.tx in hashes)
        and (not wanted.ids or message.id.startswith(wanted.ids))
        and wanted.feed in (None, message.feed)
        and wanted.protocol in (None, message.protocol)
        and (wanted.since is None or (message.sent_at or "") >= iso_time(wanted.since * 1000))
        and (wanted.until is None or (message.sent_at or "") < iso_time(wanted.until * 1000))
    )


def paginate(rows: list[tuple[int, Any]], cursor: str | None, limit: int) -> Page[Any]:
    before = read_cursor(cursor)
    left = [row for row in sorted(rows, key=itemgetter(0), reverse=True) if before is None or row[0] < before]
    page = left[:limit]
    return Page([item for _, item in page], write_cursor(page[-1][0]) if len(left) > limit else None)


@dataclass
class Story:
    """Tells changes live."""

    database: Database
    signal: Signal
    feeds: FakeFeeds = field(default_factory=FakeFeeds)
    messages: FakeMessages = field(default_factory=FakeMessages)
    chain_states: list[ChainState] = field(default_factory=list)

    async def chains(self) -> list[ChainState]:
        return self.chain_states

    async def tell(self, topic: str, key: str, **payload: Any) -> None:
        await self.database.write(lambda connection: append_events(connection, [Event(topic, key, payload)]))
        self.signal.fire()

    async def publish(self, name: str, price: str, *, reason: str | None = None, carried: bool = False) -> Update:
        """A new round on the source chain; `carried` updates the remote chain at once."""
        old = self.feeds.items.get(name)
        at = now_ms()
        round_ = int(old.source.round or 0) + 1 if old else 1
        previous = old.source.price if old else None
        update = make_update(name, round_, price, previous, at, **({"reason": reason} if reason else {}))
        history = [*(old.history if old else []), PricePoint(at=iso_time(at), price=price)][-60:]
        feed = make_feed(name, price, round_, at, last_update=update, history=history)
        if not carried:
            remote = old.destinations[0] if old else make_point(AWAY, None, None, at)
            drift = None if remote.price is None else f"{(Decimal(remote.price) / Decimal(price) - 1) * 100:.4f}"
            behind = round_ - int(remote.round or 0)
            remote = remote.model_copy(update={"drift_percent": drift, "rounds_behind": behind})
            feed = feed.model_copy(update={"destinations": [remote]})
        self.feeds.items[name] = feed
        self.feeds.published.append(update)
        await self.tell("feed.updated", name, round=str(round_), price=price)
        return update

    async def deliver(self, name: str) -> None:
        """The remote chain catches up."""
        feed = self.feeds.items[name]
        remote = make_point(AWAY, int(feed.source.round or 0), feed.source.price, now_ms())
        self.feeds.items[name] = feed.model_copy(update={"destinations": [remote]})
        await self.tell("feed.delivered", name, round=feed.source.round)

    async def move(self, message: Message) -> None:
        self.messages.put(message)
        await self.tell(f"message.{message.stage}", message.id, stage=message.stage)
