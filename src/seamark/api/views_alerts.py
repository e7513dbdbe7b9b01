"""What the API says of alerts. The same rules as in `seamark.api.views`: times are ISO 8601 in UTC."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from seamark.api.times import Time
from seamark.api.views import Cursor, View

__all__ = [
    "Acknowledgement",
    "Alert",
    "AlertDetails",
    "AlertHistory",
    "Alerts",
    "HistoryEntry",
    "NewAcknowledgement",
    "NewSilence",
    "NoticeSent",
    "Silence",
    "Silences",
]

SeverityName = Literal["info", "warning", "critical"]
StandingName = Literal["firing", "acknowledged", "silenced", "folded", "resolved"]
MAX_TEXT = 500
Who = Annotated[str, Field(min_length=1, max_length=100, description="Who does it; kept in the history.")]
Why = Annotated[str, Field(max_length=MAX_TEXT, description="Why; kept in the history.")]


class Acknowledgement(View):
    """Somebody has it."""

    who: str
    why: str
    at: Time
    until: Time | None = Field(description="Null: until it resolves or gets worse.")


class Alert(View):
    """The time during which a finding was true."""

    id: int
    kind: str = Field(description="What is wrong; the runbook's section.", examples=["message_stuck"])
    subject: str = Field(description="What it is about, unique within its kind.")
    group: str = Field(description="What is notified together: a lane, a chain.", examples=["besu to anvil"])
    severity: SeverityName
    state: StandingName = Field(description="How it stands; anything but resolved is open.")
    title: str
    text: str = Field(description="The numbers and the reason.")
    remedy: str = Field(description="What to do next.")
    count: int = Field(description="How many messages, or the like, it is about.")
    labels: dict[str, str]
    since: Time = Field(description="Since when the condition holds, as far as known.")
    opened_at: Time
    updated_at: Time
    resolved_at: Time | None
    returns: int = Field(description="How often it came back shortly after it had gone.")
    stale: bool = Field(description="Nobody has confirmed it for too long: who reported it is silent.")
    folded_under: int | None = Field(description="The alert that explains it; it says nothing itself meanwhile.")
    folded: int = Field(description="How many alerts it explains.")
    acknowledged: Acknowledgement | None
    silenced_by: int | None = Field(description="The silence that covers it.")


class HistoryEntry(View):
    """What was done, by whom."""

    at: Time
    action: str = Field(examples=["acknowledged"])
    who: str = Field(description="A person's name, or seamark.")
    text: str
    alert: int | None
    silence: int | None


class NoticeSent(View):
    """A notice of the alert's group while it was open."""

    id: int
    receiver: str
    event: Literal["firing", "repeated", "escalated", "resolved", "test"]
    state: Literal["queued", "sent", "superseded", "given_up"]
    attempts: int
    created_at: Time
    ended_at: Time | None
    title: str
    error: str = Field(description="Of the last attempt that failed.")


class AlertDetails(Alert):
    """An alert with all that happened to it."""

    history: list[HistoryEntry] = Field(description="Newest first.")
    notices: list[NoticeSent] = Field(description="Newest first.")


class Alerts(View):
    """A page of alerts, newest first."""

    now: Time
    items: list[Alert]
    next: Cursor


class AlertHistory(View):
    """What was done, newest first."""

    items: list[HistoryEntry]


class Silence(View):
    """Alerts that match all of it are not told of."""

    id: int
    matchers: list[str] = Field(examples=[["kind=message_*", "label.source=besu"]])
    created_at: Time
    until: Time
    who: str
    why: str
    active: bool
    ended_at: Time | None = Field(description="Taken back then, before its time.")
    ended_by: str


class Silences(View):
    items: list[Silence]


class _Wish(BaseModel):
    """Base of what is asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class NewAcknowledgement(_Wish):
    """Somebody has it."""

    who: Who
    why: Why = ""
    seconds: int | None = Field(None, ge=60, le=30 * 86400, description="For how long; null: until it resolves.")


class NewSilence(_Wish):
    """Do not tell of what matches."""

    matchers: list[str] = Field(min_length=1, max_length=20, description="All must match.", examples=[["kind=feed_*"]])
    seconds: int = Field(ge=60, le=365 * 86400, description="For how long.")
    who: Who
    why: Why = Field(min_length=1, max_length=MAX_TEXT)
