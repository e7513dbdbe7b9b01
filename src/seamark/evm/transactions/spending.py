"""What was spent in the last 24 hours, and the limits on it.

Each nonce costs once: until it is mined the most that it may cost (the dearest of all offers signed for it, so that
replacements count), then what its receipt says. The journal remembers; this is the part of it that limits are about, in
memory, since nothing may be read on the way of a transaction. Whoever is about to add to it reserves first, so that two
at the same time do not both find the last bit free.

A key's owner is what stands before its last colon: the publisher's keys end in the round, so the owner is the feed.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from seamark.core.errors import RejectedError
from seamark.core.times import DAY_MS
from seamark.evm.transactions.model import Entry, Slot

__all__ = ["ALL", "Cost", "OverBudget", "Spending", "highest_cost", "owner_of", "paid"]

ALL: Final = ""
"""The owner whose limit is everybody's together."""


class OverBudget(RejectedError):
    """It would spend more in a day than the operator allows."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a nonce costs, in wei; `settled` once it is mined (or nobody's), when that does not rise any more."""

    owner: str
    at_ms: int
    wei: int
    settled: bool


def owner_of(key: str) -> str:
    """Whose money it is."""
    return key.rpartition(":")[0] or key


def paid(entry: Entry) -> int:
    """What a mined one cost: gas, and the value where it was transferred."""
    receipt = entry.receipt
    assert receipt is not None, "mined"
    return receipt.gas_used * receipt.effective_gas_price + (entry.value if receipt.succeeded else 0)


def highest_cost(slot: Slot) -> int:
    """The most that an unmined slot may cost; nothing once it is mined, or no longer ours."""
    live = [entry for entry in slot.entries if entry.current]
    if slot.winner is not None or not live:
        return 0
    return max(entry.gas * attempt.fees.cap + entry.value for entry in slot.entries for attempt in entry.attempts)


class Spending:
    """Costs by nonce, and sums by owner."""

    def __init__(self, limit: int | None = None) -> None:
        self._limits: dict[str, int] = {} if limit is None else {ALL: limit}
        self._costs: OrderedDict[int, Cost] = OrderedDict()  # by nonce, which is by time
        self._sums: Counter[str] = Counter()

    def limit(self, owner: str, wei: int | None) -> None:
        """Allow so much in a day; None: without limit."""
        if wei is None:
            self._limits.pop(owner, None)
        else:
            self._limits[owner] = wei

    def clear(self) -> None:
        """Forget the costs; limits stay."""
        self._costs.clear()
        self._sums.clear()

    def note(self, slot: Slot) -> None:
        """A slot has changed."""
        winner = slot.winner
        key = slot.entries[-1].key if winner is None else winner.key
        wei = highest_cost(slot) if winner is None or winner.receipt is None else paid(winner)
        self.put(slot.nonce, Cost(owner_of(key), slot.entries[0].created_ms, wei, winner is not None or not wei))

    def put(self, nonce: int, cost: Cost) -> None:
        """In the order of nonces, where they are new."""
        self._drop(nonce, keep_place=True)
        self._costs[nonce] = cost
        self._add(cost.owner, cost.wei)

    def spent(self, owner: str, now_ms: int) -> int:
        """In the 24 hours before, reservations included."""
        while self._costs:
            nonce, first = next(iter(self._costs.items()))
            if not first.settled or first.at_ms > now_ms - DAY_MS:
                break
            self._drop(nonce)
        return self._sums[owner]

    def problem(self, key: str, more: int, now_ms: int) -> str | None:
        """Why so much more may not be spent, in words for the operator."""
        for owner in (owner_of(key), ALL):
            limit = self._limits.get(owner)
            if limit is not None and more > 0 and (spent := self.spent(owner, now_ms)) + more > limit:
                whose = "this account" if owner == ALL else owner
                return f"{whose} has spent {spent} wei in 24 hours, and this may cost {more} more; the limit is {limit}"
        return None

    @contextmanager
    def reserved(self, key: str, more: int, now_ms: int) -> Iterator[None]:
        """Hold so much until it is noted.

        Raises:
            OverBudget: It is more than is left.
        """
        problem = self.problem(key, more, now_ms)
        if problem is not None:
            raise OverBudget(f"{key}: {problem}", remedy="raise spend_per_day, or wait until older ones are a day old")
        self._add(owner_of(key), more)
        try:
            yield
        finally:
            self._add(owner_of(key), -more)

    def _drop(self, nonce: int, *, keep_place: bool = False) -> None:
        cost = self._costs.get(nonce)
        if cost is None:
            return
        self._add(cost.owner, -cost.wei)
        if not keep_place:
            del self._costs[nonce]

    def _add(self, owner: str, wei: int) -> None:
        for name in (owner, ALL):
            self._sums[name] += wei
            if not self._sums[name]:
                del self._sums[name]
