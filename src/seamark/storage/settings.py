"""Settings of what stays in the database, and for how long.

retention:
  messages: 400d
  interop: 400d
  transactions: 400d
"""

from __future__ import annotations

from pydantic import Field

from seamark.runtime.settings import Duration, SettingsModel

__all__ = ["RetentionSettings"]

SHORTEST_S = 7 * 86_400.0
"""What is judged, learned from and reported by the week must be there."""


class RetentionSettings(SettingsModel):
    """What is over leaves the database after so long; null: never. What is not over stays whatever its age."""

    messages: Duration | None = Field(None, ge=SHORTEST_S)
    """Messages that were delivered, since the send and the delivery; counts and totals stay."""

    interop: Duration | None = Field(None, ge=SHORTEST_S)
    """Executing messages that are valid for good; those that are not stay for ever."""

    transactions: Duration | None = Field(None, ge=SHORTEST_S)
    """Transactions of our own that are confirmed or replaced."""

    @property
    def anything(self) -> bool:
        """Whether there is anything to delete."""
        return any(span is not None for span in (self.messages, self.interop, self.transactions))
