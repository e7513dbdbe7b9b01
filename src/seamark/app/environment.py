"""Settings from environment variables alone: enough for a publisher of one feed or a monitor of one chain.

Oracle: RPC_URL, AGGREGATOR_ADDRESS, PRIVATE_KEY, HEARTBEAT, DEVIATION_THRESHOLD.
CCIP monitor: RPC_URL, CCIP_ROUTER_ADDRESS, MONITORING_INTERVAL; CCIP_CHAIN_SELECTOR and CCIP_START_BLOCK if need be.
Anything: SEAMARK_DATABASE, START_TIMEOUT, API_HOST, API_PORT, METRICS_HOST, METRICS_PORT, HEALTH_HOST, HEALTH_PORT,
LOG_FORMAT, LOG_LEVEL.

Errors name the variable, never the dotted path of a file that does not exist here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from seamark.app.patience import first_answer
from seamark.core.errors import SettingsError
from seamark.core.ids import ChainId
from seamark.evm.rpc import SilentObserver
from seamark.evm.rpc.endpoint import Endpoint
from seamark.evm.rpc.wire import read_number
from seamark.evm.settings import ChainSettings
from seamark.messages.protocols.ccip.settings import ccip_from_environment
from seamark.oracle.settings import ENVIRONMENT_CHAIN
from seamark.oracle.settings import from_environment as oracle_from_environment
from seamark.runtime.clock import Clock, SystemClock
from seamark.runtime.http import make_session
from seamark.runtime.settings import SettingsProblems, validate_settings
from seamark.settings import Settings

__all__ = ["FoundSettings", "settings_from_environment"]

_GENERAL: Final = {
    "SEAMARK_DATABASE": ("database",),
    "START_TIMEOUT": ("start_timeout",),
    "API_HOST": ("api", "host"),
    "API_PORT": ("api", "port"),
    "METRICS_HOST": ("metrics", "host"),
    "METRICS_PORT": ("metrics", "port"),
    "HEALTH_HOST": ("health", "host"),
    "HEALTH_PORT": ("health", "port"),
    "LOG_FORMAT": ("logs", "form"),
    "LOG_LEVEL": ("logs", "level"),
}
_GENERAL_NAMES: Final = {".".join(path): variable for variable, path in _GENERAL.items()}
_CHAIN_NAMES: Final = {"rpc": "RPC_URL", "selector": "CCIP_CHAIN_SELECTOR", "poll_interval": "MONITORING_INTERVAL"}
_CCIP_NAMES: Final = {
    "ccip.chains[0].router": "CCIP_ROUTER_ADDRESS",
    "ccip.chains[0].start_block": "CCIP_START_BLOCK",
    "ccip.chains[0].chain": "RPC_URL",
}

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class FoundSettings:
    """Settings, and what the user calls the ones that are not dotted paths."""

    settings: Settings
    names: Mapping[str, str] = field(default_factory=dict)


async def settings_from_environment(
    services: Collection[str], environment: Mapping[str, str], *, clock: Clock | None = None
) -> FoundSettings:
    """Read what the wanted services need.

    Raises:
        SettingsError: A variable is missing or malformed, or the node does not answer.
    """
    clock = clock or SystemClock()
    base = _general(environment)
    names = dict(_GENERAL_NAMES)
    changes: dict[str, Any] = {}
    chains: dict[str, ChainSettings] = {}
    if "oracle" in services:
        found = _named(lambda: oracle_from_environment(environment), {"feeds[0].heartbeat": "HEARTBEAT"})
        chain_id = await _chain_id(found.rpc_url, base.start_timeout, clock)
        chains[ENVIRONMENT_CHAIN] = ChainSettings(chain_id=chain_id, rpc=(found.rpc_url,))
        changes["oracle"] = found.oracle
        names |= {**found.names, f"chains.{ENVIRONMENT_CHAIN}.rpc": "RPC_URL"}
    if "ccip-monitor" in services:
        _named(lambda: ccip_from_environment(environment, ChainId(1)))  # what is malformed is told without a node
        chain_id = await _chain_id(environment["RPC_URL"].strip(), base.start_timeout, clock)
        ccip, found_chains = _named(lambda: ccip_from_environment(environment, chain_id))
        chains |= found_chains
        changes["ccip"] = ccip
        names |= _CCIP_NAMES
        names |= {f"chains.{name}.{part}": variable for name in found_chains for part, variable in _CHAIN_NAMES.items()}
    return FoundSettings(base.model_copy(update={**changes, "chains": chains}), names)


def _general(environment: Mapping[str, str]) -> Settings:
    values: dict[str, Any] = {}
    for variable, path in _GENERAL.items():
        if text := environment.get(variable, "").strip():
            _put(values, path, text)
    return _named(lambda: validate_settings(Settings, values), _GENERAL_NAMES)


def _put(values: dict[str, Any], path: tuple[str, ...], value: object) -> None:
    for part in path[:-1]:
        values = values.setdefault(part, {})
    values[path[-1]] = value


def _named(read: Callable[[], _T], names: Mapping[str, str] | None = None) -> _T:
    """What `read` returns; its complaints about models name variables.

    Raises:
        SettingsError: The first complaint.
    """
    names = names or {}
    try:
        return read()
    except SettingsProblems as error:
        first = error.problems[0]
        raise SettingsError(names.get(first.setting, first.setting), first.problem, remedy=first.remedy) from error
    except ValidationError as error:
        first_error = error.errors(include_url=False, include_input=False)[0]
        part = str(first_error["loc"][0]) if first_error["loc"] else ""
        variable = {**_CHAIN_NAMES, "start_block": "CCIP_START_BLOCK"}.get(part, part)
        problem, _, remedy = first_error["msg"].removeprefix("Value error, ").partition("; ")
        raise SettingsError(variable, problem[:1].lower() + problem[1:], remedy=remedy) from None


async def _chain_id(url: str, limit_s: float, clock: Clock) -> ChainId:
    """What the node says. It cannot contradict anything here: no chain id was given."""
    async with make_session() as session:
        node = Endpoint(url, session=session, clock=clock, observer=SilentObserver())

        async def ask() -> ChainId:
            return ChainId(read_number(await node.ask("eth_chainId")))

        return await first_answer(ask, clock=clock, limit_s=limit_s, setting="RPC_URL")
