"""How one feed stands, in words and by events that are told once: expired or fresh, an answer held or released."""

from __future__ import annotations

from functools import partial

import structlog

from seamark.core.units import format_duration
from seamark.oracle.acceptance import find_acceptance
from seamark.oracle.model import Answer, FeedRef, FeedState, Rejected
from seamark.oracle.rules import chain_now
from seamark.oracle.store import record_freshness, record_held
from seamark.storage.database import Database
from seamark.storage.events import last_event_id

__all__ = ["Telling", "no_answer", "unpaid"]


def unpaid(state: FeedState | None) -> str:
    """That the contract cannot pay its oracles for long; empty: it can, or pays nobody."""
    return "" if state is None or state.turn is None else state.turn.unpaid


def no_answer(state: FeedState, result: Answer | Rejected | None, now: float) -> str | None:
    """Why there is no answer, and that others wait for it; None: there is one, or nothing was told yet."""
    if not isinstance(result, Rejected):
        return None
    turn, detail = state.turn, str(result.detail)
    if turn is None or not turn.joins or turn.closes_at is None:
        return detail
    left = max(0.0, turn.closes_at - chain_now(state, now))
    return f"{detail}; round {turn.round} waits for it, and times out in {format_duration(left)}"


class Telling:
    """What was told last of one feed.

    Args:
        ref: The feed.
        database: For the events.
        log: With the feed's name bound.
    """

    def __init__(self, ref: FeedRef, database: Database, log: structlog.stdlib.BoundLogger) -> None:
        self.stale = False
        self._held = False
        self._held_after = 0  # the newest event when the hold began
        self._ref = ref
        self._database = database
        self._log = log

    async def freshness(self, state: FeedState | None, *, heartbeat: float, now: float, detail: str) -> None:
        """When consumers begin to see the feed expired, and when that ends."""
        if state is None or not state.round:
            return
        age = chain_now(state, now) - state.updated_at
        stale = age > heartbeat
        if stale == self.stale:
            return
        await self._database.write(
            lambda connection: record_freshness(connection, self._ref, stale=stale, detail=detail)
        )
        self.stale = stale
        self._log.warning("feed expired" if stale else "feed is fresh again", age_s=round(age), detail=detail)

    async def held(self, detail: str | None) -> None:
        """When the circuit breaker begins to hold answers back, and when that ends. None: nothing is held."""
        held = detail is not None
        if held == self._held:
            return
        await self._database.write(
            lambda connection: record_held(connection, self._ref, held=held, detail=detail or "")
        )
        self._held, self._held_after = held, await self._database.read(last_event_id)
        self._log.warning("answer held" if held else "no answer is held any more", detail=detail or "")

    async def accepted(self, *, since: float) -> bool:
        """Whether a person has confirmed what is held since then (`seamark oracle accept`)."""
        found = await self._database.read(
            partial(find_acceptance, ref=self._ref, after=self._held_after, since_ms=round(since * 1000))
        )
        if found is not None:
            self._log.warning("held answer accepted", who=found.who, why=found.why)
        return found is not None
