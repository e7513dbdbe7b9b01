"""What the settings of one feed come to: everything its publisher needs, resolved and checked."""

from __future__ import annotations

from dataclasses import dataclass

from seamark.core.units import Ppb
from seamark.oracle.model import AggregationPolicy, ContractKind, FeedRef, Pair, TriggerPolicy
from seamark.oracle.settings import FeedSettings
from seamark.oracle.soundness import check_votes
from seamark.oracle.source_plan import Venues, make_sources, make_venues
from seamark.oracle.sources.outlet import AnySource

__all__ = ["FeedPlan", "aggregation_policy", "make_plan", "make_venues", "trigger_policy"]


@dataclass(frozen=True, slots=True)
class FeedPlan:
    """One feed to publish. Intervals in seconds, `value` in wei.

    `gas_limit` None: what the contract asks for, or what earlier submissions used, or an estimate. `spend_per_day` in
    wei, None: without limit.
    """

    ref: FeedRef
    pair: Pair
    sources: tuple[AnySource, ...]
    aggregation: AggregationPolicy
    trigger: TriggerPolicy
    poll_interval: float = 1.0
    refresh_interval: float = 15.0
    gas_limit: int | None = None
    value: int = 0
    spend_per_day: int | None = None
    contract: ContractKind = ContractKind.AGGREGATOR


def make_plan(settings: FeedSettings, ref: FeedRef, pair: Pair, venues: Venues, *, at: str) -> FeedPlan:
    """Resolve sources and rules of a feed.

    Args:
        settings: As written.
        ref: The contract.
        pair: As written, or as the contract describes itself.
        venues: What `make_venues` gave.
        at: Where the settings stand, for messages: "oracle.feeds[0]".

    Raises:
        SettingsError: No venue lists the pair, a source does not fit it, or no quotes could ever be enough.
    """
    sources = make_sources(settings, pair, venues, at)
    voters = len({source.venue for source in sources})
    min_venues = settings.min_venues or voters // 2 + 1
    check_votes(settings, sources, min_venues, at=at)
    return FeedPlan(
        ref=ref,
        pair=pair,
        sources=sources,
        aggregation=aggregation_policy(settings, min_venues),
        trigger=trigger_policy(settings),
        poll_interval=settings.poll_interval,
        refresh_interval=settings.refresh_interval,
        gas_limit=settings.gas_limit,
        value=settings.value,
        spend_per_day=settings.spend_per_day,
        contract=settings.contract or ContractKind.AGGREGATOR,
    )


def trigger_policy(settings: FeedSettings) -> TriggerPolicy:
    """When an answer goes on chain."""
    return TriggerPolicy(
        heartbeat=settings.heartbeat,
        deviation=settings.deviation,
        heartbeat_margin=settings.heartbeat_margin,
        confirm_after=settings.confirm_after,
        replace_after=settings.replace_after,
        max_step=settings.max_step,
        confirm_within=settings.confirm_within,
        agreeing_venues=settings.agreeing_venues,
        absolute_deviation=settings.absolute_deviation,
    )


def aggregation_policy(settings: FeedSettings, min_venues: int) -> AggregationPolicy:
    """How quotes become an answer."""
    return AggregationPolicy(
        min_venues=min_venues,
        max_age=settings.max_age,
        max_future=settings.max_future,
        max_spread=settings.max_spread or None,
        max_dispersion=settings.max_dispersion or None,
        outlier_factor=settings.outlier_factor,
        outlier_floor=settings.outlier_floor,
        frozen_polls=settings.frozen_polls,
        frozen_move=Ppb(settings.frozen_move),
        median=settings.median,
        allow_negative=settings.allow_negative,
        min_price=settings.min_price,
        max_price=settings.max_price,
        method=settings.method,
        window=settings.window,
        min_weight=settings.min_weight or 0,
        outlier_filter=settings.outlier_filter,
        quartile_factor=settings.quartile_factor,
    )
