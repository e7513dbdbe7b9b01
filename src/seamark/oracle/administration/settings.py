"""Settings of operations on sender contracts: who signs what, how much a refill may be, what needs no person."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, Self

from pydantic import Field, model_validator

from seamark.evm.settings import SignerSettings
from seamark.runtime.settings import SettingsModel

__all__ = ["OperationsPolicy", "OperationsSettings", "RefillSettings"]


class RefillSettings(SettingsModel):
    """Ceilings of refills, in LINK. A refill above one of them is refused, whoever asks."""

    per_refill: Decimal = Field(Decimal(20), gt=0)
    per_day: Decimal = Field(Decimal(50), gt=0)
    """In any 24 hours, on each chain."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.per_refill > self.per_day:
            raise ValueError("per_refill is above per_day; a single refill could never be that large")
        return self


class OperationsPolicy(SettingsModel):
    """What `--yes` may do. Without a policy nothing is sent unless a person types a confirmation."""

    chains: tuple[str, ...] = Field(min_length=1)
    """Keys of the chains, under `chains`."""

    kinds: tuple[Literal["refill", "pause", "resume", "configure", "upgrade"], ...] = Field(min_length=1)


class OperationsSettings(SettingsModel):
    """Refilling, pausing and changing our sender contracts. None of the keys may be the publisher's."""

    signer: SignerSettings | None = None
    """Pauses and resumes (PAUSER_ROLE), sends test messages (OPERATOR_ROLE), and pays refills with its own LINK."""

    admin: SignerSettings | None = None
    """Changes the configuration (DEFAULT_ADMIN_ROLE); the signer where missing."""

    refill: RefillSettings = RefillSettings()
    policy: OperationsPolicy | None = None
