"""CCIP 2.0 as a generation: which contracts it has, what must be known to read each, and what their topics mean.

OnRamp  -> FeeQuoter; executors and verifiers of each destination
OffRamp -> verifiers of each source
resolver (what a verifier's address usually is) -> the verifiers behind it; proxy -> what it stands for
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from seamark.core.errors import RejectedError
from seamark.core.ids import Address, Selector
from seamark.evm.contract import Contract as Reader
from seamark.evm.ports import ChainReader
from seamark.messages.model import Contract
from seamark.messages.protocols.ccip.generation import (
    FEE_QUOTER,
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
from seamark.messages.protocols.ccip.v2_0 import decode, events
from seamark.messages.protocols.ccip.v2_0.decode import EXECUTOR, LINK, RESOLVER, VERIFIER
from seamark.messages.protocols.ccip.v2_0.keys import joined, lane_key

__all__ = ["GENERATION"]

_PROXY = "Proxy"


class _Generation:
    """`generation.Generation`."""

    name = "2.0"
    serves: Mapping[str, str] = {
        "OnRamp 2.0.": ON_RAMP,
        "OffRamp 2.0.": OFF_RAMP,
        "FeeQuoter 2.0.": FEE_QUOTER,
        "Executor 2.0.": EXECUTOR,
        "Proxy 2.0.": EXECUTOR,  # what a ramp names as executor may be a proxy of one
        "VersionedVerifierResolver 2.0.": RESOLVER,
        "CommitteeVerifier 2.0.": VERIFIER,
        "CCTPVerifier 2.0.": VERIFIER,
        "LombardVerifier 2.0.": VERIFIER,
    }

    async def identify(self, reader: ChainReader, found: Found, place: Place) -> Identified:
        if found.role == ON_RAMP:
            return await self._on_ramp(reader, found, place)
        if found.role == OFF_RAMP:
            return await self._off_ramp(reader, found, place)
        if found.role == RESOLVER:
            return identified(reader, found, leads=await _behind_resolver(reader, found.address))
        if found.type == _PROXY:
            target = await Reader(reader, found.address, events.PROXY).read("getTarget")
            return identified(reader, found, {"target": target}, (target,))
        return identified(reader, found)

    def reading(self, contract: Contract, place: Place) -> Reading:
        return decode.reading(contract, place)

    async def fee_tokens(self, reader: ChainReader, contract: Contract) -> Sequence[Address]:
        if contract.role != ON_RAMP:
            return ()
        quoter = (await Reader(reader, contract.address, events.ON_RAMP).read("getDynamicConfig")).feeQuoter
        tokens: Sequence[Address] = await Reader(reader, quoter, events.FEE_QUOTER).read("getFeeTokens")
        return tokens

    def counts(self, contract: Contract, place: Place, peers: Sequence[Selector]) -> Sequence[Count]:
        """`generation.Counts`: sends alone, nothing is committed."""
        if contract.role != ON_RAMP:
            return ()
        function = events.ON_RAMP.function("getExpectedNextMessageNumber")
        return [
            Count(lane_key(place.selector, contract.address, peer), "sent", contract.address, function, (peer,), _first)
            for peer in peers
        ]

    async def _on_ramp(self, reader: ChainReader, found: Found, place: Place) -> Identified:
        ramp = Reader(reader, found.address, events.ON_RAMP)
        check_selector((await ramp.read("getStaticConfig")).chainSelector, reader, found, place)
        quoter = (await ramp.read("getDynamicConfig")).feeQuoter
        _, lanes = await ramp.read("getAllDestChainConfigs")
        leads = [quoter]
        for lane in lanes:
            leads += [lane.defaultExecutor, *lane.defaultCCVs, *lane.laneMandatedCCVs]
        return identified(reader, found, await _quoter_details(reader, quoter), _unique(leads))

    async def _off_ramp(self, reader: ChainReader, found: Found, place: Place) -> Identified:
        ramp = Reader(reader, found.address, events.OFF_RAMP)
        check_selector((await ramp.read("getStaticConfig")).localChainSelector, reader, found, place)
        selectors, configs = await ramp.read("getAllSourceChainConfigs")
        sources = {
            str(selector): joined(config.onRamps)
            for selector, config in zip(selectors, configs, strict=True)
            if config.onRamps
        }
        leads = [ccv for config in configs for ccv in (*config.defaultCCVs, *config.laneMandatedCCVs)]
        return identified(reader, found, sources, _unique(leads))


def _first(record: Any) -> int:
    return int(record[0])


async def _quoter_details(reader: ChainReader, quoter: Address) -> dict[str, str]:
    """The FeeQuoter, and the token that it counts juels in; a quoter that refuses must not stop the tracking."""
    try:
        link = (await Reader(reader, quoter, events.FEE_QUOTER).read("getStaticConfig")).linkToken
    except RejectedError:  # told by whoever asks it for its fee tokens
        return {FEE_QUOTER: quoter}
    return {FEE_QUOTER: quoter, LINK: link}


async def _behind_resolver(reader: ChainReader, resolver: Address) -> tuple[Address, ...]:
    answers: Sequence[Any] = await Reader(reader, resolver, events.RESOLVER).read_many(
        [("getAllInboundImplementations", ()), ("getAllOutboundImplementations", ())]
    )
    return _unique(item.verifier for answer in answers for item in answer)


def _unique(addresses: Iterable[str]) -> tuple[Address, ...]:
    return tuple(Address(address) for address in dict.fromkeys(addresses))


GENERATION = _Generation()
