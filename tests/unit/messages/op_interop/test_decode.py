"""Messenger and bridges: what logs become."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi.abi import encode

from seamark.core.ids import Address, BlockRef, ChainId, Hash32
from seamark.evm.ports import Block
from seamark.evm.types import Log
from seamark.messages.model import Decoded, Executed, Sent
from seamark.messages.protocols.op_interop import InteropChain, InteropProtocol, events
from seamark.messages.protocols.op_interop.decode import MessengerReader
from seamark.messages.protocols.op_interop.encodings import message_hash

HASH = Hash32("0x" + "ab" * 32)
TX, OTHER_TX = Hash32("0x" + "01" * 32), Hash32("0x" + "02" * 32)
ALICE, BOB, TOKEN = (Address("0x" + digit * 40) for digit in "abc")


def word(value: int | str) -> Hash32:
    return Hash32(f"0x{value if isinstance(value, int) else int(value, 16):064x}")


def make(address: Address, topics: list[Hash32], data: bytes, index: int, tx: Hash32 = TX) -> Log:
    return Log(address, tuple(topics), "0x" + data.hex(), 7, HASH, tx, index)


def sent(index: int, *, sender: str = ALICE, nonce: int = 5, destination: int = 902, tx: Hash32 = TX) -> Log:
    topics = [events.SENT.topic0, word(destination), word(BOB), word(nonce)]
    return make(events.MESSENGER, topics, encode(["address", "bytes"], [sender, b"hello"]), index, tx)


def relayed(index: int, *, nonce: int = 5, tx: Hash32 = TX) -> Log:
    topics = [events.RELAYED.topic0, word(902), word(nonce), Hash32("0x" + "cd" * 32)]
    return make(events.MESSENGER, topics, b"\x07" * 32, index, tx)


def bridge(name: str, index: int, *, amount: int = 9, tx: Hash32 = TX) -> Log:
    event = next(item for item in events.BRIDGES if item.name == name)
    people = [word(ALICE), word(BOB)]
    if "ERC20" in name:
        return make(
            events.TOKEN_BRIDGE, [event.topic0, word(TOKEN), *people], encode(["uint256"] * 2, [amount, 902]), index, tx
        )
    return make(events.ETH_BRIDGE, [event.topic0, *people], encode(["uint256"] * 2, [amount, 902]), index, tx)


def read(*logs: Log) -> Decoded:
    block = Block(BlockRef(7, HASH, Hash32(""), 1_750_000_000), logs)
    return MessengerReader(ChainId(901)).read(block, whole=True)


def test_a_send() -> None:
    (item,) = read(sent(0)).sightings
    assert tuple(item.lane) == ("interop", "901", events.MESSENGER, "902")
    assert (item.sequence, item.version) == (5, "0")
    assert isinstance(item.body, Sent)
    assert (item.body.sender, item.body.receiver, item.body.size) == (ALICE, BOB, 5)
    assert item.body.details == {"data": "0x" + b"hello".hex()}
    assert item.message_id == message_hash(
        destination=902, source=901, nonce=5, sender=ALICE, target=BOB, message=b"hello"
    )
    assert (item.evidence.chain_id, item.evidence.block_number, item.evidence.time) == (901, 7, 1_750_000_000)


def test_a_relay() -> None:
    (item,) = read(relayed(0)).sightings
    assert tuple(item.lane) == ("interop", "902", events.MESSENGER, "901")
    assert (item.sequence, item.message_id) == (5, "0x" + "cd" * 32)
    assert item.body == Executed(True, callback=True, details={"return_data_hash": "0x" + "07" * 32})


def test_the_version_is_no_part_of_the_number() -> None:
    (item,) = read(sent(0, nonce=(3 << 240) + 8)).sightings
    assert (item.sequence, item.version) == (8, "3")


@pytest.mark.parametrize(
    ("name", "sender", "extra"),
    [
        ("SendETH", events.ETH_BRIDGE, {}),
        ("SendERC20", events.TOKEN_BRIDGE, {"token": TOKEN}),
        ("SentERC20", events.TOKEN_BRIDGE, {"token": TOKEN}),
    ],
)
def test_money_goes_with_a_send(name: str, sender: Address, extra: dict[str, Any]) -> None:
    (item,) = read(sent(0, sender=sender), bridge(name, 1)).sightings
    assert item.body.details["bridge"] == {"event": name, "from": ALICE, "to": BOB, "amount": "9", **extra}


@pytest.mark.parametrize("name", ["RelayETH", "RelayERC20", "RelayedERC20"])
def test_money_arrives_with_a_relay(name: str) -> None:
    (item,) = read(bridge(name, 0), relayed(1)).sightings
    assert (item.body.details["bridge"]["event"], item.body.details["bridge"]["amount"]) == (name, "9")


def test_each_message_of_a_transaction_has_its_own_money() -> None:
    own = [
        sent(0, sender=events.ETH_BRIDGE, nonce=1),
        bridge("SendETH", 1, amount=1),
        sent(2, nonce=2),
        sent(3, sender=events.ETH_BRIDGE, nonce=3),
        bridge("SendETH", 4, amount=3),
    ]
    money = [item.body.details.get("bridge", {}).get("amount") for item in read(*own).sightings]
    assert money == ["1", None, "3"]


def test_money_of_another_transaction_is_not_taken() -> None:
    (item,) = read(sent(0, sender=events.ETH_BRIDGE), bridge("SendETH", 1, tx=OTHER_TX)).sightings
    assert "bridge" not in item.body.details


def test_a_broken_log_is_told_and_the_others_are_read() -> None:
    broken = make(events.MESSENGER, [events.SENT.topic0, word(902), word(BOB), word(1)], b"\x01", 0)
    found = read(broken, sent(1))
    assert len(found.sightings) == 1
    assert [(item.log_index, item.address) for item in found.malformed] == [(0, events.MESSENGER)]


def test_a_number_that_is_no_count_is_told() -> None:
    found = read(sent(0, nonce=2**200))
    assert found.sightings == ()
    assert "is no count" in found.malformed[0].problem


def test_a_broken_log_of_the_inbox_is_told_too() -> None:
    (bad,) = read(make(events.INBOX, [events.EXECUTING.topic0, word(1)], b"", 3)).malformed
    assert (bad.log_index, bad.address) == (3, events.INBOX)


def test_an_empty_block() -> None:
    assert read() == Decoded()


def test_lanes_have_names() -> None:
    protocol = InteropProtocol([InteropChain(ChainId(901), "op"), InteropChain(ChainId(902), "base")])
    (item,) = read(sent(0)).sightings
    names = protocol.names(item.lane)
    assert (names.source, names.destination, names.source_watched, names.destination_watched) == (
        "op",
        "base",
        True,
        True,
    )
    elsewhere = protocol.names(read(sent(0, destination=10**30)).sightings[0].lane)
    assert (elsewhere.destination, elsewhere.destination_chain, elsewhere.destination_watched) == (
        f"chain {10**30}",
        None,
        False,
    )
