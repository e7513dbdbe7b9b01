"""Settings of the message monitors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import Field, model_validator

from seamark.core.ids import Address, ChainId
from seamark.core.units import Seconds, parse_duration
from seamark.evm.address import parse_address
from seamark.evm.settings import AddressText, ChainSettings
from seamark.runtime.settings import SettingsModel, parse_environment

__all__ = ["CcipChainSettings", "CcipSettings", "ccip_from_environment"]


class CcipChainSettings(SettingsModel):
    """CCIP on one chain. Everything else about it is found from the router."""

    chain: str
    """Key of the chain under `chains`."""

    router: AddressText
    """CCIP Router 1.2.0 on that chain."""

    start_block: int | None = Field(None, ge=0)
    """The first block to look at; None: the newest one at the first start."""


class CcipSettings(SettingsModel):
    """Which chains' CCIP messages to follow. A lane is seen whole when both of its ends are listed."""

    chains: tuple[CcipChainSettings, ...] = ()

    @model_validator(mode="after")
    def _each_chain_once(self) -> Self:
        names = [item.chain for item in self.chains]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"chain {twice!r} is listed twice; keep one")
        return self


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
    url = parse_environment(environment, "RPC_URL", str, example="http://127.0.0.1:8545")
    router: Address = parse_environment(environment, "CCIP_ROUTER_ADDRESS", _address, example="0x80226f…0c7D")
    pause = Seconds(15.0)
    if environment.get("MONITORING_INTERVAL", "").strip():
        pause = parse_environment(environment, "MONITORING_INTERVAL", _interval, example="15")
    selector = environment.get("CCIP_CHAIN_SELECTOR", "").strip() or None
    start = None
    if environment.get("CCIP_START_BLOCK", "").strip():
        start = parse_environment(environment, "CCIP_START_BLOCK", int, example="19000000")
    name = f"chain-{chain_id}"
    chain = ChainSettings.model_validate(
        {"chain_id": chain_id, "rpc": (url,), "selector": selector, "poll_interval": float(pause)}
    )
    return CcipSettings(chains=(CcipChainSettings(chain=name, router=router, start_block=start),)), {name: chain}


def _address(text: str) -> Address:
    try:
        return parse_address(text)
    except Exception as error:
        raise ValueError(str(error)) from error
