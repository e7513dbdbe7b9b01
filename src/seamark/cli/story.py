"""Events as lines for people. Pure: an event in, a line of console markup out, or nothing for what is noise here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from rich.markup import escape

from seamark.core.units import format_duration
from seamark.storage.events import Event

__all__ = ["tell"]

Payload = dict[str, Any]

_WORDS: Final = {
    "sent": "sent",
    "finalized": "final at the source",
    "committed": "committed",
    "verified": "verified",
    "executed": "[green]executed[/]",
    "recovered": "[green]executed at last[/]",
    "failed": "[red]execution failed[/]",
    "retracted": "[yellow]retracted: its send left the chain in a reorg[/]",
    "revoked": "[yellow]fell back: its commit was taken back[/]",
    "reorged": "[yellow]fell back: a fact at the destination left the chain in a reorg[/]",
}
_ENDS: Final = ("executed", "recovered", "failed")
_SHORT_ID: Final = 10


def tell(event: Event, labels: Mapping[str, str] | None = None) -> str | None:
    """One line, with the local time in front; None for events that would only repeat another.

    Args:
        labels: What people call a chain, by its key in the settings.
    """
    subject, _, verb = event.topic.partition(".")
    chain = event.payload.get("chain")
    payload = {**event.payload, "chain": (labels or {}).get(str(chain), chain)}
    line = _TELLERS.get(subject, _nothing)(verb, payload)
    if line is None:
        return None
    at = datetime.fromtimestamp(event.at_ms / 1000).astimezone()
    return f"[dim]{at:%H:%M:%S}[/] {line}"


def _tell_oracle(verb: str, payload: Payload) -> str | None:
    feed = f"[bold]{escape(str(payload.get('feed', '')))}[/]"
    if verb == "published":
        price, reason = _price(payload.get("price")), payload.get("reason")
        return f"{feed} {price} published: {reason}, round {payload.get('round')}"
    if verb == "failed":
        return (
            f"{feed} [red]not published[/]: {escape(str(payload.get('detail') or payload.get('class') or 'reverted'))}"
        )
    if verb == "parked":
        return f"{feed} [yellow]{_price(payload.get('price'))} parked by the contract until it is confirmed[/]"
    if verb in ("stale", "fresh"):
        return f"{feed} [yellow]{verb}[/]: {escape(str(payload.get('detail', '')))}"
    if verb == "orphaned":
        told = f"round {payload.get('round')} left the chain in a reorg; the same transaction is sent again"
        return f"{feed} [yellow]{told}[/]"
    return None


def _tell_feed(verb: str, payload: Payload) -> str | None:
    if verb != "updated" or payload.get("role") != "remote" or payload.get("price") is None:
        return None
    feed = escape(str(payload.get("feed", "")))
    chain, number = escape(str(payload.get("chain"))), payload.get("round")
    return f"[bold]{feed}[/] {_price(payload['price'])} arrived on {chain}, round {number}"


def _tell_message(verb: str, payload: Payload) -> str | None:
    words = _WORDS.get(verb)
    if words is None:
        return None
    lane = f"{payload.get('source_name')} → {payload.get('destination_name')} #{payload.get('sequence')}"
    spent = _spent(verb, payload.get("seconds") or {})
    why = (
        f": {escape(str(payload['error'] or payload['reason']))}" if verb == "failed" and payload.get("reason") else ""
    )
    return f"[dim]{str(payload.get('id', ''))[:_SHORT_ID]}…[/] {escape(lane)} {words}{why}{spent}"


def _spent(verb: str, seconds: Payload) -> str:
    spans = {"finalized": "finality", "committed": "commit", "verified": "commit", **dict.fromkeys(_ENDS, "total")}
    span = spans.get(verb, "")
    value = seconds.get(span)
    return "" if value is None else f" [dim]{format_duration(float(value))} after the send[/]"


def _price(text: object) -> str:
    if text is None:
        return "?"
    value = Decimal(str(text))
    places = 2 if abs(value) >= 100 else 4  # noqa: PLR2004 - cents of a large price, more of a small one
    return f"{value:,.{places}f}"


def _nothing(_verb: str, _payload: Payload) -> str | None:
    return None


_TELLERS: Final[dict[str, Callable[[str, Payload], str | None]]] = {
    "oracle": _tell_oracle,
    "feed": _tell_feed,
    "message": _tell_message,
}
