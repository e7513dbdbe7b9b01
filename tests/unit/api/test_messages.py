"""/api/messages: filters, cursors, details, lanes."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from tests.support.browser import ServedApi
from tests.unit.api.fakes import AWAY, HOME, RECEIVER, SENDER, Story, hash_of, make_message


async def get(client: aiohttp.ClientSession, api: ServedApi, path: str, status: int = 200) -> Any:
    async with client.get(f"{api.url}{path}") as response:
        assert response.status == status, await response.text()
        return await response.json()


async def sequences(client: aiohttp.ClientSession, api: ServedApi, query: str) -> list[int]:
    return [int(item["sequence"]) for item in (await get(client, api, f"/api/messages?{query}"))["items"]]


@pytest.fixture
def stages(story: Story) -> None:
    for number, stage in enumerate(("sent", "finalized", "committed", "failed", "executed", "retracted"), start=1):
        story.messages.put(make_message(number, stage, sent_ms=1_700_000_000_000 + number * 60_000))


async def test_empty(api: ServedApi, client: aiohttp.ClientSession) -> None:
    body = await get(client, api, "/api/messages")
    assert body["items"] == []
    assert body["next"] is None


async def test_numbers_that_exceed_a_double_are_text(
    api: ServedApi, story: Story, client: aiohttp.ClientSession
) -> None:
    story.messages.put(make_message(1, sequence=str(2**64 - 1)))
    (item,) = (await get(client, api, "/api/messages"))["items"]
    assert item["sequence"] == "18446744073709551615"
    assert item["lane"]["source"]["selector"] == str(HOME.selector)
    assert item["fee"]["amount"] == "41200000000000000"
    assert item["sender"] == "0x5FbDB2315678afecb367f032d93F642f64180aa3"


@pytest.mark.usefixtures("stages")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("stage=sent", [1]),
        ("stage=sent&stage=failed", [4, 1]),
        ("stage=retracted", [6]),
        (f"source={HOME.key}", [6, 5, 4, 3, 2, 1]),
        (f"source={HOME.selector}&destination={AWAY.selector}", [6, 5, 4, 3, 2, 1]),
        (f"source={AWAY.selector}", []),
        ("source=chain%20138", [6, 5, 4, 3, 2, 1]),
        ("destination=31337", [6, 5, 4, 3, 2, 1]),
        ("source=42", []),
        (f"sender={SENDER}", [6, 5, 4, 3, 2, 1]),
        (f"sender={SENDER.upper().replace('X', 'x')}", [6, 5, 4, 3, 2, 1]),
        (f"sender={RECEIVER}", []),
        (f"receiver={RECEIVER}", [6, 5, 4, 3, 2, 1]),
        (f"tx={hash_of(53, 'c')}", [5]),
        (f"id={hash_of(3)}", [3]),
        (f"id={hash_of(3)[:12]}", [3]),
        (f"id={hash_of(3)}&id={hash_of(5)}", [5, 3]),
        ("feed=ETH/USD", [6, 5, 4, 3, 2, 1]),
        ("feed=none", []),
        ("from=2023-11-14T22:16:20Z", [6, 5, 4, 3]),
        ("to=2023-11-14T22:16:20Z", [2, 1]),
        ("from=2023-11-14T22:15:20&to=2023-11-14T22:16:20", [2]),
        ("stage=executed&sender=" + RECEIVER, []),
    ],
)
async def test_filters(api: ServedApi, client: aiohttp.ClientSession, query: str, expected: list[int]) -> None:
    assert await sequences(client, api, query) == expected


async def test_turning_all_pages_shows_each_row_once_while_new_ones_arrive(
    api: ServedApi, story: Story, client: aiohttp.ClientSession
) -> None:
    for number in range(1, 48):
        story.messages.put(make_message(number))
    seen: list[int] = []
    cursor = ""
    while True:
        body = await get(client, api, f"/api/messages?limit=7{cursor}")
        seen += [int(item["sequence"]) for item in body["items"]]
        story.messages.put(make_message(1000 + len(seen)))
        if body["next"] is None:
            break
        cursor = f"&cursor={body['next']}"
    assert seen == list(range(47, 0, -1))


async def test_details_hold_all_evidence(api: ServedApi, story: Story, client: aiohttp.ClientSession) -> None:
    story.messages.put(make_message(7, "failed"))
    body = await get(client, api, f"/api/messages/{hash_of(7).upper().replace('X', 'x')}")
    assert [stage["name"] for stage in body["stages"]] == ["sent", "finalized", "committed", "executed"]
    assert [stage["seconds"] for stage in body["stages"]] == [0, 2, 3, 1]
    assert body["stages"][3]["state"] == "failed"
    assert body["total_seconds"] == 6
    assert body["failure"]["kind"] == "receiver_reverted"
    assert len(body["sightings"]) == 3
    assert [step["after"] for step in body["transitions"]] == ["sent", "finalized", "committed", "executed"]


async def test_an_unknown_id_is_a_problem(api: ServedApi, client: aiohttp.ClientSession) -> None:
    async with client.get(f"{api.url}/api/messages/{hash_of(9)}") as response:
        assert response.status == 404
        assert response.content_type == "application/problem+json"
        assert (await response.json())["title"] == "Not Found"


@pytest.mark.usefixtures("stages")
async def test_lanes(api: ServedApi, client: aiohttp.ClientSession) -> None:
    (lane,) = (await get(client, api, "/api/lanes"))["items"]
    assert lane["total"] == 6
    assert lane["stages"]["failed"] == 1
    assert lane["lane"]["destination"]["label"] == AWAY.label
