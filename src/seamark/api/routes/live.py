"""`/api/events`, the live stream, and `/api/status`, what the page's header shows."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response
from starlette.types import Scope

from seamark.api.health import HealthCache
from seamark.api.live import EventHub
from seamark.api.ports import ChainStates
from seamark.api.problems import ParameterError, ProblemError
from seamark.api.sse import EventStream, StreamLimits
from seamark.api.times import now_iso
from seamark.api.views import Event, Status

__all__ = ["live_routes"]

MAX_STREAMS = 500  # each holds a connection; a page opens one
MAX_TOPICS = 20
MAX_ID = 2**63 - 1
_TOPIC = re.compile(r"[a-z0-9_.]{1,60}", re.ASCII)

_STREAM_TEXT = (
    "Server-sent events. Each event has an `id:` and one line of JSON as `data:` (schema Event), and no name, so that "
    "`onmessage` gets it. To resume, send the last id as `Last-Event-ID` or `after`; every event comes once, in order. "
    "Two named events tell where the stream starts: `hello`, and before it `reset` where what was asked for is gone "
    "already. A comment comes every 15 s."
)


def live_routes(
    hub: EventHub,
    health: HealthCache,
    chains: ChainStates,
    version: str,
    *,
    limits: StreamLimits,
    interop: bool = False,
    max_streams: int = MAX_STREAMS,
) -> APIRouter:
    router = APIRouter(tags=["live"])

    @router.get(
        "/events",
        summary="Live events",
        description=_STREAM_TEXT,
        response_class=Response,
        responses={
            200: {
                "content": {"text/event-stream": {"itemSchema": {"$ref": "#/components/schemas/Event"}}},
                "model": Event,
            },
        },
    )
    async def get_events(
        request: Request,
        after: Annotated[int | None, Query(ge=0, le=MAX_ID, description="Id of the last event seen.")] = None,
        topics: Annotated[
            str | None,
            Query(max_length=600, description="Topics or their beginnings, with commas.", examples=["message.,feed."]),
        ] = None,
        last_event_id: Annotated[str | None, Header(max_length=40, description="As `after`; wins over it.")] = None,
    ) -> Response:
        if hub.listeners >= max_streams:
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE, f"{max_streams} listeners are connected: no more", retry_after=10
            )

        def cut_off(scope: Scope) -> None:
            request.app.state.cut_off(scope)

        start = _read_last_id(last_event_id, after)
        return EventStream(hub, after=start, topics=_read_topics(topics), limits=limits, cut_off=cut_off)

    @router.get("/status", response_model=Status, summary="Health, chains and version in one answer")
    async def get_status() -> Status:
        report = await health.report()
        return Status(
            now=now_iso(),
            version=version,
            chains=list(await chains()),
            last_event=hub.position,
            interop=interop,
            **report,
        )

    return router


def _read_last_id(header: str | None, after: int | None) -> int | None:
    if not header:
        return after
    if not (header.isascii() and header.isdigit()) or int(header) > MAX_ID:
        raise ParameterError("Last-Event-ID", "must be the id of an event")
    return int(header)


def _read_topics(text: str | None) -> tuple[str, ...]:
    topics = tuple(part.strip() for part in (text or "").split(",") if part.strip())
    if len(topics) > MAX_TOPICS or not all(_TOPIC.fullmatch(topic) for topic in topics):
        raise ParameterError("topics", f"must be up to {MAX_TOPICS} topics such as message.executed, with commas")
    return topics
