"""What sending needs from a chain, and what it tells whoever counts.

`evm.rpc` implements `ChainWriter`; tests use an in-memory node.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from seamark.core.ids import Address, ChainId, Hash32
from seamark.evm.ports import TxState
from seamark.evm.transactions.fees import Hold
from seamark.evm.types import BlockHeader, BlockTag, Receipt

__all__ = [
    "BalanceRead",
    "ChainWriter",
    "Event",
    "FeeHistory",
    "GapFilled",
    "Held",
    "InFlight",
    "Mined",
    "Observer",
    "Orphaned",
    "Refused",
    "Replaced",
    "Settled",
    "Spent",
    "Submitted",
]


class FeeHistory(Protocol):
    """An eth_feeHistory answer: N + 1 base fees (the last is the next block's), rewards of N blocks, all in wei."""

    @property
    def base_fees(self) -> Sequence[int]: ...

    @property
    def rewards(self) -> Sequence[Sequence[int]]: ...


class ChainWriter(Protocol):
    """The part of a chain that a sender talks to.

    Every method raises `TemporaryError` when no endpoint answers; a revert in `estimate_gas` or `simulate` is a
    `RejectedError`. `send_raw` raises an error that keeps the node's own words.
    """

    @property
    def chain_id(self) -> ChainId: ...

    async def header(self, block: BlockTag) -> BlockHeader | None: ...

    async def nonce(self, address: Address, block: BlockTag = "latest") -> int: ...

    async def balance(self, address: Address) -> int: ...

    async def receipts(self, transactions: Sequence[Hash32]) -> list[Receipt | None]: ...

    async def send_raw(self, raw: bytes) -> Hash32: ...

    async def fee_history(self, blocks: int, newest: BlockTag, percentiles: Sequence[float]) -> FeeHistory: ...

    async def gas_price(self) -> int: ...

    async def max_priority_fee(self) -> int: ...

    async def estimate_gas(self, *, sender: Address, to: Address | None, data: bytes, value: int = 0) -> int: ...

    async def simulate(self, *, sender: Address, to: Address | None, data: bytes, value: int = 0) -> bytes: ...


# ---- what happened, for metrics and events ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Submitted:
    """A node accepted a new transaction; `seconds` since it was handed in."""

    key: str
    nonce: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Mined:
    """In a block; `seconds` since it was signed, `fee` paid in wei."""

    key: str
    nonce: int
    seconds: float
    fee: int
    succeeded: bool


@dataclass(frozen=True, slots=True)
class Settled:
    """Will not change any more: CONFIRMED, REPLACED or FOREIGN."""

    key: str
    nonce: int
    state: TxState


@dataclass(frozen=True, slots=True)
class Orphaned:
    """Its block left the chain; the same bytes are sent again."""

    key: str
    nonce: int


@dataclass(frozen=True, slots=True)
class Replaced:
    """Sent again with higher fees (`cap` in wei per gas), or with a newer intent's data at the same nonce."""

    key: str
    nonce: int
    cap: int


@dataclass(frozen=True, slots=True)
class Held:
    """Should be replaced and is not."""

    key: str
    nonce: int
    reason: Hold


@dataclass(frozen=True, slots=True)
class Refused:
    """A node would not take it; `reason` is a `Refusal`."""

    key: str
    nonce: int
    reason: str


@dataclass(frozen=True, slots=True)
class GapFilled:
    """A nonce that nobody used was used up by a transfer to ourselves."""

    nonce: int


@dataclass(frozen=True, slots=True)
class InFlight:
    """How many of ours are not in a block yet; seconds since the oldest of them was signed."""

    count: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class BalanceRead:
    """What the signer owns, in wei."""

    wei: int


@dataclass(frozen=True, slots=True)
class Spent:
    """By all keys in 24 hours, in wei: what was paid, and the most that the unmined ones may cost."""

    wei: int
    limit: int | None


Event: TypeAlias = (
    Submitted | Mined | Settled | Orphaned | Replaced | Held | Refused | GapFilled | InFlight | BalanceRead | Spent
)


class Observer(Protocol):
    """Told what happens; must not block or raise."""

    def __call__(self, event: Event, /) -> None: ...
