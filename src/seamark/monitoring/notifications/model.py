"""What is sent, to whom, and what came of it.

A *receiver* is a name for somebody who can be told (a webhook, a Slack channel, a pager). A *notice* is what one
receiver is told of one group of alerts at one moment: plain values, stored in the outbox as they will be sent, so a
notice that is sent again after a crash says the same. All notices of one incident carry one `dedup_key`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from seamark.core.findings import Severity

__all__ = ["SCHEMA", "Delivery", "Event", "Notice", "NoticedAlert", "Outcome", "State", "read_notice", "write_notice"]

SCHEMA: Final = "seamark.alerts.v1"
"""Of the JSON that webhooks get. Fields may be added under this name; none changes its meaning or goes."""


class Event(StrEnum):
    """Why a notice is sent."""

    FIRING = "firing"
    REPEATED = "repeated"
    ESCALATED = "escalated"
    RESOLVED = "resolved"
    TEST = "test"


class State(StrEnum):
    """Of a notice in the outbox."""

    QUEUED = "queued"
    SENT = "sent"
    SUPERSEDED = "superseded"
    GIVEN_UP = "given_up"


class NoticedAlert(msgspec.Struct, frozen=True, kw_only=True):
    """One alert inside a notice. Times are ISO 8601 in UTC; `since` is the finding's own, else when it opened."""

    id: int
    kind: str
    subject: str
    severity: Severity
    group: str
    title: str
    text: str
    remedy: str
    count: int
    labels: dict[str, str]
    since: str
    opened_at: str
    resolved_at: str | None
    acknowledged_by: str | None
    folded: int
    """How many alerts are folded below it."""
    stale: bool
    link: str
    runbook: str


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON that a webhook gets, but for `delivery`, which is the outbox's number and is put in when sent."""

    schema: str = SCHEMA
    event: Event
    delivery: int = 0
    at: str
    dedup_key: str
    group: str
    severity: Severity
    title: str
    text: str
    link: str
    alerts: tuple[NoticedAlert, ...]


_decoder = msgspec.json.Decoder(Notice)


def write_notice(notice: Notice) -> str:
    return msgspec.json.encode(notice).decode()


def read_notice(text: str) -> Notice:
    return _decoder.decode(text)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A row of the outbox: `attempts` were made, the next is due at `next_ms`."""

    id: int
    receiver: str
    group: str
    notice: Notice
    state: State
    attempts: int
    created_ms: int
    next_ms: int | None
    ended_ms: int | None
    error: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt. `error` has no secrets, it is stored and shown; `retry_after_s` is their wish."""

    delivered: bool
    error: str = ""
    retry_after_s: float | None = None
