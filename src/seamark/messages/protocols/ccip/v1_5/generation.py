"""CCIP 1.5 as a generation of EVM2EVM ramps."""

from __future__ import annotations

from seamark.messages.protocols.ccip.evm2evm.decode import skipped_sequence
from seamark.messages.protocols.ccip.evm2evm.generation import EvmToEvm, Shape
from seamark.messages.protocols.ccip.generation import COMMIT_STORE, OFF_RAMP, ON_RAMP
from seamark.messages.protocols.ccip.notices import configured, own
from seamark.messages.protocols.ccip.v1_5 import events

__all__ = ["GENERATION"]

GENERATION = EvmToEvm(
    Shape(
        name="1.5",
        serves={"EVM2EVMOnRamp 1.5.": ON_RAMP, "CommitStore 1.5.": COMMIT_STORE, "EVM2EVMOffRamp 1.5.": OFF_RAMP},
        on_ramp=events.ON_RAMP,
        commit_store=events.COMMIT_STORE,
        off_ramp=events.OFF_RAMP,
        on_ramp_events=(
            configured(events.ON_RAMP_CONFIG_SET, look=own),
            configured(events.TRANSFER_FEE_SET),
            configured(events.TRANSFER_FEE_DELETED),
            configured(events.RATE_LIMIT_CHANGED),
        ),
        commit_store_events=(
            configured(events.COMMIT_STORE_CONFIG_SET),
            configured(events.SEQUENCE_SET),
            configured(events.PRICE_EPOCH_SET),
        ),
        off_ramp_events=(
            configured(events.OFF_RAMP_CONFIG_SET, look=own),
            configured(events.RATE_LIMIT_CHANGED),
        ),
        off_ramp_lane_events=lambda lane: (
            skipped_sequence(events.ALREADY_ATTEMPTED, lane),
            skipped_sequence(events.SKIPPED_ALREADY_EXECUTED, lane),
        ),
    )
)
