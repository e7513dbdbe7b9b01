"""The unfinished part of the journal, in memory, and who waits for it.

Changed only after the journal's commit, so it never knows more than the journal does. (All it may know earlier is that
a node accepted something: losing that merely repeats a broadcast.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

from seamark.evm.ports import Outcome, TxState
from seamark.evm.transactions.errors import Refusal
from seamark.evm.transactions.model import Entry, Slot, is_at_least
from seamark.evm.transactions.rules import UsedSince
from seamark.evm.transactions.spending import Cost, Spending, highest_cost

__all__ = ["Book"]


class Book:
    """Slots by nonce, with what is remembered about each until it settles."""

    def __init__(self, spending: Spending | None = None) -> None:
        self.spending = spending or Spending()
        self._slots: dict[int, Slot] = {}
        self._nonces: dict[str, int] = {}
        self._costs: dict[int, int] = {}
        self.committed_wei = 0  # the most that the unmined transactions may cost
        self._waiters: dict[str, list[tuple[TxState, asyncio.Future[Outcome]]]] = {}
        self.sent_ms: dict[int, int] = {}
        self.refusals: dict[int, Refusal] = {}
        self.used: dict[int, UsedSince] = {}
        self.accepted: set[int] = set()

    def load(self, entries: Iterable[Entry], spent: Iterable[tuple[int, Cost]] = ()) -> None:
        """Start anew from the journal: what is unfinished, and what finished ones have cost since a day."""
        for memory in (self._slots, self._nonces, self._costs, self.sent_ms, self.refusals, self.used):
            memory.clear()
        self.spending.clear()
        self.committed_wei = 0
        for nonce, cost in spent:
            self.spending.put(nonce, cost)
        for entry in entries:
            self.put(entry)

    def put(self, entry: Entry) -> None:
        """Add or overwrite an entry, and answer who waits for it."""
        slot = self._slots.get(entry.nonce, Slot(entry.nonce, ()))
        others = tuple(known for known in slot.entries if known.id != entry.id)
        entries = tuple(sorted((*others, entry), key=lambda known: known.id))
        self._slots[entry.nonce] = Slot(entry.nonce, entries)
        self._nonces[entry.key] = entry.nonce
        self._set_cost(entry.nonce, highest_cost(self._slots[entry.nonce]))
        self.spending.note(self._slots[entry.nonce])
        self.tell(entry)

    def settle(self, nonce: int) -> None:
        """Forget a slot that will not change any more."""
        slot = self._slots.pop(nonce)
        self._set_cost(nonce, 0)
        for entry in slot.entries:
            self._nonces.pop(entry.key, None)
            self.accepted.discard(entry.id)
        for memory in (self.sent_ms, self.refusals, self.used):
            memory.pop(nonce, None)

    def slots(self) -> list[Slot]:
        """All unfinished ones, by nonce."""
        return [self._slots[nonce] for nonce in sorted(self._slots)]

    def slot(self, nonce: int) -> Slot | None:
        return self._slots.get(nonce)

    def find(self, key: str) -> Entry | None:
        nonce = self._nonces.get(key)
        if nonce is None:
            return None
        return next(entry for entry in reversed(self._slots[nonce].entries) if entry.key == key)

    def accept(self, entry: Entry) -> None:
        """A node has it."""
        slot = self._slots.get(entry.nonce)
        known = next((one for one in slot.entries if one.id == entry.id), None) if slot else None
        if known is not None and known.state is TxState.SIGNED:
            self.accepted.add(entry.id)
            self.put(replace(known, state=TxState.BROADCAST))

    def _set_cost(self, nonce: int, cost: int) -> None:
        self.committed_wei += cost - self._costs.pop(nonce, 0)
        if cost:
            self._costs[nonce] = cost

    # ---- waiting ----

    def wait(self, key: str, until: TxState) -> asyncio.Future[Outcome]:
        """Resolved by the first `put` that brings the entry at least so far."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(key, []).append((until, future))
        return future

    def missed(self) -> list[str]:
        """Keys that somebody waits for and that are not unfinished any more: after a `load` their end was not seen."""
        return [key for key in self._waiters if key not in self._nonces]

    def tell(self, entry: Entry) -> None:
        """Answer those who wait for at most this state."""
        waiting = self._waiters.pop(entry.key, None)
        if waiting is None:
            return
        still = []
        for until, future in waiting:
            if future.done():
                continue
            if is_at_least(entry.state, until):
                future.set_result(entry.outcome())
            else:
                still.append((until, future))
        if still:
            self._waiters[entry.key] = still
