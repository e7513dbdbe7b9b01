"""Settings of the Hyperlane monitor."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from seamark.evm.settings import AddressText
from seamark.runtime.settings import SettingsModel

__all__ = ["HyperlaneChainSettings", "HyperlaneSettings"]

MAX_DOMAIN = 2**32 - 1


class HyperlaneChainSettings(SettingsModel):
    """Hyperlane on one chain. Hooks and gas paymasters are found from the Mailbox."""

    chain: str
    """Key of the chain under `chains`."""

    mailbox: AddressText
    """Mailbox (version 3) on that chain."""

    domain: int | None = Field(None, ge=0, le=MAX_DOMAIN)
    """Hyperlane's number of the chain; None: what the Mailbox says. Where given, it must be that."""

    gas_paymasters: tuple[AddressText, ...] = ()
    """Further InterchainGasPaymasters whose payments count, where applications name hooks of their own."""

    start_block: int | None = Field(None, ge=0)
    """The first block to look at; None: the newest one at the first start."""


class HyperlaneSettings(SettingsModel):
    """Which chains' Hyperlane messages to follow. A lane is seen whole when both of its ends are listed."""

    chains: tuple[HyperlaneChainSettings, ...] = ()

    @model_validator(mode="after")
    def _each_chain_once(self) -> Self:
        names = [item.chain for item in self.chains]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"chain {twice!r} is listed twice; keep one")
        return self
