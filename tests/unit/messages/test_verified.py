"""Messages that are verified off chain, and messages that wait for a hand, in the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from seamark.messages.model import Fact, Stage, Step, Verified
from seamark.messages.rules import fold, latencies, transitions
from seamark.messages.store import (
    LateRange,
    MessageDetail,
    MessageFilter,
    find_message,
    late,
    list_lanes,
    list_messages,
    record_verified,
    unverified,
)
from seamark.messages.store.verifications import START, sends_of
from seamark.storage.events import read_events
from tests.unit.messages.history import (
    GENESIS_TIME,
    OUT,
    A,
    B,
    Told,
    World,
    committed,
    executed,
    final,
    message_id,
    reorg,
    sent,
)

NAME = message_id(OUT, 1)
SPOKEN = GENESIS_TIME + 77
SAID = Verified(NAME, SPOKEN, {"needed": 1, "verifiers": [{"ccv": "0x1", "name": "committee", "time": SPOKEN}]})


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def verify(world: World, *found: Verified) -> Any:
    return record_verified(world.connection, "ccip", world.protocol.names, found or [SAID], 5_000)


def detail(world: World, name: str = NAME) -> MessageDetail:
    found = find_message(world.connection, name)
    assert found is not None
    return found


def by_hand(told: Told) -> Told:
    return replace(told, body=msgspec.structs.replace(told.body, by_hand=True))


def v2(told: Told) -> Told:
    return replace(told, version="2.0.0")


def final_send(world: World, *facts: Told) -> Any:
    block = world.block(A, 1, facts or [v2(sent(1))])
    world.tell(A, block, final(block))
    return block


class TestVerified:
    def test_a_stage_a_step_and_an_event(self, world: World) -> None:
        final_send(world)
        changes = verify(world)
        found = detail(world)
        view = found.message
        assert (view.stage, view.verified, view.committed_time, view.committed_tx) == ("committed", True, SPOKEN, None)
        assert [step.step for step in found.transitions] == ["sent", "finalized", "verified"]
        assert found.transitions[-1].time == SPOKEN
        assert found.transitions[-1].chain_id is None, "no block holds it"
        assert found.verification is not None
        assert (found.verification.time, found.verification.seen_ms) == (SPOKEN, 5_000)
        assert found.verification.details == SAID.details
        assert changes.steps == {"verified": 1}
        (event,) = [item for item in read_events(world.connection, 0, limit=100) if item.topic == "message.verified"]
        assert event.payload["verified"] is True

    def test_the_first_word_counts(self, world: World) -> None:
        final_send(world)
        verify(world)
        assert verify(world, SAID._replace(time=SPOKEN + 9)).steps == {}
        assert detail(world).message.committed_time == SPOKEN

    def test_nobody_learns_of_messages_that_are_not_known(self, world: World) -> None:
        assert verify(world).steps == {}
        assert find_message(world.connection, NAME) is None

    def test_an_execution_comes_after_it(self, world: World) -> None:
        final_send(world)
        verify(world)
        world.tell(B, world.block(B, 9, [v2(executed(1))]))
        view = detail(world).message
        assert (view.stage, view.verified, view.committed_time) == ("executed", True, SPOKEN)
        assert view.seconds.commit == SPOKEN - (view.sent_time or 0)

    def test_it_may_be_learned_after_the_execution(self, world: World) -> None:
        final_send(world)
        world.tell(B, world.block(B, 9, [v2(executed(1))]))
        verify(world)
        view = detail(world).message
        assert (view.stage, view.verified) == ("executed", True)

    def test_a_reorg_of_the_destination_leaves_it(self, world: World) -> None:
        final_send(world)
        verify(world)
        base = world.block(B, 8)
        run = world.block(B, 9, [v2(executed(1))])
        world.tell(B, base, run)
        world.tell(B, reorg(base, run))
        assert (detail(world).message.stage, detail(world).message.verified) == ("committed", True)

    def test_a_reorg_of_the_source_does_not_make_verifiers_silent(self, world: World) -> None:
        base = world.block(A, 0)
        block = world.block(A, 1, [v2(sent(1))])
        world.tell(A, base, block)
        verify(world)
        world.tell(A, reorg(base, block))
        assert detail(world).message.stage == "retracted"
        again = world.block(A, 2, [v2(sent(1))], fork="x")
        world.tell(A, again, final(again))
        view = detail(world).message
        assert (view.stage, view.verified) == ("committed", True)

    def test_a_commit_on_chain_is_the_stronger_word(self, world: World) -> None:
        final_send(world, sent(1))
        verify(world)
        world.tell(B, world.block(B, 5, [committed(1, 1)]))
        view = detail(world).message
        assert view.committed_tx is not None
        assert not view.verified

    def test_its_time_is_no_blocks_and_makes_no_statistics(self, world: World) -> None:
        final_send(world)
        assert not any(key.metric.endswith("latency_seconds_sum") for key in verify(world).totals)

    def test_a_fold(self) -> None:
        world = World()
        block = world.block(A, 1, [sent(1)])
        (send,) = world.protocol.facts[block.ref.hash]
        state = fold([send], [], [], {A: 1}, SPOKEN, verified_time=SPOKEN)
        assert (state.stage, state.verified_time) == (Stage.COMMITTED, SPOKEN)
        assert latencies(state).commit is None
        (step,) = transitions(Fact.SENT | Fact.FINALIZED, state)
        assert (step.step, step.after, step.time, step.evidence) == (Step.VERIFIED, Stage.COMMITTED, SPOKEN, None)
        world.close()


class TestWhoWaits:
    def test_final_ones_of_this_generation_that_nobody_executed(self, world: World) -> None:
        block = world.block(A, 1, [v2(sent(number)) for number in range(1, 6)])
        world.tell(A, block, final(block))
        world.tell(A, world.block(A, 2, [v2(sent(6))]))
        world.tell(B, world.block(B, 9, [v2(executed(2))]))
        verify(world)
        found, _ = unverified(world.connection, "ccip", "2.", START, newest=50, further=50)
        assert {item.id for item in found} == {message_id(OUT, number) for number in (3, 4, 5)}
        assert sends_of(world.connection, [found[0].no])[found[0].no].sender
        assert unverified(world.connection, "ccip", "1.", START, newest=50, further=50)[0] == []

    def test_pages_reach_all_and_begin_again(self, world: World) -> None:
        blocks = [world.block(A, number, [v2(sent(number))]) for number in range(1, 8)]
        world.tell(A, *blocks, final(blocks[-1]))
        after, seen = START, []
        for _ in range(4):
            found, after = unverified(world.connection, "ccip", "2.", after, newest=0, further=2)
            seen.append([item.id for item in found])
        expected = [message_id(OUT, number) for number in range(1, 8)]
        assert [name for page in seen for name in page] == expected
        assert after == START


class TestByHand:
    def test_it_is_told_and_listed_but_not_late(self, world: World) -> None:
        final_send(world, by_hand(sent(1)), sent(2))
        assert detail(world).message.by_hand
        assert not detail(world, message_id(OUT, 2)).message.by_hand
        (lane,) = list_lanes(world.connection)
        ranges = [LateRange(lane.id, Stage.FINALIZED, GENESIS_TIME + 10**6)]
        shown = list_messages(world.connection, MessageFilter(late=ranges)).messages
        assert [item.id for item in shown] == [message_id(OUT, 2)]
        assert late(world.connection, *ranges[0]).messages == 1
        assert len(list_messages(world.connection, MessageFilter(stage=[Stage.FINALIZED])).messages) == 2
