"""Prometheus gauges of the CCIP checks: the last look at each chain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from seamark.messages.protocols.ccip.checks.model import ChainCheck

__all__ = ["CheckMetrics"]

UNIT = 10**18
DAY_S = 86_400.0

# (name without "ccip_", help, labels)
_GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "router_up": ("1 while the router answers, 0 while it does not.", ("chain",)),
    "cursed": ("1 while a lane, or everything (dest *), is cursed.", ("chain", "dest")),
    "lane_supported": ("1 while the router has an OnRamp for a lane.", ("source", "dest")),
    "fee_quote": ("What a small message costs now, in units of the fee token.", ("source", "dest", "fee_token")),
    "fee_quote_up": ("1 while a fee is quoted, 0 while the contracts refuse.", ("source", "dest", "fee_token")),
    "gas_price_age_seconds": ("Age of the gas price that fees are computed with.", ("source", "dest")),
    "token_price_age_seconds": ("Age of a token price that fees are computed with.", ("chain", "fee_token")),
    "sender_balance": ("What a sender has left, in units.", ("chain", "sender", "token")),
    "sender_allowance": ("LINK that the router may take from a sender, in units.", ("chain", "sender")),
    "sender_runway_days": ("For how long a sender's LINK lasts at the pace of seven days.", ("chain", "sender")),
    "rate_limit_headroom_ratio": ("What is left of a pool's rate limit.", ("chain", "peer", "token", "direction")),
    "check_timestamp_seconds": ("The chain's own time of the last look.", ("chain",)),
}


class CheckMetrics(Collector):
    """Shows what the checks found; registers itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._checks: dict[str, ChainCheck] = {}
        registry.register(self)

    def show(self, check: ChainCheck) -> None:
        """The newest look at a chain; one that its node prevented leaves the last one as it was, and growing old."""
        if not check.unreachable:
            self._checks[check.chain] = check

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not need a look."""
        return ()

    def collect(self) -> Iterator[Metric]:
        families = {
            name: GaugeMetricFamily(f"ccip_{name}", text, labels=labels) for name, (text, labels) in _GAUGES.items()
        }
        # Two quoters of a migration, two pools of one symbol or two senders of one name share their labels: Prometheus
        # refuses both, so the worse one is shown.
        values: dict[tuple[str, tuple[str, ...]], float] = {}
        for check in self._checks.values():
            for name, labels, value in _samples(check):
                worse = max if name in _WORSE_WHEN_LARGER else min
                values[name, labels] = worse(values.get((name, labels), value), value)
        for (name, labels), value in values.items():
            families[name].add_metric(labels, value)
        yield from families.values()


_WORSE_WHEN_LARGER = {"cursed", "fee_quote", "gas_price_age_seconds", "token_price_age_seconds"}

_Sample = tuple[str, tuple[str, ...], float]


def _samples(check: ChainCheck) -> Iterator[_Sample]:
    chain = check.chain
    yield "router_up", (chain,), float(not check.problem)
    if check.problem:
        return
    yield "check_timestamp_seconds", (chain,), float(check.at)
    yield "cursed", (chain, "*"), float(check.cursed)
    yield from _of_lanes(check)
    for price in check.prices:
        yield "token_price_age_seconds", (chain, price.token), float(price.age)
    for sender in check.senders:
        if sender.link is not None:
            yield "sender_balance", (chain, sender.name, "LINK"), sender.link / UNIT
        yield "sender_balance", (chain, sender.name, "native"), sender.native / UNIT
        if sender.allowance is not None:
            yield "sender_allowance", (chain, sender.name), sender.allowance / UNIT
        if sender.runway is not None:
            yield "sender_runway_days", (chain, sender.name), sender.runway / DAY_S
    for pool in check.pools:
        for direction, bucket in (("outbound", pool.outbound), ("inbound", pool.inbound)):
            if bucket is not None:
                yield "rate_limit_headroom_ratio", (chain, pool.name, pool.token, direction), bucket.headroom


def _of_lanes(check: ChainCheck) -> Iterator[_Sample]:
    for lane in check.lanes:
        ends = (check.chain, lane.name)
        yield "lane_supported", ends, float(bool(lane.on_ramp))
        yield "cursed", ends, float(lane.cursed)
        for quote in lane.quotes:
            yield "fee_quote_up", (*ends, quote.token), float(quote.amount is not None)
            if quote.amount is not None:
                yield "fee_quote", (*ends, quote.token), quote.amount / UNIT
        if lane.gas_price_age is not None:
            yield "gas_price_age_seconds", ends, float(lane.gas_price_age)
