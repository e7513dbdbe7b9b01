"""CCIP 1.6 as a generation: which contracts it has, what must be known to read each, and what their topics mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from seamark.core.errors import RejectedError
from seamark.core.ids import Address, Selector
from seamark.evm.contract import Contract as Reader
from seamark.evm.ports import ChainReader
from seamark.messages.model import Contract
from seamark.messages.protocols.ccip.generation import (
    FEE_QUOTER,
    MANUAL_AFTER,
    NONCE_MANAGER,
    OFF_RAMP,
    ON_RAMP,
    Count,
    Found,
    Identified,
    Place,
    Reading,
    check_selector,
    identified,
)
from seamark.messages.protocols.ccip.v1_6 import decode, events
from seamark.messages.protocols.ccip.v1_6.keys import account, lane_key

__all__ = ["GENERATION"]


class _Generation:
    """`generation.Generation`."""

    name = "1.6"
    serves: Mapping[str, str] = {
        "OnRamp 1.6.": ON_RAMP,
        "OffRamp 1.6.": OFF_RAMP,
        "NonceManager 1.6.": NONCE_MANAGER,
        "FeeQuoter 1.6.": FEE_QUOTER,
    }

    async def identify(self, reader: ChainReader, found: Found, place: Place) -> Identified:
        if found.role == ON_RAMP:
            return await self._on_ramp(reader, found, place)
        if found.role == OFF_RAMP:
            return await self._off_ramp(reader, found, place)
        if found.role == NONCE_MANAGER:
            return identified(reader, found, leads=await _previous_ramps(reader, found, place))
        return identified(reader, found)

    def reading(self, contract: Contract, place: Place) -> Reading:
        return decode.reading(contract, place)

    async def fee_tokens(self, reader: ChainReader, contract: Contract) -> Sequence[Address]:
        quoter = contract.address
        if contract.role == ON_RAMP:
            quoter = (await Reader(reader, contract.address, events.ON_RAMP).read("getDynamicConfig")).feeQuoter
        elif contract.role != FEE_QUOTER:
            return ()
        tokens: Sequence[Address] = await Reader(reader, quoter, events.FEE_QUOTER).read("getFeeTokens")
        return tokens

    def counts(self, contract: Contract, place: Place, peers: Sequence[Selector]) -> Sequence[Count]:
        address = contract.address
        if contract.role == ON_RAMP:
            function = events.ON_RAMP.function("getExpectedNextSequenceNumber")
            return [
                Count(lane_key(place.selector, address, peer), "sent", address, function, (peer,), _first)
                for peer in peers
            ]
        if contract.role == OFF_RAMP:
            function = events.OFF_RAMP.function("getSourceChainConfig")
            return [
                Count(
                    lane_key(int(source), on_ramp, place.selector),
                    "committed",
                    address,
                    function,
                    (int(source),),
                    _min_sequence,
                )
                for source, on_ramp in contract.details.items()
                if source.isdecimal()
            ]
        return ()

    async def _on_ramp(self, reader: ChainReader, found: Found, place: Place) -> Identified:
        ramp = Reader(reader, found.address, events.ON_RAMP)
        static = await ramp.read("getStaticConfig")
        check_selector(static.chainSelector, reader, found, place)
        details = {NONCE_MANAGER: str(static.nonceManager)}
        with suppress(RejectedError):  # told when it is asked for its fee tokens; its messages can be read all the same
            details[FEE_QUOTER] = str((await ramp.read("getDynamicConfig")).feeQuoter)
        return identified(reader, found, details, tuple(details.values()))

    async def _off_ramp(self, reader: ChainReader, found: Found, place: Place) -> Identified:
        ramp = Reader(reader, found.address, events.OFF_RAMP)
        static = await ramp.read("getStaticConfig")
        check_selector(static.chainSelector, reader, found, place)
        details = await _sources(ramp)
        with suppress(RejectedError):  # only tells what to wait for
            after = (await ramp.read("getDynamicConfig")).permissionLessExecutionThresholdSeconds
            details[MANUAL_AFTER] = str(after)
        return identified(reader, found, details, (static.nonceManager,))


def _first(record: Any) -> int:
    return int(record[0])


def _min_sequence(record: Any) -> int:
    return int(record[0].minSeqNr)


async def _previous_ramps(reader: ChainReader, found: Found, place: Place) -> list[str]:
    """The ramps of 1.5 that a lane has moved from: messages may still be on their way through them."""
    manager = Reader(reader, found.address, events.NONCE_MANAGER)
    with suppress(RejectedError):  # nothing to lead on to, then
        pairs = await manager.read_many([("getPreviousRamps", (peer,)) for peer in place.peers])
        return [address for pair in pairs for address in (pair.prevOnRamp, pair.prevOffRamp)]
    return []


async def _sources(off_ramp: Reader) -> dict[str, str]:
    """The OnRamp that an OffRamp accepts, by source selector."""
    selectors, configs = await off_ramp.read("getAllSourceChainConfigs")
    return {
        str(selector): account(config.onRamp)
        for selector, config in zip(selectors, configs, strict=True)
        if config.onRamp
    }


GENERATION = _Generation()
