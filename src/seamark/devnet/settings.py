"""Settings of a devnet. All of it listens on loopback and uses keys that everybody knows."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from seamark.core.ids import ChainId, Selector
from seamark.core.units import Seconds
from seamark.devnet.accounts import Role
from seamark.devnet.ccip.contracts import ChainPlan
from seamark.devnet.ccip.faults import Fault as MessageFault
from seamark.devnet.ccip.faults import FaultKind as MessageFaultKind
from seamark.devnet.ccip.ramp_messages import LaneId
from seamark.devnet.deployment import FORMAT
from seamark.devnet.feeds import FeedPlan
from seamark.devnet.market import DEFAULT_ASSETS, Asset, Market, MarketModel, VenueFault, VenueFaultKind
from seamark.devnet.venue_shapes import VENUES
from seamark.devnet.venues import FaultSchedule
from seamark.evm.settings import SelectorText
from seamark.runtime.settings import Duration, Port, SettingsModel

__all__ = [
    "ANVIL_SELECTOR",
    "PRIVATE_SELECTOR",
    "ChainSettings",
    "DevnetSettings",
    "FeedSettings",
    "MarketSettings",
    "MessageFaultSettings",
    "VenueFaultSettings",
]

PRIVATE_SELECTOR = Selector(13_801_380_138_013_801_380)
"""Stands for chain 138 on devnets. Chainlink has published no selector for that chain; this one is private, means
nothing
to any real network, and is larger than 2**63 on purpose, as many real ones are."""

ANVIL_SELECTOR = Selector(7_759_470_850_252_068_959)
"""The published selector of local test chains with id 31337."""


def _whole_seconds(seconds: Seconds) -> Seconds:
    if not float(seconds).is_integer():
        raise ValueError(f"{seconds} s is not a whole number of seconds; write 1s, or 0 for a block per transaction")
    return seconds


class ChainSettings(SettingsModel):
    """One of the two chains."""

    chain_id: int = Field(gt=0)
    selector: SelectorText
    port: Port
    free_gas: bool = False
    """Gas costs nothing, as on a permissioned chain."""


class FeedSettings(SettingsModel):
    """A feed to deploy; its symbol must be traded in the market model."""

    symbol: str
    decimals: int = Field(8, ge=0, le=18)
    lowest: Decimal = Field(Decimal("0.0001"), gt=0)
    highest: Decimal = Field(Decimal(10_000_000), gt=0)
    max_step_bps: int = Field(0, ge=0)
    fee_currency: Literal["link", "native"] = "link"
    min_deviation_bps: int = Field(0, ge=0)
    min_interval: Duration = Seconds(0.0)

    def plan(self) -> FeedPlan:
        """For the deployer."""
        values = self.model_dump(exclude={"min_interval"})
        return FeedPlan(**values, min_interval_s=int(self.min_interval))


class AssetSettings(SettingsModel):
    """Something that is traded."""

    symbol: str = Field(pattern=r"^[A-Z0-9]{2,10}/[A-Z]{3,4}$")
    start: Decimal = Field(gt=0)
    daily_volume: Decimal = Field(Decimal(10_000), gt=0)
    tick: Decimal = Field(Decimal("0.01"), gt=0)


class MarketSettings(SettingsModel):
    """How the simulated market moves; see `seamark.devnet.market.MarketModel`."""

    seed: int = 1
    volatility: float = Field(0.0013, ge=0, le=0.1)
    drift_per_day: float = Field(0.0, gt=-1, le=10)
    jump_every: Duration = Seconds(120.0)
    jump_chance: float = Field(0.5, ge=0, le=1)
    jump_size: float = Field(0.012, ge=0, le=1)
    assets: list[AssetSettings] = Field(default_factory=list)
    """Empty means Bitcoin, Ether and LINK in US dollars."""

    def market(self) -> Market:
        """The model itself."""
        values = self.model_dump(exclude={"assets", "jump_every"})
        assets = tuple(Asset(**asset.model_dump()) for asset in self.assets) or DEFAULT_ASSETS
        return Market(MarketModel(**values, jump_every_s=self.jump_every), assets)


class VenueFaultSettings(SettingsModel):
    """A venue that breaks now and then: for `lasts` in each `every`, the first time after `after`."""

    venue: str
    kind: VenueFaultKind
    every: Duration = Seconds(120.0)
    lasts: Duration = Seconds(20.0)
    after: Duration = Seconds(30.0)
    factor: float = Field(1.1, gt=0)
    delay: Duration = Seconds(2.0)

    @field_validator("venue")
    @classmethod
    def _known(cls, venue: str) -> str:
        if venue not in VENUES:
            raise ValueError(f"{venue!r} is no venue; there are {', '.join(VENUES)}")
        return venue

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if not 0 < self.lasts <= self.every:
            raise ValueError("lasts must be above zero and no longer than every")
        return self

    def schedule(self) -> FaultSchedule:
        """For the venue server."""
        fault = VenueFault(self.kind, factor=self.factor, seconds=self.delay)
        return FaultSchedule(self.venue, fault, self.every, self.lasts, self.after)


class MessageFaultSettings(SettingsModel):
    """A message that goes wrong: each `every`-th of a direction, or the next `times`."""

    kind: MessageFaultKind
    direction: Literal["home-to-remote", "remote-to-home", "both"] = "both"
    delay: Duration = Seconds(0.0)
    every: Annotated[int, Field(ge=1)] | None = None
    times: Annotated[int, Field(ge=1)] | None = None

    def fault(self, home: Selector, remote: Selector) -> MessageFault:
        """For the oracle network."""
        lanes = {"home-to-remote": LaneId(home, remote), "remote-to-home": LaneId(remote, home), "both": None}
        lane = lanes[self.direction]
        return MessageFault(self.kind, seconds=self.delay, lane=lane, every=self.every, times=self.times)


class DevnetSettings(SettingsModel):
    """Two chains, CCIP between them, feeds and venues."""

    data: Path = Path(".seamark/devnet")
    """Folder for the chains' state, the addresses and the nodes' logs. Delete it to start afresh."""

    home: ChainSettings = ChainSettings(chain_id=138, selector=PRIVATE_SELECTOR, port=18545, free_gas=True)
    """Where prices are published."""

    remote: ChainSettings = ChainSettings(chain_id=31337, selector=ANVIL_SELECTOR, port=18546)
    """Where they are carried to."""

    venues_port: Port = 18547
    block_time: Annotated[Duration, AfterValidator(_whole_seconds)] = Seconds(1.0)
    """0 makes a block for each transaction at once."""

    state_interval: Annotated[Duration, AfterValidator(_whole_seconds)] = Seconds(10.0)
    """How often a node writes its state while it runs; at its end it does anyway."""

    finality_depth: Annotated[int, Field(ge=0)] | None = None
    """Blocks on top of a send until the oracle network takes it; None follows the node's finalized block (head - 2)."""

    network_poll: Duration = Seconds(0.25)
    prices_every: Duration = Seconds(600.0)
    feeds: list[FeedSettings] = Field(
        default_factory=lambda: [
            FeedSettings(symbol="BTC/USD", fee_currency="link"),
            FeedSettings(symbol="ETH/USD", fee_currency="native"),
            FeedSettings(symbol="LINK/USD", fee_currency="link"),
        ]
    )
    market: MarketSettings = MarketSettings()
    venue_faults: list[VenueFaultSettings] = Field(default_factory=list)
    message_faults: list[MessageFaultSettings] = Field(default_factory=list)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if self.home.selector == self.remote.selector or self.home.chain_id == self.remote.chain_id:
            raise ValueError("home and remote are the same chain; give them different chain ids and selectors")
        symbols = [feed.symbol for feed in self.feeds]
        traded = {asset.symbol for asset in self.market.market().assets}
        for symbol in symbols:
            if symbols.count(symbol) > 1:
                raise ValueError(f"the feed {symbol} is given twice")
            if symbol not in traded:
                raise ValueError(f"the feed {symbol} is not traded; add it to market.assets")
        return self

    def plans(self) -> tuple[ChainPlan, ChainPlan]:
        """What to deploy: home, remote."""
        return (
            _plan("home", self.home, Role.HOME_DEPLOYER),
            _plan("remote", self.remote, Role.REMOTE_DEPLOYER),
        )

    def fingerprint(self) -> str:
        """A hash of all that decides what is deployed: with another one, saved chains are of no use."""
        chains = [(chain.chain_id, str(chain.selector), chain.free_gas) for chain in (self.home, self.remote)]
        parts = [FORMAT, chains, [feed.model_dump(mode="json") for feed in self.feeds]]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _plan(name: str, chain: ChainSettings, deployer: Role) -> ChainPlan:
    return ChainPlan(name, ChainId(chain.chain_id), Selector(chain.selector), deployer, chain.free_gas)
