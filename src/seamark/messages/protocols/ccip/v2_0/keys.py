"""CCIP 2.0: how the two ends of a message find each other.

    source       (source selector, OnRamp, destination selector, message number), and the message id
    destination  (OffRamp's chain, OffRamp, source selector, message number), and the message id

The id is the hash of the message itself, so it is the same on both chains by construction. A message number is unique
on a lane only below finality: where verifiers wait for less, a reorg may give it to another message after the first was
delivered. An OffRamp may accept several OnRamps of a source at once; then only the send tells which one it was.
"""

from __future__ import annotations

from collections.abc import Mapping

from seamark.messages.protocols.ccip.generation import PROTOCOL, account, lane_key

__all__ = ["PROTOCOL", "account", "channel", "joined", "lane_key"]

_BETWEEN = ","


def joined(on_ramps: list[bytes]) -> str:
    """The OnRamps that an OffRamp accepts from one source, for a contract's details."""
    return _BETWEEN.join(account(on_ramp) for on_ramp in on_ramps)


def channel(details: Mapping[str, str], source: int) -> str:
    """The OnRamp of a source; "" where there are several, or none is accepted any more."""
    found = details.get(str(source), "")
    return "" if _BETWEEN in found else found
