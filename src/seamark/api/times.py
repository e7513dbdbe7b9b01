"""Times at the edge: ISO 8601 in UTC with milliseconds, everywhere and always ("2026-11-21T07:30:00.125Z")."""

from __future__ import annotations

import time
from typing import Annotated

from pydantic import Field

from seamark.core.times import iso_seconds, iso_time, with_times

__all__ = ["Time", "iso_seconds", "iso_time", "now_iso", "with_times"]

Time = Annotated[
    str,
    Field(
        description="UTC, ISO 8601.", examples=["2026-11-21T07:30:00.125Z"], json_schema_extra={"format": "date-time"}
    ),
]


def now_iso() -> str:
    """The present, by this machine's clock."""
    return iso_time(time.time_ns() // 1_000_000)
