"""Alerts: `/api/alerts`, `/api/silences`, and the only things that this API changes: acknowledgements and silences.

There are no accounts yet, so changes are taken from this machine alone, under a name that is given, and never from a
web page of another origin: a browser says where a request comes from, and sends JSON elsewhere only after asking.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Request

from seamark.api.parameters import DEFAULT_LIMIT, After, Limit, to_seconds
from seamark.api.ports import AlertDesk, AlertFilter
from seamark.api.problems import ParameterError, ProblemError
from seamark.api.times import now_iso
from seamark.api.views_alerts import (
    AlertDetails,
    AlertHistory,
    Alerts,
    NewAcknowledgement,
    NewSilence,
    SeverityName,
    Silence,
    Silences,
    Who,
)
from seamark.core.errors import RejectedError
from seamark.monitoring.alerts.model import Matcher
from seamark.monitoring.alerts.store import NoSuchAlert, NoSuchSilence
from seamark.runtime.hosts import is_loopback

__all__ = ["alert_routes"]

MAX_ID = 2**63 - 1
Id = Annotated[int, Path(ge=1, le=MAX_ID, description="Its number.")]
GivenName = Annotated[Who, Query(description="Who does it; kept in the history.")]
_OWN_SITES = ("same-origin", "none")


def refuse_strangers(request: Request) -> None:
    """A dependency of everything that changes something.

    Raises:
        ProblemError: 403, from another machine or a page of another origin.
    """
    client = request.client
    if client is None or not is_loopback(client.host):
        raise ProblemError(
            HTTPStatus.FORBIDDEN,
            "changes are taken from this machine alone, because there are no accounts; use seamark alerts there",
        )
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "none")
    own = f"{request.url.scheme}://{request.headers.get('host', '')}"
    if site not in _OWN_SITES or (origin is not None and origin != own):
        raise ProblemError(HTTPStatus.FORBIDDEN, "a page of another origin may change nothing here")
    if request.method == "POST" and not _is_json(request):
        raise ProblemError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send application/json")


def _is_json(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def read_filter(
    state: Annotated[Literal["open", "resolved", "all"], Query(description="Which of them.")] = "open",
    severity: Annotated[list[SeverityName] | None, Query(description="May be repeated.")] = None,
    kind: Annotated[str, Query(max_length=100, description="Its kind; * and ? stand for anything.")] = "",
    group: Annotated[str, Query(max_length=200, description="Its group; * and ? stand for anything.")] = "",
    since: Annotated[datetime | None, Query(alias="from", description="Opened or resolved then or later.")] = None,
) -> AlertFilter:
    """A dependency: the filters of a search."""
    is_open = {"open": True, "resolved": False, "all": None}[state]
    return AlertFilter(is_open, tuple(severity or ()), kind, group, to_seconds(since))


def alert_routes(desk: AlertDesk) -> APIRouter:
    router = APIRouter(tags=["alerts"])
    changes = [Depends(refuse_strangers)]

    @router.get("/alerts", response_model=Alerts, summary="Alerts that match, newest first")
    async def get_alerts(
        wanted: Annotated[AlertFilter, Depends(read_filter)], limit: Limit = DEFAULT_LIMIT, cursor: After = None
    ) -> Alerts:
        page = await desk.search(wanted, cursor, limit)
        return Alerts(now=now_iso(), items=page.items, next=page.next)

    @router.get("/alerts/history", response_model=AlertHistory, summary="What was done about alerts, and by whom")
    async def get_alert_history(
        since: Annotated[datetime | None, Query(alias="from", description="Done then or later.")] = None,
        limit: Limit = DEFAULT_LIMIT,
    ) -> AlertHistory:
        return AlertHistory(items=await desk.history(to_seconds(since), limit))

    @router.get("/alerts/{id}", response_model=AlertDetails, summary="One alert and all that happened to it")
    async def get_alert(id: Id) -> AlertDetails:  # noqa: A002 - the public name
        return await _find(desk, id)

    @router.post(
        "/alerts/{id}/acknowledgement", response_model=AlertDetails, dependencies=changes, summary="Say who has it"
    )
    async def post_acknowledgement(id: Id, wish: NewAcknowledgement) -> AlertDetails:  # noqa: A002
        with _told_as_problems():
            await desk.acknowledge(id, wish.who, wish.why, wish.seconds)
        return await _find(desk, id)

    @router.delete(
        "/alerts/{id}/acknowledgement", response_model=AlertDetails, dependencies=changes, summary="Nobody has it"
    )
    async def delete_acknowledgement(id: Id, who: GivenName) -> AlertDetails:  # noqa: A002
        with _told_as_problems():
            await desk.unacknowledge(id, who)
        return await _find(desk, id)

    @router.get("/silences", response_model=Silences, summary="Silences that hold")
    async def get_silences(
        ended: Annotated[bool, Query(description="Also those that are over.")] = False,
    ) -> Silences:
        return Silences(items=await desk.silences(ended=ended))

    @router.post("/silences", response_model=Silence, dependencies=changes, summary="Silence what matches")
    async def post_silence(wish: NewSilence) -> Silence:
        matchers = [_matcher(text) for text in wish.matchers]
        return await desk.silence(matchers, wish.who, wish.why, wish.seconds)

    @router.delete("/silences/{id}", response_model=Silence, dependencies=changes, summary="End a silence")
    async def delete_silence(id: Id, who: GivenName) -> Silence:  # noqa: A002
        with _told_as_problems():
            return await desk.unsilence(id, who)

    return router


async def _find(desk: AlertDesk, alert_id: int) -> AlertDetails:
    found = await desk.find(alert_id)
    if found is None:
        raise ProblemError(HTTPStatus.NOT_FOUND, "no alert has this number")
    return found


@contextmanager
def _told_as_problems() -> Iterator[None]:
    """Unknown numbers are 404, what is over already 409."""
    try:
        yield
    except (NoSuchAlert, NoSuchSilence) as error:
        raise ProblemError(HTTPStatus.NOT_FOUND, error.message) from error
    except RejectedError as error:
        raise ProblemError(HTTPStatus.CONFLICT, str(error)) from error


def _matcher(text: str) -> Matcher:
    try:
        return Matcher.parse(text)
    except ValueError as error:
        raise ParameterError("matchers", str(error)) from error
