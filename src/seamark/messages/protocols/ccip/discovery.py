"""Finding CCIP's contracts from the router's address alone.

    Router.getOnRamp(selector of each known peer), Router.getOffRamps() -> typeAndVersion() of each ramp -> its own
    reads

Several ramps per lane are normal during a migration. A ramp of a generation that is not supported is remembered with
the role "unsupported" and not watched, so that nothing is lost in silence and a later version finds it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
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
from seamark.messages.protocols.ccip.router import ROUTER, ROUTER_TYPE
from seamark.messages.protocols.ccip.v1_6 import events as v1_6
from seamark.messages.protocols.ccip.v1_6.keys import account

__all__ = [
    "OFF_RAMP",
    "ON_RAMP",
    "ROUTER_ROLE",
    "UNSUPPORTED",
    "check_router",
    "fee_tokens",
    "find_ramps",
    "identify_ramps",
]

ROUTER_ROLE, ON_RAMP, OFF_RAMP, UNSUPPORTED = "router", "onramp", "offramp", "unsupported"
SUPPORTED = ("1.6.",)

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


async def identify_ramps(
    reader: ChainReader, addresses: Sequence[Address], own: Selector, setting: str, *, lenient: Collection[Address] = ()
) -> list[Contract]:
    """What each address is, with what is needed to read its logs.

    Args:
        reader: The chain.
        addresses: Which contracts.
        own: The selector that is configured for the chain.
        setting: What errors call it.
        lenient: Ramps that came while we watched: one of another selector is a mistake on the chain, not in the
            settings, and counts as not supported.

    Raises:
        SettingsError: A ramp belongs to another selector than the one configured for this chain.
    """
    found = []
    for address, kind in zip(addresses, await _types(reader, addresses), strict=True):
        try:
            contract = await _identify(reader, address, kind, own, setting)
        except SettingsError as error:
            if address not in lenient:
                raise
            log.warning("ramp of another chain", chain=reader.chain_id, address=address, problem=error.problem)
            contract = Contract(chain_id=reader.chain_id, address=address, role=UNSUPPORTED, version=_version(kind))
        if contract.role == UNSUPPORTED:
            log.warning("ramp not supported", chain=reader.chain_id, address=address, version=contract.version)
        found.append(contract)
    return found


async def _identify(
    reader: ChainReader, address: Address, kind: TypeAndVersion | None, own: Selector, setting: str
) -> Contract:
    chain_id = reader.chain_id
    version = _version(kind)
    if kind is None or not kind.version.startswith(SUPPORTED) or kind.type not in ("OnRamp", "OffRamp"):
        return Contract(chain_id=chain_id, address=address, role=UNSUPPORTED, version=version)
    is_source = kind.type == "OnRamp"
    ramp = Reader(reader, address, v1_6.ON_RAMP if is_source else v1_6.OFF_RAMP)
    selector = (await ramp.read("getStaticConfig")).chainSelector
    if selector != own:
        raise SettingsError(
            setting,
            f"is {own}, but {version} at {address} on chain {chain_id} has {selector}",
            remedy=f"set it to {selector}",
        )
    if is_source:
        return Contract(chain_id=chain_id, address=address, role=ON_RAMP, version=kind.version)
    return Contract(
        chain_id=chain_id, address=address, role=OFF_RAMP, version=kind.version, details=await _sources(ramp)
    )


def _version(kind: TypeAndVersion | None) -> str:
    return f"{kind.type} {kind.version}" if kind else "unknown"


async def _sources(off_ramp: Reader) -> dict[str, str]:
    """The OnRamp that an OffRamp accepts, by source selector."""
    selectors, configs = await off_ramp.read("getAllSourceChainConfigs")
    return {
        str(selector): account(config.onRamp)
        for selector, config in zip(selectors, configs, strict=True)
        if config.onRamp
    }


async def fee_tokens(reader: ChainReader, on_ramps: Iterable[Address]) -> dict[str, TokenInfo]:
    """Symbol and decimals of the tokens in which fees are paid; who does not tell is left out.

    They only serve for display: a ramp, a quoter or a token that refuses must not stop the tracking.
    """
    tokens: set[Address] = set()
    for ramp in on_ramps:
        try:
            quoter = (await Reader(reader, ramp, v1_6.ON_RAMP).read("getDynamicConfig")).feeQuoter
            tokens.update(await Reader(reader, quoter, v1_6.FEE_QUOTER).read("getFeeTokens"))
        except RejectedError as error:
            log.warning("ramp does not tell its fee tokens", chain=reader.chain_id, address=ramp, error=str(error))
    found: dict[str, TokenInfo] = {}
    for token in sorted(tokens):
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
