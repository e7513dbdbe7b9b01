"""CCIP 1.2 and 1.5: how the two ends of a message find each other.

    source       (OnRamp, sequence number), and the message id
    destination  (OffRamp or CommitStore, sequence number), and the message id

No event names its lane, because every contract serves one alone: which chain a message goes to is in the OnRamp's
configuration, which OnRamp it came from in those of CommitStore and OffRamp. Discovery puts both into the details of
the contract. The message id is the leaf of the commit's Merkle tree; a root of one message is its id.
"""

from __future__ import annotations

from seamark.messages.model import Contract, LaneKey
from seamark.messages.protocols.ccip.generation import Place, lane_key

__all__ = ["DESTINATION", "LINK", "SOURCE", "SOURCE_RAMP", "lane_of"]

DESTINATION, SOURCE, SOURCE_RAMP = "destination", "source", "onramp"
"""Details: of an OnRamp, the selector it sends to; of CommitStore and OffRamp, where the messages come from."""

LINK = "link"
"""A detail of an OnRamp: the LINK token, in whose base units a fee paid in it is told besides."""


def lane_of(contract: Contract, place: Place) -> LaneKey:
    """The one lane that a contract serves."""
    details = contract.details
    if DESTINATION in details:
        return lane_key(place.selector, contract.address, int(details[DESTINATION]))
    return lane_key(int(details[SOURCE]), details[SOURCE_RAMP], place.selector)
