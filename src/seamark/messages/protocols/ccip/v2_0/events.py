"""CCIP 2.0: what the contracts emit, and the reads that discovery and recovery need.

Source: `OnRamp.sol`, `OffRamp.sol`, `FeeQuoter.sol`, `Executor.sol`, `Proxy.sol`, `CommitteeVerifier.sol`,
`BaseVerifier.sol`, `SignatureQuorumValidator.sol`, `VersionedVerifierResolver.sol` 2.0.0 of @chainlink/contracts-ccip.
"""

from __future__ import annotations

from typing import Final

from seamark.core.ids import Address
from seamark.evm.abi import Abi, Event

__all__ = [
    "EXECUTED",
    "FAILURE",
    "FEE_QUOTER",
    "NO_EXECUTION",
    "OFF_RAMP",
    "ON_RAMP",
    "PROXY",
    "RESOLVER",
    "SENT",
    "SUCCESS",
]

SUCCESS, FAILURE = 2, 3
"""`state` of `ExecutionStateChanged`; 0 and 1 (untouched, in progress) are never emitted."""

NO_EXECUTION: Final = Address("0xeba517d2" + "00" * 16)
"""The executor of a message that nobody executes by himself (`Client.NO_EXECUTION_ADDRESS`)."""

# ---- OnRamp ----------------------------------------------------------------------------------------------------------

SENT = Event.parse(
    "event CCIPMessageSent(uint64 indexed destChainSelector, address indexed sender, bytes32 indexed messageId,"
    " address feeToken, uint256 tokenAmountBeforeTokenPoolFees, bytes encodedMessage,"
    " (address issuer, uint32 destGasLimit, uint32 destBytesOverhead, uint256 feeTokenAmount, bytes extraArgs)[]"
    " receipts, bytes[] verifierBlobs)"
)
ON_RAMP_CONFIG_SET = Event.parse(
    "event ConfigSet((uint64 chainSelector, address rmnRemote, uint32 maxUSDCentsPerMessage,"
    " address tokenAdminRegistry) staticConfig, (address feeQuoter, bool reentrancyGuardEntered, address feeAggregator)"
    " dynamicConfig)"
)
DEST_CHAIN_CONFIG_SET = Event.parse(
    "event DestChainConfigSet(uint64 indexed destChainSelector, uint64 messageNumber, (uint64 destChainSelector,"
    " address router, uint8 addressBytesLength, bool tokenReceiverAllowed, uint16 messageNetworkFeeUSDCents,"
    " uint16 tokenNetworkFeeUSDCents, uint32 baseExecutionGasCost, address[] defaultCCVs, address[] laneMandatedCCVs,"
    " address defaultExecutor, bytes offRamp) config)"
)
_DEST_CHAIN_CONFIG = (
    "(address router, uint64 messageNumber, uint8 addressBytesLength, bool tokenReceiverAllowed,"
    " uint16 messageNetworkFeeUSDCents, uint16 tokenNetworkFeeUSDCents, uint32 baseExecutionGasCost,"
    " address defaultExecutor, address[] laneMandatedCCVs, address[] defaultCCVs, bytes offRamp)"
)
ON_RAMP = Abi.parse(
    "function getStaticConfig() view returns ((uint64 chainSelector, address rmnRemote, uint32 maxUSDCentsPerMessage,"
    " address tokenAdminRegistry))",
    "function getDynamicConfig() view returns ((address feeQuoter, bool reentrancyGuardEntered,"
    " address feeAggregator))",
    f"function getAllDestChainConfigs() view returns (uint64[] selectors, {_DEST_CHAIN_CONFIG}[] configs)",
    "function getExpectedNextMessageNumber(uint64 destChainSelector) view returns (uint64)",
)

# ---- OffRamp ---------------------------------------------------------------------------------------------------------

EXECUTED = Event.parse(
    "event ExecutionStateChanged(uint64 indexed sourceChainSelector, uint64 indexed messageNumber,"
    " bytes32 indexed messageId, uint8 state, bytes returnData)"
)
STATIC_CONFIG_SET = Event.parse(
    "event StaticConfigSet((uint64 localChainSelector, uint16 gasForCallExactCheck, address rmnRemote,"
    " address tokenAdminRegistry, uint32 maxGasBufferToUpdateState) staticConfig)"
)
SOURCE_CHAIN_CONFIG_SET = Event.parse(
    "event SourceChainConfigSet(uint64 indexed sourceChainSelector, (address router, uint64 sourceChainSelector,"
    " bool isEnabled, bytes[] onRamps, address[] defaultCCVs, address[] laneMandatedCCVs) sourceConfig)"
)
_SOURCE_CHAIN_CONFIG = (
    "(address router, bool isEnabled, bytes[] onRamps, address[] defaultCCVs, address[] laneMandatedCCVs)"
)
OFF_RAMP = Abi.parse(
    "function getStaticConfig() view returns ((uint64 localChainSelector, uint16 gasForCallExactCheck,"
    " address rmnRemote, address tokenAdminRegistry, uint32 maxGasBufferToUpdateState))",
    f"function getSourceChainConfig(uint64 sourceChainSelector) view returns ({_SOURCE_CHAIN_CONFIG})",
    f"function getAllSourceChainConfigs() view returns (uint64[] selectors, {_SOURCE_CHAIN_CONFIG}[] configs)",
    "function getExecutionState(bytes32 messageId) view returns (uint8)",
    "function getCCVsForMessage(bytes encodedMessage) view returns (address[] requiredCCVs, address[] optionalCCVs,"
    " uint8 threshold)",
    "function execute(bytes encodedMessage, address[] ccvs, bytes[] verifierResults, uint32 gasLimitOverride)",
)

# ---- FeeQuoter -------------------------------------------------------------------------------------------------------

FEE_TOKEN_ADDED = Event.parse("event FeeTokenAdded(address indexed feeToken)")
FEE_TOKEN_REMOVED = Event.parse("event FeeTokenRemoved(address indexed feeToken)")
TRANSFER_FEE_UPDATED = Event.parse(
    "event TokenTransferFeeConfigUpdated(uint64 indexed destChainSelector, address indexed token, (uint32 feeUSDCents,"
    " uint32 destGasOverhead, uint32 destBytesOverhead, bool isEnabled) tokenTransferFeeConfig)"
)
TRANSFER_FEE_DELETED = Event.parse(
    "event TokenTransferFeeConfigDeleted(uint64 indexed destChainSelector, address indexed token)"
)
_QUOTER_DEST_CONFIG = (
    "(bool isEnabled, uint32 maxDataBytes, uint32 maxPerMsgGasLimit, uint32 destGasOverhead,"
    " uint8 destGasPerPayloadByteBase, bytes4 chainFamilySelector, uint16 defaultTokenFeeUSDCents,"
    " uint32 defaultTokenDestGasOverhead, uint32 defaultTxGasLimit, uint16 networkFeeUSDCents,"
    " uint8 linkFeeMultiplierPercent) destChainConfig"
)
QUOTER_DEST_ADDED = Event.parse(f"event DestChainAdded(uint64 indexed destChainSelector, {_QUOTER_DEST_CONFIG})")
QUOTER_DEST_UPDATED = Event.parse(
    f"event DestChainConfigUpdated(uint64 indexed destChainSelector, {_QUOTER_DEST_CONFIG})"
)
AUTHORIZED_CALLER_ADDED = Event.parse("event AuthorizedCallerAdded(address caller)")
AUTHORIZED_CALLER_REMOVED = Event.parse("event AuthorizedCallerRemoved(address caller)")
FEE_QUOTER = Abi.parse(
    "function getFeeTokens() view returns (address[])",
    "function getStaticConfig() view returns ((uint96 maxFeeJuelsPerMsg, address linkToken))",
)

# ---- Executor, and the proxy that may stand before it ----------------------------------------------------------------

EXECUTOR_CONFIG_SET = Event.parse(
    "event ConfigSet((address feeAggregator, bytes4 allowedFinalityConfig, bool ccvAllowlistEnabled) dynamicConfig)"
)
EXECUTOR_DEST_ADDED = Event.parse(
    "event DestChainAdded(uint64 indexed destChainSelector, (uint16 usdCentsFee, bool enabled) config)"
)
EXECUTOR_DEST_REMOVED = Event.parse("event DestChainRemoved(uint64 indexed destChainSelector)")
CCV_ALLOW_LIST_UPDATED = Event.parse("event CCVAllowlistUpdated(bool enabled)")
CCV_ADDED = Event.parse("event CCVAdded(address indexed ccv)")
CCV_REMOVED = Event.parse("event CCVRemoved(address indexed ccv)")
TARGET_UPDATED = Event.parse("event TargetUpdated(address indexed oldTarget, address indexed newTarget)")
PROXY = Abi.parse("function getTarget() view returns (address)")

# ---- verifiers and their resolver ------------------------------------------------------------------------------------

SIGNATURE_CONFIG_SET = Event.parse(
    "event SignatureConfigSet(uint64 indexed sourceChainSelector, address[] signers, uint8 threshold)"
)
FINALITY_CONFIG_SET = Event.parse("event FinalityConfigSet(bytes4 allowedFinality)")
REMOTE_CHAIN_CONFIG_SET = Event.parse(
    "event RemoteChainConfigSet(uint64 indexed remoteChainSelector, address router, bool allowlistEnabled)"
)
VERIFIER_CONFIG_SET = Event.parse("event ConfigSet((address feeAggregator, address allowlistAdmin) dynamicConfig)")
ALLOW_LIST_SENDERS_ADDED = Event.parse("event AllowListSendersAdded(uint64 indexed destChainSelector, address senders)")
ALLOW_LIST_SENDERS_REMOVED = Event.parse(
    "event AllowListSendersRemoved(uint64 indexed destChainSelector, address senders)"
)
ALLOW_LIST_STATE_CHANGED = Event.parse(
    "event AllowListStateChanged(uint64 indexed destChainSelector, bool allowlistEnabled)"
)
STORAGE_LOCATIONS_UPDATED = Event.parse("event StorageLocationsUpdated(string[] oldLocations, string[] newLocations)")
STORAGE_ADMIN_REQUESTED = Event.parse(
    "event StorageLocationsAdminTransferRequested(address indexed from, address indexed to)"
)
STORAGE_ADMIN_TRANSFERRED = Event.parse(
    "event StorageLocationsAdminTransferred(address indexed from, address indexed to)"
)

INBOUND_UPDATED = Event.parse("event InboundImplementationUpdated(bytes4 version, address prevImpl, address newImpl)")
INBOUND_REMOVED = Event.parse("event InboundImplementationRemoved(bytes4 version)")
OUTBOUND_UPDATED = Event.parse(
    "event OutboundImplementationUpdated(uint64 destChainSelector, address prevImpl, address newImpl)"
)
OUTBOUND_REMOVED = Event.parse("event OutboundImplementationRemoved(uint64 destChainSelector)")
FEE_AGGREGATOR_UPDATED = Event.parse(
    "event FeeAggregatorUpdated(address indexed oldFeeAggregator, address indexed newFeeAggregator)"
)
RESOLVER = Abi.parse(
    "function getAllInboundImplementations() view returns ((bytes4 version, address verifier)[])",
    "function getAllOutboundImplementations() view returns ((uint64 destChainSelector, address verifier)[])",
)
