"""The live stream: nothing lost, nothing twice, nobody harmed by a listener that does not read."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import cast

import aiohttp
import pytest

from seamark.api import live
from seamark.api.live import EventHub, encode_event
from seamark.api.sse import StreamLimits
from seamark.core.errors import TemporaryError
from seamark.runtime.events import Signal
from seamark.storage.database import Database
from seamark.storage.events import Event, append_events, last_event_id, trim_events
from tests.support.browser import ServedApi, serving
from tests.unit.api.fakes import Story
from tests.unit.api.streams import EventReader, listening


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(8):
        while not condition():  # noqa: ASYNC110 - the server under test has no event for it
            await asyncio.sleep(0.01)


async def test_an_event_arrives_with_its_id_topic_key_time_and_payload(
    api: ServedApi, story: Story, client: aiohttp.ClientSession
) -> None:
    async with listening(client, api.url) as reader:
        await reader.hello()
        await story.tell("message.sent", "0xab", sequence="18446744073709551615")
        (event,) = await reader.events(1)
    assert event["topic"] == "message.sent"
    assert event["key"] == "0xab"
    assert event["payload"] == {"sequence": "18446744073709551615"}
    assert event["at"].endswith("Z")


async def test_a_new_listener_gets_news_only(api: ServedApi, story: Story, client: aiohttp.ClientSession) -> None:
    await story.tell("a", "old")
    async with listening(client, api.url) as reader:
        hello = await reader.hello()
        assert hello.data["newest"] == 1
        await story.tell("a", "new")
        (event,) = await reader.events(1)
    assert event["key"] == "new"


async def test_resuming_by_last_event_id_loses_nothing_and_repeats_nothing(
    api: ServedApi, story: Story, client: aiohttp.ClientSession
) -> None:
    received: list[int] = []
    done = asyncio.Event()

    async def tell_all() -> None:
        for number in range(200):
            await story.tell("a", str(number))
        done.set()

    telling = asyncio.create_task(tell_all())
    last = "0"
    while len(received) < 200:
        async with listening(client, api.url, **{"Last-Event-ID": last}) as reader:
            for event in await reader.events(min(17, 200 - len(received))):
                received.append(event["id"])
                last = str(event["id"])
    await telling
    assert received == list(range(1, 201))


async def test_after_works_as_last_event_id_and_the_header_wins(
    api: ServedApi, story: Story, client: aiohttp.ClientSession
) -> None:
    for number in range(3):
        await story.tell("a", str(number))
    async with listening(client, api.url, "?after=1") as reader:
        assert [event["id"] for event in await reader.events(2)] == [2, 3]
    async with listening(client, api.url, "?after=0", **{"Last-Event-ID": "2"}) as reader:
        assert [event["id"] for event in await reader.events(1)] == [3]


async def test_topics_filter_by_beginning(api: ServedApi, story: Story, client: aiohttp.ClientSession) -> None:
    async with listening(client, api.url, "?topics=message.,oracle.published") as reader:
        await reader.hello()
        for topic in ("feed.updated", "message.sent", "oracle.planned", "oracle.published"):
            await story.tell(topic, topic)
        assert [event["topic"] for event in await reader.events(2)] == ["message.sent", "oracle.published"]


async def test_a_filtered_listener_still_gets_signs_of_life_that_move_its_id(
    story: Story, client: aiohttp.ClientSession
) -> None:
    async with (
        serving(story, limits=StreamLimits(heartbeat_s=0.05)) as api,
        listening(client, api.url, "?topics=message.") as reader,
    ):
        await reader.hello()
        await story.tell("feed.updated", "x")
        while (await reader.next()).id != 1:
            pass
        assert reader.seen[-1].comment == "heartbeat"


async def test_what_is_no_longer_kept_is_told_by_reset(
    api: ServedApi, story: Story, client: aiohttp.ClientSession
) -> None:
    for number in range(10):
        await story.tell("a", str(number))
    await story.database.write(lambda connection: trim_events(connection, keep=3))
    async with listening(client, api.url, "?after=2") as reader:
        await reader.hello()
    names = [frame.name for frame in reader.seen]
    assert names == ["", "reset", "hello"]
    assert reader.seen[1].data == {"oldest": 8, "newest": 10}
    async with listening(client, api.url, "?after=7") as reader:
        assert [event["id"] for event in await reader.events(3)] == [8, 9, 10]
        assert "reset" not in [frame.name for frame in reader.seen]


async def test_an_id_of_the_future_is_told_by_reset(api: ServedApi, client: aiohttp.ClientSession) -> None:
    async with listening(client, api.url, "?after=999") as reader:
        assert (await reader.hello()).data == {"after": 0, "newest": 0}
    assert [frame.name for frame in reader.seen] == ["", "reset", "hello"]


@pytest.mark.parametrize("bad", ["x", "-1", "1e3", "99999999999999999999"])
async def test_a_last_event_id_that_is_none_is_refused(api: ServedApi, client: aiohttp.ClientSession, bad: str) -> None:
    async with client.get(f"{api.url}/api/events", headers={"Last-Event-ID": bad}) as response:
        assert response.status == 422
        assert (await response.json())["errors"][0]["parameter"] == "Last-Event-ID"


async def test_topics_that_are_none_are_refused(api: ServedApi, client: aiohttp.ClientSession) -> None:
    async with client.get(f"{api.url}/api/events?topics=a%27;drop") as response:
        assert response.status == 422


async def test_streams_end_when_the_service_stops_and_it_stops_fast(
    story: Story, client: aiohttp.ClientSession
) -> None:
    async with serving(story) as api:
        readers: list[EventReader] = []
        responses = [await client.get(f"{api.url}/api/events") for _ in range(5)]
        for response in responses:
            reader = EventReader(response)
            await reader.hello()
            readers.append(reader)
        async with asyncio.timeout(2):
            await api.stop()
        for reader in readers:
            await reader.end()
            reader.response.close()


async def test_a_listener_that_left_is_forgotten(api: ServedApi, client: aiohttp.ClientSession) -> None:
    async with listening(client, api.url) as reader:
        await reader.hello()
        assert api.app.state.hub.listeners == 1
    await until(lambda: api.app.state.hub.listeners == 0)


async def test_a_listener_that_does_not_read_is_cut_off_and_the_others_go_on(
    story: Story, client: aiohttp.ClientSession
) -> None:
    limits = StreamLimits(send_timeout_s=0.2)
    async with serving(story, limits=limits) as api:
        stuck = socket.socket()
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.connect(api.service.address)
        stuck.sendall(b"GET /api/events?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with listening(client, api.url, "?after=0") as reader:
            await reader.hello()
            async with asyncio.timeout(8):
                await until(lambda: api.app.state.hub.listeners == 2)
                number = 0
                while api.app.state.hub.listeners == 2:
                    await story.tell("a", str(number), padding="x" * 200_000)
                    await reader.events(1)
                    number += 1
            assert api.app.state.hub.listeners == 1
            await story.tell("a", "last")
            assert (await reader.events(1))[0]["key"] == "last"
        stuck.close()


async def test_the_hub_keeps_a_bounded_ring_and_serves_the_rest_from_the_log(story: Story) -> None:
    hub = EventHub(story.database, Signal(), ring=10, poll=0.01)
    running = asyncio.create_task(hub.run())
    try:
        await hub.ready()
        events = [Event("a", str(number), {}) for number in range(1234)]
        await story.database.write(lambda connection: append_events(connection, events))
        seen: list[int] = []
        async with asyncio.timeout(5):
            async for _, frames in hub.follow(0, (), idle=1):
                seen += [frame.id for frame in frames]
                if len(seen) >= 1234:
                    break
        assert seen == list(range(1, 1235))
        assert len(hub._frames) == 10
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_the_hub_survives_a_database_that_is_away(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "BROKEN_PAUSE_S", 0.01)
    failures = 3
    real = story.database.read

    class Flaky:
        url = ""

        async def read(self, work):
            nonlocal failures
            if failures:
                failures -= 1
                raise TemporaryError("away")
            return await real(work)

    hub = EventHub(cast("Database", Flaky()), Signal(), poll=0.01)
    running = asyncio.create_task(hub.run())
    async with asyncio.timeout(5):
        await hub.ready()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert failures == 0


def test_a_frame_is_one_line_of_json_whatever_the_payload_holds() -> None:
    frame = encode_event(Event("a.b", "k", {"text": "two\nlines\r\n\n"}, id=7, at_ms=1_700_000_000_001))
    head, data, *rest = frame.data.decode().split("\n")
    assert head == "id: 7"
    assert data.startswith('data: {"id":7,"topic":"a.b","key":"k","at":"2023-11-14T22:13:20.001Z"')
    assert rest == ["", ""]


async def test_too_many_listeners_are_told_to_come_back(story: Story, client: aiohttp.ClientSession) -> None:
    async with serving(story) as api:
        api.app.state.hub.listeners = 500
        async with client.get(f"{api.url}/api/events") as response:
            assert response.status == 503
            assert response.headers["Retry-After"] == "10"
        api.app.state.hub.listeners = 0
    assert await story.database.read(last_event_id) == 0
