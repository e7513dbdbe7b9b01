"""Batches to the ledger: what is stored, told and counted in one unit of work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import func, select

from seamark.evm.ports import Block
from seamark.messages.model import Decoded, Malformed
from seamark.messages.protocol import Watch
from seamark.messages.store import MessageView, count_by_stage, find_message, list_messages, read_chains, tables
from seamark.messages.store.books import NEWS_S
from seamark.storage.events import read_events
from seamark.storage.totals import read_totals
from tests.unit.messages.history import (
    BACK,
    BLOCK_TIME_S,
    OUT,
    A,
    B,
    World,
    block_time,
    committed,
    executed,
    final,
    message_id,
    reorg,
    sent,
)

ONE = message_id(OUT, 1)


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    world.now_ms = block_time(100) * 1000
    yield world
    world.close()


def view(world: World, message: str = ONE) -> MessageView:
    found = find_message(world.connection, message)
    assert found is not None
    return found.message


def topics(world: World, message: str = ONE) -> list[str]:
    events = read_events(world.connection, 0, limit=10_000)
    return [event.topic.removeprefix("message.") for event in events if event.key == message]


def totals(world: World) -> dict[str, int]:
    found: dict[str, int] = {}
    for item in read_totals(world.connection, "ccip_"):
        found[item.metric] = found.get(item.metric, 0) + int(item.value)
    return found


def rows(world: World, table: Any) -> int:
    return world.connection.execute(select(func.count()).select_from(table)).scalar_one()


def test_a_calm_life(world: World) -> None:
    send = world.block(A, 1, [sent(1)])
    world.tell(A, send)
    assert view(world).stage == "sent"
    world.tell(A, world.block(A, 2), final(send))
    assert view(world).stage == "finalized"
    assert view(world).finalized_time == block_time(2), "the newest block's time: then it was seen to be final"
    world.tell(B, world.block(B, 5, [committed(1, 4)]))
    assert view(world).stage == "committed"
    world.tell(B, world.block(B, 6, [executed(1)]))
    shown = view(world)
    assert shown.stage == "executed"
    assert (shown.seconds.finality, shown.seconds.commit) == (12, 48)
    assert (shown.seconds.execution, shown.seconds.total) == (12, 60)
    assert topics(world) == ["sent", "finalized", "committed", "executed"]


def test_the_destination_may_come_first(world: World) -> None:
    world.tell(B, world.block(B, 5, [committed(1, 4)]), world.block(B, 6, [executed(1)]))
    shown = view(world)
    assert (shown.stage, shown.sender, shown.sent_time, shown.time) == ("executed", "", None, block_time(6))
    send = world.block(A, 1, [sent(1)])
    world.tell(A, send, final(send))
    shown = view(world)
    assert (shown.stage, shown.finalized, shown.time) == ("executed", True, block_time(1))
    assert shown.seconds.total == 60
    assert totals(world)["ccip_message_latency_seconds_sum"] == 60 + 48 + 12 + 0


def test_a_replayed_batch_changes_nothing(world: World) -> None:
    send, delivery = world.block(A, 1, [sent(1)]), world.block(B, 5, [committed(1, 1), executed(1)])
    world.tell(A, send, final(send))
    world.tell(B, delivery)
    before = (totals(world), topics(world), rows(world, tables.transition), rows(world, tables.sighting))
    applied = [world.tell(A, send, final(send)), world.tell(B, delivery)]
    assert (totals(world), topics(world), rows(world, tables.transition), rows(world, tables.sighting)) == before
    assert not any(item.changes.totals or item.changes.steps or item.changes.tallies for item in applied)


def test_what_a_node_left_out_of_a_block_completes_the_fact_that_it_told(world: World) -> None:
    """As when logs beside an execution are found at finality: the absence of them had seemed to say something."""
    world.tell(A, world.block(A, 1, [sent(1)]))
    world.tell(B, world.block(B, 5, [committed(1, 1), executed(1, callback=False, manual=True)]))
    assert (view(world).callback, view(world).manual) == (False, True)
    assert view(world).stage == "recovered"
    world.tell(B, world.block(B, 5, [committed(1, 1), executed(1, callback=True, manual=False)]))
    assert topics(world) == ["sent", "committed", "recovered", "executed"]
    before = (totals(world), topics(world), rows(world, tables.sighting))
    for _ in range(2):
        world.tell(B, world.block(B, 5, [committed(1, 1), executed(1, callback=True, manual=False)]))
        assert (view(world).callback, view(world).manual) == (True, False)
    world.tell(B, world.block(B, 5, [committed(1, 1), executed(1, callback=None, manual=None)]))
    assert (view(world).callback, view(world).manual) == (True, False), "a part of the block proves nothing"
    assert (totals(world), topics(world), rows(world, tables.sighting)) == before
    world.tell(A, world.block(A, 2), final(world.block(A, 1, [sent(1)])))
    assert (view(world).callback, view(world).manual) == (True, False), "as stored"


def test_a_rolled_back_batch_leaves_nothing(world: World) -> None:
    world.tell(A, world.block(A, 1, [sent(1)]), crash=True)
    assert totals(world)["ccip_messages_sent_total"] == 1
    assert topics(world) == ["sent"]


def test_a_reorg_retracts_and_the_message_comes_back_once(world: World) -> None:
    base, lost = world.block(A, 1), world.block(A, 2, [sent(1)], fork="lost")
    world.tell(A, base, lost)
    world.tell(A, reorg(base, lost), world.block(A, 2))
    shown = view(world)
    assert (shown.stage, shown.retracted, shown.sent_tx) == ("retracted", True, None)
    assert shown.sender, "what it said stays known"
    world.tell(A, world.block(A, 3, [sent(1)]))
    shown = view(world)
    assert (shown.stage, shown.retracted, shown.sent_block) == ("sent", False, 3)
    assert totals(world)["ccip_messages_sent_total"] == 1
    assert topics(world) == ["sent", "retracted", "sent"]
    assert count_by_stage(world.connection) == {"sent": 1}


def test_reorg_and_re_inclusion_in_one_batch_are_both_told(world: World) -> None:
    base, lost = world.block(A, 1), world.block(A, 2, [sent(1)], fork="lost")
    world.tell(A, base, lost)
    world.tell(A, reorg(base, lost), world.block(A, 2, [sent(1)]))
    assert topics(world) == ["sent", "retracted", "sent"]


def test_a_block_that_becomes_canonical_again_revives_its_facts(world: World) -> None:
    base, ours, theirs = world.block(A, 1), world.block(A, 2, [sent(1)]), world.block(A, 2, fork="other")
    world.tell(A, base, ours)
    world.tell(A, reorg(base, ours), theirs)
    world.tell(A, reorg(base, theirs), ours)
    assert view(world).stage == "sent"
    assert rows(world, tables.sighting) == 1


def test_another_message_takes_the_sequence_number(world: World) -> None:
    base, lost = world.block(A, 1), world.block(A, 2, [sent(1, variant="x")], fork="lost")
    world.tell(A, base, lost)
    world.tell(A, reorg(base, lost), world.block(A, 2, [sent(1)]))
    world.tell(B, world.block(B, 5, [committed(1, 1)]), world.block(B, 6, [executed(1)]))
    assert view(world).stage == "executed"
    other = view(world, message_id(OUT, 1, "x"))
    assert (other.stage, other.committed_time) == ("retracted", None)


def test_an_orphaned_execution_falls_back(world: World) -> None:
    world.tell(A, world.block(A, 1, [sent(1)]))
    commit, run = world.block(B, 5, [committed(1, 1)]), world.block(B, 6, [executed(1)], fork="lost")
    world.tell(B, commit, run)
    world.tell(B, reorg(commit, run))
    assert view(world).stage == "committed"
    base = world.block(B, 4)
    world.tell(B, reorg(base, commit))
    assert view(world).stage == "sent"
    assert topics(world) == ["sent", "committed", "executed", "reorged", "reorged"]


def test_the_loss_of_an_executed_messages_send_is_told(world: World) -> None:
    base, lost = world.block(A, 1), world.block(A, 2, [sent(1)], fork="lost")
    world.tell(A, base, lost)
    world.tell(B, world.block(B, 5, [executed(1)]))
    world.tell(A, reorg(base, lost))
    shown = view(world)
    assert (shown.stage, shown.retracted) == ("executed", True)
    assert topics(world)[-1] == "retracted"


def test_failure_then_success(world: World) -> None:
    world.tell(A, world.block(A, 1, [sent(1)]))
    world.tell(B, world.block(B, 5, [executed(1, good=False)]))
    shown = view(world)
    assert (shown.stage, shown.reason, shown.error, shown.attempts) == ("failed", "receiver_reverted", "it failed", 1)
    world.tell(B, world.block(B, 9, [executed(1)]))
    shown = view(world)
    assert (shown.stage, shown.reason, shown.attempts, shown.executed_time) == ("recovered", "", 2, block_time(9))
    assert topics(world) == ["sent", "failed", "recovered"]
    assert totals(world)["ccip_messages_recovered_total"] == 1
    assert totals(world)["ccip_messages_received_total"] == 2


def test_a_commit_covers_messages_of_its_lane_only(world: World) -> None:
    world.tell(A, world.block(A, 1, [sent(1), sent(2), sent(3)]))
    world.tell(B, world.block(B, 1, [sent(1, BACK)]), world.block(B, 2, [committed(1, 2)]))
    stages = {item.id: item.stage for item in list_messages(world.connection).messages}
    assert stages == {
        message_id(OUT, 1): "committed",
        message_id(OUT, 2): "committed",
        message_id(OUT, 3): "sent",
        message_id(BACK, 1): "sent",
    }


def test_a_wide_commit_is_found_by_messages_that_come_later(world: World) -> None:
    world.tell(B, world.block(B, 2, [committed(1, 300), committed(301, 301)]))
    world.tell(A, world.block(A, 1, [sent(1), sent(250), sent(301), sent(302), sent(5000)]))
    stages = {item.sequence: item.stage for item in list_messages(world.connection).messages}
    assert stages == {1: "committed", 250: "committed", 301: "committed", 302: "sent", 5000: "sent"}


def test_many_sends_in_one_transaction_are_many_messages(world: World) -> None:
    world.tell(A, world.block(A, 1, [sent(number, tx="one") for number in (1, 2, 3)]))
    shown = list_messages(world.connection).messages
    assert len(shown) == 3
    assert len({item.sent_tx for item in shown}) == 1


def test_finality_only_of_its_own_chain(world: World) -> None:
    world.tell(A, world.block(A, 3, [sent(1)]))
    world.tell(B, final(world.block(B, 50)))
    assert view(world).stage == "sent"
    world.tell(A, final(world.block(A, 2)))
    assert view(world).stage == "sent"
    world.tell(A, final(world.block(A, 3)))
    assert view(world).stage == "finalized"


def test_finality_far_behind_the_head_is_seen_to_happen(world: World) -> None:
    """On Ethereum it is 64 blocks and more behind, and told in a batch of its own."""
    world.tell(A, world.block(A, 3, [sent(1)]))
    world.tell(A, *(world.block(A, number) for number in range(4, 70)))
    world.tell(A, final(world.block(A, 5)), head=70)
    assert view(world).finalized_time == block_time(69), "the newest block's time, as it became final then"
    assert view(world).seconds.finality == 66 * BLOCK_TIME_S


def test_finality_found_after_a_pause_was_not_seen(world: World) -> None:
    world.tell(A, world.block(A, 3, [sent(1)]))
    world.tell(A, final(world.block(A, 3)), head=500)
    assert (view(world).finalized, view(world).finalized_time) == (True, None)


def test_history_knows_that_a_message_is_final_but_not_since_when(world: World) -> None:
    send = world.block(A, 3, [sent(1)])
    world.tell(A, send, final(world.block(A, 90)), head=5000)
    shown = view(world)
    assert (shown.stage, shown.finalized, shown.finalized_time) == ("finalized", True, None)
    assert shown.seconds.finality is None


def test_history_is_in_the_ledger_but_is_no_news(world: World) -> None:
    world.now_ms = (block_time(1) + NEWS_S + 60) * 1000
    world.tell(A, world.block(A, 1, [sent(1)]))
    assert topics(world) == []
    assert rows(world, tables.transition) == 1
    world.tell(B, world.block(B, 50, [executed(1)]))
    assert topics(world) == ["executed"], "a step of today about an old message is news"


def test_a_chain_that_breaks_its_finality_is_followed(world: World) -> None:
    base, lost = world.block(A, 1), world.block(A, 2, [sent(1)], fork="lost")
    world.tell(A, base, lost, final(lost))
    world.tell(A, reorg(base, lost), world.block(A, 2, [sent(1)]))
    assert view(world).stage == "sent", "the new block is not final yet"
    assert read_chains(world.connection)[0].finalized == 1


def test_progress_is_stored_with_the_batch(world: World) -> None:
    blocks = [world.block(A, number) for number in range(4)]
    world.tell(A, *blocks, final(blocks[1]))
    world.tell(A, reorg(blocks[2], blocks[3]))
    (chain, _) = read_chains(world.connection, "ccip")
    assert (chain.scanned, chain.scanned_time, chain.finalized, chain.reorgs) == (2, block_time(2), 1, 1)


def test_a_block_told_once_more_is_read_as_incomplete(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, bool]] = []
    plain = world.protocol.watch()

    def decode(block: Block, whole: bool) -> Decoded:
        seen.append((block.ref.number, whole))
        return plain.decode(block, whole)

    monkeypatch.setattr(type(world.protocol), "watch", lambda *_: Watch(plain.filter, decode))
    one, two = world.block(A, 1), world.block(A, 2)
    world.tell(A, one, two, one)
    world.tell(A, two)
    other = world.block(A, 2, fork="other")
    world.tell(A, reorg(one, two), other)
    assert seen == [(1, True), (2, True), (1, False), (2, False), (2, True)]


def test_malformed_logs_are_counted(world: World) -> None:
    block = world.block(A, 1)
    bad = Malformed(transaction=block.ref.hash, log_index=0, address="0x" + "00" * 20, problem="too short")  # type: ignore[arg-type]
    world.protocol.malformed[block.ref.hash] = (bad, bad)
    applied = world.tell(A, block)
    assert totals(world) == {"ccip_errors_total": 2}
    assert sum(applied.changes.totals.values()) == 2


def test_many_messages_become_final_in_pieces(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seamark.messages.store.ledger.PROMOTED_AT_ONCE", 3)
    world.tell(A, world.block(A, 1, [sent(number) for number in range(1, 11)]))
    world.tell(A, final(world.block(A, 1)))
    assert count_by_stage(world.connection) == {"finalized": 10}
