"""What the routes need, and the words they ask with; `seamark.api.readers` implements it on the capabilities'
stores.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from seamark.api.names import ChainName
from seamark.api.views import Chain, ChainState, Feed, LaneState, Message, MessageDetails, StageName, Update
from seamark.api.views_alerts import Alert, AlertDetails, HistoryEntry, Silence
from seamark.monitoring.alerts.model import Matcher

__all__ = [
    "AlertDesk",
    "AlertFilter",
    "ChainStates",
    "FeedReader",
    "MessageFilter",
    "MessageReader",
    "Page",
    "chain_view",
    "no_chains",
]

T = TypeVar("T")
ChainStates = Callable[[], Awaitable[Sequence[ChainState]]]


async def no_chains() -> Sequence[ChainState]:
    """Where nothing is known of chains."""
    return ()


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, newest first, and the opaque cursor of the next page; None at the end.

    A cursor names the last row's place in the order, not a count, so rows that arrive while somebody turns pages move
    nothing.
    """

    items: list[T]
    next: str | None


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """Which messages; an empty field does not filter.

    Addresses and hashes are lower case. `ids` holds one id or its beginning, or several whole ids. Times are seconds
    since the epoch, `until` exclusive.
    """

    source: ChainName | None = None
    destination: ChainName | None = None
    stages: tuple[StageName, ...] = ()
    sender: str | None = None
    receiver: str | None = None
    tx: str | None = None
    ids: tuple[str, ...] = ()
    feed: str | None = None
    since: int | None = None
    until: int | None = None
    protocol: str | None = None


class FeedReader(Protocol):
    """Prices."""

    async def feeds(self) -> list[Feed]: ...

    async def has_feed(self, name: str) -> bool: ...

    async def updates(self, feed: str | None, cursor: str | None, limit: int) -> Page[Update]:
        """Publications of one feed or all.

        Raises:
            ParameterError: A cursor that no page has given.
        """
        ...


class MessageReader(Protocol):
    """Messages."""

    async def search(self, wanted: MessageFilter, cursor: str | None, limit: int) -> Page[Message]:
        """Those that match.

        Raises:
            ParameterError: A cursor that no page has given.
        """
        ...

    async def find(self, message_id: str) -> MessageDetails | None: ...

    async def lanes(self) -> list[LaneState]: ...


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Which alerts; an empty field does not filter. `since` is seconds since the epoch."""

    is_open: bool | None = True
    severities: tuple[str, ...] = ()
    kind: str = ""
    group: str = ""
    since: int | None = None


class AlertDesk(Protocol):
    """Alerts, and what people do about them."""

    async def search(self, wanted: AlertFilter, cursor: str | None, limit: int) -> Page[Alert]:
        """Those that match.

        Raises:
            ParameterError: A cursor that no page has given.
        """
        ...

    async def find(self, alert_id: int) -> AlertDetails | None: ...

    async def history(self, since: int | None, limit: int) -> list[HistoryEntry]: ...

    async def acknowledge(self, alert_id: int, who: str, why: str, seconds: int | None) -> None:
        """Raises `NoSuchAlert`, or `RejectedError` where it is resolved; as the others."""
        ...

    async def unacknowledge(self, alert_id: int, who: str) -> None: ...

    async def silences(self, *, ended: bool) -> list[Silence]: ...

    async def silence(self, matchers: Iterable[Matcher], who: str, why: str, seconds: int) -> Silence: ...

    async def unsilence(self, silence_id: int, who: str) -> Silence: ...


def chain_view(chain: ChainName) -> Chain:
    """A chain as the API shows it."""
    return Chain(
        key=chain.key,
        label=chain.label,
        chain_id=chain.chain_id,
        selector=None if chain.selector is None else str(chain.selector),
    )
