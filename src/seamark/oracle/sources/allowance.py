"""How often a venue may be asked: a token bucket for its rate limit, a count for a plan's requests per day. Pure.

    take(now)  ->  0 and the request counts, or the seconds to wait before asking again

Both are of a venue, over all requests there. A budget is also spread: `pace` is the least distance between two requests
by which a day's budget lasts for the day, so a restart (which forgets the count) costs one request and not a day's.
Times are seconds since the epoch; a day is a UTC day, as plans count it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["DAY_S", "Allowance"]

DAY_S: Final = 86_400.0


@dataclass(slots=True)
class Allowance:
    """What one venue allows us. Without limits everything is allowed.

    `rate` in requests per second, with bursts of one second's worth; `budget` in requests per day.
    """

    rate: float | None = None
    budget: int | None = None
    used: int = 0
    requests: int = 0
    """Different requests that share it."""

    _tokens: float = 0.0
    _filled_at: float | None = None
    _day: int = -1

    def limit(self, rate: float | None, budget: int | None) -> None:
        """Of several limits for one venue the strictest counts."""
        self.rate = min((value for value in (self.rate, rate) if value is not None), default=None)
        self.budget = min((value for value in (self.budget, budget) if value is not None), default=None)

    @property
    def pace(self) -> float:
        """Least seconds between two equal requests."""
        return 0.0 if self.budget is None else max(self.requests, 1) * DAY_S / self.budget

    @property
    def is_spent(self) -> bool:
        """Whether the day's budget is used up."""
        return self.budget is not None and self.used >= self.budget

    def used_today(self, now: float) -> int:
        """Requests that count against today's budget."""
        self._turn_day(now)
        return self.used

    def take(self, now: float) -> float:
        """Ask for one request; 0: go on, it is counted. Else how long to wait before asking again."""
        self._turn_day(now)
        if self.is_spent:
            return (self._day + 1) * DAY_S - now
        wait = self._take_token(now)
        if wait == 0:
            self.used += 1
        return wait

    def _turn_day(self, now: float) -> None:
        day = int(now // DAY_S)
        if day > self._day:  # a clock that goes back gives no second budget
            self._day, self.used = day, 0

    def _take_token(self, now: float) -> float:
        if self.rate is None:
            return 0.0
        most = max(self.rate, 1.0)
        passed = most if self._filled_at is None else max(now - self._filled_at, 0.0) * self.rate
        self._tokens = min(self._tokens + passed, most)
        self._filled_at = now
        if self._tokens < 1:
            return (1 - self._tokens) / self.rate
        self._tokens -= 1
        return 0.0
