"""What the judge may expect of Hyperlane."""

from __future__ import annotations

from seamark.messages.model import LaneKey
from seamark.messages.protocol import profile_of
from seamark.messages.protocols.hyperlane import HyperlaneProtocol


def test_nobody_waits_for_commits() -> None:
    lane = LaneKey("hyperlane", "1000", "0x" + "0a" * 20, "2000")
    assert profile_of(HyperlaneProtocol([]), lane).commits is False
