"""Prometheus metrics of what touches chains: node endpoints and our own transactions.

They count what this process did and saw, so they are ordinary in-memory metrics; facts that outlive a process (rounds,
messages, fees) are counted in the database by the capabilities. Endpoints are labelled by host and port: few values,
no keys.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from seamark.evm.transactions.ports import (
    BalanceRead,
    Event,
    GapFilled,
    Held,
    InFlight,
    Mined,
    Observer,
    Orphaned,
    Refused,
    Replaced,
    Settled,
    Spent,
    Submitted,
)

__all__ = ["RpcMetrics", "TransactionMetrics"]

_REQUEST_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class RpcMetrics:
    """How the endpoints of all chains fare."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("chain", "endpoint")
        self._seconds = Histogram(
            "rpc_request_seconds", "Duration of HTTP requests.", labels, buckets=_REQUEST_BUCKETS, registry=registry
        )
        self._calls = Counter("rpc_calls_total", "JSON-RPC calls in them.", labels, registry=registry)
        self._errors = Counter(
            "rpc_errors_total", "Requests or calls that failed, by class.", (*labels, "class"), registry=registry
        )
        self._head = Gauge("rpc_head_block", "The endpoint's newest block.", labels, registry=registry)
        self._behind = Gauge("rpc_blocks_behind", "Blocks behind the best endpoint.", labels, registry=registry)
        self._limits = Gauge(
            "rpc_learned_limit", "What the endpoint was found to allow.", (*labels, "limit"), registry=registry
        )

    def of(self, chain: str) -> RpcMeter:
        """The observer for one chain's endpoints."""
        return RpcMeter(self, chain)


class RpcMeter:
    """`evm.rpc.observer.RpcObserver` for one chain."""

    def __init__(self, metrics: RpcMetrics, chain: str) -> None:
        self._metrics = metrics
        self._chain = chain

    def requested(self, endpoint: str, method: str, items: int, seconds: float) -> None:  # noqa: ARG002 - of the port
        self._metrics._seconds.labels(self._chain, endpoint).observe(seconds)  # noqa: SLF001 - same module
        self._metrics._calls.labels(self._chain, endpoint).inc(items)  # noqa: SLF001

    def failed(self, endpoint: str, method: str, kind: str) -> None:  # noqa: ARG002 - of the port
        self._metrics._errors.labels(self._chain, endpoint, kind).inc()  # noqa: SLF001

    def head(self, endpoint: str, number: int, behind: int) -> None:
        self._metrics._head.labels(self._chain, endpoint).set(number)  # noqa: SLF001
        self._metrics._behind.labels(self._chain, endpoint).set(behind)  # noqa: SLF001

    def limit(self, endpoint: str, name: str, value: float) -> None:
        self._metrics._limits.labels(self._chain, endpoint, name).set(value)  # noqa: SLF001


class TransactionMetrics:
    """How our transactions fare, per chain (one signer each)."""

    def __init__(self, registry: CollectorRegistry) -> None:
        chain = ("chain",)
        self.submitted = Counter("tx_submitted_total", "Accepted by a node.", chain, registry=registry)
        self.mined = Counter("tx_mined_total", "In a block, by success.", (*chain, "success"), registry=registry)
        self.settled = Counter("tx_settled_total", "Final, by state.", (*chain, "state"), registry=registry)
        self.orphaned = Counter("tx_orphaned_total", "Put back by a reorg.", chain, registry=registry)
        self.replaced = Counter("tx_replaced_total", "Sent again with higher fees.", chain, registry=registry)
        self.held = Counter(
            "tx_held_total", "Due for higher fees and held back.", (*chain, "reason"), registry=registry
        )
        self.refused = Counter("tx_refused_total", "Refused by a node.", (*chain, "reason"), registry=registry)
        self.gaps = Counter("tx_nonce_gaps_filled_total", "Nonces used up by a filler.", chain, registry=registry)
        self.in_flight = Gauge("tx_in_flight", "Sent and not in a block.", chain, registry=registry)
        self.oldest = Gauge("tx_oldest_in_flight_seconds", "Age of the oldest of them.", chain, registry=registry)
        self.balance = Gauge("tx_signer_balance_wei", "What the signer owns.", chain, registry=registry)
        self.spent = Gauge("tx_spent_day_wei", "What the last 24 hours cost, or may cost.", chain, registry=registry)
        self.spend_limit = Gauge(
            "tx_spend_limit_wei", "What they may cost; absent: no limit.", chain, registry=registry
        )

    def of(self, chain: str) -> Observer:
        """The observer for one chain's sender."""

        def observe(event: Event) -> None:
            self._observe(chain, event)

        return observe

    def _observe(self, chain: str, event: Event) -> None:  # noqa: C901 - one flat case per kind of event
        match event:
            case Submitted():
                self.submitted.labels(chain).inc()
            case Mined(succeeded=succeeded):
                self.mined.labels(chain, str(succeeded).lower()).inc()
            case Settled(state=state):
                self.settled.labels(chain, str(state)).inc()
            case Orphaned():
                self.orphaned.labels(chain).inc()
            case Replaced():
                self.replaced.labels(chain).inc()
            case Held(reason=reason):
                self.held.labels(chain, str(reason)).inc()
            case Refused(reason=reason):
                self.refused.labels(chain, str(reason)).inc()
            case GapFilled():
                self.gaps.labels(chain).inc()
            case InFlight(count=count, oldest_seconds=oldest):
                self.in_flight.labels(chain).set(count)
                self.oldest.labels(chain).set(oldest)
            case BalanceRead(wei=wei):
                self.balance.labels(chain).set(wei)
            case Spent(wei=wei, limit=limit):
                self.spent.labels(chain).set(wei)
                if limit is not None:
                    self.spend_limit.labels(chain).set(limit)
