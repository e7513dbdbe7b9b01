"""CCIP 1.2 as a generation of EVM2EVM ramps. Its price registry also serves the ramps of 1.5."""

from __future__ import annotations

from seamark.messages.protocols.ccip.evm2evm.generation import EvmToEvm, Shape
from seamark.messages.protocols.ccip.generation import COMMIT_STORE, FEE_QUOTER, OFF_RAMP, ON_RAMP
from seamark.messages.protocols.ccip.notices import configured, own, role_changed
from seamark.messages.protocols.ccip.v1_2 import events

__all__ = ["GENERATION"]

_POOLS = (configured(events.POOL_ADDED), configured(events.POOL_REMOVED))

GENERATION = EvmToEvm(
    Shape(
        name="1.2",
        serves={
            "EVM2EVMOnRamp 1.2.": ON_RAMP,
            "CommitStore 1.2.": COMMIT_STORE,
            "EVM2EVMOffRamp 1.2.": OFF_RAMP,
            "PriceRegistry 1.2.": FEE_QUOTER,
        },
        on_ramp=events.ON_RAMP,
        commit_store=events.COMMIT_STORE,
        off_ramp=events.OFF_RAMP,
        on_ramp_events=(
            configured(events.ON_RAMP_CONFIG_SET, look=own),
            configured(events.TRANSFER_FEE_SET),
            *_POOLS,
        ),
        commit_store_events=(configured(events.COMMIT_STORE_CONFIG_SET),),
        off_ramp_events=(configured(events.OFF_RAMP_CONFIG_SET, look=own), *_POOLS),
        # Prices are not among them: they change with every commit.
        registry_events=(
            configured(events.FEE_TOKEN_ADDED, look=own),
            configured(events.FEE_TOKEN_REMOVED),
            role_changed(events.PRICE_UPDATER_SET),
            role_changed(events.PRICE_UPDATER_REMOVED),
        ),
    )
)
