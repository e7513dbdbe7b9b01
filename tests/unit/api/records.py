"""Rows as the oracle and the message tracker write them, for tests that read them through the API."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from seamark.api.names import ChainName, ChainNames, TokenName
from seamark.core.ids import Address, ChainId, Hash32, Selector
from seamark.messages.model import Committed, Evidence, Executed, LaneKey, Sent, Sighting
from seamark.messages.protocol import LaneNames
from seamark.oracle.model import FeedRef, FeedState, Publication, PublicationState, Reason, Role
from seamark.oracle.store import add_publication, settle_publication

HOME = ChainName("home", "Chain 138", ChainId(138), Selector(138_000))
AWAY = ChainName("away", "Anvil local", ChainId(31337), Selector(7759470850252068959))
LINK = Address("0x" + "11" * 20)
LINK_NAME = TokenName("LINK", 18)
FEED = Address("0x5fbdb2315678afecb367f032d93f642f64180aa3")
RECEIVER = Address("0xe7f1725e7734ce288f8367e1bb143e90bb3f0512")
NAMES = ChainNames([HOME, AWAY], tokens=lambda chain, address: LINK_NAME if (chain, address) == (138, LINK) else None)
LANE = LaneKey("ccip", "138000", "0x" + "aa" * 20, "7759470850252068959")
SOURCE = FeedRef("ETH/USD", "home", ChainId(138), FEED)
REMOTE = FeedRef("ETH/USD", "away", ChainId(31337), RECEIVER, Role.REMOTE)
NOW = 1_700_000_100.0


def state(round_: int, answer: int, updated_at: int, block: int) -> FeedState:
    return FeedState(round_, answer, updated_at - 1, updated_at, 8, "ETH / USD", block, updated_at)


def publication(round_: int, answer: int, reason: Reason, *, feed: FeedRef = SOURCE) -> Publication:
    return Publication(
        key=f"{feed.name}:{round_}",
        feed=feed,
        round=round_,
        attempt=1,
        state=PublicationState.MINED,
        reason=reason,
        planned_at=1_700_000_000.25 + round_,
        answer=answer,
        decimals=8,
        observed_at=1_700_000_000 + round_,
        quotes=(("binance", "2000.1"), ("kraken", "2000.2")),
        transaction=Hash32("0x" + f"{round_:064x}"),
        block_number=100 + round_,
        block_time=1_700_000_001 + round_,
        fee=182_340_000_000_000,
        mined_at=1_700_000_001.0 + round_,
    )


def publish(connection: Connection, item: Publication) -> None:
    add_publication(connection, replace(item, state=PublicationState.BROADCAST))
    settle_publication(connection, item)


def at(chain_id: int, block: int, time: int, tx: int) -> Evidence:
    return Evidence(ChainId(chain_id), block, Hash32(f"0x{block:064x}"), Hash32(f"0x{tx:064x}"), 0, time)


def payload(round_: int) -> str:
    words = [1, 0xFEED, round_, 2 * 10**11, 1_700_000_000, 1_700_000_001, 8]
    return "0x" + "".join(f"{word:064x}" for word in words)


def message_id(number: int) -> str:
    return f"0x{number:064x}"


def sent(number: int, *, sender: str = FEED, receiver: str = RECEIVER, time: int = 1_700_000_000) -> Sighting:
    body = Sent(
        sender=sender,
        receiver=receiver,
        fee_token=LINK,
        fee_amount="41200000000000000",
        size=224,
        details={"data": payload(number)},
    )
    return Sighting(LANE, "1.6", at(138, 100 + number, time + number, 1000 + number), number, body, message_id(number))


def committed(first: int, last: int, time: int) -> Sighting:
    return Sighting(LANE, "1.6", at(31337, 500 + first, time, 2000 + first), first, Committed(last))


def executed(number: int, time: int, *, good: bool = True) -> Sighting:
    body = (
        Executed(True, callback=True, manual=False)
        if good
        else Executed(False, reason="receiver_reverted", error="EnforcedPause()", details={"return_data": "0xd93c0665"})
    )
    return Sighting(LANE, "1.6", at(31337, 600 + number, time, 3000 + number), number, body, message_id(number))


def lane_names(_lane: LaneKey) -> LaneNames:
    return LaneNames(
        source="home",
        destination="away",
        source_chain=ChainId(138),
        destination_chain=ChainId(31337),
        source_watched=True,
        destination_watched=True,
    )
