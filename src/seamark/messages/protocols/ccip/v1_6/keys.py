"""CCIP 1.6: how the two ends of a message find each other.

    source       (source selector, OnRamp, destination selector, sequence number), and the message id
    destination  (OffRamp's chain, OffRamp, source selector, sequence number), and the message id

An OffRamp accepts exactly one OnRamp per source once a message has passed, so the OffRamp's configuration leads from
the second key to the first. Commits name the OnRamp themselves.
"""

from __future__ import annotations

from seamark.messages.protocols.ccip.generation import PROTOCOL, account, lane_key

__all__ = ["PROTOCOL", "account", "lane_key"]
