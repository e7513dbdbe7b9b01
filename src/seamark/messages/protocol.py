"""What a message protocol tells the tracker: which contracts to watch on a chain, and what their logs mean.

The tracker knows stages, evidence, reorgs and counting; a protocol knows contracts, events and names. A new protocol
is a folder under `protocols/` with an object of this shape, and nothing else changes.

`decode` is pure and sees all matching logs of one block at a time, so facts that need several logs of a transaction
(was the receiver called, was it executed by hand) are decided there. What it may lean on besides are the contracts
found so far.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from seamark.core.ids import ChainId
from seamark.evm.ports import Block, ChainReader
from seamark.evm.types import LogFilter
from seamark.messages.model import ConfigChange, Contract, Decoded, LaneKey

__all__ = [
    "ChainRole",
    "Counter",
    "CountsByCall",
    "KnowsProfiles",
    "LaneNames",
    "MessageProtocol",
    "Profile",
    "TokenInfo",
    "Watch",
    "counters_of",
    "profile_of",
]


@dataclass(frozen=True, slots=True)
class LaneNames:
    """A lane for people and labels, and which of its ends this process watches.

    Facts of an end that is not watched stay unknown, and whoever shows the lane says so.
    """

    source: str
    destination: str
    source_chain: ChainId | None
    destination_chain: ChainId | None
    source_watched: bool
    destination_watched: bool


@dataclass(frozen=True, slots=True)
class ChainRole:
    """One chain a protocol wants watched. `start_block` None means: from the newest block on."""

    chain_id: ChainId
    name: str
    start_block: int | None


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """How to show amounts of a fee token."""

    symbol: str
    decimals: int


class Counter(NamedTuple):
    """What a contract says of itself: the highest sequence number it has sent or committed on a lane (`value`, 0 for
    none). Logs that a node left out show as a difference to what is stored.
    """

    lane: LaneKey
    kind: Literal["sent", "committed"]
    value: int


@dataclass(frozen=True, slots=True)
class Profile:
    """What is normal on a lane before anything was measured.

    `finality_s` is how long its source chain takes to be final, in seconds (None: not known); `instant`: so fast that
    thresholds need not wait for it. `manual_after_s`: so many seconds after its commit anybody may execute a message,
    as the destination's contract says (None: not known). `commits`: false where messages are executed without a commit
    before, so that none is to be waited for; `verifiers`: verifiers say off chain what a commit would.
    """

    finality_s: float | None = None
    instant: bool = False
    manual_after_s: float | None = None
    commits: bool = True
    verifiers: bool = False


@dataclass(frozen=True, slots=True)
class Watch:
    """What to ask a chain for, and a pure function that reads the answer block by block.

    `decode(block, whole)` raises nothing: a log that cannot be read comes back as `Malformed`. `whole` is false for a
    block that is told once more for some of its logs only: then the absence of a log proves nothing.
    """

    filter: LogFilter
    decode: Callable[[Block, bool], Decoded]


class MessageProtocol(Protocol):
    """One family of message contracts on the chains of one process."""

    @property
    def name(self) -> str:
        """Short and stable: part of lane keys and the prefix of metric names ("ccip")."""
        ...

    @property
    def chains(self) -> Sequence[ChainRole]: ...

    async def check(self, reader: ChainReader) -> None:
        """Is what the settings name really there?

        Raises:
            SettingsError: Names the setting and the remedy.
        """
        ...

    async def discover(self, reader: ChainReader, known: Iterable[Contract]) -> list[Contract]:
        """The contracts to watch on the reader's chain, from the settings and the chain's present state.

        `known` are those found before, among them some that the chain no longer names: messages may still be on their
        way through them. Every one of them stays in the answer.
        """
        ...

    async def identify(
        self, reader: ChainReader, changes: Sequence[ConfigChange], known: Iterable[Contract]
    ) -> list[Contract]:
        """What configuration events add to the contracts to watch, and known ones that are to be read differently."""
        ...

    def watch(self, chain_id: ChainId, contracts: Sequence[Contract]) -> Watch:
        """The logs to ask for on one chain, and how to read them."""
        ...

    def names(self, lane: LaneKey) -> LaneNames: ...

    def token(self, chain_id: ChainId | None, address: str) -> TokenInfo | None:
        """A fee token's symbol and decimals, as far as discovery found them."""
        ...


@runtime_checkable
class CountsByCall(Protocol):
    """A protocol whose contracts can be asked how far they are; optional."""

    async def counters(self, reader: ChainReader, contracts: Sequence[Contract]) -> list[Counter]:
        """By view calls, at a final block where possible.

        Raises:
            TemporaryError: No answer now.
        """
        ...


@runtime_checkable
class KnowsProfiles(Protocol):
    """A protocol that knows what is normal on a lane; optional."""

    def profile(self, lane: LaneKey) -> Profile: ...


async def counters_of(protocol: MessageProtocol, reader: ChainReader, contracts: Sequence[Contract]) -> list[Counter]:
    """The counters of the contracts on the reader's chain; none where the protocol has no such calls."""
    return await protocol.counters(reader, contracts) if isinstance(protocol, CountsByCall) else []


def profile_of(protocol: MessageProtocol, lane: LaneKey) -> Profile:
    """What is normal on a lane; an unknown one where the protocol does not say."""
    return protocol.profile(lane) if isinstance(protocol, KnowsProfiles) else Profile()
