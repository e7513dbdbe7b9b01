"""Lists, filters, cursors, details, lanes."""

from __future__ import annotations

import itertools
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from sqlalchemy import event

from seamark.core.errors import RejectedError
from seamark.messages.model import Stage
from seamark.messages.store import (
    Flag,
    LateRange,
    MessageFilter,
    MessageView,
    count_by_stage,
    find_message,
    list_lanes,
    list_messages,
    lists,
    refresh_lanes,
)
from seamark.messages.store.lists import MAX_LIMIT
from tests.unit.messages.history import (
    BACK,
    OUT,
    RECEIVER,
    SENDER,
    A,
    B,
    World,
    block_time,
    committed,
    executed,
    final,
    hash32,
    message_id,
    reorg,
    sent,
)


@pytest.fixture
def world() -> Iterator[World]:
    """Out: 1-3 executed (2 failed), 4 committed, 5 final, 6 sent, and one retracted; back: 1-2 sent."""
    world = World()
    ghost = world.block(A, 9, [sent(9, variant="x")], fork="lost")
    blocks = [world.block(A, number, [sent(number)]) for number in range(1, 7)]
    world.tell(A, *blocks, world.block(A, 7), world.block(A, 8), ghost)
    world.tell(A, reorg(world.block(A, 8), ghost), final(blocks[4]))
    world.tell(
        B,
        world.block(B, 10, [committed(1, 3)]),
        world.block(B, 11, [executed(1), executed(2, good=False), executed(3), committed(4, 4)]),
        world.block(B, 12, [sent(1, BACK), sent(2, BACK, tx="twins")]),
    )
    yield world
    world.close()


def found(world: World, **wanted: Any) -> list[MessageView]:
    return list_messages(world.connection, MessageFilter(**wanted)).messages


def sequences(messages: list[MessageView]) -> list[int]:
    return [item.sequence for item in messages]


BEYOND = urlsafe_b64encode(b"1." + b"9" * 30).decode()
"""A cursor whose place is beyond any 64-bit number."""


class TestList:
    def test_newest_first(self, world: World) -> None:
        shown = list_messages(world.connection).messages
        times = [item.time for item in shown]
        assert times == sorted(times, reverse=True)
        assert len(shown) == 9

    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            ({"stage": [Stage.EXECUTED]}, [3, 1]),
            ({"stage": [Stage.FAILED, Stage.COMMITTED]}, [4, 2]),
            ({"stage": [Stage.RETRACTED]}, [9]),
            ({"source": "22"}, [2, 1]),
            ({"source": "beta"}, [2, 1]),
            ({"source": "alpha", "destination": "beta", "stage": [Stage.SENT]}, [6]),
            ({"destination": "11"}, [2, 1]),
            ({"source": "33"}, []),
            ({"protocol": "ccip", "stage": [Stage.FINALIZED]}, [5]),
            ({"protocol": "hyperlane"}, []),
            ({"channel": OUT.channel.upper().replace("0X", "0x"), "stage": [Stage.SENT]}, [6]),
            ({"sender": "0x" + "5E" * 20, "stage": [Stage.SENT], "source": "alpha"}, [6]),
            ({"sender": "0x" + "00" * 20}, []),
            ({"receiver": "0x" + "4e" * 20, "stage": [Stage.COMMITTED]}, [4]),
            ({"since": block_time(4), "until": block_time(6)}, [5, 4]),
            ({"id": message_id(OUT, 4)}, [4]),
            ({"id": message_id(OUT, 4)[:-1]}, [6, 5, 4, 3, 2, 1]),
            ({"id": message_id(OUT, 4).upper().replace("0X", "0x")}, [4]),
            ({"id": "0xff"}, []),
            ({"tx": hash32("twins")}, [2]),
            ({"tx": "0x" + "99" * 32}, []),
        ],
    )
    def test_filters(self, world: World, wanted: dict[str, Any], expected: list[int]) -> None:
        shown = sequences(found(world, **wanted))
        if "id" in wanted and len(expected) > 1:
            assert set(shown) >= set(expected) - {9}
        else:
            assert shown == expected

    def test_a_commit_transaction_finds_all_it_covers(self, world: World) -> None:
        (executed_one,) = found(world, id=message_id(OUT, 1))
        assert sequences(found(world, tx=executed_one.committed_tx)) == [3, 2, 1]
        assert sequences(found(world, tx=executed_one.executed_tx)) == [1]
        assert sequences(found(world, tx=executed_one.sent_tx)) == [1]

    @pytest.mark.parametrize("wanted", [{}, {"source": "alpha"}, {"stage": [Stage.EXECUTED, Stage.SENT]}], ids=str)
    @pytest.mark.parametrize("limit", [1, 2, 4, 100])
    def test_pages_join_to_the_whole_list(self, world: World, wanted: dict[str, Any], limit: int) -> None:
        whole = found(world, **wanted)
        pages, cursor = [], None
        while True:
            page = list_messages(world.connection, MessageFilter(**wanted), limit=limit, cursor=cursor)
            pages.append(page.messages)
            cursor = page.next
            if cursor is None:
                break
        assert list(itertools.chain(*pages)) == whole
        assert all(len(page) == limit for page in pages[:-1])

    @pytest.mark.parametrize("cursor", ["", "x", "MTIz", "!!!!", "MTIzLmFiYw", "é", BEYOND])
    def test_a_foreign_cursor_is_refused(self, world: World, cursor: str) -> None:
        with pytest.raises(RejectedError, match="cursor"):
            list_messages(world.connection, cursor=cursor)

    @pytest.mark.parametrize(("limit", "size"), [(0, 1), (-5, 1), (10**9, 9)])
    def test_limits_are_bounded(self, world: World, limit: int, size: int) -> None:
        assert len(list_messages(world.connection, limit=limit).messages) == size
        assert MAX_LIMIT >= 100

    def test_the_coverage_of_a_lane_is_shown(self, world: World) -> None:
        refresh_lanes(
            world.connection,
            "ccip",
            lambda lane: type(world.protocol.names(lane))("a", "b", None, None, False, True),
        )
        shown = found(world, source="a")[0]
        assert (shown.source_name, shown.source_watched, shown.destination_watched) == ("a", False, True)


class TestPlans:
    """A page must be a range of an index: no sorting of what matches, no scan of the table."""

    @pytest.mark.parametrize(
        "wanted",
        [
            {},
            {"stage": [Stage.FAILED]},
            {"sender": "0x" + "5e" * 20},
            {"receiver": "0x" + "4e" * 20},
            {"source": "alpha", "destination": "beta"},
            {"since": 5, "until": 10**10},
            {"id": "0x12"},
            {"tx": "0x" + "99" * 32},
        ],
        ids=str,
    )
    def test_no_filter_scans_the_table(self, world: World, wanted: dict[str, Any]) -> None:
        of_message = [
            plan
            for plan in plans_of(world, **wanted)
            if plan.split()[0] in ("SCAN", "SEARCH") and "message" in plan.split()[1:2]
        ]
        assert of_message
        assert all("INDEX" in plan or "PRIMARY KEY" in plan for plan in of_message), of_message

    def test_a_rare_stage_of_a_long_lane_is_a_range(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        wanted = {"source": "alpha", "destination": "beta", "stage": [Stage.FAILED]}
        index = "SEARCH message USING COVERING INDEX ix_message_lane (lane_id=? AND stage=?"
        (few,) = (plan for plan in plans_of(world, **wanted) if plan.startswith("SEARCH message USING COVERING"))
        assert few.startswith(index)
        monkeypatch.setattr(lists, "FEW", 0)
        monkeypatch.setattr(lists, "BROAD", 0)
        plans = plans_of(world, **wanted)
        assert any(plan.startswith(index) for plan in plans)
        assert not any("B-TREE" in plan for plan in plans), "nothing is sorted"

    @pytest.mark.parametrize(
        ("wanted", "index"),
        [
            ({"source": "alpha", "destination": "beta"}, "ix_message_lane (lane_id=?"),
            ({"stage": [Stage.FAILED, Stage.EXECUTED]}, "ix_message_lane (lane_id=?"),
            ({"late": [LateRange(1, Stage.SENT, 10**10)]}, "ix_message_lane (lane_id=? AND stage=? AND time<?)"),
        ],
        ids=str,
    )
    def test_lanes_and_stages_are_ranges_of_one_index(self, world: World, wanted: dict[str, Any], index: str) -> None:
        ranges = [plan for plan in plans_of(world, **wanted) if plan.startswith("SEARCH message ")]
        assert all(index in plan or "PRIMARY KEY" in plan for plan in ranges), ranges
        assert any(index in plan for plan in ranges)

    @pytest.mark.parametrize("account", ["sender", "receiver"])
    def test_an_account_of_few_messages_is_looked_up_and_one_of_many_is_ranges(
        self, world: World, monkeypatch: pytest.MonkeyPatch, account: str
    ) -> None:
        address = {"sender": SENDER, "receiver": RECEIVER}[account]
        used = [plan for plan in plans_of(world, **{account: address}) if "INDEX ix_message" in plan]
        assert used
        assert all(f"COVERING INDEX ix_message_{account} ({account}=?" in plan for plan in used)
        monkeypatch.setattr(lists, "FEW", 1)
        plans = plans_of(world, **{account: address})
        assert sum(f"ix_message_{account} ({account}=? AND lane_id=?" in plan for plan in plans) > 1

    @pytest.mark.parametrize("flag", Flag)
    def test_a_flag_is_a_small_index(self, world: World, flag: Flag) -> None:
        plans = plans_of(world, flags=[flag])
        assert any(f"ix_message_{flag}" in plan for plan in plans), plans


def plans_of(world: World, **wanted: Any) -> list[str]:
    """How SQLite finds what a list shows."""
    plans: list[str] = []

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "FROM message" in statement and not statement.startswith("EXPLAIN"):
            rows = cursor.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            plans.extend(row[3] for row in rows)

    event.listen(world.connection, "before_cursor_execute", explain)
    try:
        found(world, **wanted)
    finally:
        event.remove(world.connection, "before_cursor_execute", explain)
    return plans


class TestDetail:
    def test_all_evidence(self, world: World) -> None:
        detail = find_message(world.connection, message_id(OUT, 2))
        assert detail is not None
        assert [item.kind for item in detail.sightings] == ["sent", "committed", "executed"]
        send, commit, run = detail.sightings
        assert send.body["details"] == {"data": "0x00"}
        assert (commit.body["first"], commit.body["last"]) == (1, 3)
        assert (run.body["succeeded"], run.body["reason"]) == (False, "receiver_reverted")
        assert (run.chain_id, run.block_number, run.time) == (B, 11, block_time(11))
        assert [item.step for item in detail.transitions] == ["sent", "finalized", "committed", "failed"]

    def test_of_a_retracted_message(self, world: World) -> None:
        detail = find_message(world.connection, message_id(OUT, 9, "x"))
        assert detail is not None
        (send,) = detail.sightings
        assert not send.live
        assert detail.transitions[-1].block_hash == send.block_hash

    def test_an_unknown_message(self, world: World) -> None:
        assert find_message(world.connection, "0x00") is None


class TestLanes:
    def test_counts_and_heights(self, world: World) -> None:
        out, back = list_lanes(world.connection)
        assert (out.source_name, out.destination_name, out.source_chain) == ("alpha", "beta", A)
        assert out.stages == {"executed": 2, "failed": 1, "committed": 1, "finalized": 1, "sent": 1, "retracted": 1}
        assert (out.total, out.last_sent, out.last_committed, out.last_executed) == (7, 6, 4, 3)
        assert (back.total, back.last_sent, back.last_committed, back.last_executed) == (2, 2, None, None)

    def test_of_one_protocol(self, world: World) -> None:
        assert list_lanes(world.connection, "hyperlane") == []
        assert count_by_stage(world.connection, "hyperlane") == {}
        assert sum(count_by_stage(world.connection, "ccip").values()) == 9

    def test_an_emptied_lane_is_not_shown(self) -> None:
        world = World()
        unnamed = OUT._replace(channel="")
        world.tell(B, world.block(B, 1, [executed(1, unnamed)]))
        assert [lane.channel for lane in list_lanes(world.connection)] == [""]
        world.tell(A, world.block(A, 1, [sent(1)]))
        assert [lane.channel for lane in list_lanes(world.connection)] == [OUT.channel]

    def test_a_lane_whose_messages_never_arrive_is_not_searched_for_the_last_that_did(self) -> None:
        world = World()
        world.tell(A, world.block(A, 1, [sent(number) for number in range(1, 6)]))
        asked: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            asked.append(statement)

        event.listen(world.connection, "before_cursor_execute", note)
        try:
            (lane,) = list_lanes(world.connection)
        finally:
            event.remove(world.connection, "before_cursor_execute", note)
        assert (lane.last_sent, lane.last_executed) == (5, None)
        assert sum("message.facts &" in statement for statement in asked) == 1, "that of the last sent one"
        world.close()
        world.close()


def test_paging_is_stable_while_messages_move(world: World) -> None:
    random = Random(7)
    seen, cursor = [], None
    while True:
        page = list_messages(world.connection, limit=2, cursor=cursor)
        seen += [item.id for item in page.messages]
        number = random.randint(20, 10**6)
        world.tell(B, world.block(B, number, [executed(random.randint(4, 6))]))
        cursor = page.next
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 9
