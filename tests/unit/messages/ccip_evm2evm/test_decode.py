"""CCIP 1.2 and 1.5 logs, recorded from the published contracts on two anvil chains, to sightings and notices."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seamark.core.ids import Hash32
from seamark.evm.ports import Block
from seamark.messages.model import MAX_COMMITTED_AT_ONCE, Committed, Executed, NoticeKind, Revoked, Sent
from seamark.messages.protocols.ccip.evm2evm import events
from seamark.messages.protocols.ccip.generation import lane_key
from seamark.messages.protocols.ccip.v1_5 import events as v1_5
from tests.unit.messages.ccip_evm2evm.golden import Recording, load

RECORDINGS = {version: load(version) for version in ("1.2", "1.5")}
NEW = RECORDINGS["1.5"]


@pytest.fixture(params=sorted(RECORDINGS))
def recorded(request: pytest.FixtureRequest) -> Recording:
    return RECORDINGS[request.param]


def lane_of(recorded: Recording) -> Any:
    home, remote = recorded.home, recorded.remote
    return lane_key(int(home["selector"]), home["onramp"], int(remote["selector"]))


def bodies(items: list[Any]) -> list[Any]:
    return [item.body for item in items]


class TestSent:
    def test_every_recorded_message_is_found_under_its_own_id(self, recorded: Recording) -> None:
        found = {
            item.message_id for chain in (recorded.home, recorded.remote) for item in recorded.sightings(chain, Sent)
        }
        assert found == set(recorded.fates)

    def test_what_a_send_says(self, recorded: Recording) -> None:
        (first, *_) = recorded.sightings(recorded.home, Sent)
        body = first.body
        assert isinstance(body, Sent)
        assert (first.lane, first.version, first.sequence) == (lane_of(recorded), recorded.version, 1)
        assert body.fee_token == recorded.home["wrapped_native"], "a fee in the native coin shows as its wrapped form"
        assert int(body.fee_amount) > 0
        assert body.fee_juels is None, "the event does not tell it for another token than LINK"
        assert (body.size, body.details["data"], body.details["gas_limit"]) == (5, "0x" + b"hello".hex(), "200000")
        assert body.receiver == recorded.remote["receiver"]

    def test_a_fee_in_link(self, recorded: Recording) -> None:
        (quiet,) = recorded.of(recorded.sightings(recorded.home, Sent), "no callback")
        assert isinstance(quiet.body, Sent)
        assert (quiet.body.fee_token, quiet.body.size) == (recorded.home["link"], 0)
        assert quiet.body.fee_juels == quiet.body.fee_amount

    def test_ordered_messages_count_up(self, recorded: Recording) -> None:
        sends = recorded.sightings(recorded.home, Sent)
        ordered = [item for item in sends if recorded.fates[item.message_id] != "with tokens, out of order"]
        nonces = [item.body.details["nonce"] for item in ordered if isinstance(item.body, Sent)]
        assert nonces == [str(number + 1) for number in range(len(ordered))]

    def test_tokens_are_those_of_the_source(self) -> None:
        (sent,) = NEW.of(NEW.sightings(NEW.home, Sent), "with tokens, out of order")
        assert isinstance(sent.body, Sent)
        assert sent.body.details["tokens"] == [{"source_token": NEW.home["token"], "amount": "5"}]
        assert len(sent.body.details["source_token_data"]) == 1
        assert sent.body.details["nonce"] == "0"

    def test_a_message_of_another_chain_is_malformed(self, recorded: Recording) -> None:
        """A ramp cannot send in another chain's name."""
        watch = recorded.watch(recorded.home)
        block = next(b for b in recorded.blocks(recorded.home) if watch.decode(b, True).sightings)
        own, other = (f"{int(chain['selector']):064x}" for chain in (recorded.home, recorded.remote))
        logs = tuple(msgspec.structs.replace(log, data=log.data.replace(own, other, 1)) for log in block.logs)
        decoded = watch.decode(Block(block.ref, logs), True)
        assert (decoded.sightings, len(decoded.malformed)) == ((), 1)


class TestCommitted:
    def test_ranges_join_the_lane_of_the_sends(self, recorded: Recording) -> None:
        commits = recorded.sightings(recorded.remote, Committed)
        assert {item.lane for item in commits} == {lane_of(recorded)}
        first, *rest = [(item.sequence, item.body.last) for item in commits if isinstance(item.body, Committed)]
        assert first == (1, 3)
        assert rest[0] == (4, 4)
        assert all(item.body.details["root"].startswith("0x") for item in commits if isinstance(item.body, Committed))

    def test_a_single_leaf_is_the_message_itself(self, recorded: Recording) -> None:
        (quiet,) = recorded.of(recorded.sightings(recorded.home, Sent), "no callback")
        roots = [body.details["root"] for body in bodies(recorded.sightings(recorded.remote, Committed))]
        assert quiet.message_id in roots

    def test_a_root_that_is_taken_back(self, recorded: Recording) -> None:
        (commit,) = recorded.sightings(recorded.home, Committed)
        (revoked,) = recorded.sightings(recorded.home, Revoked)
        assert isinstance(revoked.body, Revoked)
        assert isinstance(commit.body, Committed)
        assert (revoked.body.root, revoked.lane) == (commit.body.details["root"], commit.lane)
        assert (revoked.sequence, revoked.message_id) == (0, "")

    @pytest.mark.parametrize("bad", [(5, 4), (0, 2**64 - 1), (1, MAX_COMMITTED_AT_ONCE + 1), (2**64 - 2, 2**64 - 1)])
    def test_an_impossible_range_is_malformed(self, recorded: Recording, bad: tuple[int, int]) -> None:
        block = next(
            block
            for block in recorded.blocks(recorded.remote)
            if any(log.topics[0] == events.COMMITTED.topic0 for log in block.logs)
        )
        # Behind the offset of the struct come the offset of the prices, then the interval.
        logs = tuple(
            msgspec.structs.replace(log, data=log.data[: 2 + 128] + f"{bad[0]:064x}{bad[1]:064x}" + log.data[2 + 256 :])
            if log.topics[0] == events.COMMITTED.topic0
            else log
            for log in block.logs
        )
        decoded = recorded.watch(recorded.remote).decode(Block(block.ref, logs), True)
        assert len(decoded.malformed) == 1
        assert not any(isinstance(item.body, Committed) for item in decoded.sightings)


class TestExecuted:
    def test_delivered_with_a_callback_by_the_network(self, recorded: Recording) -> None:
        runs = recorded.of(recorded.sightings(recorded.remote, Executed), "delivered")
        assert [(body.succeeded, body.callback, body.manual) for body in bodies(runs)] == [(True, True, False)] * 3
        assert {run.lane for run in runs} == {lane_of(recorded)}

    def test_success_without_a_callback_is_told_apart(self, recorded: Recording) -> None:
        (run,) = recorded.of(recorded.sightings(recorded.remote, Executed), "no callback")
        assert (run.body.succeeded, run.body.callback) == (True, False)  # type: ignore[union-attr]

    def test_failed_and_then_executed_by_hand(self, recorded: Recording) -> None:
        first, second = bodies(recorded.of(recorded.sightings(recorded.remote, Executed), "failed, then by hand"))
        assert (first.succeeded, first.reason, first.manual) == (False, "receiver_reverted", False)
        assert first.details["return_data"].startswith("0x0a8d6e8c")
        assert (second.succeeded, second.manual, second.callback) == (True, True, True)

    def test_out_of_gas(self, recorded: Recording) -> None:
        (run,) = bodies(recorded.of(recorded.sightings(recorded.remote, Executed), "out of gas"))
        assert (run.succeeded, run.reason) == (False, "receiver_out_of_gas")

    def test_in_a_partial_block_absence_proves_nothing(self, recorded: Recording) -> None:
        watch = recorded.watch(recorded.remote)
        found = [
            item.body
            for block in recorded.blocks(recorded.remote)
            for item in watch.decode(
                Block(block.ref, tuple(log for log in block.logs if log.topics[0] == events.EXECUTED.topic0)), False
            ).sightings
        ]
        assert found
        assert {(body.callback, body.manual) for body in found} == {(None, None)}  # type: ignore[union-attr]

    def test_a_commit_in_the_same_transaction_is_no_execution_by_the_network(self, recorded: Recording) -> None:
        """`Transmitted` counts only from the OffRamp itself; a CommitStore emits the same event."""
        watch = recorded.watch(recorded.remote)
        block = next(
            block
            for block in recorded.blocks(recorded.remote)
            if any(log.topics[0] == events.EXECUTED.topic0 for log in block.logs)
        )
        logs = tuple(
            msgspec.structs.replace(log, address=recorded.remote["commitstore"])
            if log.topics[0] == events.TRANSMITTED.topic0
            else log
            for log in block.logs
        )
        runs = [item.body for item in watch.decode(Block(block.ref, logs), True).sightings]
        assert {body.manual for body in runs if isinstance(body, Executed)} == {True}

    def test_an_unknown_state_is_malformed(self, recorded: Recording) -> None:
        watch = recorded.watch(recorded.remote)
        block = next(
            block
            for block in recorded.blocks(recorded.remote)
            if any(log.topics[0] == events.EXECUTED.topic0 for log in block.logs)
        )
        logs = tuple(
            msgspec.structs.replace(log, data="0x" + f"{1:064x}" + log.data[66:])
            if log.topics[0] == events.EXECUTED.topic0
            else log
            for log in block.logs
        )
        assert "state 1" in watch.decode(Block(block.ref, logs), True).malformed[0].problem


class TestNotices:
    def test_pause_and_unpause(self, recorded: Recording) -> None:
        found = [
            item for item in recorded.notices(recorded.remote) if item.kind in (NoticeKind.PAUSED, NoticeKind.UNPAUSED)
        ]
        assert [item.kind for item in found] == [NoticeKind.PAUSED, NoticeKind.UNPAUSED]
        assert {(item.contract, item.subject) for item in found} == {
            (recorded.remote["commitstore"], recorded.home["selector"])
        }

    def test_curses(self, recorded: Recording) -> None:
        found = [
            (item.kind, item.subject)
            for item in recorded.notices(recorded.remote)
            if item.kind in (NoticeKind.CURSED, NoticeKind.UNCURSED)
        ]
        lane = recorded.home["selector"]
        assert found == [
            (NoticeKind.CURSED, lane),
            (NoticeKind.UNCURSED, lane),
            (NoticeKind.CURSED, "*"),
            (NoticeKind.UNCURSED, "*"),
        ]

    def test_a_sender_whose_turn_it_is_not(self, recorded: Recording) -> None:
        (told,) = [item for item in recorded.notices(recorded.remote) if item.kind is NoticeKind.NONCE_SKIPPED]
        first, second = recorded.of(recorded.sightings(recorded.home, Sent), "out of turn")
        assert isinstance(second.body, Sent)
        assert told.subject == second.body.sender
        assert told.details["nonce"] == second.body.details["nonce"]
        assert (told.details["source"], told.details["onramp"]) == (first.lane.source, first.lane.channel)

    def test_retries_of_1_5(self) -> None:
        found = [item for item in NEW.notices(NEW.remote) if item.kind is NoticeKind.ALREADY_ATTEMPTED]
        assert [item.details["event"] for item in found] == ["AlreadyAttempted", "SkippedAlreadyExecutedMessage"]
        assert {item.subject for item in found} == {NEW.home["selector"]}
        failed = NEW.of(NEW.sightings(NEW.home, Sent), "failed, then by hand")[0]
        assert found[0].details["values"] == {"sequenceNumber": str(failed.sequence)}

    def test_configuration_and_roles(self, recorded: Recording) -> None:
        told = {(item.contract, item.kind, item.details["event"]) for item in recorded.notices(recorded.remote)}
        remote = recorded.remote
        assert {
            (remote["router"], NoticeKind.CONFIGURED, "OnRampSet"),
            (remote["router"], NoticeKind.CONFIGURED, "OffRampAdded"),
            (remote["onramp"], NoticeKind.CONFIGURED, "ConfigSet"),
            (remote["onramp"], NoticeKind.CONFIGURED, "FeeConfigSet"),
            (remote["commitstore"], NoticeKind.CONFIGURED, "ConfigSet"),
            (remote["commitstore"], NoticeKind.ROLE_CHANGED, "ConfigSet"),
            (remote["offramp"], NoticeKind.CONFIGURED, "ConfigSet"),
            (remote["offramp"], NoticeKind.ROLE_CHANGED, "ConfigSet"),
            (remote["arm_proxy"], NoticeKind.CONFIGURED, "ARMSet"),
            (remote["rmn"], NoticeKind.ROLE_CHANGED, "ConfigSet"),
            (remote["prices"], NoticeKind.CONFIGURED, "FeeTokenAdded"),
            (remote["prices"], NoticeKind.ROLE_CHANGED, "PriceUpdaterSet"),
        } <= told

    def test_details_are_ready_for_json(self, recorded: Recording) -> None:
        for chain in (recorded.home, recorded.remote):
            for item in recorded.notices(chain):
                assert msgspec.json.decode(msgspec.json.encode(item.details)) == item.details

    def test_configuration_of_ramps_names_them_to_be_looked_at_again(self, recorded: Recording) -> None:
        changes = [change for decoded in recorded.decoded(recorded.remote) for change in decoded.changes]
        named = {(change.event, address) for change in changes for address in change.addresses}
        assert {
            ("ConfigSet", recorded.remote["onramp"]),
            ("ConfigSet", recorded.remote["offramp"]),
            ("OffRampAdded", recorded.remote["offramp"]),
            ("ARMSet", recorded.remote["rmn"]),
        } <= named


class TestWatch:
    def test_nothing_recorded_is_malformed(self, recorded: Recording) -> None:
        decoded = [*recorded.decoded(recorded.home), *recorded.decoded(recorded.remote)]
        assert [item.malformed for item in decoded if item.malformed] == []

    def test_the_filter_has_prices_left_out(self, recorded: Recording) -> None:
        wanted = recorded.watch(recorded.remote).filter
        assert {events.SENT.topic0, events.COMMITTED.topic0, events.EXECUTED.topic0} <= set(wanted.topics)
        price_updates = "0x52f50aa6d1a95a4595361ecf953d095f125d442e4673716dede699e049de148a"
        assert price_updates not in wanted.topics
        assert recorded.remote["prices"] in wanted.addresses

    def test_a_log_of_an_unknown_contract_is_not_believed(self, recorded: Recording) -> None:
        watch = recorded.watch(recorded.remote)
        for block in recorded.blocks(recorded.remote):
            logs = tuple(msgspec.structs.replace(log, address="0x" + "66" * 20) for log in block.logs)
            decoded = watch.decode(Block(block.ref, logs), True)
            assert not decoded.sightings
            assert not decoded.notices

    def test_unknown_topics_are_harmless(self, recorded: Recording) -> None:
        watch = recorded.watch(recorded.remote)
        for block in recorded.blocks(recorded.remote):
            for topics in ((Hash32("0x" + "12" * 32),), ()):
                logs = tuple(msgspec.structs.replace(log, topics=topics) for log in block.logs)
                decoded = watch.decode(Block(block.ref, logs), True)
                assert not decoded.sightings
                assert not decoded.malformed

    @settings(max_examples=80, deadline=None)
    @given(st.data())
    def test_any_damage_is_malformed_or_harmless_and_never_an_error(self, data: st.DataObject) -> None:
        recorded = data.draw(st.sampled_from(list(RECORDINGS.values())))
        chain = data.draw(st.sampled_from([recorded.home, recorded.remote]))
        block = data.draw(st.sampled_from(recorded.blocks(chain)))
        log = data.draw(st.sampled_from(block.logs))
        raw = bytearray(bytes.fromhex(log.data[2:]))
        for _ in range(data.draw(st.integers(1, 4))):
            if raw:
                raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        cut = data.draw(st.integers(0, len(raw)))
        damaged = msgspec.structs.replace(log, data="0x" + bytes(raw[:cut] if data.draw(st.booleans()) else raw).hex())
        decoded = recorded.watch(chain).decode(Block(block.ref, (damaged,)), data.draw(st.booleans()))
        assert len(decoded.malformed) <= 1


def test_topics_are_the_published_ones() -> None:
    """keccak of the signatures in the published ABIs."""
    assert events.SENT.topic0 == "0xd0c3c799bf9e2639de44391e7f524d229b2b55f5b1ea94b2bf7da42f7243dddd"
    assert events.COMMITTED.topic0 == "0x291698c01aa71f912280535d88a00d2c59fb63530a3f5d0098560468acb9ebf5"
    assert events.EXECUTED.topic0 == "0xd4f851956a5d67c3997d1c9205045fef79bae2947fdee7e9e2641abc7391ef65"
    assert events.TRANSMITTED.topic0 == "0xb04e63db38c49950639fa09d29872f21f5d49d614f3a969d8adf3d4b52e41a62"
    assert events.ROOT_REMOVED.topic0 == "0x202f1139a3e334b6056064c0e9b19fd07e44a88d8f6e5ded571b24cf8c371f12"
    assert events.PAUSED.topic0 == "0x62e78cea01bee320cd4e420270b5ea74000d11b0c9f74754ebdbfc544b05a258"
    assert events.UNPAUSED.topic0 == "0x5db9ee0a495bf2e6ff9c91a7834c1ba4fdd244a5e8aa4e537bd38aeae4b073aa"
    assert events.SKIPPED_NONCE.topic0 == "0xd32ddb11d71e3d63411d37b09f9a8b28664f1cb1338bfd1413c173b0ebf41237"
    assert events.SKIPPED_PREVIOUS_RAMP.topic0 == "0xe44a20935573a783dd0d5991c92d7b6a0eb3173566530364db3ec10e9a990b5d"
    assert v1_5.ALREADY_ATTEMPTED.topic0 == "0x67d9ba0f63d427c482c2736300e6d5a34c6691dbcdea8ad35828a1f1ba47e872"
    assert v1_5.SKIPPED_ALREADY_EXECUTED.topic0 == "0xe3dd0bec917c965a133ddb2c84874725ee1e2fd8d763c19efa36d6a11cd82b1f"
    assert v1_5.SEQUENCE_SET.topic0 == "0xea59e8027e41fda1525220008cf2416797405065eb21b0ebd417bfc6d361b8de"
    assert v1_5.PRICE_EPOCH_SET.topic0 == "0xf0d557bfce33e354b41885eb9264448726cfe51f486ffa69809d2bf565456444"
