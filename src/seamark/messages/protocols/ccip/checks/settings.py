"""Settings of the CCIP checks. Routers and lanes need none; money and limits need to know whose.

ccip:
  checks:
    every: 60s
    senders:
      - { chain: besu, address: "0x…", link_warning: 10, link_critical: 5 }
    pools:
      - { chain: besu, address: "0x…" }
"""

from __future__ import annotations

from decimal import Decimal
from typing import Self

from pydantic import Field, model_validator

from seamark.core.units import Ppb, Seconds
from seamark.evm.settings import AddressText
from seamark.runtime.settings import Duration, Ratio, SettingsModel

__all__ = ["ChecksSettings", "PoolSettings", "SenderSettings"]

PERCENT = 10_000_000  # ppb


class SenderSettings(SettingsModel):
    """A contract or account that pays for messages. Amounts in whole units of the token."""

    chain: str
    """Key of the chain under `chains`."""

    address: AddressText
    """Who pays: an OracleWithCCIP, another contract, or an account."""

    name: str | None = None
    """What people call it; the address where missing."""

    link_warning: Decimal = Field(Decimal(10), ge=0)
    link_critical: Decimal = Field(Decimal(5), ge=0)
    """LINK below these is told. 0 for a sender that pays in native currency only."""

    native_warning: Decimal = Field(Decimal(0), ge=0)
    native_critical: Decimal = Field(Decimal(0), ge=0)
    """Native currency below these is told."""

    min_allowance: Decimal = Field(Decimal(0), ge=0)
    """LINK that the router must be allowed to take, for senders that approve in advance. OracleWithCCIP approves each
    fee exactly, so 0 is right for it."""

    runway_warning: Duration = Seconds(7 * 86_400.0)
    """LINK that lasts for less than this, at the pace of the last seven days, is told."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for kind in ("link", "native"):
            if getattr(self, f"{kind}_critical") > getattr(self, f"{kind}_warning"):
                raise ValueError(f"{kind}_critical is above {kind}_warning; the critical amount is the smaller one")
        return self


class PoolSettings(SettingsModel):
    """A token pool whose rate limits are watched, towards and from every watched chain that it serves."""

    chain: str
    """Key of the chain under `chains`."""

    address: AddressText
    """TokenPool 1.5 or newer. Where its token moves to another pool (the token registry's PoolSet), that one is watched
    in its place."""


class ChecksSettings(SettingsModel):
    """What is checked, how often, and what is told."""

    every: Duration = Field(Seconds(60.0), gt=0)
    """How often all chains are asked."""

    senders: tuple[SenderSettings, ...] = ()
    pools: tuple[PoolSettings, ...] = ()

    price_warning: Ratio = Field(Ppb(80 * PERCENT), gt=0)
    """Fee data older than this share of what the contracts accept is told; beyond all of it sends revert."""

    limit_warning: Ratio = Field(Ppb(20 * PERCENT), ge=0)
    """A rate limit with less than this share of its capacity left is told."""
