"""The contract: complete, described, true."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from pydantic import BaseModel

from seamark.api import views
from tests.support.browser import ServedApi
from tests.unit.api.fakes import Story, hash_of, make_message

Shared = tuple[ServedApi, aiohttp.ClientSession]
pytestmark = pytest.mark.asyncio(loop_scope="module")

PATHS = {
    "/health",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/api/feeds",
    "/api/feeds/{name}/updates",
    "/api/updates",
    "/api/messages",
    "/api/messages/{id}",
    "/api/lanes",
    "/api/events",
    "/api/status",
}


@pytest.fixture
def document(shared: Shared) -> Any:
    return shared[0].app.openapi()


async def test_it_is_served(shared: Shared, document: Any) -> None:
    api, client = shared
    async with client.get(f"{api.url}/openapi.json") as response:
        assert response.content_type == "application/json"
        assert await response.json() == document


async def test_every_path_is_there_and_no_other(document: Any) -> None:
    assert set(document["paths"]) == PATHS


async def test_each_operation_is_named_described_and_typed(document: Any) -> None:
    ids = set()
    for path, operations in document["paths"].items():
        (operation,) = operations.values()
        ids.add(operation["operationId"])
        assert operation["summary"], path
        assert operation["tags"], path
        (content,) = operation["responses"]["200"]["content"].values()
        assert content.get("schema") or content.get("itemSchema"), path
        for parameter in operation.get("parameters", []):
            assert parameter.get("description"), (path, parameter["name"])
    assert len(ids) == len(PATHS)


async def test_errors_are_problem_documents(document: Any) -> None:
    for path, operations in document["paths"].items():
        for status, response in operations["get"]["responses"].items():
            if int(status) >= 400 and path.startswith("/api/"):
                (kind,) = response["content"]
                assert kind == "application/problem+json", (path, status)
    for path in ("/api/messages/{id}", "/api/feeds/{name}/updates"):
        assert "404" in document["paths"][path]["get"]["responses"]


async def test_every_reference_resolves_and_nothing_is_left_over(document: Any) -> None:
    text = str(document)
    assert "HTTPValidationError" not in text
    schemas = document["components"]["schemas"]
    for name in set(find_references(document)):
        assert name in schemas, name
    assert {"Feed", "Message", "MessageDetails", "Event", "Problem"} <= set(schemas)


async def test_events_are_described_as_a_stream(document: Any) -> None:
    content = document["paths"]["/api/events"]["get"]["responses"]["200"]["content"]
    assert list(content) == ["text/event-stream"]


async def test_answers_fit_their_own_schema(shared: Shared) -> None:
    """The models forbid unknown fields, so an answer that validates holds nothing that the contract does not say."""
    api, client = shared
    story: Story = api.story
    await story.publish("ETH/USD", "2000")
    story.messages.put(make_message(1, "failed"))
    wanted: dict[str, type[BaseModel]] = {
        "/api/feeds": views.Feeds,
        "/api/updates": views.Updates,
        "/api/messages": views.Messages,
        f"/api/messages/{hash_of(1)}": views.MessageDetails,
        "/api/lanes": views.Lanes,
        "/api/status": views.Status,
        "/health": views.HealthReport,
        "/health/live": views.Live,
    }
    for path, model in wanted.items():
        async with client.get(f"{api.url}{path}") as response:
            model.model_validate_json(await response.read())


def find_references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"].rpartition("/")[2]] if "$ref" in node else []
        return own + [name for value in node.values() for name in find_references(value)]
    if isinstance(node, list):
        return [name for value in node for name in find_references(value)]
    return []
