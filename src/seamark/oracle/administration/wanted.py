"""What a sender contract should be: the file that `seamark ccip configure` reads.

    chain: home
    sender: "0x…"
    send_gas_limit: 500000
    max_observation_age: 15m
    max_step: 20%
    destinations:
      remote: { receiver: "0x…", gas_limit: 250000, fee: link, max_fee: "2", deviation: 0.5%, min_interval: 30s,
                heartbeat: 1h, enabled: true }
    remove: [old]

What is not mentioned stays as it is. A new destination needs all of its parts but `heartbeat` and `enabled`.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from seamark.evm.settings import AddressText
from seamark.runtime.settings import Duration, Ratio, SettingsModel

__all__ = ["WantedDestination", "WantedSender"]


def _hex(value: object) -> object:
    text = str(value)
    try:
        bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise ValueError(f"{text!r} is not hex") from None
    if not text.startswith("0x"):
        raise ValueError(f"{text!r} does not begin with 0x")
    return text.lower()


HexText = Annotated[str, BeforeValidator(_hex)]


class WantedDestination(SettingsModel):
    """How to send to one chain. Fees in whole units of the fee token."""

    receiver: AddressText | None = None
    """An address on an EVM chain."""

    gas_limit: int | None = Field(None, gt=0)
    """For the receiver; execution in any order. `extra_args` instead for anything else."""

    extra_args: HexText | None = None
    """CCIP's extra arguments as they are."""

    fee: Literal["link", "native"] | None = None
    max_fee: Decimal | None = Field(None, ge=0)
    deviation: Ratio | None = None
    min_interval: Duration | None = None
    heartbeat: Duration | None = None
    enabled: bool | None = None

    @model_validator(mode="after")
    def _one_way_to_say_gas(self) -> Self:
        if self.gas_limit is not None and self.extra_args is not None:
            raise ValueError("gas_limit and extra_args say the same thing; keep one")
        return self


class WantedSender(SettingsModel):
    """A whole file."""

    chain: str
    """Key of the chain under `chains` of the settings."""

    sender: AddressText
    """The OracleWithCCIP."""

    send_gas_limit: int | None = Field(None, gt=0)
    max_observation_age: Duration | None = None
    max_step: Ratio | None = None
    destinations: Mapping[str, WantedDestination] = Field(default_factory=dict)
    """By the key of a chain under `chains`, or by CCIP selector."""

    remove: tuple[str, ...] = ()
    """Destinations to remove, named likewise."""

    @model_validator(mode="after")
    def _not_both(self) -> Self:
        if both := set(self.destinations) & set(self.remove):
            raise ValueError(f"{min(both)!r} is both a destination and to be removed")
        return self
