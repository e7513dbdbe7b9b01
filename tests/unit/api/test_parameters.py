"""Parameters that are wrong are named, with what would be right."""

from __future__ import annotations

import aiohttp
import pytest

from tests.support.browser import ServedApi
from tests.unit.api.fakes import hash_of
from tests.unit.api.test_messages import get

Shared = tuple[ServedApi, aiohttp.ClientSession]
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("query", "parameter", "words"),
    [
        ("limt=3", "limt", "did you mean limit?"),
        ("page=3", "page", "unknown parameter"),
        ("limit=0", "limit", "greater than or equal to 1"),
        ("limit=201", "limit", "less than or equal to 200"),
        ("limit=ten", "limit", "valid integer"),
        ("limit=5&limit=6", "limit", "more than once"),
        ("stage=sentt", "stage", "'sent'"),
        ("sender=0x12", "sender", "40 hex digits"),
        ("tx=0x12", "tx", "64 hex digits"),
        ("id=zz", "id", "hex digits"),
        ("id=0x1234&id=0x5678", "id", "whole ids"),
        ("source=nowhere", "source", "known: mainline, anvil"),
        ("source=99999999999999999999999", "source", "no chain"),
        ("from=yesterday", "from", "datetime"),
        ("from=2023-11-14T22:16:20Z&to=2023-11-14T22:16:20Z", "to", "later than from"),
        ("cursor=!!!", "cursor", "next"),
        ("cursor=eHh4", "cursor", "next"),
        ("cursor=" + "a" * 500, "cursor", "400"),
    ],
)
async def test_a_wrong_parameter_is_named(shared: Shared, query: str, parameter: str, words: str) -> None:
    api, client = shared
    body = await get(client, api, f"/api/messages?{query}", 422)
    assert body["errors"][0]["parameter"] == parameter
    assert words in body["detail"]
    assert body["status"] == 422


async def test_more_ids_than_a_page_asks_for_are_refused(shared: Shared) -> None:
    api, client = shared
    query = "&".join(f"id={hash_of(number)}" for number in range(51))
    body = await get(client, api, f"/api/messages?{query}", 422)
    assert body["errors"][0]["parameter"] == "id"


@pytest.mark.parametrize("bad", ["0x12", "abc", "0x" + "g" * 64])
async def test_an_id_that_is_none_is_a_problem(shared: Shared, bad: str) -> None:
    api, client = shared
    body = await get(client, api, f"/api/messages/{bad}", 422)
    assert body["errors"][0]["parameter"] == "id"
