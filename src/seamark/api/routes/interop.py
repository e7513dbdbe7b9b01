"""Incidents of OP Stack interop: `/api/interop/incidents`. Closing one is guarded as acknowledgements are."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Protocol

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from seamark.api.parameters import DEFAULT_LIMIT, Limit
from seamark.api.problems import ProblemError
from seamark.api.routes.alerts import MAX_ID, refuse_strangers
from seamark.api.times import Time
from seamark.api.views import View
from seamark.api.views_alerts import MAX_TEXT, Who

__all__ = ["Closing", "FailsafeCall", "Incident", "IncidentDesk", "Incidents", "interop_routes"]

Id = Annotated[int, Path(ge=1, le=MAX_ID, description="Its number.")]


class FailsafeCall(View):
    """An endpoint took the order to stop."""

    endpoint: str
    at: Time


class Incident(View):
    """From the first invalid message until a person said that it is over."""

    id: int
    opened_at: Time
    message: str = Field(description="The first executing message: chain, block hash, log index.")
    reason: str
    messages: int = Field(description="How many belong to it.")
    calls: list[FailsafeCall] = Field(description="Which endpoints were told to stop.")
    closed_at: Time | None
    closed_by: str
    why: str


class Incidents(View):
    """Newest first."""

    items: list[Incident]


class Closing(BaseModel):
    """Who says that it is over, and why."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    who: Who
    why: Annotated[str, Field(min_length=1, max_length=MAX_TEXT, description="Why it is over; kept on record.")]


class IncidentDesk(Protocol):
    """Incidents, and what people do about them."""

    async def incidents(self, *, only_open: bool, limit: int) -> Sequence[Incident]: ...

    async def close(self, number: int, who: str, why: str) -> Incident | None:
        """The incident as it is closed now; None where it is not the open one."""
        ...


def interop_routes(desk: IncidentDesk) -> APIRouter:
    router = APIRouter(prefix="/interop", tags=["alerts"])

    @router.get("/incidents", response_model=Incidents, summary="Incidents of OP Stack interop, newest first")
    async def get_interop_incidents(
        only_open: Annotated[bool, Query(alias="open", description="Only the one that is open.")] = False,
        limit: Limit = DEFAULT_LIMIT,
    ) -> Incidents:
        return Incidents(items=list(await desk.incidents(only_open=only_open, limit=limit)))

    @router.post(
        "/incidents/{id}/closing",
        response_model=Incident,
        dependencies=[Depends(refuse_strangers)],
        summary="Say that the open incident is over; endpoints stay stopped until a person switches them on",
    )
    async def post_interop_closing(id: Id, wish: Closing) -> Incident:  # noqa: A002 - the public name
        closed = await desk.close(id, wish.who, wish.why)
        if closed is None:
            raise ProblemError(HTTPStatus.CONFLICT, "no incident of this number is open")
        return closed

    return router
