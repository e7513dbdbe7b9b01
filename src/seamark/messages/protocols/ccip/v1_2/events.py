"""CCIP 1.2: reads and events of which 1.5 has none or others. The shared ones are in `evm2evm/events.py`.

Source: `EVM2EVMOnRamp.sol`, `EVM2EVMOffRamp.sol`, `CommitStore.sol`, `PriceRegistry.sol` 1.2.0 of
@chainlink/contracts-ccip.
"""

from __future__ import annotations

from seamark.evm.abi import Abi, Event

__all__ = [
    "COMMIT_STORE",
    "COMMIT_STORE_CONFIG_SET",
    "FEE_TOKEN_ADDED",
    "FEE_TOKEN_REMOVED",
    "OFF_RAMP",
    "OFF_RAMP_CONFIG_SET",
    "ON_RAMP",
    "ON_RAMP_CONFIG_SET",
    "POOL_ADDED",
    "POOL_REMOVED",
    "PRICE_UPDATER_REMOVED",
    "PRICE_UPDATER_SET",
    "TRANSFER_FEE_SET",
]

_ON_RAMP_STATIC = (
    "(address linkToken, uint64 chainSelector, uint64 destChainSelector, uint64 defaultTxGasLimit,"
    " uint96 maxNopFeesJuels, address prevOnRamp, address armProxy)"
)
_ON_RAMP_DYNAMIC = (
    "(address router, uint16 maxNumberOfTokensPerMsg, uint32 destGasOverhead, uint16 destGasPerPayloadByte,"
    " uint32 destDataAvailabilityOverheadGas, uint16 destGasPerDataAvailabilityByte,"
    " uint16 destDataAvailabilityMultiplierBps, address priceRegistry, uint32 maxDataBytes, uint32 maxPerMsgGasLimit)"
)
_COMMIT_STORE_STATIC = "(uint64 chainSelector, uint64 sourceChainSelector, address onRamp, address armProxy)"
_OFF_RAMP_STATIC = (
    "(address commitStore, uint64 chainSelector, uint64 sourceChainSelector, address onRamp, address prevOffRamp,"
    " address armProxy)"
)
_OFF_RAMP_DYNAMIC = (
    "(uint32 permissionLessExecutionThresholdSeconds, address router, address priceRegistry,"
    " uint16 maxNumberOfTokensPerMsg, uint32 maxDataBytes, uint32 maxPoolReleaseOrMintGas)"
)

ON_RAMP = Abi.parse(
    f"function getStaticConfig() view returns ({_ON_RAMP_STATIC})",
    f"function getDynamicConfig() view returns ({_ON_RAMP_DYNAMIC})",
)
COMMIT_STORE = Abi.parse(f"function getStaticConfig() view returns ({_COMMIT_STORE_STATIC})")
OFF_RAMP = Abi.parse(
    f"function getStaticConfig() view returns ({_OFF_RAMP_STATIC})",
    f"function getDynamicConfig() view returns ({_OFF_RAMP_DYNAMIC})",
)

ON_RAMP_CONFIG_SET = Event.parse(f"event ConfigSet({_ON_RAMP_STATIC} staticConfig, {_ON_RAMP_DYNAMIC} dynamicConfig)")
COMMIT_STORE_CONFIG_SET = Event.parse(
    f"event ConfigSet({_COMMIT_STORE_STATIC} staticConfig, (address priceRegistry) dynamicConfig)"
)
OFF_RAMP_CONFIG_SET = Event.parse(
    f"event ConfigSet({_OFF_RAMP_STATIC} staticConfig, {_OFF_RAMP_DYNAMIC} dynamicConfig)"
)

TRANSFER_FEE_SET = Event.parse(
    "event TokenTransferFeeConfigSet((address token, uint32 minFeeUSDCents, uint32 maxFeeUSDCents, uint16 deciBps,"
    " uint32 destGasOverhead, uint32 destBytesOverhead)[] transferFeeConfig)"
)
POOL_ADDED = Event.parse("event PoolAdded(address token, address pool)")
POOL_REMOVED = Event.parse("event PoolRemoved(address token, address pool)")

FEE_TOKEN_ADDED = Event.parse("event FeeTokenAdded(address indexed feeToken)")
FEE_TOKEN_REMOVED = Event.parse("event FeeTokenRemoved(address indexed feeToken)")
PRICE_UPDATER_SET = Event.parse("event PriceUpdaterSet(address indexed priceUpdater)")
PRICE_UPDATER_REMOVED = Event.parse("event PriceUpdaterRemoved(address indexed priceUpdater)")
