"""Cross-chain messages: `/api/messages`, `/api/messages/{id}`, `/api/lanes`."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request

from seamark.api.names import ChainNames
from seamark.api.parameters import (
    DEFAULT_LIMIT,
    AddressFilter,
    After,
    HashFilter,
    HashPrefix,
    Limit,
    find_chain,
    to_seconds,
)
from seamark.api.ports import MessageFilter, MessageReader
from seamark.api.problems import ParameterError, ProblemError
from seamark.api.times import now_iso
from seamark.api.views import Lanes, MessageDetails, Messages, StageName

__all__ = ["message_routes"]

WHOLE_ID = 66  # 0x and 64 digits
MAX_IDS = 50  # as many as a page asks for at once after a busy second
ChainFilter = Annotated[str | None, Query(max_length=100, examples=["7759470850252068959"])]


def read_filter(  # noqa: PLR0917 - one per filter of the public contract
    request: Request,
    source: Annotated[
        ChainFilter, Query(description="Source chain: settings' key, label, selector or chain id.")
    ] = None,
    destination: Annotated[ChainFilter, Query(description="Destination chain, named in the same ways.")] = None,
    stage: Annotated[list[StageName] | None, Query(description="Where it is now; may be repeated.")] = None,
    sender: Annotated[AddressFilter | None, Query(description="Who sent it.")] = None,
    receiver: Annotated[AddressFilter | None, Query(description="Who gets it.")] = None,
    tx: Annotated[HashFilter | None, Query(description="A transaction of any of its stages.")] = None,
    id: Annotated[  # noqa: A002 - the public name of the parameter
        list[HashPrefix] | None,
        Query(max_length=MAX_IDS, description="Its id or the first digits of it; whole ids may be repeated."),
    ] = None,
    feed: Annotated[str | None, Query(max_length=200, description="The oracle feed that it carries.")] = None,
    since: Annotated[datetime | None, Query(alias="from", description="Sent at this time or later.")] = None,
    until: Annotated[datetime | None, Query(alias="to", description="Sent before this time.")] = None,
    protocol: Annotated[
        str | None, Query(max_length=40, description="What carries it.", examples=["ccip", "hyperlane", "interop"])
    ] = None,
) -> MessageFilter:
    """A dependency: the filters of a search, checked."""
    names: ChainNames = request.app.state.names
    since_s, until_s = to_seconds(since), to_seconds(until)
    if since_s is not None and until_s is not None and since_s >= until_s:
        raise ParameterError("to", "must be later than from")
    ids = tuple(dict.fromkeys(id or ()))
    if len(ids) > 1 and any(len(part) < WHOLE_ID for part in ids):
        raise ParameterError("id", "give whole ids where there is more than one")
    return MessageFilter(
        source=find_chain(names, "source", source),
        destination=find_chain(names, "destination", destination),
        stages=tuple(stage or ()),
        sender=sender,
        receiver=receiver,
        tx=tx,
        ids=ids,
        feed=feed,
        since=since_s,
        until=until_s,
        protocol=protocol,
    )


def message_routes(reader: MessageReader) -> APIRouter:
    router = APIRouter(tags=["messages"])

    @router.get("/messages", response_model=Messages, summary="Messages that match, newest first")
    async def get_messages(
        wanted: Annotated[MessageFilter, Depends(read_filter)], limit: Limit = DEFAULT_LIMIT, cursor: After = None
    ) -> Messages:
        page = await reader.search(wanted, cursor, limit)
        return Messages(now=now_iso(), items=page.items, next=page.next)

    @router.get("/messages/{id}", response_model=MessageDetails, summary="One message with all its evidence")
    async def get_message(
        id: Annotated[HashFilter, Path(description="The message's id.", examples=["0x" + "5a" * 32])],  # noqa: A002
    ) -> MessageDetails:
        found = await reader.find(id)
        if found is None:
            raise ProblemError(HTTPStatus.NOT_FOUND, "no message has this id; it may not have been seen yet")
        return found

    @router.get("/lanes", response_model=Lanes, summary="Each lane and how it is doing")
    async def get_lanes() -> Lanes:
        return Lanes(items=await reader.lanes())

    return router
