"""What a generation of CCIP's contracts is to the protocol, and the words that all generations share.

    typeAndVersion -> the generation that serves it -> identify(): what must be known to read its logs, and which other
    contracts it leads to -> reading(): what each of its topics means

A generation is a folder with an object of this shape (`v1_6/generation.py`) and one line in `generations.py`. The
router and the risk contracts are shared by all generations and have the same shape.

The logs of a block are read in two passes. The first calls `notes`, which put into the `Scene` what sightings of the
same transaction need to know (was the receiver called, did the network execute); the second calls `takes`, which put
sightings, notices and changes into it. A take puts in all of a log or, when it raises, nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from seamark.core.errors import SettingsError
from seamark.core.ids import Address, BlockRef, ChainId, Hash32, Selector
from seamark.evm.abi import Function
from seamark.evm.address import ZERO_ADDRESS
from seamark.evm.ports import ChainReader
from seamark.evm.types import Log
from seamark.messages.model import MAX_SEQUENCE, ConfigChange, Contract, Evidence, LaneKey, Notice, Sighting

__all__ = [
    "ARM_PROXY",
    "COMMIT_STORE",
    "FEE_QUOTER",
    "FEE_TOKEN",
    "MANUAL_AFTER",
    "NONCE_MANAGER",
    "OFF_RAMP",
    "ON_RAMP",
    "PROTOCOL",
    "RMN",
    "ROUTER_ROLE",
    "UNSUPPORTED",
    "Count",
    "Counts",
    "Found",
    "Generation",
    "Identified",
    "Place",
    "Reading",
    "Scene",
    "Take",
    "account",
    "check_selector",
    "checked_sequence",
    "identified",
    "lane_key",
]

PROTOCOL = "ccip"

# Roles of contracts.
ROUTER_ROLE, ON_RAMP, OFF_RAMP = "router", "onramp", "offramp"
COMMIT_STORE, NONCE_MANAGER, FEE_QUOTER = "commitstore", "noncemanager", "feequoter"
ARM_PROXY, RMN = "armproxy", "rmn"
FEE_TOKEN = "fee_token"  # noqa: S105 - a role; not watched, kept for its symbol and decimals
UNSUPPORTED = "unsupported"

MANUAL_AFTER = "manual_after"
"""A detail of an OffRamp: seconds after a commit from which on anybody may execute."""

_WORD, _ADDRESS = 32, 20
_PADDING = bytes(_WORD - _ADDRESS)


@dataclass(frozen=True, slots=True)
class Place:
    """The chain whose contracts are read: its id, its selector, its router, what errors about them name, and the
    selectors of the other chains that are configured.
    """

    chain_id: ChainId
    selector: Selector
    router: Address
    setting: str
    peers: tuple[Selector, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A contract before it is identified: its `typeAndVersion` in two parts, and the role that follows from it."""

    address: Address
    type: str
    version: str
    role: str


@dataclass(frozen=True, slots=True)
class Identified:
    """What a contract is, and the addresses to look at besides (on the same chain)."""

    contract: Contract
    leads: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Scene:
    """One block: what its logs have told so far.

    `whole` is false where some of its logs are missing: absence proves nothing then. `called` are (transaction, message
    id) whose receivers ran, `transmitted` (transaction, OffRamp) that the network itself executed.
    """

    chain_id: ChainId
    block: BlockRef
    whole: bool
    called: set[tuple[Hash32, str]] = field(default_factory=set)
    transmitted: set[tuple[Hash32, Address]] = field(default_factory=set)
    sightings: list[Sighting] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    changes: list[ConfigChange] = field(default_factory=list)

    def evidence(self, log: Log) -> Evidence:
        ref = self.block
        return Evidence(self.chain_id, ref.number, ref.hash, log.transaction_hash, log.log_index, ref.timestamp)

    def change(self, event: str, addresses: tuple[Address, ...]) -> None:
        """The contracts at `addresses` are to be looked at again."""
        self.changes.append(
            ConfigChange(chain_id=self.chain_id, block_number=self.block.number, event=event, addresses=addresses)
        )


Take: TypeAlias = Callable[[Log, Scene], None]
"""Reads one log into the scene; raises `DecodeError` or `ValueError` for one that is not what it claims to be."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read the logs of one contract, by topic 0. All topics of both are asked for."""

    takes: Mapping[Hash32, Take]
    notes: Mapping[Hash32, Take] = field(default_factory=dict)


class Generation(Protocol):
    """One generation of contracts, or contracts that all generations share."""

    @property
    def name(self) -> str:
        """As in "1.6"."""
        ...

    @property
    def serves(self) -> Mapping[str, str]:
        """The role of each contract by the beginning of its `typeAndVersion`: {"OnRamp 1.6.": "onramp"}. No two
        generations serve the same.
        """
        ...

    async def identify(self, reader: ChainReader, found: Found, place: Place) -> Identified:
        """What must be known to read the contract's logs, and where it leads.

        Raises:
            SettingsError: It belongs to another selector than the one configured for the chain.
            RejectedError: It does not answer as it should; it then counts as not supported.
            TemporaryError: No answer.
        """
        ...

    def reading(self, contract: Contract, place: Place) -> Reading:
        """How to read the logs of an identified contract."""
        ...

    async def fee_tokens(self, reader: ChainReader, contract: Contract) -> Sequence[Address]:
        """The tokens that an OnRamp, or what prices for it, takes fees in; empty for other roles. Raises
        `RejectedError`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Count:
    """A view call that tells the sequence number after the last one that was sent or committed on a lane.

    `next_of` picks that number from the function's record.
    """

    lane: LaneKey
    kind: Literal["sent", "committed"]
    contract: Address
    function: Function
    arguments: tuple[Any, ...]
    next_of: Callable[[Any], int]


@runtime_checkable
class Counts(Protocol):
    """A generation whose ramps count; optional."""

    def counts(self, contract: Contract, place: Place, peers: Sequence[Selector]) -> Sequence[Count]:
        """The counters of one contract. `peers` are those of the place."""
        ...


def identified(
    reader: ChainReader, found: Found, details: Mapping[str, str] | None = None, leads: Sequence[str] = ()
) -> Identified:
    """A contract with its details; leads to the zero address are none."""
    contract = Contract(
        chain_id=reader.chain_id,
        address=found.address,
        role=found.role,
        version=found.version,
        details=dict(details or {}),
    )
    return Identified(contract, tuple(Address(lead) for lead in leads if lead != ZERO_ADDRESS))


def check_selector(selector: int, reader: ChainReader, found: Found, place: Place) -> None:
    """Raises `SettingsError` where a contract belongs to another selector than the one configured for its chain."""
    if selector != place.selector:
        raise SettingsError(
            place.setting,
            f"is {place.selector}, but {found.type} {found.version} at {found.address} on chain {reader.chain_id}"
            f" has {selector}",
            remedy=f"set it to {selector}",
        )


@lru_cache(maxsize=4096)
def lane_key(source: int, on_ramp: str, destination: int | Selector) -> LaneKey:
    return LaneKey(PROTOCOL, str(source), on_ramp, str(destination))


def account(raw: bytes) -> str:
    """An address in the form of its own chain family: 20 bytes of an EVM address (ABI-encoded or bare), else as it
    is.
    """
    if len(raw) == _WORD and raw.startswith(_PADDING):
        raw = raw[-_ADDRESS:]
    return "0x" + raw.hex()


def checked_sequence(sequence: int) -> int:
    """Raises `ValueError` for a sequence number that no database holds."""
    if sequence > MAX_SEQUENCE:
        raise ValueError(f"sequence number {sequence} is beyond any real one")
    return sequence
