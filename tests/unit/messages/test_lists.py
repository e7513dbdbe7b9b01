"""Any combination of filters, paged: the same messages as plain Python picks from all of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from seamark.messages.model import Stage
from seamark.messages.store import (
    Flag,
    LateRange,
    MessageFilter,
    MessageView,
    late,
    list_lanes,
    list_messages,
    lists,
    lists_ways,
)
from tests.unit.messages.history import BACK, OUT, A, B, World, block_time, committed, executed, final, sent

SENDERS = ["0x" + digit * 40 for digit in "ab"]
RECEIVERS = ["0x" + digit * 40 for digit in "cd"]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Two lanes with some dozens of messages in every stage and with every flag."""
    random = Random(3)
    world = World()
    for lane, source, destination in ((OUT, A, B), (BACK, B, A)):
        sends = [
            sent(number, lane, sender=random.choice(SENDERS), receiver=random.choice(RECEIVERS))
            for number in range(1, 41)
        ]
        blocks = [world.block(source, index, sends[index * 4 : index * 4 + 4]) for index in range(10)]
        world.tell(source, *blocks, final(blocks[6]))
        runs = [
            executed(
                number,
                lane if random.random() < 0.9 else lane._replace(destination="33"),
                good=random.random() < 0.7,
                callback=random.choice((True, False)),
                manual=random.choice((None, False, True)),
                reason=random.choice(("receiver_reverted", "out_of_gas")),
            )
            for number in random.sample(range(1, 41), 20)
        ]
        world.tell(destination, world.block(destination, 50, [committed(1, 30, lane), *runs]))
    yield world
    world.close()


def picked(messages: list[MessageView], wanted: MessageFilter, lanes: dict[int, tuple[str, str, str]]) -> list[str]:
    """By the words of `MessageFilter`."""

    def fits(item: MessageView) -> bool:
        lane = (item.source, item.channel, item.destination)
        flags = {
            Flag.NO_CALLBACK: item.callback is False,
            Flag.MANUAL: item.manual is True,
            Flag.CONFLICTING: item.conflicting,
        }
        checks: list[tuple[Any, bool]] = [
            (wanted.source, wanted.source in (item.source, item.source_name)),
            (wanted.destination, wanted.destination in (item.destination, item.destination_name)),
            (wanted.stage or None, item.stage in wanted.stage),
            (wanted.sender, item.sender == wanted.sender),
            (wanted.receiver, item.receiver == wanted.receiver),
            (wanted.since, item.time >= (wanted.since or 0)),
            (wanted.until, item.time < (wanted.until or 0)),
            (wanted.lane, lanes.get(wanted.lane or 0) == lane),
            (wanted.reason, item.reason == wanted.reason),
            (wanted.tx, wanted.tx in (item.sent_tx, item.committed_tx, item.executed_tx)),
            (wanted.id, item.id.startswith(wanted.id or "")),
            (wanted.ids or None, item.id in wanted.ids),
            (
                wanted.late,
                any(
                    lanes[part.lane_id] == lane and part.stage == item.stage and item.time < part.before
                    for part in wanted.late or ()
                ),
            ),
        ]
        return all(good for value, good in checks if value is not None) and all(flags[flag] for flag in wanted.flags)

    return [item.id for item in messages if fits(item)]


def any_filter(random: Random, messages: list[MessageView], lanes: list[int]) -> MessageFilter:
    some = random.choice(messages)
    choices: dict[str, list[Any]] = {
        "source": ["11", "beta", "33"],
        "destination": ["22", "alpha", "33"],
        "stage": [[stage] for stage in Stage] + [random.sample(list(Stage), 3)],
        "sender": SENDERS,
        "receiver": RECEIVERS,
        "since": [block_time(random.randrange(10))],
        "until": [block_time(random.randrange(10))],
        "lane": [*lanes, 99],
        "reason": ["receiver_reverted", "out_of_gas", "other"],
        "flags": [[flag] for flag in Flag] + [[Flag.MANUAL, Flag.NO_CALLBACK]],
        "tx": [some.sent_tx, some.committed_tx or "0x0", some.executed_tx or "0x0"],
        "id": [some.id, some.id[: random.randint(2, 66)]],
        "ids": [[some.id, random.choice(messages).id]],
        "late": [
            [
                LateRange(random.choice(lanes), random.choice(list(Stage)), block_time(random.randrange(12)))
                for _ in range(random.randint(0, 3))
            ]
        ],
    }
    names = random.sample(sorted(choices), k=random.randint(0, 3))
    return MessageFilter(**{name: random.choice(choices[name]) for name in names})


@pytest.mark.parametrize(("few", "many", "broad"), [(2000, 20_000, 4), (5, 20_000, 1000), (5, 10, 1), (0, 0, 10**9)])
def test_any_combination(world: World, monkeypatch: pytest.MonkeyPatch, few: int, many: int, broad: int) -> None:
    """By each of the ways: all of a short one, the newest of all, slices of time."""
    monkeypatch.setattr(lists, "FEW", few)
    monkeypatch.setattr(lists, "MANY", many)
    monkeypatch.setattr(lists, "BROAD", broad)
    if few == 0:
        monkeypatch.setattr(lists_ways, "LOOKED_AT", 3)
        monkeypatch.setattr(lists_ways, "CROWDED", 1)
    random = Random(few * many + broad)
    whole = list_messages(world.connection, limit=500).messages
    assert len(whole) == 80
    lanes = {lane.id: (lane.source, lane.channel, lane.destination) for lane in list_lanes(world.connection)}
    hits = 0
    for _ in range(40):
        wanted = any_filter(random, whole, list(lanes))
        pages: list[list[str]] = []
        cursor = None
        limit = random.choice((13, 100))
        while True:
            page = list_messages(world.connection, wanted, limit=limit, cursor=cursor)
            pages.append([item.id for item in page.messages])
            cursor = page.next
            if cursor is None:
                break
        expected = picked(whole, wanted, lanes)
        assert list(itertools.chain(*pages)) == expected, wanted
        hits += bool(expected)
    assert hits > 12, "the filters are not all empty"


def test_late_counts_what_the_list_shows(world: World) -> None:
    (lane, _) = list_lanes(world.connection)
    before = block_time(5)
    shown = list_messages(
        world.connection, MessageFilter(late=[LateRange(lane.id, Stage.COMMITTED, before)]), limit=100
    ).messages
    counted = late(world.connection, lane.id, Stage.COMMITTED, before)
    assert counted.messages == len(shown) > 0
    assert counted.oldest == min(item.time for item in shown)
    assert late(world.connection, lane.id, Stage.COMMITTED, 0) == (0, None)
