"""A sender contract as it is, and the steps that change it.

Amounts are base units, times seconds, deviations basis points, as the contract has them; selectors are CCIP's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from seamark.core.ids import Address, Selector

__all__ = ["Change", "Destination", "SenderState"]


@dataclass(frozen=True, slots=True)
class Destination:
    """`Destinations.Destination` with its heartbeat. `receiver` and `extra_args` are hex text."""

    receiver: str
    extra_args: str
    fee_token: Address
    max_fee: int
    deviation_bps: int
    min_interval: int
    enabled: bool
    heartbeat: int = 0


@dataclass(frozen=True, slots=True)
class SenderState:
    """An OracleWithCCIP as of one block."""

    address: Address
    description: str
    decimals: int
    router: Address
    pending_router: Address
    pending_router_at: int
    link: Address
    latest_round: int
    paused: bool
    sending_paused: bool
    send_gas_limit: int
    max_observation_age: int
    max_step_bps: int
    min_answer: int
    max_answer: int
    block: int = 0
    block_time: int = 0
    destinations: Mapping[Selector, Destination] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """One call of a sequence. `undo` is the call that takes it back; None where nothing does."""

    what: str
    before: str
    after: str
    call: bytes
    undo: bytes | None
    selector: Selector | None = None  # the destination that it is about
