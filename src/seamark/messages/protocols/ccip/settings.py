"""Settings of the CCIP monitor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from seamark.core.ids import Address, ChainId
from seamark.core.units import Seconds, parse_duration
from seamark.evm.address import AddressError, parse_address
from seamark.evm.settings import AddressText, ChainSettings, RpcUrl, SelectorText
from seamark.messages.protocols.ccip.checks.settings import ChecksSettings
from seamark.messages.protocols.ccip.v2_0.settings import VerificationSettings
from seamark.runtime.settings import SettingsModel, parse_environment

__all__ = ["CcipChainSettings", "CcipSettings", "ccip_from_environment"]


class CcipChainSettings(SettingsModel):
    """CCIP on one chain. Everything else about it is found from the router."""

    chain: str
    """Key of the chain under `chains`."""

    router: AddressText
    """CCIP Router 1.2.0 on that chain."""

    contracts: tuple[AddressText, ...] = ()
    """Our own contracts there (OracleWithCCIP, OracleReceiver): roles, configuration, and sends that failed."""

    start_block: int | None = Field(None, ge=0)
    """The first block to look at; None: the newest one at the first start."""


class CcipSettings(SettingsModel):
    """Which chains' CCIP messages to follow. A lane is seen whole when both of its ends are listed."""

    chains: tuple[CcipChainSettings, ...] = ()
    checks: ChecksSettings = ChecksSettings()
    verification: VerificationSettings = VerificationSettings()

    @model_validator(mode="after")
    def _each_chain_once(self) -> Self:
        names = [item.chain for item in self.chains]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"chain {twice!r} is listed twice; keep one")
        return self


DEFAULT_INTERVAL = Seconds(15.0)
"""About a block of Ethereum; half of that finds a block sooner, but a monitor is no race."""


def _interval(text: str) -> Seconds:
    """Seconds as a bare number, as deployments of the reference monitor write it, or a duration with a unit."""
    seconds = Seconds(float(text)) if text.replace(".", "", 1).isdigit() else parse_duration(text)
    if seconds <= 0:
        raise ValueError(f"{text!r} is not above zero")
    return seconds


def ccip_from_environment(
    environment: Mapping[str, str], chain_id: ChainId
) -> tuple[CcipSettings, dict[str, ChainSettings]]:
    """A monitor of one chain from RPC_URL, CCIP_ROUTER_ADDRESS and MONITORING_INTERVAL alone.

    It sees what that chain sends and what it receives; how the other ends fare stays unknown. CCIP_CHAIN_SELECTOR is
    needed for chains without a published selector, CCIP_START_BLOCK is optional.

    Args:
        environment: Names to values, such as `os.environ`.
        chain_id: What the node says.

    Raises:
        SettingsError: A variable is missing or malformed.
    """
    url = parse_environment(environment, "RPC_URL", _like(RpcUrl), example="http://127.0.0.1:8545")
    router: Address = parse_environment(environment, "CCIP_ROUTER_ADDRESS", _address, example="0x80226f…0c7D")

    def optional(name: str, parse: Callable[[str], Any], default: Any, example: str) -> Any:
        given = environment.get(name, "").strip()
        return parse_environment(environment, name, parse, example=example) if given else default

    pause = optional("MONITORING_INTERVAL", _interval, DEFAULT_INTERVAL, "15")
    selector = optional("CCIP_CHAIN_SELECTOR", _like(SelectorText), None, "13801380138013801380")
    start = optional("CCIP_START_BLOCK", _block, None, "19000000")
    name = f"chain-{chain_id}"
    chain = ChainSettings(chain_id=chain_id, rpc=(url,), selector=selector, poll_interval=pause)
    return CcipSettings(chains=(CcipChainSettings(chain=name, router=router, start_block=start),)), {name: chain}


def _like(kind: Any) -> Callable[[str], Any]:
    """A parser that takes what a setting of this type takes."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind)

    def parse(text: str) -> Any:
        try:
            return adapter.validate_python(text)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)[0]
            raise ValueError(str(found.get("ctx", {}).get("error", found["msg"]))) from None

    return parse


def _block(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is not a block number")
    return int(text)


def _address(text: str) -> Address:
    try:
        return parse_address(text)
    except AddressError as error:
        raise ValueError(str(error)) from error
