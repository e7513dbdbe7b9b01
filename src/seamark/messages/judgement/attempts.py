"""Failures of an attempt, not of the message; pure.

Where anybody may execute (CCIP 2.0), a stranger's bad attempt is recorded as a failure like any other, and costs him
nothing. An honest one may still follow, so such a failure is waited for until the message itself is late.
"""

from __future__ import annotations

from typing import Final

__all__ = ["anybody_executes", "is_of_the_attempt"]

_REASONS: Final = frozenset({"verification_failed", "not_enough_gas"})
_OPEN_TO_ALL: Final = "2."  # how the versions begin in which anybody may execute


def anybody_executes(version: str) -> bool:
    """Whether an attempt that fails may be a stranger's."""
    return version.startswith(_OPEN_TO_ALL)


def is_of_the_attempt(version: str, reason: str) -> bool:
    """Whether a failure of this class says nothing about the message."""
    return reason in _REASONS and anybody_executes(version)
