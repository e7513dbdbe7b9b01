"""CCIP 1.5: reads and events of which 1.2 has none or others. The shared ones are in `evm2evm/events.py`.

Source: `EVM2EVMOnRamp.sol`, `EVM2EVMOffRamp.sol`, `CommitStore.sol` 1.5.0 of @chainlink/contracts-ccip.
"""

from __future__ import annotations

from seamark.evm.abi import Abi, Event

__all__ = [
    "ALREADY_ATTEMPTED",
    "COMMIT_STORE",
    "COMMIT_STORE_CONFIG_SET",
    "OFF_RAMP",
    "OFF_RAMP_CONFIG_SET",
    "ON_RAMP",
    "ON_RAMP_CONFIG_SET",
    "PRICE_EPOCH_SET",
    "RATE_LIMIT_CHANGED",
    "SEQUENCE_SET",
    "SKIPPED_ALREADY_EXECUTED",
    "TRANSFER_FEE_DELETED",
    "TRANSFER_FEE_SET",
]

_ON_RAMP_STATIC = (
    "(address linkToken, uint64 chainSelector, uint64 destChainSelector, uint64 defaultTxGasLimit,"
    " uint96 maxNopFeesJuels, address prevOnRamp, address rmnProxy, address tokenAdminRegistry)"
)
_ON_RAMP_DYNAMIC = (
    "(address router, uint16 maxNumberOfTokensPerMsg, uint32 destGasOverhead, uint16 destGasPerPayloadByte,"
    " uint32 destDataAvailabilityOverheadGas, uint16 destGasPerDataAvailabilityByte,"
    " uint16 destDataAvailabilityMultiplierBps, address priceRegistry, uint32 maxDataBytes, uint32 maxPerMsgGasLimit,"
    " uint16 defaultTokenFeeUSDCents, uint32 defaultTokenDestGasOverhead, bool enforceOutOfOrder)"
)
_COMMIT_STORE_STATIC = "(uint64 chainSelector, uint64 sourceChainSelector, address onRamp, address rmnProxy)"
_OFF_RAMP_STATIC = (
    "(address commitStore, uint64 chainSelector, uint64 sourceChainSelector, address onRamp, address prevOffRamp,"
    " address rmnProxy, address tokenAdminRegistry)"
)
_OFF_RAMP_DYNAMIC = (
    "(uint32 permissionLessExecutionThresholdSeconds, uint32 maxDataBytes, uint16 maxNumberOfTokensPerMsg,"
    " address router, address priceRegistry)"
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
    " uint32 destGasOverhead, uint32 destBytesOverhead, bool aggregateRateLimitEnabled)[] transferFeeConfig)"
)
TRANSFER_FEE_DELETED = Event.parse("event TokenTransferFeeConfigDeleted(address[] tokens)")
RATE_LIMIT_CHANGED = Event.parse("event ConfigChanged((bool isEnabled, uint128 capacity, uint128 rate) config)")

SEQUENCE_SET = Event.parse("event SequenceNumberSet(uint64 oldSeqNum, uint64 newSeqNum)")
PRICE_EPOCH_SET = Event.parse("event LatestPriceEpochAndRoundSet(uint40 oldEpochAndRound, uint40 newEpochAndRound)")

ALREADY_ATTEMPTED = Event.parse("event AlreadyAttempted(uint64 sequenceNumber)")
"""The network tried a failed message again. In 1.2 such a transaction reverts instead."""
SKIPPED_ALREADY_EXECUTED = Event.parse("event SkippedAlreadyExecutedMessage(uint64 indexed sequenceNumber)")
