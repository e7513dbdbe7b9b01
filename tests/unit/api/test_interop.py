"""Interop over HTTP: incidents are shown, and the open one can be closed from this machine; executing messages are
listed, shown and counted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from seamark.api.readers.interop import StoredIncidents
from seamark.api.readers.interop_messages import StoredExecuting
from seamark.messages.protocols.op_interop.store import list_incidents
from tests.support.browser import opened_story, serving
from tests.support.interop import Bed, executing, initiating
from tests.unit.api.fakes import NAMES

WISH = {"who": "ann", "why": "block replaced"}


@pytest.mark.timeout(60)  # a busy machine takes a while to build the API
async def test_an_incident_is_shown_and_closed_once_by_a_person(tmp_path: Path) -> None:
    bed = Bed(901, 902)
    bed[902].mine(executing(bed[901].mine(initiating()), log_index=4))
    await bed.follow()
    desk = StoredIncidents(bed.database, bed.clock.now)
    async with (
        opened_story(tmp_path) as story,
        serving(story, incidents=desk) as api,
        aiohttp.ClientSession() as client,
    ):
        url = f"{api.url}/api/interop/incidents"

        async def close(number: int, body: dict[str, str], **headers: str) -> int:
            async with client.post(f"{url}/{number}/closing", json=body, headers=headers) as response:
                return response.status

        async with client.get(f"{url}?open=true") as response:
            (item,) = (await response.json())["items"]
        assert (item["id"], item["messages"], item["closed_at"], item["calls"]) == (1, 1, None, [])
        assert await close(1, WISH, Origin="http://evil.example") == 403
        assert await close(1, {"who": "ann", "why": " "}) == 422
        assert await close(2, WISH) == 409, "another one than is open"
        assert await close(1, WISH) == 200
        assert await close(1, WISH) == 409, "it is closed"
        async with client.get(url) as response:
            (item,) = (await response.json())["items"]
        assert (item["closed_by"], item["why"]) == ("ann", "block replaced")
    (stored,) = await bed.database.read(list_incidents)
    assert stored.closed_by == "ann"


class TestExecutingMessages:
    @pytest.mark.timeout(60)
    async def test_they_are_listed_filtered_shown_and_counted(self, tmp_path: Path) -> None:
        bed = Bed(901, 902)
        log = bed[901].mine(initiating())
        bed[902].mine(executing(log), executing(log, log_index=9), executing(log, chain_id=2**200))
        await bed.follow()
        reader = StoredExecuting(bed.database, NAMES)
        async with (
            opened_story(tmp_path) as story,
            serving(story, executing=reader) as api,
            aiohttp.ClientSession() as client,
        ):

            async def get(path: str) -> tuple[int, Any]:
                async with client.get(f"{api.url}/api/interop/{path}") as response:
                    return response.status, await response.json()

            _, page = await get("messages?limit=2")
            _, rest = await get(f"messages?limit=2&cursor={page['next']}")
            assert rest["next"] is None
            assert {item["status"] for item in [*page["items"], *rest["items"]]} == {"valid", "invalid"}
            _, found = await get("messages?status=invalid&executing=902&initiating=901")
            (item,) = found["items"]
            assert (item["rule"], item["detail"]) == ("no_log", "there is no log 9 of block 1")
            assert item["executing"]["chain"]["chain_id"] == 902
            assert item["initiating"]["log_index"] == 9
            _, found = await get(f"messages?initiating={2**200}")
            assert found["items"][0]["initiating"]["chain"] == {
                "key": str(2**200),
                "label": f"chain {2**200}",
                "chain_id": None,
                "selector": None,
            }
            assert (await get("messages?retracted=true"))[1]["items"] == []
            _, whole = await get(f"messages/{item['id']}")
            assert {name: value for name, value in whole.items() if name != "history"} == item
            assert [(step["step"], step["rule"]) for step in whole["history"]] == [("invalid", "no_log")]
            _, counts = await get("counts")
            assert counts["totals"] == {
                "unknown": 0,
                "valid": 1,
                "invalid": 2,
                "timestamp_mismatch": 0,
                "expired": 0,
            }
            assert [item["initiating"] and item["initiating"]["chain_id"] for item in counts["items"]] == [
                901,
                901,
                None,
            ]

            async with client.get(f"{api.url}/api/status") as response:
                assert (await response.json())["interop"] is True
            assert (await get("messages/902:0x" + "00" * 32 + ":0"))[0] == 404
            for bad in ("messages/1", "messages?status=bad", "messages?executing=nowhere", "messages?cursor=x"):
                assert (await get(bad))[0] == 422, bad
            assert (await get("messages?exec=902"))[0] == 422, "a filter that does not exist"
