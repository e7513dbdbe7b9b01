"""Settings of the interop monitor.

interop:
  chains:
    - {chain: op}
    - {chain: base, activation_time: 1767225600}
  dependency_set: {dependencies: {"10": {}, "8453": {}}}     # or the path of such a JSON file
  message_expiry_window: 7d
  failsafe: {trigger: true, endpoints: [http://127.0.0.1:8545], token: {file: /run/secrets/jwt.hex}}
  filter: {endpoints: [http://127.0.0.1:8560]}
  replicas: [http://127.0.0.1:8561, http://127.0.0.1:8562]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from seamark.core.units import Seconds
from seamark.evm.settings import RpcUrl
from seamark.runtime.settings import Duration, SettingsModel

__all__ = [
    "DEFAULT_WINDOW_S",
    "DependencySetSettings",
    "FailsafeSettings",
    "FilterSettings",
    "InteropChainSettings",
    "InteropSettings",
    "TokenSettings",
]

DEFAULT_WINDOW_S = 604_800.0
"""Seven days, the protocol's own (specs, `interop/messaging.md`)."""


class InteropChainSettings(SettingsModel):
    """Interop on one chain. The contracts live at the same addresses everywhere."""

    chain: str
    """Key of the chain under `chains`."""

    start_block: int | None = Field(None, ge=0)
    """The first block to look at; None: the newest one at the first start."""

    activation_time: int | None = Field(None, ge=0)
    """When interop began there, in seconds since the epoch; None: from its first block on."""


class DependencySetSettings(SettingsModel):
    """The chains that may send to each other, in the form that OP Stack nodes read."""

    dependencies: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """By chain id. Empty: the chains listed under `chains`."""

    overrideMessageExpiryWindow: int | None = Field(None, gt=0)  # noqa: N815 - the file's own spelling
    """Seconds."""

    @field_validator("dependencies")
    @classmethod
    def _chain_ids(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for key in value:
            if not (key.isascii() and key.isdigit()):
                raise ValueError(f"{key!r} is no chain id; write it in decimal digits and quotes")
        return value


class TokenSettings(SettingsModel):
    """A secret of 32 bytes in hex, shared with a server, that signs a token (HS256) for each call to it."""

    file: str | None = None
    """File that holds it, readable by its owner alone."""

    env: str | None = None
    """Name of the environment variable that holds it."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.file is None) == (self.env is None):
            raise ValueError("name the secret in exactly one way; file or env")
        return self


class FilterSettings(SettingsModel):
    """Interop filters that are asked what they think of each message that was executed."""

    endpoints: tuple[RpcUrl, ...] = Field((), repr=False)

    min_safety: Literal["unsafe", "cross-unsafe"] = "cross-unsafe"
    """The least safety that a filter is asked for; it knows no higher ones."""

    method: Literal["interop_checkAccessList", "supervisor_checkAccessList"] = "interop_checkAccessList"
    """The second is what supervisors, which are going out of use, call it."""

    poll_interval: Duration = Seconds(5.0)


class FailsafeSettings(SettingsModel):
    """What stops interop when an invalid message is found. Off unless asked for."""

    trigger: bool = False
    """Call `admin_setFailsafeEnabled(true)` on every endpoint, once per incident."""

    endpoints: tuple[RpcUrl, ...] = Field((), repr=False)
    """Admin interfaces of supervisors and interop filters; their state is shown, also without `trigger`."""

    poll_interval: Duration = Seconds(15.0)
    """How often to ask them."""

    token: TokenSettings | None = None
    """For endpoints that want a JSON web token."""

    @model_validator(mode="after")
    def _has_somebody_to_call(self) -> Self:
        if self.trigger and not self.endpoints:
            raise ValueError("trigger is on, but there is no endpoint to call; add one under endpoints")
        return self


class InteropSettings(SettingsModel):
    """Which chains' interop messages to follow."""

    chains: tuple[InteropChainSettings, ...] = ()

    dependency_set: DependencySetSettings | Path | None = None
    """Inline, or the path of a JSON file; None: the chains listed here."""

    message_expiry_window: Duration | None = None
    """How long a message may be executed after it was sent; None: what the dependency set says, else seven days."""

    expiring_share: float = Field(0.8, gt=0, lt=1)
    """A message that is not relayed after this share of the window is about to expire."""

    relay_after: Duration = Seconds(3600.0)
    """A message that is not relayed for so long is worth a word."""

    undecided_after: Duration = Seconds(600.0)
    """An executing message without a verdict for so long is worth a word."""

    check_access_lists: bool = True
    """Look once whether each executing message was declared in its transaction's access list."""

    safe_interval: Duration = Seconds(10.0)
    """How often to look for the newest safe block."""

    finality_interval: Duration = Seconds(30.0)
    """How often to look for the newest final block: it moves every few minutes, and asking with every block is a third
    of what is read."""

    failsafe: FailsafeSettings = FailsafeSettings()

    filter: FilterSettings = FilterSettings()

    replicas: tuple[RpcUrl, ...] = Field((), repr=False)
    """Supernodes whose super roots must be the same; two or more."""

    supernodes: tuple[RpcUrl, ...] = Field((), repr=False)
    """Supernodes whose sync status is shown; that of `replicas` is shown as well."""

    @model_validator(mode="after")
    def _replicas_to_compare(self) -> Self:
        if len(self.replicas) == 1:
            raise ValueError("replicas has one address, and one cannot differ from itself; name another")
        return self

    @model_validator(mode="after")
    def _each_chain_once(self) -> Self:
        names = [item.chain for item in self.chains]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"chain {twice!r} is listed twice; keep one")
        return self
