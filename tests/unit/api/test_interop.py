"""Incidents of interop over HTTP: what is stored is shown, and the open one can be closed from this machine."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from seamark.api.readers.interop import StoredIncidents
from seamark.messages.protocols.op_interop.store import list_incidents
from tests.support.browser import opened_story, serving
from tests.support.interop import Bed, executing, initiating

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
