"""Finding CCIP's contracts from the router's address alone.

    Router.getOnRamp(selector of each known peer), Router.getOffRamps(), Router.getArmProxy() -> typeAndVersion() of
    each -> its generation identifies it and names the contracts it leads to -> and so on

Several ramps per lane are normal during a migration. A contract of a generation that is not supported is remembered
with the role "unsupported" and not watched, so that nothing is lost in silence and a later version finds it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from seamark.core.errors import RejectedError, SettingsError
from seamark.core.ids import Address, Selector
from seamark.evm.abi import Abi, Function
from seamark.evm.address import ZERO_ADDRESS
from seamark.evm.contract import Contract as Reader
from seamark.evm.ports import ChainReader
from seamark.evm.types import Call
from seamark.messages.model import Contract
from seamark.messages.protocol import TokenInfo
from seamark.messages.protocols.ccip.generation import UNSUPPORTED, Found, Identified, Place
from seamark.messages.protocols.ccip.generations import generation_of, generation_of_type
from seamark.messages.protocols.ccip.router import ROUTER, ROUTER_TYPE

__all__ = ["check_router", "explore", "fee_tokens", "find_ramps"]

log = structlog.get_logger("seamark.messages.ccip")

_TYPE_AND_VERSION = Function.parse("function typeAndVersion() view returns (string)")
_GET_ON_RAMP = ROUTER.function("getOnRamp")
_TOKEN = Abi.parse("function symbol() view returns (string)", "function decimals() view returns (uint8)")
LONGEST_SYMBOL = 32


@dataclass(frozen=True, slots=True)
class TypeAndVersion:
    """What a Chainlink contract says of itself: "OnRamp 1.6.0"."""

    type: str
    version: str


async def check_router(reader: ChainReader, router: Address, setting: str) -> None:
    """Is a CCIP router there?

    Raises:
        SettingsError: No code, or another contract.
    """
    if not await reader.code(router):
        raise SettingsError(
            setting,
            f"there is no contract at {router} on chain {reader.chain_id}",
            remedy="check the address and the chain",
        )
    (found,) = await _types(reader, [router])
    if found is None or found.type != ROUTER_TYPE:
        said = f"{found.type} {found.version}" if found else "no typeAndVersion"
        raise SettingsError(
            setting, f"{router} is not a CCIP router (it answers {said})", remedy="use the address of Router 1.2.0"
        )


async def find_ramps(reader: ChainReader, router: Address, peers: Iterable[Selector]) -> list[Address]:
    """The ramps that the router names now: OnRamps towards `peers` and the sources it receives from; all OffRamps."""
    offs = await Reader(reader, router, ROUTER).read("getOffRamps")
    selectors = sorted({*peers, *(Selector(item.sourceChainSelector) for item in offs)})
    calls = [Call(router, _GET_ON_RAMP.encode(selector)) for selector in selectors]
    ons = [_GET_ON_RAMP.decode_result(answer)[0] for answer in _answers(await reader.calls(calls))]
    found = [*ons, *(item.offRamp for item in offs)]
    return [Address(address) for address in dict.fromkeys(found) if address != ZERO_ADDRESS]


async def explore(
    reader: ChainReader,
    addresses: Iterable[Address],
    place: Place,
    *,
    known: Mapping[Address, Contract],
    lenient: Collection[Address] = (),
) -> list[Contract]:
    """What each address is, with what is needed to read its logs, and the same for all contracts that they lead to.

    Args:
        reader: The chain.
        addresses: Where to begin.
        place: The chain as it is configured.
        known: What was found before: it stays so where a contract refuses to answer now.
        lenient: Ramps that came while we watched: one of another selector is a mistake on the chain, not in the
            settings, and counts as not supported.

    Raises:
        SettingsError: A ramp belongs to another selector than the one configured for this chain.
    """
    found: dict[Address, Contract] = {}
    waiting = list(dict.fromkeys(addresses))
    while waiting:
        leads: list[Address] = []
        for address, kind in zip(waiting, await _types(reader, waiting), strict=True):
            identified = await _identify(
                reader, address, kind, place, known=known.get(address), lenient=address in lenient
            )
            found[address] = identified.contract
            leads += identified.leads
        waiting = [address for address in dict.fromkeys(leads) if address not in found]
    return list(found.values())


async def _identify(
    reader: ChainReader,
    address: Address,
    kind: TypeAndVersion | None,
    place: Place,
    *,
    known: Contract | None,
    lenient: bool,
) -> Identified:
    served = generation_of_type(kind.type, kind.version) if kind else None
    if kind is None or served is None:
        log.warning("contract not supported", chain=reader.chain_id, address=address, version=_version(kind))
        return _unsupported(reader, address, kind)
    generation, role = served
    try:
        return await generation.identify(reader, Found(address, kind.type, kind.version, role), place)
    except SettingsError as error:
        if not lenient:
            raise
        log.warning("ramp of another chain", chain=reader.chain_id, address=address, problem=error.problem)
    except RejectedError as error:
        log.warning("contract does not answer", chain=reader.chain_id, address=address, error=str(error))
        if known is not None and known.role == role:
            return Identified(known)
    return _unsupported(reader, address, kind)


def _unsupported(reader: ChainReader, address: Address, kind: TypeAndVersion | None) -> Identified:
    return Identified(
        Contract(chain_id=reader.chain_id, address=address, role=UNSUPPORTED, version=_version(kind)),
    )


def _version(kind: TypeAndVersion | None) -> str:
    return f"{kind.type} {kind.version}" if kind else "unknown"


async def fee_tokens(
    reader: ChainReader, contracts: Iterable[Contract], known: Collection[str] = ()
) -> dict[Address, TokenInfo]:
    """Symbol and decimals of the tokens in which fees are paid, but for known ones; who does not tell is left out.

    They only serve for display: a ramp, a quoter or a token that refuses must not stop the tracking.
    """
    tokens: set[Address] = set()
    for contract in contracts:
        generation = generation_of(contract)
        if generation is None:
            continue
        try:
            tokens.update(await generation.fee_tokens(reader, contract))
        except RejectedError as error:
            log.warning(
                "ramp does not tell its fee tokens", chain=reader.chain_id, address=contract.address, error=str(error)
            )
    found: dict[Address, TokenInfo] = {}
    for token in sorted(tokens.difference(known)):
        try:
            symbol, decimals = await Reader(reader, token, _TOKEN).read_many([("symbol", ()), ("decimals", ())])
        except RejectedError as error:
            log.info("fee token does not tell its name", chain=reader.chain_id, token_address=token, error=str(error))
            continue
        found[token] = TokenInfo(symbol[:LONGEST_SYMBOL] or token, decimals)
    return found


async def _types(reader: ChainReader, addresses: Sequence[Address]) -> list[TypeAndVersion | None]:
    answers = await reader.calls([Call(address, _TYPE_AND_VERSION.encode()) for address in addresses])
    return [_parse_type(answer) for answer in answers]


def _parse_type(answer: bytes | Exception) -> TypeAndVersion | None:
    if isinstance(answer, RejectedError):
        return None
    if isinstance(answer, Exception):
        raise answer
    try:
        (text,) = _TYPE_AND_VERSION.decode_result(answer)
    except RejectedError:
        return None
    kind, _, version = text.rpartition(" ")
    return TypeAndVersion(kind, version) if kind else None


def _answers(answers: Sequence[bytes | Exception]) -> Iterable[bytes]:
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
        yield answer
