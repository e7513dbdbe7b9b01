"""Commits that are taken back, and what contracts tell beside messages; both with reorgs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from seamark.messages.model import NoticeKind
from seamark.messages.store import NoticeView, find_message, list_lanes, list_notices, open_curses
from seamark.storage.events import read_events
from tests.unit.messages.history import (
    OUT,
    A,
    B,
    Noticed,
    World,
    block_time,
    committed,
    executed,
    final,
    message_id,
    reorg,
    revoked,
    sent,
)

ONE = message_id(OUT, 1)


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    world.now_ms = block_time(100) * 1000
    yield world
    world.close()


def stage(world: World, message: str = ONE) -> str:
    found = find_message(world.connection, message)
    assert found is not None
    return found.message.stage


def topics(world: World) -> list[str]:
    return [event.topic for event in read_events(world.connection, 0, limit=1000)]


class TestRevocations:
    def test_the_messages_of_the_root_fall_back_and_are_committed_again_by_a_later_commit(self, world: World) -> None:
        send = world.block(A, 1, [sent(1), sent(4)])
        world.tell(A, send, final(send))
        world.tell(B, world.block(B, 5, [committed(1, 3), committed(4, 6)]))
        assert [stage(world), stage(world, message_id(OUT, 4))] == ["committed", "committed"]
        world.tell(B, world.block(B, 6, [revoked(1, 3)]))
        assert [stage(world), stage(world, message_id(OUT, 4))] == ["finalized", "committed"]
        assert topics(world)[-1] == "message.revoked"
        world.tell(B, world.block(B, 7, [committed(1, 3)]))
        assert stage(world) == "committed"
        detail = find_message(world.connection, ONE)
        assert detail is not None
        assert detail.message.committed_time == block_time(7)
        assert [item.kind for item in detail.sightings] == ["sent", "committed", "revoked", "committed"]
        assert [item.step for item in detail.transitions] == ["sent", "finalized", "committed", "revoked", "committed"]
        assert detail.transitions[3].time == block_time(6)

    def test_in_one_batch_and_one_block_the_order_of_logs_decides(self, world: World) -> None:
        world.tell(A, world.block(A, 1, [sent(1), sent(2)]))
        facts = [committed(1, 1), revoked(1, 1), committed(2, 2), revoked(2, 2), committed(2, 2)]
        world.tell(B, world.block(B, 5, facts))
        assert [stage(world), stage(world, message_id(OUT, 2))] == ["sent", "committed"]

    def test_the_order_of_telling_does_not_matter(self, world: World) -> None:
        world.tell(A, world.block(A, 1, [sent(1)]))
        early = world.block(B, 5, [committed(1, 1)])
        world.tell(B, world.block(B, 5), world.block(B, 6, [revoked(1, 1)]))
        world.tell(B, world.block(B, 5, [committed(1, 1)]), early)  # a node had left it out
        assert stage(world) == "sent"
        assert topics(world) == ["message.sent"]

    def test_a_reorg_takes_the_revocation_away(self, world: World) -> None:
        world.tell(A, world.block(A, 1, [sent(1)]))
        commit = world.block(B, 5, [committed(1, 1)])
        gone = world.block(B, 6, [revoked(1, 1)])
        world.tell(B, commit, gone)
        assert stage(world) == "sent"
        world.tell(B, reorg(commit, gone))
        assert stage(world) == "committed"
        world.tell(B, gone)
        assert stage(world) == "sent"

    def test_a_revocation_on_another_chain_means_nothing(self, world: World) -> None:
        world.tell(A, world.block(A, 1, [sent(1)]))
        world.tell(B, world.block(B, 5, [committed(1, 1)]))
        world.tell(A, world.block(A, 9, [revoked(1, 1)]))
        assert stage(world) == "committed"

    def test_an_executed_message_stays_executed(self, world: World) -> None:
        world.tell(A, world.block(A, 1, [sent(1)]))
        world.tell(B, world.block(B, 5, [committed(1, 1), executed(1)]), world.block(B, 6, [revoked(1, 1)]))
        assert stage(world) == "executed"

    def test_a_lane_does_not_count_it_as_committed(self, world: World) -> None:
        world.tell(B, world.block(B, 5, [committed(1, 3), committed(4, 6)]), world.block(B, 6, [revoked(4, 6)]))
        (lane,) = list_lanes(world.connection)
        assert lane.last_committed == 3


class TestNotices:
    def test_what_was_told_is_listed_newest_first(self, world: World) -> None:
        world.tell(A, world.block(A, 1, [Noticed(NoticeKind.CONFIGURED, "11", {"event": "X"}), sent(1)]))
        world.tell(B, world.block(B, 2, [Noticed(NoticeKind.PAUSED)]))
        newest, oldest = list_notices(world.connection)
        assert (newest.kind, newest.chain_id, newest.subject) == ("paused", B, "")
        assert (oldest.details, oldest.time, oldest.log_index) == ({"event": "X"}, block_time(1), 0)
        assert topics(world) == ["message.sent", "notice.configured", "notice.paused"]
        event = read_events(world.connection, 0, topics=["notice.paused"])[0]
        assert NoticeView(**event.payload) == newest

    def test_filters(self, world: World) -> None:
        for number, subject in enumerate(("a", "b", "a")):
            world.tell(A, world.block(A, number, [Noticed(NoticeKind.GAS_PAID, subject)]))

        def times(**wanted: object) -> list[int]:
            return [item.time for item in list_notices(world.connection, **wanted)]  # type: ignore[arg-type]

        assert times(subject="a") == [block_time(2), block_time(0)]
        assert times(since=block_time(1)) == [block_time(2), block_time(1)]
        assert times(until=block_time(1)) == [block_time(0)]
        assert times(kinds=[NoticeKind.PRICED]) == []
        assert times(chain_id=B) == []
        assert times(protocol="hyperlane") == []
        assert times(protocol="ccip", limit=1) == [block_time(2)]

    def test_told_again_is_told_once(self, world: World) -> None:
        block = world.block(A, 1, [Noticed(NoticeKind.PAUSED)])
        world.tell(A, block, crash=True)
        world.tell(A, block, block)
        assert len(list_notices(world.connection)) == 1
        assert topics(world) == ["notice.paused"]

    def test_a_reorg_withdraws_it_and_its_block_may_come_back(self, world: World) -> None:
        base, gone = world.block(A, 1), world.block(A, 2, [Noticed(NoticeKind.CURSED, "22")])
        world.tell(A, base, gone)
        assert open_curses(world.connection, "ccip").keys() == {(A, "22")}
        world.tell(A, reorg(base, gone))
        assert list_notices(world.connection) == []
        assert [item.live for item in list_notices(world.connection, live=False)] == [False]
        assert open_curses(world.connection, "ccip") == {}
        world.tell(A, gone)
        assert open_curses(world.connection, "ccip").keys() == {(A, "22")}
        assert topics(world) == ["notice.cursed", "notice.withdrawn", "notice.cursed"]

    def test_a_curse_stands_until_it_is_lifted(self, world: World) -> None:
        world.tell(A, world.block(A, 1, [Noticed(NoticeKind.CURSED, "22"), Noticed(NoticeKind.CURSED, "*")]))
        world.tell(A, world.block(A, 2, [Noticed(NoticeKind.CURSED, "22")]))
        curses = open_curses(world.connection, "ccip")
        assert {key: at.block_number for key, at in curses.items()} == {(A, "22"): 1, (A, "*"): 1}
        world.tell(A, world.block(A, 3, [Noticed(NoticeKind.UNCURSED, "22")]))
        assert open_curses(world.connection, "ccip").keys() == {(A, "*")}
        assert open_curses(world.connection, "hyperlane") == {}

    def test_history_makes_no_events(self, world: World) -> None:
        world.now_ms = (block_time(1) + 100_000) * 1000
        world.tell(A, world.block(A, 1, [Noticed(NoticeKind.PAUSED)]))
        assert topics(world) == []
        assert len(list_notices(world.connection)) == 1


def test_a_reorg_seen_by_another_protocol_leaves_ours_alone() -> None:
    """Each reads the same chain at its own pace: what one retracts the other may not even have read."""
    world = World()
    try:
        base, block = world.block(A, 1), world.block(A, 2, [sent(1), Noticed(NoticeKind.PAUSED)])
        world.tell(A, base, block)
        world.tell(B, world.block(B, 5, [committed(1, 1)]))
        world.protocol.name = "other"
        world.join("other")
        for chain in (A, B):
            world.tell(chain, reorg(base, block, world.block(B, 5)))
        world.tell(A, block, final(block))
        assert stage(world) == "committed"
        assert len(list_notices(world.connection, protocol="ccip")) == 1
    finally:
        world.close()
