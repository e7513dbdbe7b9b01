"""The Router 1.2.0: the one CCIP contract that every generation shares, and the only address that is configured.

Source: `Router.sol` of @chainlink/contracts-ccip. It emits nothing on a send; `MessageExecuted` appears when a
receiver's code has run (and is reverted together with it when it fails), the others when ramps change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from seamark.core.errors import RejectedError
from seamark.core.ids import Address
from seamark.evm.abi import Abi, Event
from seamark.evm.address import ZERO_ADDRESS
from seamark.evm.contract import Contract as Reader
from seamark.evm.ports import ChainReader
from seamark.evm.types import Log
from seamark.messages.model import Contract
from seamark.messages.protocols.ccip.generation import ROUTER_ROLE, Found, Identified, Place, Reading, Scene
from seamark.messages.protocols.ccip.notices import OWNERSHIP, configured

__all__ = [
    "MESSAGE_EXECUTED",
    "OFF_RAMP_ADDED",
    "OFF_RAMP_REMOVED",
    "ON_RAMP_SET",
    "ROUTER",
    "ROUTER_TYPE",
    "RouterFamily",
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

log = structlog.get_logger("seamark.messages.ccip")


def _on_ramp(record: Any, _: Log) -> tuple[Address, ...]:
    """The new OnRamp; none when the lane was closed."""
    return () if record.onRamp == ZERO_ADDRESS else (record.onRamp,)


def _off_ramp(record: Any, _: Log) -> tuple[Address, ...]:
    return (record.offRamp,)


def _source(record: Any) -> int:
    return int(record.sourceChainSelector)


def _called(entry: Log, scene: Scene) -> None:
    record = MESSAGE_EXECUTED.decode(entry)
    scene.called.add((entry.transaction_hash, "0x" + record.messageId.hex()))


_READING = Reading(
    takes=dict(
        (
            configured(ON_RAMP_SET, subject=lambda record: record.destChainSelector, look=_on_ramp),
            configured(OFF_RAMP_ADDED, subject=_source, look=_off_ramp),
            configured(OFF_RAMP_REMOVED, subject=_source, look=_off_ramp),
            *OWNERSHIP,
        )
    ),
    notes={MESSAGE_EXECUTED.topic0: _called},
)


class RouterFamily:
    """The router (`generation.Generation`). Its ramps are found by `discovery`, which knows the peers."""

    name = "router"
    serves: Mapping[str, str] = {"Router 1.": ROUTER_ROLE}

    async def identify(self, reader: ChainReader, found: Found, place: Place) -> Identified:  # noqa: ARG002
        contract = Contract(
            chain_id=reader.chain_id, address=found.address, role=ROUTER_ROLE, version=found.version or "1.2.0"
        )
        try:
            proxy = await Reader(reader, found.address, ROUTER).read("getArmProxy")
        except RejectedError as error:
            log.warning("router does not tell its risk contract", chain=reader.chain_id, error=str(error))
            return Identified(contract)
        return Identified(contract, (Address(proxy),))

    def reading(self, contract: Contract, place: Place) -> Reading:  # noqa: ARG002
        return _READING

    async def fee_tokens(self, reader: ChainReader, contract: Contract) -> Sequence[Address]:  # noqa: ARG002
        return ()
