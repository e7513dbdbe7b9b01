"""The event log: in commit order, found by those who look later, on every engine."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import Connection

from seamark.storage.database import Database, open_database
from seamark.storage.events import Event, append_events, last_event_id, read_events, trim_events


def told(*topics: str):
    events = [Event(topic, key=f"key of {topic}", payload={"n": number}) for number, topic in enumerate(topics)]
    return lambda connection: append_events(connection, events)


def topics_after(after: int, **options):
    return lambda connection: [event.topic for event in read_events(connection, after, **options)]


async def test_events_come_back_whole_and_in_order(database: Database) -> None:
    event = Event("message.sent", "0xab", {"amount": str(2**200), "nested": [{"ü": None}]}, at_ms=12345)
    await database.write(lambda c: append_events(c, [event, Event("other", "k", {})]))
    first, second = await database.read(lambda c: read_events(c, 0))
    assert first == Event("message.sent", "0xab", event.payload, id=first.id, at_ms=12345)
    assert second.id > first.id
    assert second.at_ms > 1_600_000_000_000


async def test_a_listener_asks_for_what_came_after(database: Database) -> None:
    await database.write(told("a", "b"))
    last = await database.read(last_event_id)
    assert await database.read(topics_after(last)) == []
    await database.write(told("c"))
    assert await database.read(topics_after(last)) == ["c"]


async def test_topics_are_chosen_by_their_beginning_taken_literally(database: Database) -> None:
    await database.write(told("a_b.x", "aXb.x", "a%", "az", "message.sent", "message.executed"))
    assert await database.read(topics_after(0, topics=["a_b"])) == ["a_b.x"]
    assert await database.read(topics_after(0, topics=["a%"])) == ["a%"]
    assert await database.read(topics_after(0, topics=["message.", "az"])) == ["az", "message.sent", "message.executed"]


async def test_an_answer_has_a_limit_and_the_rest_follows(database: Database) -> None:
    await database.write(told(*"abcde"))
    first = await database.read(lambda c: read_events(c, 0, limit=2))
    assert [event.topic for event in first] == ["a", "b"]
    assert await database.read(topics_after(first[-1].id)) == ["c", "d", "e"]


async def test_an_event_of_a_failed_write_never_happened(database: Database) -> None:
    def work(connection: Connection) -> None:
        told("lost")(connection)
        raise KeyError

    with pytest.raises(KeyError):
        await database.write(work)
    assert await database.read(topics_after(0)) == []
    assert await database.read(last_event_id) == 0


async def test_no_events_are_no_statement(database: Database) -> None:
    await database.write(lambda c: append_events(c, []))
    assert await database.read(last_event_id) == 0


async def test_trimming_keeps_the_newest_and_never_uses_an_id_again(database: Database) -> None:
    await database.write(told(*"abcde"))
    last = await database.read(last_event_id)
    assert await database.write(lambda c: trim_events(c, keep=2)) == 3
    assert await database.read(topics_after(0)) == ["d", "e"]
    assert await database.write(lambda c: trim_events(c, keep=2)) == 0
    assert await database.write(lambda c: trim_events(c, keep=0)) == 2
    await database.write(told("f"))
    (event,) = await database.read(lambda c: read_events(c, 0))
    assert event.id > last


async def test_trimming_spares_what_is_recorded_nowhere_else(database: Database) -> None:
    await database.write(told("message.sent", "recovery.sent", "message.sent", "last"))
    assert await database.write(lambda c: trim_events(c, keep=1, spare=["recovery.sent"])) == 2
    assert await database.read(topics_after(0)) == ["recovery.sent", "last"]


async def test_a_listener_beside_many_writers_misses_nothing(shared_url: str) -> None:
    database = await open_database(shared_url)
    seen: list[int] = []
    writing = asyncio.gather(*(database.write(told(f"{n}.a", f"{n}.b")) for n in range(40)))
    while not writing.done() or len(seen) < 80:
        after = seen[-1] if seen else 0
        seen.extend(event.id for event in await database.read(lambda c, a=after: read_events(c, a)))  # type: ignore[misc]
        if writing.done() and await database.read(last_event_id) == (seen[-1] if seen else 0):
            break
    await writing
    assert len(seen) == len(set(seen)) == 80
    await database.close()
