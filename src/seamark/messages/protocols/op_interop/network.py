"""The network that messages are judged by: which chains belong to it, since when, and how long messages live."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from seamark.core.errors import SettingsError
from seamark.core.ids import ChainId
from seamark.evm.settings import ChainSettings
from seamark.messages.protocols.op_interop.settings import (
    DEFAULT_WINDOW_S,
    DependencySetSettings,
    InteropSettings,
)

__all__ = ["InteropChain", "Network", "interop_chains", "interop_network"]


@dataclass(frozen=True, slots=True)
class InteropChain:
    """A chain that is followed. `setting` is what errors name."""

    chain_id: ChainId
    name: str
    start_block: int | None = None
    activation_time: int | None = None
    setting: str = "interop.chains[0]"


@dataclass(frozen=True, slots=True)
class Network:
    """`members`: the dependency set, by chain id. `window_s`: seconds until a message expires. `activation`: seconds
    since the epoch, for chains where interop did not begin with the first block.
    """

    members: frozenset[int]
    window_s: int = int(DEFAULT_WINDOW_S)
    activation: Mapping[int, int] = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)

    def name(self, chain_id: int) -> str:
        return self.names.get(chain_id, f"chain {chain_id}")


def interop_chains(settings: InteropSettings, chains: Mapping[str, ChainSettings]) -> list[InteropChain]:
    """Join the monitor's settings with those of the chains.

    Raises:
        SettingsError: A chain that is not defined.
    """
    found = []
    for index, item in enumerate(settings.chains):
        chain = chains.get(item.chain)
        if chain is None:
            known = ", ".join(sorted(chains)) or "none"
            remedy = f"chains defined under `chains`: {known}"
            raise SettingsError(f"interop.chains[{index}].chain", f"there is no chain {item.chain!r}", remedy=remedy)
        found.append(
            InteropChain(
                ChainId(chain.chain_id),
                chain.label or item.chain,
                item.start_block,
                item.activation_time,
                f"interop.chains[{index}]",
            )
        )
    return found


def interop_network(settings: InteropSettings, chains: Sequence[InteropChain]) -> Network:
    """What messages are judged by.

    Raises:
        SettingsError: The dependency set's file cannot be read, or a chain that is followed is not in the set.
    """
    declared = _dependency_set(settings.dependency_set)
    followed = {int(chain.chain_id) for chain in chains}
    members = frozenset(map(int, declared.dependencies)) or frozenset(followed)
    for chain in chains:
        if chain.chain_id not in members:
            listed = ", ".join(map(str, sorted(members)))
            raise SettingsError(
                f"{chain.setting}.chain",
                f"chain id {chain.chain_id} is not in interop.dependency_set",
                remedy=f"its chain ids: {listed}",
            )
    window = settings.message_expiry_window or declared.overrideMessageExpiryWindow or DEFAULT_WINDOW_S
    return Network(
        members,
        int(window),
        {int(chain.chain_id): chain.activation_time for chain in chains if chain.activation_time is not None},
        {int(chain.chain_id): chain.name for chain in chains},
    )


def _dependency_set(given: DependencySetSettings | Path | None) -> DependencySetSettings:
    if given is None:
        return DependencySetSettings()
    if isinstance(given, DependencySetSettings):
        return given
    setting, remedy = "interop.dependency_set", 'write a JSON file like {"dependencies": {"901": {}, "902": {}}}'
    try:
        found = DependencySetSettings.model_validate(json.loads(given.read_text(encoding="utf-8")))
    except OSError as error:
        raise SettingsError(setting, f"{given}: {error.strerror or 'cannot be read'}", remedy=remedy) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise SettingsError(setting, f"{given}: {place}: {first['msg']}", remedy=remedy) from error
    except ValueError as error:
        raise SettingsError(setting, f"{given} is not JSON: {error}", remedy=remedy) from error
    if not found.dependencies:
        raise SettingsError(setting, f"{given} names no dependencies", remedy=remedy)
    return found
