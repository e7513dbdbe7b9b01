"""CCIP 1.6: how the two ends of a message find each other.

    source       (source selector, OnRamp, destination selector, sequence number), and the message id
    destination  (OffRamp's chain, OffRamp, source selector, sequence number), and the message id

An OffRamp accepts exactly one OnRamp per source once a message has passed, so the OffRamp's configuration leads from
the second key to the first. Commits name the OnRamp themselves.
"""

from __future__ import annotations

from seamark.core.ids import Selector
from seamark.messages.model import LaneKey

__all__ = ["PROTOCOL", "account", "lane_key"]

PROTOCOL = "ccip"
_WORD, _ADDRESS = 32, 20
_PADDING = bytes(_WORD - _ADDRESS)


def lane_key(source: int, on_ramp: str, destination: int | Selector) -> LaneKey:
    return LaneKey(PROTOCOL, str(source), on_ramp, str(destination))


def account(raw: bytes) -> str:
    """An address in the form of its own chain family: 20 bytes of an EVM address (ABI-encoded or bare), else as it
    is.
    """
    if len(raw) == _WORD and raw.startswith(_PADDING):
        raw = raw[-_ADDRESS:]
    return "0x" + raw.hex()
