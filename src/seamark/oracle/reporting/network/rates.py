"""How fast a peer is read: a bucket that fills at a rate and may be overdrawn once. Pure; times in seconds."""

from __future__ import annotations

__all__ = ["Bucket"]


class Bucket:
    """Holds what flows in within `span` seconds, full at the start."""

    __slots__ = ("_level", "_span", "_updated")

    def __init__(self, span: float) -> None:
        self._span = span
        self._level: float | None = None
        self._updated = 0.0

    def take(self, amount: float, rate: float, now: float) -> float:
        """How long to wait before the next one, after this `amount` was taken at `rate` a second."""
        most = rate * self._span
        level = most if self._level is None else min(most, self._level + (now - self._updated) * rate)
        self._level = level - amount
        self._updated = now
        return max(0.0, -self._level / rate)
