"""What the API answers with: one class per JSON object. This is the contract that `/openapi.json` publishes.

The rules: selectors, sequence numbers, rounds and amounts are strings (they exceed 2**53); prices and percentages are
decimal strings, never floats; addresses carry their EIP-55 checksum; times are ISO 8601 in UTC; spans are seconds.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from seamark.api.times import Time

__all__ = [
    "Chain",
    "ChainState",
    "Check",
    "Event",
    "Failure",
    "Fee",
    "Feed",
    "FeedPoint",
    "Feeds",
    "HealthReport",
    "Lane",
    "LaneState",
    "Lanes",
    "Live",
    "Message",
    "MessageDetails",
    "Messages",
    "Observation",
    "PricePoint",
    "Sighting",
    "Stage",
    "Status",
    "Transition",
    "Update",
    "Updates",
]

AddressText = Annotated[
    str, Field(description="EIP-55 checksummed.", examples=["0x5FbDB2315678afecb367f032d93F642f64180aa3"])
]
Hash = Annotated[str, Field(description="32 bytes in hex.", examples=["0x" + "5a" * 32])]
Uint = Annotated[str, Field(description="A whole number as text.", examples=["184"], pattern=r"^\d+$")]
Price = Annotated[str, Field(description="An exact decimal.", examples=["3412.18"])]
Percent = Annotated[str, Field(description="A signed percentage, exact to four places.", examples=["0.5213"])]
Seconds = Annotated[float, Field(description="Seconds.", examples=[4.2])]
StepName = Literal["sent", "finalized", "committed", "executed"]
StageName = Literal["sent", "finalized", "committed", "failed", "executed", "recovered", "retracted"]
MessageState = Literal["in_flight", "succeeded", "failed", "retracted"]
Reason = Annotated[
    str,
    Field(
        description="Why it was sent: first, deviation, heartbeat, confirm (a second look at a large step), or join "
        "(another oracle had begun the round).",
        examples=["deviation"],
    ),
]
Cursor = Annotated[
    str | None, Field(description="Pass as `cursor` for the next page; null at the end.", examples=["eyJhIjoxODR9"])
]


class View(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Chain(View):
    """A chain, by all its names."""

    key: str = Field(description="Its name in the settings.", examples=["mainline"])
    label: str = Field(description="Its name for people.", examples=["Chain 138"])
    chain_id: int | None = Field(description="EIP-155 id, where known.", examples=[138])
    selector: Uint | None = Field(description="CCIP chain selector (uint64).", examples=["7759470850252068959"])


# --- health and status ---


class Check(View):
    """One thing this process depends on."""

    status: Literal["ok", "degraded", "down"]
    detail: str = Field(examples=["block 1842, 0.4 s old"])
    required: bool = Field(description="Whether the process is unready without it.")


class HealthReport(View):
    """Whether the process lives, may be given work, and how each dependency is."""

    status: Literal["ok", "degraded", "down"]
    live: bool = Field(description="Always true: a process that answers is alive.")
    ready: bool
    checks: dict[str, Check]
    version: str = Field(examples=["0.1.0"])
    uptime_seconds: Seconds


class Live(View):
    """The process answers."""

    live: Literal[True] = True


class ChainState(View):
    """How far a chain has been read."""

    chain: Chain
    block: Uint | None = Field(description="Newest block whose events are stored.")
    block_at: Time | None = Field(description="That block's own time.")
    finalized: Uint | None = Field(description="Newest block that will stay.")
    reorgs: int = Field(description="Reorganisations seen.", examples=[0])


class Status(View):
    """What the page's header shows."""

    now: Time
    version: str
    status: Literal["ok", "degraded", "down"]
    ready: bool
    checks: dict[str, Check]
    chains: list[ChainState]
    last_event: int = Field(description="Id of the newest event.", examples=[4711])
    interop: bool = Field(False, description="Whether executing messages are told: /api/interop/messages.")


# --- prices ---


class FeedPoint(View):
    """A feed's reading on one chain."""

    chain: Chain
    address: AddressText | None = Field(description="The contract that answers there.")
    round: Uint | None = Field(description="Round of the answer; null until there is one.")
    answer: str | None = Field(description="The contract's integer answer, as text.", examples=["341218000000"])
    price: Price | None = Field(description="The answer scaled by the feed's decimals.")
    updated_at: Time | None = Field(description="The contract's own updatedAt; on a remote chain the source's time.")
    age_seconds: Seconds | None
    stale: bool = Field(description="Older than the heartbeat and a tolerance, or never answered.")
    paused: bool = Field(description="The contract takes no answers now.")
    rounds_behind: int = Field(description="Rounds the source is ahead; 0 on the source chain.", examples=[0])
    drift_percent: Percent | None = Field(description="Difference to the source chain's price; null there.")


class Observation(View):
    """The newest price computed from the sources, published or not."""

    price: Price
    at: Time
    sources: int | None = Field(description="Venues that took part.", examples=[3])
    deviation_percent: Percent | None = Field(description="Difference to the last published answer.")


class PricePoint(View):
    """A past answer on the source chain."""

    at: Time
    price: Price


class Fee(View):
    """An amount in base units and, where the token is known, for people."""

    amount: Uint
    token: AddressText | None = Field(description="Null for the chain's native currency.")
    symbol: str | None = Field(examples=["LINK"])
    text: str = Field(description="For people.", examples=["0.0412 LINK"])


class Update(View):
    """One publication of a price."""

    feed: str = Field(examples=["ETH/USD"])
    chain: Chain
    round: Uint | None
    reason: Reason
    state: str = Field(
        description="broadcast, mined (may still be orphaned), final, parked, reverted or replaced.", examples=["final"]
    )
    at: Time = Field(description="When it was decided.")
    answer: str | None = Field(description="The integer on chain, as text.", examples=["341218000000"])
    price: Price | None
    previous_price: Price | None = Field(description="The answer it replaced; null for the first.")
    change_percent: Percent | None
    sources: int = Field(description="Quotes that made the answer.", examples=[3])
    tx: Hash | None
    block: Uint | None
    mined_at: Time | None = Field(description="By the block's own time.")
    fee: Fee | None = Field(description="What the transaction cost.")


class Updates(View):
    """Publications, newest first."""

    items: list[Update]
    next: Cursor


class Feed(View):
    """A feed on all its chains."""

    name: str = Field(examples=["ETH/USD"])
    description: str
    decimals: int = Field(examples=[8])
    heartbeat_seconds: Seconds | None = Field(description="Longest time between two answers; null: only watched.")
    deviation_threshold_percent: str | None = Field(
        description="Change that is published at once; null: only watched.", examples=["0.5"]
    )
    source: FeedPoint
    destinations: list[FeedPoint]
    observation: Observation | None
    last_update: Update | None
    history: list[PricePoint] = Field(description="Answers on the source chain, oldest first; at most 60.")


class Feeds(View):
    """All feeds, by name."""

    now: Time
    items: list[Feed]


# --- messages ---


class Lane(View):
    """A direction between two chains."""

    source: Chain
    destination: Chain


class Stage(View):
    """One step of a message's way and how long the way to it took."""

    name: StepName
    state: Literal["done", "current", "waiting", "failed", "retracted"] = Field(
        description="done: reached and left, or the last; current: the message is here and moves on."
    )
    at: Time | None = Field(
        description="When it was reached, by the block's own time; null also where nobody saw when."
    )
    seconds: Seconds | None = Field(description="Time from the last known stage before it; 0 for sent.")
    block: Uint | None
    tx: Hash | None


class Failure(View):
    """Why a message failed on its destination."""

    kind: str = Field(description="A short, stable word.", examples=["receiver_reverted"])
    text: str = Field(description="For people.", examples=["the receiver reverted: Paused()"])
    raw: str | None = Field(description="Returned data in hex; only in the details.", examples=["0x0a8d6e8c"])


class Message(View):
    """A cross-chain message."""

    id: Hash
    protocol: str = Field(examples=["ccip"])
    version: str | None = Field(examples=["1.6"])
    lane: Lane
    sequence: Uint | None = Field(description="Null where the protocol has not told it.")
    stage: StageName = Field(description="Where it is now.")
    state: MessageState = Field(description="What that means.")
    sender: AddressText | None
    receiver: AddressText | None
    sent_at: Time | None
    updated_at: Time = Field(description="When it last moved, by the block's own time.")
    total_seconds: Seconds | None = Field(description="From send to final state; null while in flight.")
    stages: list[Stage]
    fee: Fee | None
    failure: Failure | None
    attempts: int = Field(description="Executions that were tried.")
    manual: bool | None = Field(description="Whether it was executed by hand; null where that is not known.")
    callback: bool | None = Field(description="Whether the receiver's code ran; null where that is not known.")
    destination_watched: bool = Field(description="False: later stages stay unknown.")
    commits: bool = Field(True, description="False: it is executed without a commit; that step has nothing to say.")
    verified: bool = Field(False, description="Its stage committed was reached by what verifiers said off chain.")
    by_hand: bool = Field(False, description="Its sender wants nobody to execute it by himself: it waits for a hand.")
    late: bool = Field(False, description="It should have got further by now, as its lane is judged.")
    feed: str | None = Field(description="The oracle feed it carries, where it is one of ours.")
    round: Uint | None = Field(description="The feed's round it carries.")


class Messages(View):
    """Messages, newest first."""

    now: Time
    items: list[Message]
    next: Cursor


class Sighting(View):
    """One event on a chain that tells of the message."""

    kind: str = Field(examples=["committed"])
    chain: Chain
    block: Uint
    block_hash: Hash
    block_at: Time | None
    tx: Hash
    log_index: int = Field(examples=[3])
    retracted: bool = Field(description="Its block was orphaned by a reorganisation.")
    details: dict[str, Any] = Field(description="What else the event says; depends on the protocol.")


class Transition(View):
    """One step in the message's life, in the order it was seen."""

    step: str = Field(
        description="A stage, or reorged (a fact was orphaned) or revoked (its commit was taken back): it fell back.",
        examples=["committed"],
    )
    before: str | None = Field(description="The stage before.", examples=["finalized"])
    after: str = Field(description="The stage after.", examples=["committed"])
    at: Time | None = Field(description="By the block's own time.")
    seen_at: Time = Field(description="When it was noticed here.")
    chain: Chain | None
    block: Uint | None
    block_hash: Hash | None = Field(description="Of the orphaned block, for steps back.")


class MessageDetails(Message):
    """A message with all its evidence."""

    sightings: list[Sighting]
    transitions: list[Transition]
    explanation: list[str] = Field(
        default_factory=list,
        description="Where it is, what is normal, what is wrong; what begins with next: says what to do.",
        examples=[["committed at Anvil local, not executed there yet"]],
    )


class LaneState(View):
    """How a lane is doing. Sequence numbers are the highest that got so far."""

    lane: Lane
    protocol: str = Field(examples=["ccip"])
    version: str = Field(examples=["1.6"])
    contract: AddressText | None = Field(description="The source contract that numbers its messages.")
    total: int
    stages: dict[str, int] = Field(
        description="Messages by where they are now.", examples=[{"sent": 1, "executed": 183}]
    )
    last_sent: Uint | None
    last_committed: Uint | None
    last_executed: Uint | None
    source_watched: bool = Field(description="False: sends of this lane are not followed.")
    destination_watched: bool = Field(description="False: what happens at the destination is not followed.")


class Lanes(View):
    """All lanes that have been seen or configured."""

    items: list[LaneState]


class Event(View):
    """The `data:` of a server-sent event."""

    id: int
    topic: str = Field(examples=["message.executed"])
    key: str
    at: Time
    payload: dict[str, object]
