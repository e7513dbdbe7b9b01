"""What the routes need from the capabilities, and the words they ask with. `seamark.api.readers` implements it on their
stores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from seamark.api.names import ChainName
from seamark.api.views import Chain, ChainState, Feed, LaneState, Message, MessageDetails, Update

__all__ = ["ChainStates", "FeedReader", "MessageFilter", "MessageReader", "Page", "Position", "chain_view"]

T = TypeVar("T")
ChainStates = Callable[[], Sequence[ChainState]]


@dataclass(frozen=True, slots=True)
class Position:
    """The row after which a page starts, in descending order of (time, tie-breaker).

    Both never change for a row once stored, so rows that arrive while somebody turns pages move nothing.
    """

    at: int
    key: str


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows and where the next page starts; None at the end."""

    items: list[T]
    next: Position | None


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """Which messages; an empty field does not filter. Addresses and hashes lower case, times in ms, `until`
    exclusive.
    """

    source: ChainName | None = None
    destination: ChainName | None = None
    stages: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    sender: str | None = None
    receiver: str | None = None
    tx: str | None = None
    ids: tuple[str, ...] = ()
    feed: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None


class FeedReader(Protocol):
    """Prices."""

    async def feeds(self) -> list[Feed]: ...

    async def updates(self, feed: str | None, after: Position | None, limit: int) -> Page[Update]:
        """Publications of one feed or all, newest first."""
        ...

    async def has_feed(self, name: str) -> bool: ...


class MessageReader(Protocol):
    """Messages."""

    async def search(self, wanted: MessageFilter, after: Position | None, limit: int) -> Page[Message]: ...

    async def find(self, message_id: str) -> MessageDetails | None: ...

    async def lanes(self) -> list[LaneState]: ...


def chain_view(chain: ChainName) -> Chain:
    return Chain(
        key=chain.key,
        label=chain.label,
        chain_id=chain.chain_id,
        selector=None if chain.selector is None else str(chain.selector),
    )
