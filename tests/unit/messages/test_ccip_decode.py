"""CCIP 1.6 logs, recorded from the published contracts on two anvil chains, to sightings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seamark.core.ids import Address, BlockRef, ChainId, Hash32, Selector
from seamark.evm.abi import compile_encoder, parse_params
from seamark.evm.ports import Block
from seamark.evm.types import Log
from seamark.messages.model import MAX_COMMITTED_AT_ONCE, Committed, Contract, Decoded, Executed, Sent, Sighting
from seamark.messages.protocol import Watch
from seamark.messages.protocols.ccip import CcipChain, CcipProtocol
from seamark.messages.protocols.ccip import router as router_events
from seamark.messages.protocols.ccip.v1_6 import events
from seamark.messages.protocols.ccip.v1_6.keys import account, lane_key

GOLDEN: dict[str, Any] = msgspec.json.decode((Path(__file__).parent / "data" / "ccip_1_6.json").read_bytes())
HOME, REMOTE = GOLDEN["chains"]
FATES = {item["id"]: item["fate"] for item in GOLDEN["messages"]}


def make_protocol() -> CcipProtocol:
    return CcipProtocol(
        [
            CcipChain(ChainId(c["chain_id"]), Selector(int(c["selector"])), c["name"], Address(c["router"]), 0, "ccip")
            for c in (HOME, REMOTE)
        ]
    )


def make_watch(chain: dict[str, Any], peer: dict[str, Any]) -> Watch:
    chain_id = ChainId(chain["chain_id"])
    contracts = [
        Contract(chain_id=chain_id, address=chain["router"], role="router", version="1.2.0"),
        Contract(chain_id=chain_id, address=chain["onramp"], role="onramp", version="1.6.0"),
        Contract(
            chain_id=chain_id,
            address=chain["offramp"],
            role="offramp",
            version="1.6.0",
            details={peer["selector"]: peer["onramp"]},
        ),
    ]
    return make_protocol().watch(chain_id, contracts)


def blocks_of(chain: dict[str, Any]) -> list[Block]:
    return [
        Block(
            BlockRef(item["number"], item["hash"], item["parent_hash"], item["timestamp"]),
            tuple(msgspec.convert(log, Log) for log in item["logs"]),
        )
        for item in chain["blocks"]
    ]


def decode_all(chain: dict[str, Any], peer: dict[str, Any], *, whole: bool = True) -> list[Decoded]:
    watch = make_watch(chain, peer)
    return [watch.decode(block, whole) for block in blocks_of(chain)]


def sightings(chain: dict[str, Any], peer: dict[str, Any], kind: type, *, whole: bool = True) -> list[Sighting]:
    found = [item for decoded in decode_all(chain, peer, whole=whole) for item in decoded.sightings]
    return [item for item in found if isinstance(item.body, kind)]


def by_fate(items: list[Sighting], fate: str) -> list[Sighting]:
    return [item for item in items if FATES[item.message_id] == fate]


class TestSent:
    def test_every_recorded_message_is_found_under_its_own_id(self) -> None:
        found = {*(item.message_id for item in sightings(HOME, REMOTE, Sent))}
        found |= {item.message_id for item in sightings(REMOTE, HOME, Sent)}
        assert found == set(FATES)

    def test_one_block_with_three_sends_gives_three_sightings_or_blocks_of_one(self) -> None:
        delivered = by_fate(sightings(HOME, REMOTE, Sent), "delivered")
        assert [item.sequence for item in delivered] == [1, 2, 3]
        assert len({item.identity for item in delivered}) == 3

    def test_what_a_send_says(self) -> None:
        (first, *_) = sightings(HOME, REMOTE, Sent)
        body = first.body
        assert isinstance(body, Sent)
        assert first.lane == lane_key(int(HOME["selector"]), HOME["onramp"], int(REMOTE["selector"]))
        assert first.version == "1.6.0"
        assert body.fee_token == HOME["wrapped_native"], "a fee in the native coin shows as its wrapped form"
        assert int(body.fee_amount) > 0
        assert int(body.fee_juels or 0) > 0
        assert (body.size, body.details["data"]) == (5, "0x" + b"hello".hex())
        assert len(body.receiver) == 42
        assert body.details["nonce"] == "0", "out of order"

    def test_an_ordered_message_in_link_or_native(self) -> None:
        (back,) = sightings(REMOTE, HOME, Sent)
        assert isinstance(back.body, Sent)
        assert back.body.details["nonce"] == "1"
        (in_link,) = by_fate(sightings(HOME, REMOTE, Sent), "no callback")
        assert isinstance(in_link.body, Sent)
        assert (in_link.body.fee_token, in_link.body.size) == (HOME["link"], 0)

    def test_evidence_is_the_log(self) -> None:
        (first, *_) = sightings(HOME, REMOTE, Sent)
        block = next(item for item in HOME["blocks"] if item["number"] == first.evidence.block_number)
        assert first.evidence.block_hash == block["hash"]
        assert first.evidence.time == block["timestamp"]
        assert (first.evidence.transaction, first.evidence.log_index) in [
            (log["transaction_hash"], log["log_index"]) for log in block["logs"]
        ]


class TestCommitted:
    def test_ranges_join_the_lane_of_the_sends(self) -> None:
        commits = sightings(REMOTE, HOME, Committed)
        lane = sightings(HOME, REMOTE, Sent)[0].lane
        assert {item.lane for item in commits} == {lane}
        ranges = [(item.sequence, item.body.last) for item in commits if isinstance(item.body, Committed)]
        assert ranges == [(1, 3), (4, 4), (5, 5), (6, 6), (7, 7)]
        assert not any(item.message_id for item in commits)


class TestExecuted:
    def test_delivered_with_a_callback_by_the_network(self) -> None:
        runs = by_fate(sightings(REMOTE, HOME, Executed), "delivered")
        bodies = [run.body for run in runs if isinstance(run.body, Executed)]
        assert [(body.succeeded, body.callback, body.manual) for body in bodies] == [(True, True, False)] * 3
        assert {run.lane for run in runs} == {sightings(HOME, REMOTE, Sent)[0].lane}

    def test_success_without_a_callback_is_told_apart(self) -> None:
        (run,) = by_fate(sightings(REMOTE, HOME, Executed), "no callback")
        assert isinstance(run.body, Executed)
        assert (run.body.succeeded, run.body.callback) == (True, False)

    def test_failed_and_then_executed_by_hand(self) -> None:
        first, second = by_fate(sightings(REMOTE, HOME, Executed), "failed, then by hand")
        assert isinstance(first.body, Executed)
        assert isinstance(second.body, Executed)
        assert (first.body.succeeded, first.body.reason, first.body.manual) == (False, "receiver_reverted", False)
        assert first.body.details["return_data"].startswith("0x0a8d6e8c")
        assert first.body.callback is None
        assert (second.body.succeeded, second.body.manual, second.body.callback) == (True, True, True)

    def test_out_of_gas(self) -> None:
        (run,) = by_fate(sightings(REMOTE, HOME, Executed), "out of gas")
        assert isinstance(run.body, Executed)
        assert (run.body.succeeded, run.body.reason) == (False, "receiver_out_of_gas")

    def test_in_a_partial_block_absence_proves_nothing(self) -> None:
        watch = make_watch(REMOTE, HOME)
        executions = [
            item
            for block in blocks_of(REMOTE)
            for item in watch.decode(
                Block(block.ref, tuple(log for log in block.logs if log.topics[0] == events.EXECUTED.topic0)), False
            ).sightings
        ]
        bodies = [item.body for item in executions if isinstance(item.body, Executed)]
        assert bodies
        assert {(body.callback, body.manual) for body in bodies} == {(None, None)}

    def test_without_the_off_ramps_configuration_the_channel_stays_open(self) -> None:
        chain_id = ChainId(REMOTE["chain_id"])
        contract = Contract(chain_id=chain_id, address=REMOTE["offramp"], role="offramp", version="1.6.0")
        watch = make_protocol().watch(chain_id, [contract])
        lanes = {
            item.lane.channel
            for block in blocks_of(REMOTE)
            for item in watch.decode(block, True).sightings
            if isinstance(item.body, Executed)
        }
        assert lanes == {""}


class TestConfiguration:
    def test_configuration_events_name_what_to_look_at(self) -> None:
        changes = [change for decoded in decode_all(HOME, REMOTE) for change in decoded.changes]
        named = {(change.event, address) for change in changes for address in change.addresses}
        assert {
            ("OnRampSet", HOME["onramp"]),
            ("OffRampAdded", HOME["offramp"]),
            ("SourceChainConfigSet", HOME["offramp"]),
        } <= named

    def test_a_removed_on_ramp_names_nothing(self) -> None:
        log = Log(
            HOME["router"],
            (router_events.ON_RAMP_SET.topic0, Hash32(f"0x{int(REMOTE['selector']):064x}")),
            "0x" + "00" * 32,
            1,
            Hash32("0x" + "01" * 32),
            Hash32("0x" + "02" * 32),
            0,
        )
        decoded = make_watch(HOME, REMOTE).decode(Block(BlockRef(1, log.block_hash, log.block_hash, 5), (log,)), True)
        assert [change.addresses for change in decoded.changes] == [()]


class TestWatch:
    def test_the_filter_names_contracts_and_topics(self) -> None:
        wanted = make_watch(HOME, REMOTE).filter
        assert set(wanted.addresses) == {HOME["router"], HOME["onramp"], HOME["offramp"]}
        assert {events.SENT.topic0, events.COMMITTED.topic0, events.EXECUTED.topic0} <= set(wanted.topics)

    def test_nothing_recorded_is_malformed(self) -> None:
        decoded = [*decode_all(HOME, REMOTE), *decode_all(REMOTE, HOME)]
        assert [item.malformed for item in decoded if item.malformed] == []

    @pytest.mark.parametrize("damage", ["0x", "0x1234", "short"])
    def test_a_damaged_log_is_reported_and_its_neighbours_are_read(self, damage: str) -> None:
        watch = make_watch(REMOTE, HOME)
        block = next(block for block in blocks_of(REMOTE) if len(watch.decode(block, True).sightings) > 1)
        at = next(i for i, log in enumerate(block.logs) if log.topics[0] == events.EXECUTED.topic0)
        broken = block.logs[at]
        data = broken.data[:-64] if damage == "short" else damage
        logs = (*block.logs[:at], msgspec.structs.replace(broken, data=data), *block.logs[at + 1 :])
        decoded = watch.decode(Block(block.ref, logs), True)
        assert len(decoded.sightings) == len(watch.decode(block, True).sightings) - 1
        assert [(item.transaction, item.log_index) for item in decoded.malformed] == [
            (broken.transaction_hash, broken.log_index)
        ]
        assert decoded.malformed[0].problem

    def test_a_log_of_an_unknown_contract_is_not_believed(self) -> None:
        watch = make_watch(HOME, REMOTE)
        forged = [
            Block(block.ref, tuple(msgspec.structs.replace(log, address="0x" + "66" * 20) for log in block.logs))
            for block in blocks_of(HOME)
        ]
        assert not any(watch.decode(block, True).sightings for block in forged)

    def test_an_on_ramp_cannot_tell_of_executions(self) -> None:
        watch = make_watch(REMOTE, HOME)
        forged = [
            Block(block.ref, tuple(msgspec.structs.replace(log, address=REMOTE["onramp"]) for log in block.logs))
            for block in blocks_of(REMOTE)
        ]
        found = [item for block in forged for item in watch.decode(block, True).sightings]
        assert {type(item.body) for item in found} <= {Sent}

    def test_a_sequence_number_beyond_the_databases_integers_is_malformed(self) -> None:
        watch = make_watch(REMOTE, HOME)
        block = next(b for b in blocks_of(REMOTE) if any(log.topics[0] == events.EXECUTED.topic0 for log in b.logs))
        logs = tuple(
            msgspec.structs.replace(log, topics=(log.topics[0], log.topics[1], f"0x{2**64 - 1:064x}", log.topics[3]))
            if log.topics[0] == events.EXECUTED.topic0
            else log
            for log in block.logs
        )
        assert watch.decode(Block(block.ref, logs), True).malformed


_encode_report = compile_encoder(
    parse_params(
        "(uint64,bytes,uint64,uint64,bytes32)[], (uint64,bytes,uint64,uint64,bytes32)[],"
        " ((address,uint224)[], (uint64,uint224)[])"
    )
)


def report(*ranges: tuple[int, int], blessed: int = 0) -> Block:
    """A block with one commit report of these ranges, the first `blessed` of them among the blessed roots."""
    on_ramp = bytes(12) + bytes.fromhex(HOME["onramp"][2:])
    roots = [(int(HOME["selector"]), on_ramp, first, last, bytes(32)) for first, last in ranges]
    data = _encode_report((roots[:blessed], roots[blessed:], ([], [])))
    where = Hash32("0x" + "01" * 32)
    log = Log(REMOTE["offramp"], (events.COMMITTED.topic0,), "0x" + data.hex(), 9, where, where, 3)
    return Block(BlockRef(9, where, where, 5), (log,))


class TestReports:
    def test_blessed_and_unblessed_roots_are_parts_of_one_log(self) -> None:
        decoded = make_watch(REMOTE, HOME).decode(report((1, 2), (3, 3), (4, 9), blessed=1), True)
        ranges = [
            (item.part, item.sequence, item.body.last) for item in decoded.sightings if type(item.body) is Committed
        ]
        assert ranges == [(0, 1, 2), (1, 3, 3), (2, 4, 9)]
        assert len({item.identity for item in decoded.sightings}) == 3

    def test_a_report_of_prices_alone_commits_nothing(self) -> None:
        assert make_watch(REMOTE, HOME).decode(report(), True) == Decoded()

    @pytest.mark.parametrize("bad", [(5, 4), (0, 2**64 - 1), (1, MAX_COMMITTED_AT_ONCE + 1), (2**64 - 2, 2**64 - 1)])
    def test_an_impossible_range_is_malformed(self, bad: tuple[int, int]) -> None:
        decoded = make_watch(REMOTE, HOME).decode(report((1, 1), bad), True)
        assert len(decoded.malformed) == 1

    def test_a_wide_but_possible_range(self) -> None:
        decoded = make_watch(REMOTE, HOME).decode(report((1, MAX_COMMITTED_AT_ONCE)), True)
        assert len(decoded.sightings) == 1


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_any_damage_is_malformed_or_harmless_and_never_an_error(data: st.DataObject) -> None:
    chain, peer = data.draw(st.sampled_from([(HOME, REMOTE), (REMOTE, HOME)]))
    block = data.draw(st.sampled_from(blocks_of(chain)))
    log = data.draw(st.sampled_from(block.logs))
    raw = bytearray(bytes.fromhex(log.data[2:]))
    for _ in range(data.draw(st.integers(1, 4))):
        if raw:
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    damaged = msgspec.structs.replace(log, data="0x" + bytes(raw[:cut] if data.draw(st.booleans()) else raw).hex())
    decoded = make_watch(chain, peer).decode(Block(block.ref, (damaged,)), data.draw(st.booleans()))
    assert len(decoded.malformed) <= 1


def test_topics_are_the_published_ones() -> None:
    """keccak of the signatures in the published ABIs."""
    assert events.SENT.topic0 == "0x192442a2b2adb6a7948f097023cb6b57d29d3a7a5dd33e6666d33c39cc456f32"
    assert events.COMMITTED.topic0 == "0xb967c9b9e1b7af9a61ca71ff00e9f5b89ec6f2e268de8dacf12f0de8e51f3e47"
    assert events.EXECUTED.topic0 == "0x05665fe9ad095383d018353f4cbcba77e84db27dd215081bbf7cdf9ae6fbe48b"
    assert events.TRANSMITTED.topic0 == "0x198d6990ef96613a9026203077e422916918b03ff47f0be6bee7b02d8e139ef0"
    assert events.SOURCE_CHAIN_CONFIG_SET.topic0 == "0xbd1ab25a0ff0a36a588597ba1af11e30f3f210de8b9e818cc9bbc457c94c8d8c"
    assert events.DEST_CHAIN_CONFIG_SET.topic0 == "0xd5ad72bc37dc7a80a8b9b9df20500046fd7341adb1be2258a540466fdd7dcef5"
    assert router_events.MESSAGE_EXECUTED.topic0 == "0x9b877de93ea9895756e337442c657f95a34fc68e7eb988bdfa693d5be83016b6"
    assert router_events.ON_RAMP_SET.topic0 == "0x1f7d0ec248b80e5c0dde0ee531c4fc8fdb6ce9a2b3d90f560c74acd6a7202f23"
    assert router_events.OFF_RAMP_ADDED.topic0 == "0xa4bdf64ebdf3316320601a081916a75aa144bcef6c4beeb0e9fb1982cacc6b94"
    assert router_events.OFF_RAMP_REMOVED.topic0 == "0xa823809efda3ba66c873364eec120fa0923d9fabda73bc97dd5663341e2d9bcb"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (bytes(12) + b"\xaa" * 20, "0x" + "aa" * 20),
        (b"\xaa" * 20, "0x" + "aa" * 20),
        (b"\xaa" * 32, "0x" + "aa" * 32),  # an account of another chain family
        (b"", "0x"),
    ],
)
def test_accounts_keep_the_form_of_their_chain(raw: bytes, text: str) -> None:
    assert account(raw) == text
