"""What one look at one chain found. Amounts are base units of their token (18 decimals for LINK and native currency);
times are seconds by the chain's own clock.
"""

from __future__ import annotations

import msgspec

__all__ = ["Bucket", "ChainCheck", "LaneCheck", "PoolCheck", "PriceCheck", "Quote", "SenderCheck", "SourceCheck"]


class Quote(msgspec.Struct, frozen=True):
    """What a small message would cost now; None with the contract's reason where it refuses."""

    token: str
    amount: int | None
    error: str = ""


class LaneCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One way out of the chain. `version` is what the OnRamp says of itself; "" where the router has none."""

    selector: str
    name: str
    on_ramp: str
    version: str
    cursed: bool
    quotes: tuple[Quote, ...] = ()
    gas_price_age: int | None = None
    gas_price_limit: int | None = None
    last_sent: int | None = None


class SourceCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One way into the chain."""

    selector: str
    name: str
    off_ramp: str
    version: str
    last_committed: int | None = None


class PriceCheck(msgspec.Struct, frozen=True):
    """A token price that fees are computed from; `limit` is the age at which sends revert (None: no limit)."""

    token: str
    age: int
    limit: int | None


class SenderCheck(msgspec.Struct, frozen=True, kw_only=True):
    """Who pays. `burn` is LINK per second over the last days; None where nothing was paid in LINK. `link` and
    `allowance` are None where nobody tells which token that is, or it does not answer: not known is not nothing.
    """

    address: str
    name: str
    link: int | None
    native: int
    allowance: int | None
    burn: float | None = None
    paused: str = ""  # what of it is paused: "sending", "feed" or nothing

    @property
    def runway(self) -> float | None:
        """Seconds that the LINK lasts; None where nothing is spent."""
        return self.link / self.burn if self.burn and self.link is not None else None


class Bucket(msgspec.Struct, frozen=True):
    """A rate limit: `tokens` of `capacity` left, refilled by `rate` a second."""

    tokens: int
    capacity: int
    rate: int

    @property
    def headroom(self) -> float:
        """0 to 1."""
        return self.tokens / self.capacity if self.capacity else 0.0


class PoolCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A pool's limits towards and from one chain; None where there is none.

    `instead_of`: the pool that the settings name, where the token has moved to this one.
    """

    pool: str
    token: str
    selector: str
    name: str
    outbound: Bucket | None
    inbound: Bucket | None
    instead_of: str = ""


class ChainCheck(msgspec.Struct, frozen=True, kw_only=True):
    """All of one chain. With `problem` the router could not be asked, and nothing else is known."""

    chain: str
    chain_id: int
    router: str
    at: int
    problem: str = ""
    unreachable: bool = False  # the node, not the router
    cursed: bool = False  # everything
    lanes: tuple[LaneCheck, ...] = ()
    sources: tuple[SourceCheck, ...] = ()
    prices: tuple[PriceCheck, ...] = ()
    senders: tuple[SenderCheck, ...] = ()
    pools: tuple[PoolCheck, ...] = ()
