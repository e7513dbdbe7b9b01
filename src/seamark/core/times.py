"""Moments as they are told outside: ISO 8601 in UTC with milliseconds, everywhere ("2026-11-21T07:30:00.125Z").

Inside, moments are whole numbers since the epoch: seconds from blocks, milliseconds from this machine's clock. Pure.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, Final

__all__ = ["DAY_MS", "iso_seconds", "iso_time", "with_times"]

DAY_MS: Final = 24 * 60 * 60 * 1000
_MS: Final = 1000
_LAST_S: Final = 253_402_300_799  # the end of the year 9999, the last that the form can tell


def iso_time(at_ms: int) -> str:
    """From milliseconds since the epoch."""
    seconds, ms = divmod(at_ms, _MS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"


def iso_seconds(at: float) -> str:
    """From seconds since the epoch (block times are whole seconds)."""
    return iso_time(round(at * _MS))


def with_times(value: Any, seconds: Collection[str] = ()) -> Any:
    """Plain values (of `msgspec.to_builtins`, of a stored event) with their moments as the edge tells them.

    Inside, numbers are moments by their names: `time`, `since`, `..._time`, `..._at` and those in `seconds` are seconds
    since the epoch, `..._ms` milliseconds; the latter are called `..._at` outside (`at_ms`: `at`, `until_ms`: `until`).
    Spans, counts and what a contract wrote out of range stay numbers.
    """
    if isinstance(value, dict):
        return dict(_pair(name, item, seconds) for name, item in value.items())
    return [with_times(item, seconds) for item in value] if isinstance(value, list | tuple) else value


def _pair(name: str, item: Any, seconds: Collection[str]) -> tuple[str, Any]:
    if name.endswith("_ms"):
        stem = name.removesuffix("_ms")
        outside = stem if stem in ("at", "until") else f"{stem}_at"
        return outside, iso_time(item) if _is_number(item) else with_times(item, seconds)
    is_moment = name in ("time", "since") or name.endswith(("_time", "_at")) or name in seconds
    if is_moment and _is_number(item) and 0 <= item <= _LAST_S:
        return name, iso_seconds(item)
    return name, with_times(item, seconds)


def _is_number(item: Any) -> bool:
    return isinstance(item, int) and not isinstance(item, bool)
