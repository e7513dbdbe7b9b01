"""What a generation of EVM2EVM ramps is: its own ABIs and events in `Shape`, everything else alike.

    Router -> OnRamp -> previous OnRamp, price registry
    Router -> OffRamp -> CommitStore, previous OffRamp

Previous ramps may still have messages on their way, so they are watched with the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from seamark.core.errors import RejectedError
from seamark.core.ids import Address, Hash32, Selector
from seamark.evm.abi import Abi
from seamark.evm.contract import Contract as Reader
from seamark.evm.ports import ChainReader
from seamark.messages.model import Contract, LaneKey
from seamark.messages.protocols.ccip.evm2evm import decode, events
from seamark.messages.protocols.ccip.evm2evm.keys import DESTINATION, LINK, SOURCE, SOURCE_RAMP, lane_of
from seamark.messages.protocols.ccip.generation import (
    COMMIT_STORE,
    FEE_QUOTER,
    MANUAL_AFTER,
    OFF_RAMP,
    ON_RAMP,
    Count,
    Found,
    Identified,
    Place,
    Reading,
    Take,
    check_selector,
    identified,
)
from seamark.messages.protocols.ccip.notices import OWNERSHIP, Entry, configured, role_changed

__all__ = ["EvmToEvm", "Shape"]

LaneEntries: TypeAlias = Callable[[LaneKey], tuple[Entry, ...]]


@dataclass(frozen=True, slots=True)
class Shape:
    """What one generation has of its own. `on_ramp`, `commit_store` and `off_ramp` are the reads of discovery; the
    events are those beside the shared ones.
    """

    name: str
    serves: Mapping[str, str]
    on_ramp: Abi
    commit_store: Abi
    off_ramp: Abi
    on_ramp_events: tuple[Entry, ...] = ()
    commit_store_events: tuple[Entry, ...] = ()
    off_ramp_events: tuple[Entry, ...] = ()
    off_ramp_lane_events: LaneEntries = field(default=lambda _: ())
    registry_events: tuple[Entry, ...] = ()


class EvmToEvm:
    """`generation.Generation`."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self.name = shape.name
        self.serves = shape.serves

    async def identify(self, reader: ChainReader, found: Found, place: Place) -> Identified:
        if found.role == FEE_QUOTER:
            return identified(reader, found)
        ramp = Reader(reader, found.address, self._abi(found.role))
        static = await ramp.read("getStaticConfig")
        check_selector(static.chainSelector, reader, found, place)
        details, leads = _DETAILS[found.role](static)
        if found.role == ON_RAMP:
            details[FEE_QUOTER] = str((await ramp.read("getDynamicConfig")).priceRegistry)
            leads = (*leads, details[FEE_QUOTER])
        if found.role == OFF_RAMP:
            with suppress(RejectedError):  # only tells what to wait for
                after = (await ramp.read("getDynamicConfig")).permissionLessExecutionThresholdSeconds
                details[MANUAL_AFTER] = str(after)
        return identified(reader, found, details, leads)

    def reading(self, contract: Contract, place: Place) -> Reading:
        shape = self._shape
        if contract.role == ON_RAMP:
            return Reading(decode.on_ramp_takes(contract, place) | dict(_ON_RAMP) | dict(shape.on_ramp_events))
        if contract.role == COMMIT_STORE:
            takes = decode.commit_store_takes(contract, place)
            return Reading(takes | dict(_ORACLES) | dict(shape.commit_store_events))
        if contract.role == OFF_RAMP:
            own = dict((*shape.off_ramp_events, *shape.off_ramp_lane_events(lane_of(contract, place))))
            return Reading(decode.off_ramp_takes(contract, place) | dict(_ORACLES) | own, _OFF_RAMP_NOTES)
        return Reading(dict((*shape.registry_events, *OWNERSHIP)))

    async def fee_tokens(self, reader: ChainReader, contract: Contract) -> Sequence[Address]:
        if contract.role not in (ON_RAMP, FEE_QUOTER):
            return ()
        registry = Address(contract.details.get(FEE_QUOTER, contract.address))
        tokens: Sequence[Address] = await Reader(reader, registry, events.PRICE_REGISTRY).read("getFeeTokens")
        return tokens

    def counts(self, contract: Contract, place: Place, peers: Sequence[Selector]) -> Sequence[Count]:  # noqa: ARG002
        kinds: dict[str, Literal["sent", "committed"]] = {ON_RAMP: "sent", COMMIT_STORE: "committed"}
        kind = kinds.get(contract.role)
        if kind is None:
            return ()
        function = events.NEXT_SEQUENCE.function("getExpectedNextSequenceNumber")
        lane = lane_of(contract, place)
        return (Count(lane, kind, contract.address, function, (), lambda record: int(record[0])),)

    def _abi(self, role: str) -> Abi:
        shape = self._shape
        return {ON_RAMP: shape.on_ramp, COMMIT_STORE: shape.commit_store, OFF_RAMP: shape.off_ramp}[role]


def _on_ramp_details(static: Any) -> tuple[dict[str, str], tuple[str, ...]]:
    return {DESTINATION: str(static.destChainSelector), LINK: static.linkToken}, (static.prevOnRamp,)


def _commit_store_details(static: Any) -> tuple[dict[str, str], tuple[str, ...]]:
    return {SOURCE: str(static.sourceChainSelector), SOURCE_RAMP: static.onRamp}, ()


def _off_ramp_details(static: Any) -> tuple[dict[str, str], tuple[str, ...]]:
    details = {
        SOURCE: str(static.sourceChainSelector),
        SOURCE_RAMP: static.onRamp,
        COMMIT_STORE: static.commitStore,
    }
    return details, (static.commitStore, static.prevOffRamp)


_DETAILS: Mapping[str, Callable[[Any], tuple[dict[str, str], tuple[str, ...]]]] = {
    ON_RAMP: _on_ramp_details,
    COMMIT_STORE: _commit_store_details,
    OFF_RAMP: _off_ramp_details,
}
_OFF_RAMP_NOTES: dict[Hash32, Take] = {events.TRANSMITTED.topic0: decode.transmitted}
_ORACLES: tuple[Entry, ...] = (role_changed(events.OCR_CONFIG_SET), *OWNERSHIP)
_ON_RAMP: tuple[Entry, ...] = (
    configured(events.FEE_CONFIG_SET),
    configured(events.NOPS_SET),
    role_changed(events.ADMIN_SET),
    *OWNERSHIP,
)
