"""What the API says of executing messages (OP Stack interop); the rules of `views.py` hold here too.

Whoever writes to an inbox chooses what its message names, so numbers that are named are text, and so is a chain that
nobody knows.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from seamark.api.times import Time
from seamark.api.views import AddressText, Chain, Cursor, Hash, Uint, View

__all__ = [
    "ExecutingCount",
    "ExecutingCounts",
    "ExecutingDetails",
    "ExecutingMessage",
    "ExecutingMessages",
    "ExecutingStatus",
    "InitiatingPlace",
    "Thought",
]

ExecutingStatus = Literal["unknown", "valid", "invalid", "timestamp_mismatch", "expired"]
Level = Literal["unsafe", "safe", "finalized"]
Rule = Annotated[
    str, Field(description="The broken rule, or why nothing is decided; empty where it is valid.", examples=["no_log"])
]


class ExecutingPlace(View):
    """The inbox's log."""

    chain: Chain
    block: Uint
    block_hash: Hash
    block_at: Time
    tx: Hash
    log_index: int
    level: Level = Field(description="How safe its block is.")


class InitiatingPlace(View):
    """The log that it names: what the message says, not what is there."""

    chain: Chain
    block: Uint
    log_index: int
    timestamp: Uint = Field(description="Seconds since the epoch, as named.", examples=["1750000000"])
    origin: AddressText
    payload: Hash = Field(description="The payload hash that the log must have.")
    block_hash: Hash | None = Field(description="Of the block that the verdict was drawn from.")
    level: Level = Field(description="How safe that block was then.")


class ExecutingMessage(View):
    """One log of `CrossL2Inbox` and what is thought of it."""

    id: str = Field(description="Chain id, block hash and log index.", examples=["902:0x" + "5a" * 32 + ":0"])
    status: ExecutingStatus
    rule: Rule
    detail: str = Field(description="The reason in words.", examples=["there is no log 9 of block 17"])
    executing: ExecutingPlace
    initiating: InitiatingPlace
    settled: bool = Field(description="Both blocks are final: this verdict stays.")
    stale: bool = Field(description="The last look could not confirm it.")
    changed: bool = Field(description="It was called valid at one time and not valid at another.")
    boundary: bool = Field(description="Executed in the very last second of the window.")
    declared: bool | None = Field(description="Whether its transaction declared it; null where that is not known.")
    retracted: bool = Field(description="Its block left the chain.")
    incident: int | None
    seen_at: Time
    decided_at: Time | None


class ExecutingMessages(View):
    """Executing messages, newest first."""

    now: Time
    items: list[ExecutingMessage]
    next: Cursor


class Thought(View):
    """One step of a message's history."""

    at: Time
    step: str = Field(description="A verdict, retracted or returned.", examples=["valid"])
    rule: Rule
    detail: str
    block_hash: Hash | None


class ExecutingDetails(ExecutingMessage):
    """An executing message and all that was ever thought of it, oldest first."""

    history: list[Thought]


class ExecutingCount(View):
    """How many of one kind there are."""

    executing: Chain
    initiating: Chain | None = Field(description="Null: a chain outside the dependency set.")
    status: ExecutingStatus
    messages: int


class ExecutingCounts(View):
    """Messages that are not valid, for ever; others until they are valid for good."""

    now: Time
    items: list[ExecutingCount]
    totals: dict[ExecutingStatus, int] = Field(description="Over all chains; every status is there.")
