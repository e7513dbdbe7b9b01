"""Settings of recovery: who signs, and what may be sent without a person who confirms it."""

from __future__ import annotations

from pydantic import Field

from seamark.evm.settings import RpcUrl, SignerSettings
from seamark.runtime.settings import SettingsModel

__all__ = ["RecoveryPolicy", "RecoverySettings"]


class RecoveryPolicy(SettingsModel):
    """What `--yes` may do. Without a policy nothing is sent unless a person types a confirmation."""

    chains: tuple[str, ...] = Field(min_length=1)
    """Keys of the chains, under `chains`, on which transactions may be sent."""

    max_gas: int = Field(5_000_000, gt=0)
    """Of one transaction."""

    per_day: int = Field(10, ge=1)
    """Transactions in any 24 hours, over all chains."""


class RecoverySettings(SettingsModel):
    """Execution by hand of messages that failed or are stuck, and sending rounds again."""

    signer: SignerSettings | None = None
    """Who pays. It needs no rights for an execution by hand, and the operator's role to send a round again. Not the
    publisher's key: two processes must never sign with the same one."""

    policy: RecoveryPolicy | None = None

    usdc_attestations: RpcUrl | None = Field(None, repr=False)
    """Base address of Circle's API (https://iris-api.circle.com): asked for the attestation of a USDC transfer whose
    execution fails without one. Nobody is asked where it is missing."""
