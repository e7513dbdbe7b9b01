"""Values for tests of recovery."""

from __future__ import annotations

from typing import Any

from seamark.core.ids import Address, ChainId, Hash32
from seamark.messages.model import LaneKey, Stage
from seamark.messages.recovery import Case, CommittedRoot, ExecutionState, Place, Standing, Trial

OFF_RAMP = Address("0x" + "0f" * 20)
SENDER = "0x" + "5e" * 20
LANE = LaneKey("ccip", "11", "0x" + "01" * 20, "22")
NOW = 1_700_000_000


def message_id(number: int) -> Hash32:
    return Hash32(f"0x{number:064x}")


def case(sequence: int = 5, **changes: Any) -> Case:
    values: dict[str, Any] = {
        "id": message_id(sequence),
        "lane": LANE,
        "version": "1.6.0",
        "sequence": sequence,
        "stage": Stage.COMMITTED,
        "source_name": "home",
        "destination_name": "remote",
        "source_chain": ChainId(1),
        "destination_chain": ChainId(2),
        "sender": SENDER,
        "receiver": "0x" + "4e" * 20,
        "sent": Place(100 + sequence, message_id(1000 + sequence)),
        "finalized": True,
        "root": CommittedRoot(1, 8, "0x" + "aa" * 32, NOW - 100, message_id(1)),
    }
    return Case(**values | changes)


def standing(state: ExecutionState = ExecutionState.UNTOUCHED, **changes: Any) -> Standing:
    values: dict[str, Any] = {
        "state": state,
        "now": NOW,
        "off_ramp": OFF_RAMP,
        "version": "1.6.0",
        "committed_at": NOW - 10_000,
        "open_after_s": 3600,
    }
    return Standing(**values | changes)


def trial(**changes: Any) -> Trial:
    values: dict[str, Any] = {"succeeds": True, "gas_limit": 200_000, "sent_gas_limit": 200_000}
    return Trial(**values | changes)
