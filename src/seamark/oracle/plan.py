"""What the settings of one feed come to: everything its publisher needs, resolved and checked."""

from __future__ import annotations

from dataclasses import dataclass

from seamark.oracle.model import AggregationPolicy, FeedRef, Pair, TriggerPolicy
from seamark.oracle.sources.source import Source

__all__ = ["FeedPlan"]


@dataclass(frozen=True, slots=True)
class FeedPlan:
    """One feed to publish. Intervals in seconds, `value` in wei.

    `gas_limit` None: what the contract asks for, or what earlier submissions used, or an estimate.
    """

    ref: FeedRef
    pair: Pair
    sources: tuple[Source, ...]
    aggregation: AggregationPolicy
    trigger: TriggerPolicy
    poll_interval: float = 1.0
    refresh_interval: float = 15.0
    gas_limit: int | None = None
    value: int = 0
