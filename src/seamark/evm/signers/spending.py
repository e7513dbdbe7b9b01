"""How much one signer has spent on one chain in the last 24 hours, in wei.

Each nonce is counted once, by the most that any version signed for it may cost: a replacement adds only what it offers
beyond the one it replaces. What the journal knows to have been paid replaces that estimate. Signatures that are not in
the journal (yet) stay counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from seamark.core.ids import Address, ChainId
from seamark.core.times import DAY_MS

__all__ = ["Cost", "DaySpend", "SpendLedger"]


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a nonce, in wei; `settled` once it was paid and will not change. `at_ms` is when it was last signed."""

    at_ms: int
    wei: int
    settled: bool = False


class SpendLedger(Protocol):
    """The journal, as a policy sees it."""

    async def costs(self, chain_id: ChainId, signer: Address, since_ms: int) -> Mapping[int, Cost]:
        """By nonce."""
        ...


class DaySpend:
    """A window of 24 hours over costs by nonce."""

    def __init__(self) -> None:
        self._costs: dict[int, Cost] = {}
        self._order: deque[tuple[int, int]] = deque()  # (time, nonce), oldest first; may name what changed since
        self.total = 0
        self.highest: int | None = None

    def load(self, costs: Mapping[int, Cost], now_ms: int) -> None:
        """Begin anew from the journal; what it does not know, or knows less of, is kept."""
        kept = self._costs
        self._costs, self._order, self.total = {}, deque(), 0
        merged = dict(costs)
        for nonce, cost in kept.items():
            known = costs.get(nonce)
            if known is None or (not known.settled and known.wei < cost.wei):
                merged[nonce] = cost
        for nonce, cost in sorted(merged.items(), key=lambda item: item[1].at_ms):
            self._put(nonce, cost)
        self.expire(now_ms)

    def get(self, nonce: int) -> Cost | None:
        return self._costs.get(nonce)

    def with_(self, nonce: int, wei: int) -> int:
        """The total, were this signed too."""
        known = self._costs.get(nonce)
        return self.total - (known.wei if known else 0) + max(wei, known.wei if known else 0)

    def add(self, nonce: int, wei: int, now_ms: int) -> None:
        """It is being signed."""
        known = self._costs.get(nonce)
        self._put(nonce, Cost(now_ms, max(wei, known.wei if known else 0)))

    def restore(self, nonce: int, cost: Cost | None) -> None:
        """It was not signed after all."""
        if cost is not None:
            self._put(nonce, cost)
        elif (gone := self._costs.pop(nonce, None)) is not None:
            self.total -= gone.wei

    def expire(self, now_ms: int) -> None:
        """Forget what was signed more than a day ago."""
        while self._order and self._order[0][0] <= now_ms - DAY_MS:
            at_ms, nonce = self._order.popleft()
            known = self._costs.get(nonce)
            if known is not None and known.at_ms == at_ms:
                del self._costs[nonce]
                self.total -= known.wei

    def _put(self, nonce: int, cost: Cost) -> None:
        known = self._costs.get(nonce)
        self.total += cost.wei - (known.wei if known else 0)
        self._costs[nonce] = cost
        self._order.append((cost.at_ms, nonce))
        self.highest = nonce if self.highest is None else max(self.highest, nonce)
