"""What is wrong now, in words and with a remedy: what capabilities tell and alerts are made of.

A finding is a *level*, not an event: whoever looks at something reports all findings that are true of it now, each
time. One that is no longer reported has ended. So nothing has to be remembered over restarts, and a finding that is
told twice is one finding. Its name is (kind, subject).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["Finding", "Severity"]


class Severity(StrEnum):
    """How urgent. INFO is worth reading, WARNING worth a look today, CRITICAL worth waking somebody."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that somebody should know.

    `kind` is of a bounded set and names the section of the runbook ("message_stuck"). `subject` says what it is about,
    unique within its kind. Findings of one `group` (a lane, a chain) are notified together. `since` is seconds since
    the epoch. Labels are few and bounded: they become labels of metrics; no message ids in them.
    """

    kind: str
    subject: str
    severity: Severity
    group: str
    title: str  # one line: what, and where
    text: str = ""  # the numbers and the reason
    remedy: str = ""  # what to do next; a command where there is one
    since: int | None = None
    count: int = 1  # how many messages (or the like) it is about
    labels: Mapping[str, str] = field(default_factory=dict)
