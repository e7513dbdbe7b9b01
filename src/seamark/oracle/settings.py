"""Settings of the oracle, and the five environment variables that are enough to start one feed.

    oracle:
      signer: {keystore: /keys/publisher.json, password_file: /keys/password}
      feeds:
        - {pair: ETH/USD, chain: home, aggregator: "0x…", heartbeat: 1h, deviation: 0.5%}
      watch:
        - {name: ETH/USD, chain: besu, address: "0x…"}

A venue is named by its catalogue name, and its `base_url` may be set (a proxy, a simulator). A source that no venue of
the catalogue covers declares its own URL and JSON paths.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from seamark.core.errors import SettingsError
from seamark.core.units import Ppb, Seconds, parse_duration, parse_ratio
from seamark.evm.address import AddressError, parse_address
from seamark.evm.settings import AddressText, SignerSettings
from seamark.oracle.model import (
    DEFAULT_FROZEN_MOVE,
    DEFAULT_MARGIN,
    DEFAULT_MAX_DISPERSION,
    DEFAULT_MAX_SPREAD,
    DEFAULT_OUTLIER_FLOOR,
    DEFAULT_QUARTILE_FACTOR,
    ContractKind,
    MedianKind,
    Method,
    OutlierFilter,
    Role,
)
from seamark.oracle.replica_settings import ReplicaSettings
from seamark.oracle.reporting.settings import SET_ON_CHAIN, ReportingNodeSettings
from seamark.oracle.source_settings import (
    Name,
    PairText,
    PriceText,
    SourceSettings,
    Span,
    VenueSettings,
    check_positive,
    check_url,
)
from seamark.runtime.logs import redact_url
from seamark.runtime.settings import Duration, Money, Ratio, SettingsModel, parse_environment, validate_settings

__all__ = [
    "ENVIRONMENT_CHAIN",
    "EnvironmentFeed",
    "FeedSettings",
    "OracleSettings",
    "ReportingFeedSettings",
    "ReportingSettings",
    "SourceSettings",
    "VenueSettings",
    "WatchSettings",
    "from_environment",
]

ENVIRONMENT_CHAIN = "default"
"""What the one chain is called that RPC_URL names."""

_MAX_RATIO = Ppb(1_000_000_000)


def _to_source(value: Any) -> Any:
    return {"venue": value} if isinstance(value, str) else value


class FeedSettings(SettingsModel):
    """One feed to publish."""

    pair: PairText | None = None
    """What is priced in what; taken from the contract's description ("ETH / USD") where missing."""

    name: Name | None = None
    """Shown to people and used as a label; the pair where missing."""

    chain: str
    """Name of a chain under `chains`."""

    aggregator: AddressText
    contract: ContractKind | None = None
    """aggregator (one publisher) or flux (a FluxAggregator, as one of its oracles); found out where missing."""

    heartbeat: Span
    """A round is published at least this often."""

    deviation: Annotated[Ratio, AfterValidator(check_positive), Field(le=_MAX_RATIO)]
    """A price that differs by this much or more from the one on chain is published."""

    absolute_deviation: PriceText | None = Field(None, gt=0)
    """A price must also differ by more than this, in units of the quote currency ("0.05"): for prices near zero."""

    heartbeat_margin: Annotated[Ratio, Field(lt=_MAX_RATIO)] = DEFAULT_MARGIN
    """Part of the heartbeat by which its round is early, so that it is mined before consumers see the feed expired."""

    sources: tuple[Annotated[SourceSettings, BeforeValidator(_to_source)], ...] = ()
    """All venues that list the pair's quote currency, where empty."""

    poll_interval: Span = Seconds(1.0)
    min_venues: int | None = Field(None, ge=1)
    """Venues that must agree to an answer; more than half of those configured, where missing."""

    max_age: Span = Seconds(120.0)
    """A quote whose own time is further back is not used."""

    max_future: Duration = Seconds(10.0)
    """How far a venue's clock may be ahead of ours."""

    max_spread: Ratio = DEFAULT_MAX_SPREAD
    """Largest distance between bid and ask; 0% switches the check off."""

    max_dispersion: Ratio = DEFAULT_MAX_DISPERSION
    """No answer if half of the venues are further than this from the median; 0% switches the check off."""

    method: Method = Method.MEDIAN
    """median of the newest prices; twap: of each venue's time-weighted average over `window`; vwap: mean by volume."""

    window: Span = Seconds(300.0)
    """Of twap and vwap."""

    min_weight: int | None = Field(None, ge=1)
    """Sum of the weights of the venues used that an answer needs; beside min_venues."""

    outlier_filter: OutlierFilter = OutlierFilter.MAD
    """mad, iqr (outside the quartiles), or none."""

    quartile_factor: Ratio = DEFAULT_QUARTILE_FACTOR
    """With iqr: a price is an outlier farther outside the middle half than this part of that half's width."""

    outlier_factor: int = Field(5, ge=1)
    """A price is an outlier beyond this many (scaled) median absolute deviations."""

    outlier_floor: Ratio = DEFAULT_OUTLIER_FLOOR
    """But never within this distance of the median."""

    frozen_polls: int = Field(20, ge=2)
    """A source that repeats one price this often, while most others moved, is left out."""

    frozen_move: Ratio = DEFAULT_FROZEN_MOVE
    median: MedianKind = MedianKind.UPPER
    min_price: PriceText | None = None
    max_price: PriceText | None = None
    allow_negative: bool = False
    confirm_after: Duration = Seconds(15.0)
    """Wait before an answer that the contract parked is submitted again, to confirm it."""

    max_step: Annotated[Ratio, AfterValidator(check_positive)] | None = None
    """An answer that differs by more than this from the one on chain is held until a later one, at least confirm_after
    newer, is within this distance of it."""

    confirm_within: Span = Seconds(600.0)
    """After so long without confirmation a held answer waits anew."""

    agreeing_venues: int | None = Field(None, ge=1)
    """So many venues whose own prices are beyond max_step confirm it at once."""

    replace_after: Duration = Seconds(30.0)
    """Wait until an answer that is not mined is replaced by one that deviates from it, at the same nonce; 0s: never."""

    refresh_interval: Span = Seconds(15.0)
    """How often the contract is read, beside the receipts of our own transactions."""

    gas_limit: int | None = Field(None, ge=21_000)
    """Gas of a submission; where missing, what the contract asks for, else twice what earlier ones used."""

    spend_per_day: Money | None = None
    """Never spend more on this feed in 24 hours ("0.2 ether"); updates beyond that are held, and counted as errors of
    class over_budget. Transactions that wait count at their highest offer. The chain's own limit is in its fees."""

    value: int = Field(0, ge=0)
    """Wei sent along for cross-chain fees; the contract gives back what it does not need."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.heartbeat < 2 * self.poll_interval:
            raise ValueError("heartbeat must be at least twice poll_interval; raise heartbeat or lower poll_interval")
        if self.min_price is not None and self.max_price is not None and self.min_price > self.max_price:
            raise ValueError("min_price is above max_price; swap them")
        if not self.allow_negative and self.min_price is not None and self.min_price < 0:
            raise ValueError("min_price is negative; set allow_negative if prices below zero are real here")
        names = [source.name or source.venue or source.ccxt for source in self.sources]
        if len(set(names)) != len(names):
            raise ValueError("two sources have the same name; give one of them another name")
        if self.min_venues is not None and self.sources and self.min_venues > len(self.sources):
            raise ValueError("min_venues is more than there are sources; lower it or add sources")
        if self.agreeing_venues is not None and self.max_step is None:
            raise ValueError("agreeing_venues says who confirms a jump; add max_step, or leave it out")
        if self.max_step is not None and self.max_step < self.deviation:
            raise ValueError("max_step is below deviation, so every update would be held; raise max_step")
        if self.max_step is not None and self.confirm_within <= self.confirm_after:
            raise ValueError("confirm_within must be longer than confirm_after, or nothing is ever confirmed; raise it")
        return self


class ReportingFeedSettings(FeedSettings):
    """One feed that a reporting network publishes. `aggregator` is the OCR2 contract; when to report stands there."""

    heartbeat: Span = Seconds(3600.0)
    deviation: Ratio = _MAX_RATIO

    @model_validator(mode="after")
    def _nothing_that_is_on_chain(self) -> Self:
        for name in sorted(self.model_fields_set & SET_ON_CHAIN):
            raise ValueError(
                f"{name} is for publishers that work alone; remove it: a network agrees on chain (setConfig)"
            )
        return self


class ReportingSettings(ReportingNodeSettings):
    """A node of a reporting network, and the feeds it reports to."""

    feeds: tuple[ReportingFeedSettings, ...] = Field(min_length=1)


class WatchSettings(SettingsModel):
    """A feed that is read and shown, not published: a receiver on another chain, or somebody else's feed."""

    name: Name
    """The name of the feed it belongs to; feeds of the same name are shown side by side."""

    chain: str
    address: AddressText
    role: Role = Role.REMOTE
    heartbeat: Span | None = None
    """For its age to be judged by; the heartbeat of the published feed of that name where missing."""


class AdapterServerSettings(SettingsModel):
    """Where nodes ask for prices."""

    host: str = "127.0.0.1"
    port: int = Field(8090, ge=0, le=65_535)
    names: tuple[str, ...] = ()
    """Host names that nodes call it by; on loopback only loopback's are answered without them."""


class OracleSettings(SettingsModel):
    """What to publish and what to watch."""

    signer: SignerSettings | None = None
    """The account that may publish; needed as soon as there are feeds."""

    feeds: tuple[FeedSettings, ...] = ()
    watch: tuple[WatchSettings, ...] = ()
    watch_interval: Span = Seconds(5.0)
    venues: dict[str, VenueSettings] = Field(default_factory=dict)
    adapter: AdapterServerSettings | None = None
    """Serve the published feeds as a Chainlink external adapter; not served where missing."""

    reporting: ReportingSettings | None = None
    """This process is a node of a reporting network; it may publish feeds alone beside that."""

    replicas: ReplicaSettings | None = None
    """Several publishers that stand in for each other; one alone where missing."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.replicas is not None:
            self._check_takeover(self.replicas.duration)
        if self.feeds and self.signer is None:
            raise ValueError("feeds need a signer; add signer with keystore and password_file, or private_key_env")
        reported = () if self.reporting is None else self.reporting.feeds
        at = [(feed.chain, feed.aggregator) for feed in (*self.feeds, *reported)]
        if len(set(at)) != len(at):
            raise ValueError("two feeds have the same aggregator on the same chain; remove one")
        return self

    def _check_takeover(self, duration: float) -> None:
        for index, feed in enumerate(self.feeds):
            if feed.heartbeat < 2 * duration:
                raise ValueError(
                    f"replicas.duration is too long for the heartbeat of feeds[{index}]: a takeover would let it"
                    " expire; lower duration to half of the heartbeat or less"
                )


# ---- the environment ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EnvironmentFeed:
    """A publisher of one feed, by environment variables alone. The chain's id is asked of the node."""

    rpc_url: str
    oracle: OracleSettings

    @property
    def names(self) -> Mapping[str, str]:
        """What the user calls the settings that start-up checks may complain of."""
        return {
            "oracle.feeds[0].aggregator": "AGGREGATOR_ADDRESS",
            "oracle.feeds[0].pair": "AGGREGATOR_ADDRESS",
            "oracle.feeds[0].sources": "AGGREGATOR_ADDRESS",
            "oracle.feeds[0].chain": "RPC_URL",
            "oracle.signer": "PRIVATE_KEY",
        }

    def __repr__(self) -> str:
        return f"EnvironmentFeed(rpc_url={redact_url(self.rpc_url)!r})"


def from_environment(environment: Mapping[str, str]) -> EnvironmentFeed:
    """Read RPC_URL, AGGREGATOR_ADDRESS, PRIVATE_KEY, HEARTBEAT and DEVIATION_THRESHOLD.

    HEARTBEAT is a number of seconds or has a unit ("1h"). DEVIATION_THRESHOLD needs one ("0.5%", "5000000ppb").

    Raises:
        SettingsError: One is missing or malformed; names it, and never shows the key.
    """
    rpc_url = parse_environment(environment, "RPC_URL", check_url, example="http://127.0.0.1:8545")
    aggregator = parse_environment(environment, "AGGREGATOR_ADDRESS", _parse_address, example="0x…")
    if not environment.get("PRIVATE_KEY", "").strip():
        raise SettingsError("PRIVATE_KEY", "is not set", remedy="export PRIVATE_KEY=0x…")
    heartbeat = parse_environment(environment, "HEARTBEAT", _parse_heartbeat, example="3600")
    deviation = parse_environment(environment, "DEVIATION_THRESHOLD", _parse_deviation, example="0.5%")
    feed = {
        "chain": ENVIRONMENT_CHAIN,
        "aggregator": aggregator,
        "heartbeat": float(heartbeat),
        "deviation": f"{deviation}ppb",
    }
    values = {"signer": {"private_key_env": "PRIVATE_KEY"}, "feeds": [feed]}
    return EnvironmentFeed(rpc_url, validate_settings(OracleSettings, values, source="environment"))


def _parse_address(text: str) -> str:
    try:
        return parse_address(text)
    except AddressError as error:
        raise ValueError(str(error)) from None


def _parse_heartbeat(text: str) -> Seconds:
    number = text.strip()
    seconds = Seconds(float(number)) if number.isascii() and number.isdigit() else parse_duration(number)
    if seconds < 2:  # noqa: PLR2004 - twice the default poll interval
        raise ValueError(f"{text!r} is less than 2 seconds; write a number of seconds, or 30m, 1h")
    return seconds


def _parse_deviation(text: str) -> Ppb:
    ratio = parse_ratio(text)
    if not 0 < ratio <= _MAX_RATIO:
        raise ValueError(f"{text!r} is not above 0% and at most 100%; write for example 0.5%")
    return ratio
