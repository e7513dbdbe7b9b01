"""Rounds across chains: `/api/feeds/{name}/join`."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Protocol

from fastapi import APIRouter, Query

from seamark.api.join_views import FeedJoin
from seamark.api.problems import ProblemError
from seamark.api.routes.feeds import FeedName

__all__ = ["JoinReader", "join_routes"]

DEFAULT_ROUNDS = 20
MAX_ROUNDS = 100


class JoinReader(Protocol):
    """Rounds, the messages that carry them, and where they stand."""

    async def join(self, feed: str, rounds: int) -> FeedJoin | None: ...


def join_routes(reader: JoinReader) -> APIRouter:
    router = APIRouter(tags=["prices"])

    @router.get(
        "/feeds/{name:path}/join",
        response_model=FeedJoin,
        summary="A feed's rounds from the source to every destination",
    )
    async def get_feed_join(
        name: FeedName,
        rounds: Annotated[int, Query(ge=1, le=MAX_ROUNDS, description="How many rounds at most.")] = DEFAULT_ROUNDS,
    ) -> FeedJoin:
        found = await reader.join(name, rounds)
        if found is None:
            raise ProblemError(HTTPStatus.NOT_FOUND, f"no feed {name[:80]!r} has a source here; /api/feeds lists them")
        return found

    return router
