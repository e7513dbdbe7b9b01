from __future__ import annotations

import dataclasses

import pytest

from seamark.core.ids import Address, Hash32, Selector
from seamark.devnet.ccip.ramp_messages import (
    CCIP_MESSAGE_SENT,
    CCIP_SEND,
    SENT_TOPIC,
    LaneId,
    extra_args_v2,
    leaf_hash,
    read_sent,
)
from seamark.evm.abi import DecodeError, compile_encoder, parse_params
from tests.unit.devnet import ccip_golden as golden

encode_address = compile_encoder(parse_params("address"))
encode_uint = compile_encoder(parse_params("uint256"))


def test_identifiers_are_the_published_ones():
    assert SENT_TOPIC == "0x192442a2b2adb6a7948f097023cb6b57d29d3a7a5dd33e6666d33c39cc456f32"
    assert CCIP_SEND.selector.hex() == "96f4e9f9"
    assert extra_args_v2(200_000).hex() == "181dcf10" + f"{200_000:064x}" + f"{1:064x}"
    assert extra_args_v2(1, out_of_order=False)[-1] == 0


def test_a_sent_message_is_read_from_the_log():
    assert read_sent(golden.SENT) == golden.MESSAGE


def test_the_leaf_is_what_the_message_hasher_computed():
    assert leaf_hash(golden.MESSAGE, golden.ONRAMP) == golden.LEAVES[3]


@pytest.mark.parametrize(
    "change",
    [
        {"message_id": Hash32("0x" + "22" * 32)},
        {"sequence": 5},
        {"nonce": 0},
        {"sender": Address("0x" + "33" * 20)},
        {"receiver": Address("0x" + "33" * 20)},
        {"data": b"\x03" * 59},
        {"gas_limit": 200_004},
        {"lane": LaneId(golden.LANE.dest, golden.LANE.source)},
        {"tokens": ((b"\1" * 32, Address("0x" + "44" * 20), 90_000, b"", 5),)},
    ],
)
def test_every_field_is_in_the_leaf(change):
    assert leaf_hash(dataclasses.replace(golden.MESSAGE, **change), golden.ONRAMP) != golden.LEAVES[3]


def test_the_onramp_is_in_the_leaf_and_the_place_in_the_chain_is_not():
    assert leaf_hash(golden.MESSAGE, Address("0x" + "55" * 20)) != golden.LEAVES[3]
    moved = dataclasses.replace(golden.MESSAGE, block_number=99, transaction_hash=Hash32("0x" + "66" * 32))
    assert leaf_hash(moved, golden.ONRAMP) == golden.LEAVES[3]


def test_the_struct_for_the_offramp():
    header, sender, data, receiver, gas_limit, tokens = golden.MESSAGE.for_offramp()
    assert header == (golden.MESSAGE.message_id, golden.LANE.source, golden.LANE.dest, 4, 1)
    assert sender == bytes(12) + bytes.fromhex(golden.MESSAGE.sender[2:])
    assert (data, receiver, gas_limit, tokens) == (golden.MESSAGE.data, golden.MESSAGE.receiver, 200_003, ())


def test_tokens_take_the_offramps_form():
    pool, token = Address("0x" + "aa" * 20), Address("0x" + "bb" * 20)
    header = (golden.MESSAGE.message_id, golden.LANE.source, golden.LANE.dest, 4, 0)
    amounts = [(pool, encode_address([token]), b"extra", 10**18, encode_uint([90_000]))]
    receiver = encode_address([golden.MESSAGE.receiver])
    struct = (header, golden.MESSAGE.sender, b"", receiver, extra_args_v2(7), pool, 1, 2, amounts)
    body = compile_encoder([CCIP_MESSAGE_SENT.inputs[2]])([struct])
    log = dataclasses_replace(golden.SENT, data="0x" + body.hex())
    message = read_sent(log)
    assert message.tokens == ((encode_address([pool]), token, 90_000, b"extra", 10**18),)
    assert message.gas_limit == 7


def test_a_damaged_log_is_refused():
    with pytest.raises(DecodeError):
        read_sent(dataclasses_replace(golden.SENT, data=golden.SENT.data[:-64]))


def test_a_lane_reads_as_source_to_dest():
    assert str(LaneId(Selector(1), Selector(2))) == "1->2"


def dataclasses_replace(log, **changes):
    fields = {name: getattr(log, name) for name in log.__struct_fields__}
    return type(log)(**(fields | changes))
