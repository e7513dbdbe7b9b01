"""CCIP 1.6: what OnRamp and OffRamp emit, and the reads that discovery needs.

Source: `OnRamp.sol`, `OffRamp.sol`, `MultiOCR3Base.sol` 1.6.0 of @chainlink/contracts-ccip.
"""

from __future__ import annotations

from seamark.evm.abi import Abi, Event

__all__ = [
    "ALLOW_LIST_ADMIN_SET",
    "ALLOW_LIST_SENDERS_ADDED",
    "ALLOW_LIST_SENDERS_REMOVED",
    "ALREADY_ATTEMPTED",
    "AUTHORIZED_CALLER_ADDED",
    "AUTHORIZED_CALLER_REMOVED",
    "COMMITTED",
    "CONFIG_SET",
    "DEST_CHAIN_ADDED",
    "DEST_CHAIN_CONFIG_SET",
    "DEST_CHAIN_CONFIG_UPDATED",
    "DYNAMIC_CONFIG_SET",
    "EXECUTED",
    "EXECUTION_PLUGIN",
    "FAILURE",
    "FEE_QUOTER",
    "FEE_TOKEN_ADDED",
    "FEE_TOKEN_REMOVED",
    "NONCE_MANAGER",
    "OCR_CONFIG_SET",
    "OFF_RAMP",
    "ON_RAMP",
    "PREMIUM_UPDATED",
    "PREVIOUS_RAMPS_UPDATED",
    "ROOT_REMOVED",
    "SENT",
    "SKIPPED_ALREADY_EXECUTED",
    "SKIPPED_NONCE",
    "SKIPPED_REPORT",
    "SOURCE_CHAIN_CONFIG_SET",
    "SOURCE_CHAIN_SELECTOR_ADDED",
    "STATIC_CONFIG_SET",
    "SUCCESS",
    "TRANSFER_FEE_DELETED",
    "TRANSFER_FEE_UPDATED",
    "TRANSMITTED",
]

_ROOT = "(uint64 sourceChainSelector, bytes onRampAddress, uint64 minSeqNr, uint64 maxSeqNr, bytes32 merkleRoot)[]"

SENT = Event.parse(
    "event CCIPMessageSent(uint64 indexed destChainSelector, uint64 indexed sequenceNumber,"
    " ((bytes32 messageId, uint64 sourceChainSelector, uint64 destChainSelector, uint64 sequenceNumber, uint64 nonce)"
    " header, address sender, bytes data, bytes receiver, bytes extraArgs, address feeToken, uint256 feeTokenAmount,"
    " uint256 feeValueJuels, (address sourcePoolAddress, bytes destTokenAddress, bytes extraData, uint256 amount,"
    " bytes destExecData)[] tokenAmounts) message)"
)
COMMITTED = Event.parse(
    f"event CommitReportAccepted({_ROOT} blessedMerkleRoots, {_ROOT} unblessedMerkleRoots,"
    " ((address sourceToken, uint224 usdPerToken)[] tokenPriceUpdates,"
    " (uint64 destChainSelector, uint224 usdPerUnitGas)[] gasPriceUpdates) priceUpdates)"
)
EXECUTED = Event.parse(
    "event ExecutionStateChanged(uint64 indexed sourceChainSelector, uint64 indexed sequenceNumber,"
    " bytes32 indexed messageId, bytes32 messageHash, uint8 state, bytes returnData, uint256 gasUsed)"
)
TRANSMITTED = Event.parse("event Transmitted(uint8 indexed ocrPluginType, bytes32 configDigest, uint64 sequenceNumber)")
SOURCE_CHAIN_CONFIG_SET = Event.parse(
    "event SourceChainConfigSet(uint64 indexed sourceChainSelector,"
    " (address router, bool isEnabled, uint64 minSeqNr, bool isRMNVerificationDisabled, bytes onRamp) sourceConfig)"
)
DEST_CHAIN_CONFIG_SET = Event.parse(
    "event DestChainConfigSet(uint64 indexed destChainSelector, uint64 sequenceNumber, address router,"
    " bool allowlistEnabled)"
)

CONFIG_SET = Event.parse(
    "event ConfigSet((uint64 chainSelector, address rmnRemote, address nonceManager, address tokenAdminRegistry)"
    " staticConfig, (address feeQuoter, bool reentrancyGuardEntered, address messageInterceptor, address feeAggregator,"
    " address allowlistAdmin) dynamicConfig)"
)
ALLOW_LIST_ADMIN_SET = Event.parse("event AllowListAdminSet(address indexed allowlistAdmin)")
ALLOW_LIST_SENDERS_ADDED = Event.parse(
    "event AllowListSendersAdded(uint64 indexed destChainSelector, address[] senders)"
)
ALLOW_LIST_SENDERS_REMOVED = Event.parse(
    "event AllowListSendersRemoved(uint64 indexed destChainSelector, address[] senders)"
)

STATIC_CONFIG_SET = Event.parse(
    "event StaticConfigSet((uint64 chainSelector, uint16 gasForCallExactCheck, address rmnRemote,"
    " address tokenAdminRegistry, address nonceManager) staticConfig)"
)
DYNAMIC_CONFIG_SET = Event.parse(
    "event DynamicConfigSet((address feeQuoter, uint32 permissionLessExecutionThresholdSeconds,"
    " address messageInterceptor) dynamicConfig)"
)
SOURCE_CHAIN_SELECTOR_ADDED = Event.parse("event SourceChainSelectorAdded(uint64 sourceChainSelector)")
OCR_CONFIG_SET = Event.parse(
    "event ConfigSet(uint8 ocrPluginType, bytes32 configDigest, address[] signers, address[] transmitters, uint8 F)"
)
ROOT_REMOVED = Event.parse("event RootRemoved(bytes32 root)")
ALREADY_ATTEMPTED = Event.parse("event AlreadyAttempted(uint64 sourceChainSelector, uint64 sequenceNumber)")
SKIPPED_ALREADY_EXECUTED = Event.parse(
    "event SkippedAlreadyExecutedMessage(uint64 sourceChainSelector, uint64 sequenceNumber)"
)
SKIPPED_REPORT = Event.parse("event SkippedReportExecution(uint64 sourceChainSelector)")

SKIPPED_NONCE = Event.parse("event SkippedIncorrectNonce(uint64 sourceChainSelector, uint64 nonce, bytes sender)")
PREVIOUS_RAMPS_UPDATED = Event.parse(
    "event PreviousRampsUpdated(uint64 indexed remoteChainSelector, (address prevOnRamp, address prevOffRamp) prevRamp)"
)
AUTHORIZED_CALLER_ADDED = Event.parse("event AuthorizedCallerAdded(address caller)")
AUTHORIZED_CALLER_REMOVED = Event.parse("event AuthorizedCallerRemoved(address caller)")

FEE_TOKEN_ADDED = Event.parse("event FeeTokenAdded(address indexed feeToken)")
FEE_TOKEN_REMOVED = Event.parse("event FeeTokenRemoved(address indexed feeToken)")
PREMIUM_UPDATED = Event.parse(
    "event PremiumMultiplierWeiPerEthUpdated(address indexed token, uint64 premiumMultiplierWeiPerEth)"
)
TRANSFER_FEE_UPDATED = Event.parse(
    "event TokenTransferFeeConfigUpdated(uint64 indexed destChainSelector, address indexed token,"
    " (uint32 minFeeUSDCents, uint32 maxFeeUSDCents, uint16 deciBps, uint32 destGasOverhead, uint32 destBytesOverhead,"
    " bool isEnabled) tokenTransferFeeConfig)"
)
TRANSFER_FEE_DELETED = Event.parse(
    "event TokenTransferFeeConfigDeleted(uint64 indexed destChainSelector, address indexed token)"
)
_DEST_CHAIN_CONFIG = (
    "(bool isEnabled, uint16 maxNumberOfTokensPerMsg, uint32 maxDataBytes, uint32 maxPerMsgGasLimit,"
    " uint32 destGasOverhead, uint8 destGasPerPayloadByteBase, uint8 destGasPerPayloadByteHigh,"
    " uint16 destGasPerPayloadByteThreshold, uint32 destDataAvailabilityOverheadGas,"
    " uint16 destGasPerDataAvailabilityByte, uint16 destDataAvailabilityMultiplierBps, bytes4 chainFamilySelector,"
    " bool enforceOutOfOrder, uint16 defaultTokenFeeUSDCents, uint32 defaultTokenDestGasOverhead,"
    " uint32 defaultTxGasLimit, uint64 gasMultiplierWeiPerEth, uint32 gasPriceStalenessThreshold,"
    " uint32 networkFeeUSDCents) destChainConfig"
)
DEST_CHAIN_ADDED = Event.parse(f"event DestChainAdded(uint64 indexed destChainSelector, {_DEST_CHAIN_CONFIG})")
DEST_CHAIN_CONFIG_UPDATED = Event.parse(
    f"event DestChainConfigUpdated(uint64 indexed destChainSelector, {_DEST_CHAIN_CONFIG})"
)

EXECUTION_PLUGIN = 1
"""`ocrPluginType` of `Transmitted`: 0 is a commit, 1 an execution by the network. A manual execution emits none."""

SUCCESS, FAILURE = 2, 3
"""`state` of `ExecutionStateChanged`; 0 and 1 (untouched, in progress) are never emitted."""

ON_RAMP = Abi.parse(
    "function getStaticConfig() view returns ((uint64 chainSelector, address rmnRemote, address nonceManager,"
    " address tokenAdminRegistry))",
    "function getDynamicConfig() view returns ((address feeQuoter, bool reentrancyGuardEntered,"
    " address messageInterceptor, address feeAggregator, address allowlistAdmin))",
    "function getExpectedNextSequenceNumber(uint64 destChainSelector) view returns (uint64)",
)
OFF_RAMP = Abi.parse(
    "function getStaticConfig() view returns ((uint64 chainSelector, uint16 gasForCallExactCheck, address rmnRemote,"
    " address tokenAdminRegistry, address nonceManager))",
    "function getSourceChainConfig(uint64 sourceChainSelector) view returns ((address router, bool isEnabled,"
    " uint64 minSeqNr, bool isRMNVerificationDisabled, bytes onRamp))",
    "function getDynamicConfig() view returns ((address feeQuoter, uint32 permissionLessExecutionThresholdSeconds,"
    " address messageInterceptor))",
    "function getAllSourceChainConfigs() view returns (uint64[] selectors, (address router, bool isEnabled,"
    " uint64 minSeqNr, bool isRMNVerificationDisabled, bytes onRamp)[] configs)",
)
NONCE_MANAGER = Abi.parse(
    "function getPreviousRamps(uint64 chainSelector) view returns ((address prevOnRamp, address prevOffRamp))"
)
FEE_QUOTER = Abi.parse("function getFeeTokens() view returns (address[])")
