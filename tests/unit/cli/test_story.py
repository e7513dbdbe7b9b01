import re
from typing import Any

import pytest
from rich.text import Text

from seamark.cli.story import tell
from seamark.storage.events import Event

AT_MS = 1_700_000_000_000
MESSAGE: dict[str, Any] = {
    "id": "0x54d5d859" + "0" * 56,
    "source_name": "Chain 138",
    "destination_name": "Chain 31337",
    "sequence": "7",
}
FEED: dict[str, Any] = {"feed": "ETH/USD", "chain": "home", "round": 4}


def line(topic: str, labels: dict[str, str] | None = None, **payload: Any) -> str | None:
    told = tell(Event(topic=topic, key="k", payload=payload, at_ms=AT_MS), labels)
    if told is None:
        return None
    plain = Text.from_markup(told).plain
    assert re.match(r"\d\d:\d\d:\d\d ", plain)
    return plain[9:]


@pytest.mark.parametrize(
    ("verb", "payload", "words"),
    [
        ("sent", {}, "sent"),
        ("finalized", {"seconds": {"finality": 2.4}}, "final at the source 2s after the send"),
        ("committed", {"seconds": {"commit": 0.5}}, "committed 500ms after the send"),
        ("verified", {"seconds": {"commit": 9}}, "verified 9s after the send"),
        ("executed", {"seconds": {"total": 200}}, "executed 3m20s after the send"),
        ("executed", {}, "executed"),
        ("failed", {"reason": "reverted", "error": None}, "execution failed: reverted"),
        ("failed", {"reason": "reverted", "error": "NotEnough(1)"}, "execution failed: NotEnough(1)"),
        ("retracted", {}, "retracted: its send left the chain in a reorg"),
        ("reorged", {}, "fell back: a fact at the destination left the chain in a reorg"),
    ],
)
def test_a_message_moves(verb: str, payload: dict[str, Any], words: str) -> None:
    assert line(f"message.{verb}", **MESSAGE, **payload) == f"0x54d5d859… Chain 138 → Chain 31337 #7 {words}"


@pytest.mark.parametrize(
    ("topic", "payload", "words"),
    [
        (
            "oracle.published",
            {"price": "3408.014", "reason": "deviation"},
            "ETH/USD 3,408.01 published: deviation, round 4",
        ),
        ("oracle.published", {"price": "15.83961", "reason": "first"}, "ETH/USD 15.8396 published: first, round 4"),
        ("oracle.published", {"price": "-37.63", "reason": "first"}, "ETH/USD -37.6300 published: first, round 4"),
        ("oracle.failed", {"detail": "no money"}, "ETH/USD not published: no money"),
        ("oracle.failed", {"class": "Underpriced"}, "ETH/USD not published: Underpriced"),
        ("oracle.failed", {}, "ETH/USD not published: reverted"),
        ("oracle.parked", {"price": "9000"}, "ETH/USD 9,000.00 parked by the contract until it is confirmed"),
        ("oracle.parked", {"price": None}, "ETH/USD ? parked by the contract until it is confirmed"),
        ("oracle.stale", {"detail": "61 s old"}, "ETH/USD stale: 61 s old"),
        ("oracle.fresh", {"detail": "again"}, "ETH/USD fresh: again"),
        ("oracle.orphaned", {}, "ETH/USD round 4 left the chain in a reorg; the same transaction is sent again"),
        ("feed.updated", {"role": "remote", "price": "3408.01"}, "ETH/USD 3,408.01 arrived on Chain 138, round 4"),
    ],
)
def test_a_feed_lives(topic: str, payload: dict[str, Any], words: str) -> None:
    assert line(topic, {"home": "Chain 138"}, **FEED, **payload) == words


def test_without_labels_a_chain_is_its_key() -> None:
    assert line("feed.updated", **FEED, role="remote", price="1") == "ETH/USD 1.0000 arrived on home, round 4"


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("oracle.planned", {}),
        ("feed.updated", {"role": "source", "price": "1"}),
        ("feed.updated", {"role": "remote", "price": None}),
        ("feed.paused", {"role": "remote", "price": "1"}),
        ("message.seen", {}),
        ("something.else", {}),
        ("nothing", {}),
    ],
)
def test_what_only_repeats_is_not_told(topic: str, payload: dict[str, Any]) -> None:
    assert line(topic, **FEED, **payload) is None


def test_strangers_cannot_paint_the_terminal() -> None:
    told = tell(Event(topic="message.failed", key="k", payload={**MESSAGE, "reason": "[red]x[/]", "error": None}))
    assert told is not None
    assert Text.from_markup(told).plain.endswith("execution failed: [red]x[/]")
