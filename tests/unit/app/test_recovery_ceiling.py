"""How many transactions count for recovery.policy.per_day: what was begun, told of or not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import pytest

from seamark.app.recovery import _sent_today
from seamark.messages.recovery.service import BEGUN, SENT
from seamark.storage.database import Database, open_database
from seamark.storage.events import Event, append_events


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    opened = await open_database("sqlite://")
    yield opened
    await opened.close()


def begun(key: str) -> Event:
    return Event(BEGUN, "0x01", {"key": key})


def sent(key: str, *, mined: bool = True) -> Event:
    return Event(SENT, "0x01", {"key": key, "mined": mined, "tx": "0x02"})


@pytest.mark.parametrize(
    ("events", "counted"),
    [
        ([], 0),
        ([begun("a"), sent("a")], 1),
        ([begun("a")], 1),  # its command died before it told
        ([begun("a"), begun("a"), sent("a")], 1),  # given again: the same transaction
        ([begun("a"), begun("a"), begun("b"), sent("a"), sent("b")], 2),  # two messages of a batch, and another one
        ([begun("a"), sent("a", mined=False), begun("a"), sent("a")], 1),  # it waited for its block
        ([begun("a"), sent("a"), begun("a"), sent("a")], 2),  # mined without effect, and tried anew
    ],
)
async def test_what_was_begun_counts(database: Database, events: list[Event], counted: int) -> None:
    await database.write(lambda c: append_events(c, events))
    assert await database.read(_sent_today) == counted


async def test_one_that_is_under_way_does_not_count_against_itself(database: Database) -> None:
    await database.write(lambda c: append_events(c, [begun("a"), begun("b"), sent("b")]))
    assert await database.read(partial(_sent_today, besides="a")) == 1
    assert await database.read(partial(_sent_today, besides="b")) == 2  # that one was mined: another try is one more
