"""Times at the edge: ISO 8601 in UTC with milliseconds, everywhere and always ("2026-11-21T07:30:00.125Z")."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

__all__ = ["Time", "iso_seconds", "iso_time", "now_iso"]

Time = Annotated[
    str,
    Field(
        description="UTC, ISO 8601.", examples=["2026-11-21T07:30:00.125Z"], json_schema_extra={"format": "date-time"}
    ),
]

_MS = 1000


def iso_time(at_ms: int) -> str:
    """From milliseconds since the epoch."""
    seconds, ms = divmod(at_ms, _MS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"


def iso_seconds(at: float) -> str:
    """From seconds since the epoch (block times are whole seconds)."""
    return iso_time(round(at * _MS))


def now_iso() -> str:
    """The present, by this machine's clock."""
    return iso_time(time.time_ns() // 1_000_000)
