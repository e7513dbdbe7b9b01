"""CCIP 2.0 logs, recorded from the published contracts on two anvil chains, to sightings and notices."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seamark.core.ids import Address, BlockRef, ChainId, Selector
from seamark.devnet.artifacts import ccip_artifact
from seamark.evm.abi import Event, compile_encoder
from seamark.evm.ports import Block
from seamark.evm.types import Log
from seamark.messages.model import Decoded, Executed, NoticeKind, Sent
from seamark.messages.protocols.ccip.generation import Place
from seamark.messages.protocols.ccip.v2_0 import decode, events
from seamark.messages.protocols.ccip.v2_0.codec import decode_message, message_id
from seamark.messages.protocols.ccip.v2_0.keys import channel, joined, lane_key
from tests.unit.messages.ccip_v2_0.golden import (
    FATES,
    HOME,
    IDS,
    REMOTE,
    blocks_of,
    contracts,
    decode_all,
    make_watch,
    runs,
    sent,
    sightings,
)

AT_HOME, AT_REMOTE = HOME["contracts"], REMOTE["contracts"]


class TestSent:
    def test_every_recorded_message_is_found_under_its_own_id(self) -> None:
        found = {item.message_id for chain in (HOME, REMOTE) for item in sightings(chain) if type(item.body) is Sent}
        assert found == set(FATES)

    def test_what_a_send_says(self) -> None:
        first, body = sent("delivered")
        assert first.lane == lane_key(int(HOME["selector"]), AT_HOME["on_ramp"], int(REMOTE["selector"]))
        assert (first.version, first.sequence) == ("2.0.0", 1)
        assert body.receiver == AT_REMOTE["receiver"]
        assert body.fee_token == AT_HOME["wrapped_native"], "a fee in the native coin shows as its wrapped form"
        assert body.fee_juels is None, "nothing says what the native coin is worth in LINK"
        assert (body.size, body.details["data"]) == (5, "0x" + b"hello".hex())
        assert (body.details["gas_limit"], body.details["finality"]) == ("200000", "finalized")
        assert body.details["automatic"] is True
        assert body.nonce is None, "2.0 has no order"

    @pytest.mark.parametrize("fate", ["delivered", "tokens alone"])
    def test_what_is_kept_of_a_send_is_enough_to_execute_it(self, fate: str) -> None:
        _, body = sent(fate)
        kept = bytes.fromhex(body.details["envelope"][2:]) + bytes.fromhex(body.details["data"][2:])
        assert message_id(kept) == IDS[fate]

    def test_a_fee_in_link_is_its_own_worth_in_link(self) -> None:
        _, body = sent("delivered in link")
        assert body.fee_token == AT_HOME["link"]
        assert body.fee_juels == body.fee_amount != "0"

    def test_the_fee_is_the_sum_of_its_parts(self) -> None:
        for fate in FATES.values():
            _, body = sent(fate)
            assert int(body.fee_amount) == sum(int(part["amount"]) for part in body.details["fees"]) > 0

    def test_who_is_paid(self) -> None:
        _, body = sent("delivered")
        assert [(part["part"], part["issuer"]) for part in body.details["fees"]] == [
            ("ccv", AT_HOME["resolver"]),
            ("executor", AT_HOME["fee_executor"]),
            ("network", AT_HOME["router"]),
        ]

    def test_a_token_has_its_pool_paid_too(self) -> None:
        _, body = sent("tokens alone")
        assert [part["part"] for part in body.details["fees"]] == ["ccv", "pool", "executor", "network"]
        assert body.details["fees"][1]["issuer"] == AT_HOME["pool"]
        assert body.details["tokens"] == [
            {
                "source_token": AT_HOME["token"],
                "source_pool": AT_HOME["pool"],
                "destination_token": AT_REMOTE["token"],
                "receiver": AT_REMOTE["receiver"],
                "amount": "5",
                "amount_before_fees": "5",
            }
        ]

    @pytest.mark.parametrize(
        ("fate", "finality", "blocks"),
        [("delivered", "finalized", None), ("safe", "safe", None), ("12 blocks", "blocks", 12)],
    )
    def test_what_the_verifiers_wait_for(self, fate: str, finality: str, blocks: int | None) -> None:
        _, body = sent(fate)
        assert body.details["finality"] == finality
        assert body.details.get("finality_blocks") == blocks

    def test_nobody_executes_the_no_execution_address(self) -> None:
        _, body = sent("for nobody to execute")
        assert body.details["automatic"] is False
        assert body.details["executor"] == events.NO_EXECUTION
        assert body.details["fees"][-2] == {"part": "executor", "issuer": events.NO_EXECUTION, "amount": "0"}

    def test_receipts_that_do_not_fit_the_message_are_not_labelled(self) -> None:
        log = _sent_log()
        record = events.SENT.decode(log)
        message = decode_message(record.encodedMessage)
        swapped = [record.receipts[1], record.receipts[0], record.receipts[2]]
        assert {part["part"] for part in decode.fee_parts(swapped, message)} == {"unknown"}
        assert [part["part"] for part in decode.fee_parts(record.receipts[:1], message)] == ["unknown"]
        assert decode.fee_parts([], message) == []


class TestExecuted:
    def test_delivered_with_a_callback_by_somebody(self) -> None:
        (run,) = runs("delivered")
        assert (run.succeeded, run.callback, run.manual) == (True, True, None)

    @pytest.mark.parametrize("fate", ["no callback", "tokens alone"])
    def test_success_without_a_callback_is_told_apart(self, fate: str) -> None:
        (run,) = runs(fate)
        assert (run.succeeded, run.callback) == (True, False)

    def test_a_strangers_bad_attempt_is_provisional(self) -> None:
        first, second = runs("griefed, then delivered")
        assert (first.succeeded, first.reason, first.details["provisional"]) == (False, "verification_failed", True)
        assert first.details["return_data"].startswith("0x2665cea2")
        assert (second.succeeded, second.callback) == (True, True)

    def test_a_receivers_revert_lasts(self) -> None:
        first, second = runs("reverted, then repaired")
        assert (first.reason, first.details["provisional"]) == ("receiver_reverted", False)
        assert second.succeeded

    def test_faster_than_finality_where_the_receiver_allows_it(self) -> None:
        assert [run.succeeded for run in (*runs("safe"), *runs("12 blocks"))] == [True, True]
        (refused,) = runs("too fast")
        assert (refused.reason, refused.details["provisional"]) == ("finality_refused", False)

    def test_the_lane_is_that_of_the_send(self) -> None:
        lanes = {item.lane for item in sightings(REMOTE) if type(item.body) is Executed}
        assert lanes == {sent("delivered")[0].lane}

    def test_in_a_partial_block_absence_proves_nothing(self) -> None:
        watch = make_watch(REMOTE)
        found = [
            item.body
            for block in blocks_of(REMOTE)
            for item in watch.decode(
                Block(block.ref, tuple(log for log in block.logs if log.topics[0] == events.EXECUTED.topic0)), False
            ).sightings
        ]
        assert {body.callback for body in found if isinstance(body, Executed)} == {None}

    def test_an_off_ramp_of_several_on_ramps_leaves_the_channel_open(self) -> None:
        ramps = [bytes(12) + b"\xaa" * 20, bytes(12) + b"\xbb" * 20]
        assert channel({"7": joined(ramps[:1])}, 7) == "0x" + "aa" * 20
        assert channel({"7": joined(ramps)}, 7) == ""
        assert channel({}, 7) == ""
        known = [
            msgspec.structs.replace(item, details={HOME["selector"]: joined(ramps)}) if item.role == "offramp" else item
            for item in contracts(REMOTE, HOME)
        ]
        watch = make_watch(REMOTE, known)
        found = [item for block in blocks_of(REMOTE) for item in watch.decode(block, True).sightings]
        assert {item.lane.channel for item in found if type(item.body) is Executed} == {""}


class TestNotices:
    def test_curse_and_its_end(self) -> None:
        told = [item for decoded in decode_all(REMOTE) for item in decoded.notices]
        curses = [item for item in told if item.kind in (NoticeKind.CURSED, NoticeKind.UNCURSED)]
        assert [(item.kind, item.subject) for item in curses] == [
            (NoticeKind.CURSED, HOME["selector"]),
            (NoticeKind.UNCURSED, HOME["selector"]),
        ]

    @pytest.mark.parametrize(
        ("event", "kind", "contract", "subject"),
        [
            ("DestChainConfigSet", NoticeKind.CONFIGURED, "on_ramp", REMOTE["selector"]),
            ("SourceChainConfigSet", NoticeKind.CONFIGURED, "off_ramp", REMOTE["selector"]),
            ("SignatureConfigSet", NoticeKind.ROLE_CHANGED, "verifier", REMOTE["selector"]),
            ("FinalityConfigSet", NoticeKind.CONFIGURED, "verifier", ""),
            ("RemoteChainConfigSet", NoticeKind.CONFIGURED, "verifier", REMOTE["selector"]),
            ("InboundImplementationUpdated", NoticeKind.CONFIGURED, "resolver", ""),
            ("OutboundImplementationUpdated", NoticeKind.CONFIGURED, "resolver", REMOTE["selector"]),
            ("DestChainAdded", NoticeKind.CONFIGURED, "fee_executor", REMOTE["selector"]),
            ("DestChainAdded", NoticeKind.CONFIGURED, "quoter", REMOTE["selector"]),
            ("FeeTokenAdded", NoticeKind.CONFIGURED, "quoter", ""),
            ("OnRampSet", NoticeKind.CONFIGURED, "router", REMOTE["selector"]),
        ],
    )
    def test_configuration_and_roles(self, event: str, kind: NoticeKind, contract: str, subject: str) -> None:
        told = [item for decoded in decode_all(HOME) for item in decoded.notices if item.details.get("event") == event]
        assert (kind, AT_HOME[contract], subject) in [(item.kind, item.contract, item.subject) for item in told]

    def test_signers_and_threshold_are_in_the_notice(self) -> None:
        (told,) = [
            item
            for decoded in decode_all(HOME)
            for item in decoded.notices
            if item.details.get("event") == "SignatureConfigSet"
        ]
        assert told.details["values"]["threshold"] == "2"
        assert len(told.details["values"]["signers"]) == 3
        msgspec.json.encode(told)

    def test_configuration_events_name_what_to_look_at(self) -> None:
        named = {
            (change.event, address)
            for decoded in decode_all(HOME)
            for change in decoded.changes
            for address in change.addresses
        }
        assert {
            ("OnRampSet", AT_HOME["on_ramp"]),
            ("OffRampAdded", AT_HOME["off_ramp"]),
            ("SourceChainConfigSet", AT_HOME["off_ramp"]),
            ("DestChainConfigSet", AT_HOME["on_ramp"]),
            ("InboundImplementationUpdated", AT_HOME["resolver"]),
        } <= named


class TestWatch:
    def test_nothing_recorded_is_malformed(self) -> None:
        decoded = [*decode_all(HOME), *decode_all(REMOTE)]
        assert [item.malformed for item in decoded if item.malformed] == []

    def test_a_log_of_an_unknown_contract_is_not_believed(self) -> None:
        watch = make_watch(HOME)
        forged = [
            Block(block.ref, tuple(msgspec.structs.replace(log, address="0x" + "66" * 20) for log in block.logs))
            for block in blocks_of(HOME)
        ]
        assert not any(watch.decode(block, True).sightings for block in forged)

    def test_an_on_ramp_cannot_tell_of_executions(self) -> None:
        watch = make_watch(REMOTE)
        forged = [
            Block(block.ref, tuple(msgspec.structs.replace(log, address=AT_REMOTE["on_ramp"]) for log in block.logs))
            for block in blocks_of(REMOTE)
        ]
        found = [item for block in forged for item in watch.decode(block, True).sightings]
        assert {type(item.body) for item in found} <= {Sent}

    def test_every_event_of_the_published_contracts_is_known_or_left_out_on_purpose(self) -> None:
        names = {
            "onramp": ("on_ramp", {"FeeTokenWithdrawn"}),
            "offramp": ("off_ramp", set()),
            "fee_quoter": ("quoter", {"UsdPerTokenUpdated", "UsdPerUnitGasUpdated"}),
            "executor": ("fee_executor", {"FeeTokenWithdrawn"}),
            "committee_verifier": ("verifier", {"FeeTokenWithdrawn"}),
            "versioned_verifier_resolver": ("resolver", {"FeeTokenWithdrawn"}),
        }
        topics = set(make_watch(HOME).filter.topics)
        for artifact, (contract, left_out) in names.items():
            known = next(item for item in contracts(HOME, REMOTE) if item.address == AT_HOME[contract])
            takes = decode.reading(known, _place()).takes
            published = ccip_artifact("v2_0_0", artifact).abi.events_by_topic
            assert set(takes) <= topics
            assert {event.name for topic, event in published.items() if topic not in takes} == left_out, artifact


def _place() -> Place:
    return Place(ChainId(HOME["chain_id"]), Selector(int(HOME["selector"])), Address(AT_HOME["router"]), "ccip")


def _sent_log() -> Log:
    """The log of the first send."""
    return next(log for block in blocks_of(HOME) for log in block.logs if log.topics[0] == events.SENT.topic0)


def _decode_one(log: Log) -> Decoded:
    ref = BlockRef(log.block_number, log.block_hash, log.block_hash, 5)
    return make_watch(HOME).decode(Block(ref, (log,)), True)


_encode_data = compile_encoder(
    tuple(param for param in ccip_artifact("v2_0_0", "onramp").abi.event("CCIPMessageSent").inputs if not param.indexed)
)


def _forge(change: Callable[[bytearray], None], *, rename: bool) -> Log:
    """The first send with other bytes for its message; `rename` gives it the id that goes with them."""
    log = _sent_log()
    record = events.SENT.decode(log)
    encoded = bytearray(record.encodedMessage)
    change(encoded)
    data = _encode_data(
        [
            record.feeToken,
            record.tokenAmountBeforeTokenPoolFees,
            bytes(encoded),
            record.receipts,
            record.verifierBlobs,
        ]
    )
    name = message_id(bytes(encoded)) if rename else log.topics[3]
    return msgspec.structs.replace(log, data="0x" + data.hex(), topics=(*log.topics[:3], name))


class TestBelief:
    """A send is believed only where it agrees with itself."""

    def test_unchanged_it_is_believed(self) -> None:
        (item,) = _decode_one(_forge(lambda raw: None, rename=False)).sightings
        assert item.message_id == IDS["delivered"]

    def test_an_id_that_is_not_the_hash(self) -> None:
        def change(raw: bytearray) -> None:
            raw[-1] ^= 1

        decoded = _decode_one(_forge(change, rename=False))
        assert [item.problem for item in decoded.malformed] == ["the message id is not the hash of the message"]
        assert _decode_one(_forge(change, rename=True)).sightings, "other data makes another message"

    @pytest.mark.parametrize(("at", "field"), [(1, "source"), (9, "destination"), (89, "on-ramp"), (143, "sender")])
    def test_a_message_of_another_lane_or_sender(self, at: int, field: str) -> None:
        def change(raw: bytearray) -> None:
            raw[at] ^= 1

        decoded = _decode_one(_forge(change, rename=True))
        assert decoded.sightings == (), field
        assert decoded.malformed[0].problem == "message and event name different lanes or senders"

    def test_bytes_that_are_no_message(self) -> None:
        decoded = _decode_one(_forge(lambda raw: raw.extend(b"more"), rename=True))
        assert "4 bytes behind the end" in decoded.malformed[0].problem

    def test_a_number_beyond_the_databases_integers(self) -> None:
        def change(raw: bytearray) -> None:
            raw[17:25] = b"\xff" * 8

        assert "beyond any real one" in _decode_one(_forge(change, rename=True)).malformed[0].problem

    @pytest.mark.parametrize("state", [0, 1, 4])
    def test_a_state_that_is_never_emitted(self, state: int) -> None:
        block = next(b for b in blocks_of(REMOTE) if any(log.topics[0] == events.EXECUTED.topic0 for log in b.logs))
        logs = tuple(
            msgspec.structs.replace(log, data="0x" + f"{state:064x}" + log.data[66:])
            if log.topics[0] == events.EXECUTED.topic0
            else log
            for log in block.logs
        )
        decoded = make_watch(REMOTE).decode(Block(block.ref, logs), True)
        assert decoded.malformed[0].problem == f"execution state {state}"


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_any_damage_is_malformed_or_harmless_and_never_an_error(data: st.DataObject) -> None:
    chain = data.draw(st.sampled_from([HOME, REMOTE]))
    log = data.draw(st.sampled_from(_LOGS[chain["name"]]))
    raw = bytearray(bytes.fromhex(log.data[2:]))
    for _ in range(data.draw(st.integers(1, 4))):
        if raw:
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    damaged = msgspec.structs.replace(log, data="0x" + bytes(raw[:cut] if data.draw(st.booleans()) else raw).hex())
    ref = BlockRef(log.block_number, log.block_hash, log.block_hash, 5)
    decoded = _WATCHES[chain["name"]].decode(Block(ref, (damaged,)), data.draw(st.booleans()))
    assert len(decoded.malformed) <= 2


_WATCHES = {chain["name"]: make_watch(chain) for chain in (HOME, REMOTE)}
_LOGS = {chain["name"]: [log for block in blocks_of(chain) for log in block.logs] for chain in (HOME, REMOTE)}


def test_topics_are_the_published_ones() -> None:
    """keccak of the signatures in the published ABIs."""
    expected: dict[Event, str] = {
        events.SENT: "0x371bc2ff0a006f4ef863b1d27a065d4e9f938b6d883eb154572b4aea593b32cc",
        events.EXECUTED: "0x8c324ce1367b83031769f6a813e3bb4c117aba2185789d66b98b791405be6df2",
        events.DEST_CHAIN_CONFIG_SET: "0x99415f1fd5d7f97dec3730fd98d0161792f21251c2e963782304b609b288cb26",
        events.SOURCE_CHAIN_CONFIG_SET: "0x72ec11bb832a18492cf3aafef578325a1e9fc7105b5ba447ca94596fec79393e",
        events.SIGNATURE_CONFIG_SET: "0x3780850db9abcff2be2b607bfbc2b86c9c131d50e456bf09dbaf923039ad4b83",
        events.FINALITY_CONFIG_SET: "0x307cf716eade81675bea3ccb6917b0f91baa2160056765d9a83d76f819caf06a",
        events.REMOTE_CHAIN_CONFIG_SET: "0x4cef55db91890720ca3d94563535726752813bffa29490d6d41218acb6831cc9",
        events.INBOUND_UPDATED: "0x240744c957da89d5c44d43838bbc5553c6ec57314f9e62435f9158c45b4e3413",
        events.OUTBOUND_UPDATED: "0xc12b226506536cd62f34841a87d2333621e547ff4af0f3b13f3ac204bfb47ab1",
        events.EXECUTOR_DEST_ADDED: "0x57ecbe7fefba319b9178ff7edc65aa2cfc028720fa679055210bf987a037eaf6",
        events.EXECUTOR_DEST_REMOVED: "0xf74668182f6a521d1a362a6bbc8344cac3a467bab207cdabbaf39e503edef6a1",
    }
    assert {event: event.topic0 for event in expected} == expected
