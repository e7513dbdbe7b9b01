"""/api/feeds and publications."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from tests.support.browser import ServedApi
from tests.unit.api.fakes import Story


async def get(client: aiohttp.ClientSession, api: ServedApi, path: str, status: int = 200) -> Any:
    async with client.get(f"{api.url}{path}") as response:
        assert response.status == status, await response.text()
        return await response.json()


async def test_a_feed_on_both_chains(api: ServedApi, story: Story, client: aiohttp.ClientSession) -> None:
    await story.publish("ETH/USD", "2000.00", carried=True)
    await story.publish("ETH/USD", "2020.00")
    (feed,) = (await get(client, api, "/api/feeds"))["items"]
    assert feed["name"] == "ETH/USD"
    assert feed["source"]["price"] == "2020.00"
    assert feed["source"]["answer"] == "202000000000"
    assert feed["source"]["round"] == "2"
    assert feed["source"]["age_seconds"] >= 0
    (remote,) = feed["destinations"]
    assert remote["price"] == "2000.00"
    assert remote["rounds_behind"] == 1
    assert remote["drift_percent"] == "-0.9901"
    assert feed["last_update"]["change_percent"] == "1.0000"
    assert [point["price"] for point in feed["history"]] == ["2000.00", "2020.00"]
    assert feed["heartbeat_seconds"] == 60


async def test_prices_are_text_so_that_no_digit_is_lost(
    api: ServedApi, story: Story, client: aiohttp.ClientSession
) -> None:
    await story.publish("WEI/USD", "0.000000000000000001234567890123456789")
    (feed,) = (await get(client, api, "/api/feeds"))["items"]
    assert feed["source"]["price"] == "0.000000000000000001234567890123456789"


@pytest.mark.parametrize("name", ["ETH/USD", "ETH%2FUSD"])
async def test_updates_of_one_feed(api: ServedApi, story: Story, client: aiohttp.ClientSession, name: str) -> None:
    await story.publish("ETH/USD", "2000")
    await story.publish("BTC/USD", "90000")
    await story.publish("ETH/USD", "2001", reason="heartbeat")
    body = await get(client, api, f"/api/feeds/{name}/updates")
    assert [(item["price"], item["reason"]) for item in body["items"]] == [("2001", "heartbeat"), ("2000", "first")]


async def test_updates_of_an_unknown_feed(api: ServedApi, client: aiohttp.ClientSession) -> None:
    body = await get(client, api, "/api/feeds/nope/updates", 404)
    assert "no feed is called 'nope'" in body["detail"]


async def test_all_updates_page_by_page(api: ServedApi, story: Story, client: aiohttp.ClientSession) -> None:
    for number in range(23):
        await story.publish("ETH/USD" if number % 2 else "BTC/USD", str(1000 + number))
    seen: list[str] = []
    cursor = ""
    while True:
        body = await get(client, api, f"/api/updates?limit=5{cursor}")
        seen += [item["price"] for item in body["items"]]
        if body["next"] is None:
            break
        cursor = f"&cursor={body['next']}"
        await story.publish("ETH/USD", str(5000 + len(seen)))
    assert seen == [str(price) for price in range(1022, 999, -1)]


@pytest.mark.parametrize("path", ["/api/feeds?name=ETH", "/api/lanes?x=1", "/api/status?verbose=1"])
async def test_a_parameter_where_there_are_none_is_an_error(
    api: ServedApi, client: aiohttp.ClientSession, path: str
) -> None:
    body = await get(client, api, path, 422)
    assert "known here: none" in body["detail"]
