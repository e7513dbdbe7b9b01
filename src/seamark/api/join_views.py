"""What `/api/feeds/{name}/join` answers with: a feed's rounds from the source chain to every destination.

The same rules as in `seamark.api.views`: rounds and amounts are strings, prices and percentages exact decimals, times
ISO 8601 in UTC, spans in seconds.
"""

from __future__ import annotations

from pydantic import Field

from seamark.api.times import Time
from seamark.api.views import AddressText, Chain, Hash, Percent, Price, Seconds, StageName, Uint, View

__all__ = ["Carriage", "DestinationNow", "FeedJoin", "JoinedRound", "SourceNow"]


class SourceNow(View):
    """The feed where it is published, as last seen."""

    chain: Chain
    address: AddressText
    round: Uint | None
    price: Price | None
    updated_at: Time | None
    age_seconds: Seconds | None


class Carriage(View):
    """How one round travelled to one destination."""

    chain: Chain = Field(description="The destination.")
    message: Hash = Field(description="Id of the message that carries it.")
    stage: StageName
    sent_at: Time | None
    arrived_at: Time | None = Field(description="When it was delivered, by the destination's block.")
    carried_seconds: Seconds | None = Field(description="From the send to the delivery.")
    lag_seconds: Seconds | None = Field(description="From the round's own updatedAt to the delivery.")


class DestinationNow(View):
    """The feed on a destination chain now, and what brought it there."""

    chain: Chain
    address: AddressText | None = Field(description="The receiver's contract.")
    watched: bool = Field(description="Whether its contract is read (oracle.watch); else only messages tell of it.")
    round: Uint | None
    price: Price | None
    updated_at: Time | None = Field(description="The source's own updatedAt of that round.")
    age_seconds: Seconds | None
    rounds_behind: int | None = Field(description="Rounds that the source is ahead.", examples=[0])
    drift_percent: Percent | None = Field(description="Price here against the source's now.")
    brought_by: Carriage | None = Field(description="The delivery of the round that stands here, where it is known.")
    waiting: int = Field(description="Messages to here that are on their way, among the newest.", examples=[1])
    failed: int = Field(description="Of the newest, those that stand failed.", examples=[0])


class JoinedRound(View):
    """One round, and its way to each destination; a destination that it was not sent to is missing."""

    round: Uint
    price: Price
    updated_at: Time
    observed_at: Time
    tx: Hash | None = Field(description="The transaction that published and sent it.")
    carried: list[Carriage]


class FeedJoin(View):
    """A feed's rounds on the source, their messages, and the rounds on each destination."""

    now: Time
    feed: str = Field(examples=["ETH/USD"])
    source: SourceNow
    destinations: list[DestinationNow]
    rounds: list[JoinedRound] = Field(description="The newest that were sent, newest first.")
