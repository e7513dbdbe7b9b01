"""Settings of what is read off chain for CCIP 2.0.

ccip:
  verification:
    indexers: ["https://indexer-1.ccip.chain.link", "https://indexer-2.ccip.chain.link"]
    every: 10s
"""

from __future__ import annotations

from pydantic import Field

from seamark.core.units import Seconds
from seamark.evm.settings import RpcUrl
from seamark.runtime.settings import Duration, SettingsModel

__all__ = ["VerificationSettings"]


class VerificationSettings(SettingsModel):
    """Whom to ask what verifiers said. Without indexers nobody is asked, and a message goes from final to executed."""

    indexers: tuple[RpcUrl, ...] = Field((), repr=False)
    """Base addresses of indexers of the verifiers' storage, the preferred one first; also asked by recovery."""

    every: Duration = Field(Seconds(10.0), gt=0)
    """Pause between two looks."""
