"""The Router 1.2.0: the one CCIP contract that every generation shares, and the only address that is configured.

Source: `Router.sol` of @chainlink/contracts-ccip. It emits nothing on a send; `MessageExecuted` appears when a
receiver's code has run (and is reverted together with it when it fails), the others when ramps change.
"""

from __future__ import annotations

from seamark.evm.abi import Abi, Event

__all__ = [
    "MESSAGE_EXECUTED",
    "OFF_RAMP_ADDED",
    "OFF_RAMP_REMOVED",
    "ON_RAMP_SET",
    "ROUTER",
    "ROUTER_EVENTS",
    "ROUTER_TYPE",
]

ROUTER_TYPE = "Router"

ROUTER = Abi.parse(
    "function typeAndVersion() view returns (string)",
    "function getOnRamp(uint64 destChainSelector) view returns (address)",
    "function getOffRamps() view returns ((uint64 sourceChainSelector, address offRamp)[])",
    "function getArmProxy() view returns (address)",
)

MESSAGE_EXECUTED = Event.parse(
    "event MessageExecuted(bytes32 messageId, uint64 sourceChainSelector, address offRamp, bytes32 calldataHash)"
)
ON_RAMP_SET = Event.parse("event OnRampSet(uint64 indexed destChainSelector, address onRamp)")
OFF_RAMP_ADDED = Event.parse("event OffRampAdded(uint64 indexed sourceChainSelector, address offRamp)")
OFF_RAMP_REMOVED = Event.parse("event OffRampRemoved(uint64 indexed sourceChainSelector, address offRamp)")

ROUTER_EVENTS = (MESSAGE_EXECUTED, ON_RAMP_SET, OFF_RAMP_ADDED, OFF_RAMP_REMOVED)
