"""How the lead among replicas is shown: metrics, and a line of health.

Each process shows its own view. That nobody leads is seen by the smallest `oracle_leaderless_seconds` of all, that two
do by the sum of `oracle_leader`.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from seamark.runtime.health import Health
from seamark.runtime.leadership import Elector, LeadershipEvent

__all__ = ["LeadershipMetrics", "leadership_health"]

QUIET_TERMS = 3
"""So many leases without a leader are more than a takeover."""


class LeadershipMetrics:
    """Of one lease, as this process sees it. An observer of its elector."""

    def __init__(self, registry: CollectorRegistry, elector: Elector) -> None:
        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"oracle_{name}", text, ("lease",), registry=registry)

        lease = elector.name
        leader = gauge("leader", "1 while this replica leads.")
        leader.labels(lease).set_function(lambda: float(elector.token is not None))
        leaderless = gauge("leaderless_seconds", "Since this replica last saw a leader; 0 while it leads.")
        leaderless.labels(lease).set_function(lambda: elector.leaderless)
        gauge("lease_seconds", "After so long without renewal another replica takes over.").labels(lease).set(
            elector.terms.duration
        )
        self._token = gauge("leader_token", "The token of this replica's last term; it grows with each term.")
        self._token = self._token.labels(lease)
        self._terms = Counter(
            "oracle_leader_terms_total", "Terms that this replica began: takeovers.", ("lease",), registry=registry
        ).labels(lease)
        self._refusals = Counter(
            "oracle_fence_refusals_total",
            "Writes of this replica that were refused because another one leads.",
            ("lease",),
            registry=registry,
        ).labels(lease)

    def __call__(self, event: LeadershipEvent) -> None:
        if event.began:
            self._terms.inc()
            self._token.set(event.token)

    def refused(self) -> None:
        """A write was refused by the fence."""
        self._refusals.inc()


def leadership_health(elector: Elector) -> Health:
    """Leading and standing by are both well; nobody leading for long is not."""
    if elector.token is not None:
        return Health.ok(f"leads in term {elector.token}")
    if elector.leaderless > QUIET_TERMS * elector.terms.duration:
        return Health.degraded(f"standby; nobody was seen to lead for {elector.leaderless:.0f} s")
    return Health.ok(f"standby; {elector.holder or 'nobody yet'} leads")
