"""Alerts over HTTP: what is shown is what is stored, and who may change what."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from seamark.api import views_alerts
from seamark.api.readers import StoredAlerts
from seamark.core.findings import Severity
from seamark.monitoring.alerts import store
from seamark.storage.database import Database, open_database
from seamark.storage.events import read_events
from tests.support.browser import opened_story, serving
from tests.unit.api.test_openapi import find_references
from tests.unit.monitoring.makers import finding

ANN = {"who": "ann"}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[str, aiohttp.ClientSession, Database, Any]]:
    """The API over a real store; everything else is fakes."""
    async with opened_story(tmp_path) as story, aiohttp.ClientSession() as client:
        database = await open_database(f"sqlite:///{tmp_path / 'alerts.db'}")
        async with serving(story, alerts=StoredAlerts(database)) as api:
            yield f"{api.url}/api", client, database, api.app
        await database.close()


Served = tuple[str, aiohttp.ClientSession, Database, Any]


async def report(database: Database, *findings: Any) -> None:
    now_ms = int(time.time() * 1000)
    await database.write(lambda c: store.report(c, "judge", findings, now_ms))


async def get(served: Served, path: str, status: int = 200) -> Any:
    async with served[1].get(f"{served[0]}{path}") as response:
        assert response.status == status, await response.text()
        return await response.json()


async def change(served: Served, method: str, path: str, body: Any = None, status: int = 200, **headers: str) -> Any:
    async with served[1].request(method, f"{served[0]}{path}", json=body, headers=headers) as response:
        assert response.status == status, await response.text()
        return await response.json()


async def test_open_alerts_newest_first_with_pages(served: Served) -> None:
    await report(served[2], *(finding(subject=str(n)) for n in range(5)))
    page = await get(served, "/alerts?limit=3")
    assert [item["subject"] for item in page["items"]] == ["4", "3", "2"]
    rest = await get(served, f"/alerts?limit=3&cursor={page['next']}")
    assert [item["subject"] for item in rest["items"]] == ["1", "0"]
    assert rest["next"] is None


async def test_filters(served: Served) -> None:
    await report(served[2], finding("feed_stale", "a", group="eth"), finding("cursed", "b", severity=Severity.CRITICAL))
    await report(served[2], finding("cursed", "b", severity=Severity.CRITICAL))

    async def subjects(query: str) -> list[str]:
        return [item["subject"] for item in (await get(served, f"/alerts?{query}"))["items"]]

    assert await subjects("") == ["b"]
    assert await subjects("state=resolved") == ["a"]
    assert set(await subjects("state=all")) == {"a", "b"}
    assert await subjects("state=all&kind=feed_*") == ["a"]
    assert await subjects("state=all&group=et?") == ["a"]
    assert await subjects("state=all&severity=critical&severity=info") == ["b"]
    assert await subjects("state=all&from=2100-01-01T00:00:00Z") == []
    assert "did you mean kind?" in (await get(served, "/alerts?knd=x", 422))["detail"]
    assert (await get(served, "/alerts?cursor=zzz", 422))["errors"][0]["parameter"] == "cursor"


async def test_an_alert_with_its_history(served: Served) -> None:
    await report(served[2], finding(count=3, labels={"source": "besu"}, since=1_700_000_000))
    alert = await get(served, "/alerts/1")
    views_alerts.AlertDetails.model_validate(alert)
    assert (alert["state"], alert["count"], alert["since"]) == ("firing", 3, "2023-11-14T22:13:20.000Z")
    assert [entry["action"] for entry in alert["history"]] == ["opened"]
    assert alert["notices"] == []
    assert (await get(served, "/alerts/2", 404))["detail"] == "no alert has this number"


async def test_somebody_has_it_and_gives_it_back(served: Served) -> None:
    await report(served[2], finding())
    body = {"who": "ann", "why": "on it", "seconds": 3600}
    alert = await change(served, "POST", "/alerts/1/acknowledgement", body)
    assert alert["state"] == "acknowledged"
    assert (alert["acknowledged"]["who"], alert["acknowledged"]["why"]) == ("ann", "on it")
    assert alert["acknowledged"]["until"] is not None
    alert = await change(served, "DELETE", "/alerts/1/acknowledgement?who=bob")
    assert (alert["state"], alert["acknowledged"]) == ("firing", None)
    assert [(entry["action"], entry["who"]) for entry in alert["history"][:2]] == [
        ("unacknowledged", "bob"),
        ("acknowledged", "ann"),
    ]
    everything = await get(served, "/alerts/history")
    assert [entry["action"] for entry in everything["items"]] == ["unacknowledged", "acknowledged", "opened"]
    events = await served[2].read(lambda c: read_events(c, 0, topics=["alert."]))
    assert [event.topic for event in events] == ["alert.opened", "alert.acknowledged", "alert.unacknowledged"]


async def test_what_cannot_be_acknowledged(served: Served) -> None:
    await change(served, "POST", "/alerts/1/acknowledgement", ANN, 404)
    await report(served[2], finding())
    await report(served[2])
    problem = await change(served, "POST", "/alerts/1/acknowledgement", ANN, 409)
    assert "is resolved" in problem["detail"]
    for wrong in ({}, {"who": ""}, {"who": "x", "seconds": 1}, {"who": "x", "colour": "red"}):
        await change(served, "POST", "/alerts/1/acknowledgement", wrong, 422)


async def test_silences(served: Served) -> None:
    await report(served[2], finding())
    wish = {"matchers": ["kind=message_*", "group=besu*"], "seconds": 600, "who": "ann", "why": "upgrade"}
    silence = await change(served, "POST", "/silences", wish)
    views_alerts.Silence.model_validate(silence)
    assert silence["active"]
    alert = await get(served, "/alerts/1")
    assert (alert["state"], alert["silenced_by"]) == ("silenced", silence["id"])
    assert (await get(served, "/silences"))["items"] == [silence]
    ended = await change(served, "DELETE", f"/silences/{silence['id']}?who=bob")
    assert (ended["active"], ended["ended_by"]) == (False, "bob")
    assert (await get(served, "/silences"))["items"] == []
    assert (await get(served, "/silences?ended=true"))["items"] == [ended]
    assert (await get(served, "/alerts/1"))["state"] == "firing"
    await change(served, "DELETE", f"/silences/{silence['id']}?who=bob", status=409)
    await change(served, "DELETE", "/silences/77?who=bob", status=404)
    for wrong in (
        {**wish, "matchers": ["colour=red"]},
        {**wish, "matchers": []},
        {**wish, "why": ""},
        {**wish, "seconds": 5},
    ):
        await change(served, "POST", "/silences", wrong, 422)


async def test_a_page_of_another_origin_changes_nothing(served: Served) -> None:
    await report(served[2], finding())
    path = "/alerts/1/acknowledgement"
    await change(served, "POST", path, ANN, 403, Origin="https://evil.example")
    await change(served, "POST", path, ANN, 403, **{"Sec-Fetch-Site": "cross-site"})
    await change(served, "DELETE", f"{path}?who=x", None, 403, Origin="null")
    plain = {"Content-Type": "text/plain"}
    async with served[1].post(f"{served[0]}{path}", data='{"who": "x"}', headers=plain) as response:
        assert response.status == 415
    assert (await get(served, "/alerts/1"))["state"] == "firing"
    own = served[0].removesuffix("/api")
    await change(served, "POST", path, ANN, 200, Origin=own, **{"Sec-Fetch-Site": "same-origin"})


async def test_changes_are_taken_from_this_machine_alone(served: Served) -> None:
    """Asked through the application, because a test has no other machine."""
    sent: list[Any] = []
    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "path": "/api/alerts/1/acknowledgement",
        "root_path": "",
        "raw_path": b"", "query_string": b"", "scheme": "http", "client": ("10.0.0.9", 1), "server": ("127.0.0.1", 80),
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
    }  # fmt: skip

    async def receive() -> Any:
        return {"type": "http.request", "body": b'{"who": "x"}', "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await served[3](scope, receive, send)
    assert sent[0]["status"] == 403
    assert b"this machine alone" in sent[1]["body"]


async def test_the_contract_describes_all_of_it(served: Served) -> None:
    document = served[3].openapi()
    paths = {path for path in document["paths"] if "alert" in path or "silence" in path}
    assert paths == {
        "/api/alerts", "/api/alerts/history", "/api/alerts/{id}", "/api/alerts/{id}/acknowledgement",
        "/api/silences", "/api/silences/{id}",
    }  # fmt: skip
    for path in paths:
        for operation in document["paths"][path].values():
            assert operation["summary"]
            assert operation["tags"] == ["alerts"]
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"], (path, status)
    schemas = document["components"]["schemas"]
    assert set(find_references(document)) <= set(schemas)
