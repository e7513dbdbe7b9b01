"""Prices: `/api/feeds`, `/api/feeds/{name}/updates`, `/api/updates`."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path

from seamark.api.parameters import DEFAULT_LIMIT, After, Limit
from seamark.api.ports import FeedReader
from seamark.api.problems import ProblemError
from seamark.api.times import now_iso
from seamark.api.views import Feeds, Updates

__all__ = ["feed_routes"]

FeedName = Annotated[str, Path(description="The feed's name in the settings.", max_length=200, examples=["eth-usd"])]


def feed_routes(reader: FeedReader) -> APIRouter:
    router = APIRouter(tags=["prices"])

    @router.get("/feeds", response_model=Feeds, summary="Each feed on all its chains")
    async def get_feeds() -> Feeds:
        return Feeds(now=now_iso(), items=await reader.feeds())

    @router.get("/feeds/{name:path}/updates", response_model=Updates, summary="What one feed published, newest first")
    async def get_feed_updates(name: FeedName, limit: Limit = DEFAULT_LIMIT, cursor: After = None) -> Updates:
        if not await reader.has_feed(name):
            raise ProblemError(HTTPStatus.NOT_FOUND, f"no feed is called {name[:80]!r}; /api/feeds lists them")
        page = await reader.updates(name, cursor, limit)
        return Updates(items=page.items, next=page.next)

    @router.get("/updates", response_model=Updates, summary="What all feeds published, newest first")
    async def get_updates(limit: Limit = DEFAULT_LIMIT, cursor: After = None) -> Updates:
        page = await reader.updates(None, cursor, limit)
        return Updates(items=page.items, next=page.next)

    return router
