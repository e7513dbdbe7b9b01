"""Settings of a chain: where its nodes are, when its blocks are final, what its transactions may cost, who signs.

A chain is named once, under `chains`, and referred to by that name everywhere else.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from seamark.core.units import Seconds
from seamark.evm.fields import AddressText, RpcUrl, SelectorText
from seamark.evm.signer_settings import SignerSettings
from seamark.runtime.settings import Duration, Money, SettingsModel

__all__ = [
    "AddressText",
    "ChainSettings",
    "FeeSettings",
    "FinalitySettings",
    "RpcUrl",
    "SelectorText",
    "SignerSettings",
]


class FinalitySettings(SettingsModel):
    """When a block counts as final."""

    tag: Literal["finalized", "safe"] | None = "finalized"
    """The node's own tag; None uses `depth` alone."""

    depth: int = Field(64, ge=0)
    """Blocks behind the head that count as final where the node knows no tag. 0 for instant finality (QBFT, IBFT)."""


class FeeSettings(SettingsModel):
    """What a transaction may cost. Amounts in wei."""

    max_gas_price: int = Field(500 * 10**9, ge=0)
    """Never offer more than this per gas; a transaction that needs more waits and says so. 500 gwei stops a runaway,
    not a busy day."""

    min_tip: int = Field(0, ge=0)
    """Some chains refuse a smaller priority fee."""

    bump_after: Duration = Seconds(30.0)
    """Offer 12.5 % more when a transaction is not mined for so long. Chains without fees never bump."""

    legacy: bool = False
    """Send transactions of type 0 (one gas price) although the chain has a base fee; without one they always are."""

    spend_per_day: Money | None = None
    """Never spend more with one account on this chain in 24 hours ("0.5 ether"): what would is refused or waits."""

    confirmations: int = Field(1, ge=1)
    """Blocks on top of (and with) a transaction's own until it counts as confirmed, where the node knows no finality
    tag and `finality.depth` asks for less."""


class ChainSettings(SettingsModel):
    """One chain."""

    chain_id: int = Field(gt=0)
    """EIP-155 id; every endpoint is asked for it before it is trusted."""

    rpc: tuple[RpcUrl, ...] = Field(min_length=1, repr=False)
    """Endpoints, the preferred one first."""

    selector: SelectorText | None = None
    """CCIP selector; only for chains that the published table does not know (138, private chains)."""

    label: str | None = None
    """Name shown to people; the settings' key where missing."""

    poll_interval: Duration = Seconds(1.0)
    """How often to look for a new block; about half a block time is right."""

    finality: FinalitySettings = FinalitySettings()
    fees: FeeSettings = FeeSettings()
