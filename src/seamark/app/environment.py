"""Settings from environment variables alone: enough for a publisher of one feed or a monitor of one chain.

Oracle: RPC_URL, AGGREGATOR_ADDRESS, PRIVATE_KEY, HEARTBEAT, DEVIATION_THRESHOLD.
CCIP monitor: RPC_URL, CCIP_ROUTER_ADDRESS, MONITORING_INTERVAL.
Anything: SEAMARK_DATABASE, API_HOST, API_PORT, METRICS_HOST, METRICS_PORT, HEALTH_HOST, HEALTH_PORT, LOG_FORMAT,
LOG_LEVEL.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from seamark.core.errors import SeamarkError, SettingsError
from seamark.core.ids import ChainId
from seamark.evm.rpc import SilentObserver
from seamark.evm.rpc.endpoint import Endpoint
from seamark.evm.rpc.wire import read_number
from seamark.evm.settings import ChainSettings, FinalitySettings
from seamark.messages.settings import ccip_from_environment
from seamark.oracle.settings import ENVIRONMENT_CHAIN
from seamark.oracle.settings import from_environment as oracle_from_environment
from seamark.runtime.clock import SystemClock
from seamark.runtime.http import make_session
from seamark.runtime.settings import SettingsProblems, validate_settings
from seamark.settings import Settings

__all__ = ["FoundSettings", "settings_from_environment"]

_GENERAL = {
    "SEAMARK_DATABASE": ("database",),
    "API_HOST": ("api", "host"),
    "API_PORT": ("api", "port"),
    "METRICS_HOST": ("metrics", "host"),
    "METRICS_PORT": ("metrics", "port"),
    "HEALTH_HOST": ("health", "host"),
    "HEALTH_PORT": ("health", "port"),
    "LOG_FORMAT": ("logs", "form"),
    "LOG_LEVEL": ("logs", "level"),
}


@dataclass(frozen=True, slots=True)
class FoundSettings:
    """Settings, and what the user calls the ones that are not dotted paths."""

    settings: Settings
    names: Mapping[str, str] = field(default_factory=dict)


async def settings_from_environment(services: Collection[str], environment: Mapping[str, str]) -> FoundSettings:
    """Read what the wanted services need.

    Raises:
        SettingsError: A variable is missing or malformed, or the node does not answer.
    """
    values: dict[str, Any] = {}
    names: dict[str, str] = {}
    for variable, path in _GENERAL.items():
        if text := environment.get(variable, "").strip():
            _put(values, path, int(text) if path[-1] == "port" and text.isdigit() else text)
            names[".".join(path)] = variable
    base = _validate(values, names)
    changes: dict[str, Any] = {}
    chains: dict[str, ChainSettings] = {}
    if "oracle" in services:
        found = oracle_from_environment(environment)
        chain_id = await _chain_id(found.rpc_url)
        chains[ENVIRONMENT_CHAIN] = _chain(chain_id, found.rpc_url)
        changes["oracle"] = found.oracle
        names |= {**found.names, f"chains.{ENVIRONMENT_CHAIN}.rpc": "RPC_URL"}
    if "ccip-monitor" in services:
        url = environment.get("RPC_URL", "").strip()
        if not url:
            raise SettingsError("RPC_URL", "is not set", remedy="export RPC_URL=http://127.0.0.1:8545")
        ccip, found_chains = ccip_from_environment(environment, await _chain_id(url))
        chains |= found_chains
        changes["ccip"] = ccip
        names |= {"ccip.chains[0].router": "CCIP_ROUTER_ADDRESS", "ccip.chains[0].start_block": "CCIP_START_BLOCK"}
        names |= {f"chains.{name}.{part}": variable for name in found_chains for part, variable in _CCIP_NAMES.items()}
    return FoundSettings(base.model_copy(update={**changes, "chains": chains}), names)


_CCIP_NAMES = {"rpc": "RPC_URL", "selector": "CCIP_CHAIN_SELECTOR", "poll_interval": "MONITORING_INTERVAL"}


def _chain(chain_id: ChainId, url: str) -> ChainSettings:
    return ChainSettings(chain_id=chain_id, rpc=(url,), finality=FinalitySettings())


def _put(values: dict[str, Any], path: tuple[str, ...], value: object) -> None:
    for part in path[:-1]:
        values = values.setdefault(part, {})
    values[path[-1]] = value


def _validate(values: Mapping[str, Any], names: Mapping[str, str]) -> Settings:
    try:
        return validate_settings(Settings, values)
    except SettingsProblems as error:
        first = error.problems[0]
        raise SettingsError(names.get(first.setting, first.setting), first.problem, remedy=first.remedy) from error


async def _chain_id(url: str) -> ChainId:
    """What the node says. It cannot contradict anything here: no chain id was given."""
    async with make_session() as session:
        try:
            node = Endpoint(url, session=session, clock=SystemClock(), observer=SilentObserver())
            return ChainId(read_number(await node.ask("eth_chainId")))
        except SeamarkError as error:
            remedy = "check that the node runs and the address is right"
            raise SettingsError("RPC_URL", f"the node does not answer ({error.message})", remedy=remedy) from error
