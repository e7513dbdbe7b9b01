"""Puts the routes together. Everything they need comes in as an argument; nothing here reads settings or the
environment.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.types import Scope

from seamark.api.guard import Guard
from seamark.api.health import HealthCache
from seamark.api.live import EventHub
from seamark.api.names import ChainNames
from seamark.api.page import PageFiles
from seamark.api.parameters import refuse_unknown
from seamark.api.ports import AlertDesk, ChainStates, FeedReader, MessageReader, no_chains
from seamark.api.problems import PROBLEM_TYPE, Problem, install_problem_handlers
from seamark.api.routes.alerts import alert_routes
from seamark.api.routes.feeds import feed_routes
from seamark.api.routes.health import health_routes
from seamark.api.routes.interop import IncidentDesk, interop_routes
from seamark.api.routes.interop_messages import ExecutingReader, executing_routes
from seamark.api.routes.join import JoinReader, join_routes
from seamark.api.routes.live import live_routes
from seamark.api.routes.messages import message_routes
from seamark.api.sse import DEFAULT_LIMITS, StreamLimits
from seamark.api.views import Event
from seamark.runtime.events import Signal
from seamark.runtime.health import HealthRegistry
from seamark.storage.database import Database

__all__ = ["create_app"]

_ABOUT = (
    "Prices that Seamark publishes, the cross-chain messages that carry them, and what happens to both, live. "
    "Selectors, sequence numbers, rounds and amounts are strings (they exceed 2**53); prices and percentages are exact "
    "decimals as strings; times are ISO 8601 in UTC; errors are problem documents (RFC 9457). The API only reads, but "
    "for who has an alert and which alerts are silenced."
)
_TAGS = [
    {"name": "prices", "description": "Feeds and what they published."},
    {"name": "messages", "description": "Cross-chain messages from send to final state."},
    {"name": "alerts", "description": "What is wrong now, who has it, and what was told to whom."},
    {"name": "live", "description": "What happens, as it happens."},
    {"name": "operations", "description": "Probes and metrics."},
]
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    422: {"model": Problem, "description": "A parameter is unknown, malformed or out of range."},
    503: {"model": Problem, "description": "Temporarily not available; `Retry-After` says when to come back."},
}
_NOT_FOUND: dict[str, Any] = {
    "description": "There is none.",
    "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def create_app(
    *,
    database: Database,
    feeds: FeedReader,
    messages: MessageReader,
    health: HealthRegistry,
    metrics: Callable[[], bytes],
    signal: Signal,
    names: ChainNames,
    version: str,
    web_root: Path | None,
    chains: ChainStates = no_chains,
    alerts: AlertDesk | None = None,
    incidents: IncidentDesk | None = None,
    executing: ExecutingReader | None = None,
    join: JoinReader | None = None,
    host_names: Collection[str] | None = (),
    limits: StreamLimits = DEFAULT_LIMITS,
) -> FastAPI:
    """The API and the page.

    Args:
        database: Where the event log is.
        feeds: Reads prices.
        messages: Reads messages and lanes.
        health: The checks of this process.
        metrics: Renders the process's metrics in the Prometheus text format.
        signal: Fired whenever something was stored in this process.
        names: The chains, by all their names.
        version: Seamark's own.
        web_root: Folder of the page; None serves the API alone.
        chains: How far each chain has been read, for the header; empty where this process does not know.
        join: Reads rounds across chains; None where no oracle's tables are.
        alerts: Reads alerts, and changes who has them; None leaves their routes out.
        incidents: Reads and closes incidents of interop; None leaves their routes out.
        executing: Reads executing messages of interop; None leaves their routes out.
        host_names: Further names that are answered beside loopback's; None answers any.
        limits: Of live streams.
    """
    app = FastAPI(
        title="Seamark",
        version=version,
        description=_ABOUT,
        openapi_tags=_TAGS,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    hub = EventHub(database, signal)
    app.state.hub = hub
    app.state.names = names
    app.state.cut_off = _let_be
    app.add_middleware(Guard, names=host_names)
    install_problem_handlers(app)
    asked = HealthCache(health)
    app.include_router(health_routes(asked, metrics, version))
    api = APIRouter(prefix="/api", responses=_PROBLEMS, dependencies=[Depends(refuse_unknown)])
    api.include_router(feed_routes(feeds))
    if join is not None:
        api.include_router(join_routes(join))
    api.include_router(message_routes(messages))
    if alerts is not None:
        api.include_router(alert_routes(alerts))
    if incidents is not None:
        api.include_router(interop_routes(incidents))
    if executing is not None:
        api.include_router(executing_routes(executing))
    api.include_router(live_routes(hub, asked, chains, version, limits=limits, interop=executing is not None))
    app.include_router(api)
    if web_root is not None:
        app.mount("/", PageFiles(web_root), name="page")
    _describe(app)
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name


def _let_be(_scope: Scope) -> None:
    """Without a server of ours there is no connection to drop; the response has ended anyway."""


def _describe(app: FastAPI) -> None:
    """Correct the generated document where it differs from what is sent: problems have their own media type."""
    document = app.openapi()
    document["servers"] = [{"url": "/"}]
    schemas = document["components"]["schemas"]
    schemas.setdefault("Event", Event.model_json_schema(ref_template="#/components/schemas/{model}"))
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _correct(path, operation["responses"])


def _correct(path: str, responses: dict[str, Any]) -> None:
    if path == "/api/events":
        responses["200"]["content"].pop("application/json", None)
    if "{" in path:
        responses[str(HTTPStatus.NOT_FOUND.value)] = _NOT_FOUND
    if not path.startswith("/api/"):
        responses.pop("422", None)
        return
    for status, response in responses.items():
        content = response.get("content", {})
        if int(status) >= HTTPStatus.BAD_REQUEST and "application/json" in content:
            content[PROBLEM_TYPE] = content.pop("application/json")
