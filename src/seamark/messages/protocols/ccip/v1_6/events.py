"""CCIP 1.6: what OnRamp and OffRamp emit, and the reads that discovery needs.

Source: `OnRamp.sol`, `OffRamp.sol`, `MultiOCR3Base.sol` 1.6.0 of @chainlink/contracts-ccip.
"""

from __future__ import annotations

from seamark.evm.abi import Abi, Event

__all__ = [
    "COMMITTED",
    "DEST_CHAIN_CONFIG_SET",
    "EXECUTED",
    "FEE_QUOTER",
    "OFF_RAMP",
    "OFF_RAMP_EVENTS",
    "ON_RAMP",
    "ON_RAMP_EVENTS",
    "SENT",
    "SOURCE_CHAIN_CONFIG_SET",
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

ON_RAMP_EVENTS = (SENT, DEST_CHAIN_CONFIG_SET)
OFF_RAMP_EVENTS = (COMMITTED, EXECUTED, TRANSMITTED, SOURCE_CHAIN_CONFIG_SET)

EXECUTION_PLUGIN = 1
"""`ocrPluginType` of `Transmitted`: 0 is a commit, 1 an execution by the network. A manual execution emits none."""

SUCCESS, FAILURE = 2, 3
"""`state` of `ExecutionStateChanged`; 0 and 1 (untouched, in progress) are never emitted."""

ON_RAMP = Abi.parse(
    "function getStaticConfig() view returns ((uint64 chainSelector, address rmnRemote, address nonceManager,"
    " address tokenAdminRegistry))",
    "function getDynamicConfig() view returns ((address feeQuoter, bool reentrancyGuardEntered,"
    " address messageInterceptor, address feeAggregator, address allowlistAdmin))",
)
OFF_RAMP = Abi.parse(
    "function getStaticConfig() view returns ((uint64 chainSelector, uint16 gasForCallExactCheck, address rmnRemote,"
    " address tokenAdminRegistry, address nonceManager))",
    "function getSourceChainConfig(uint64 sourceChainSelector) view returns ((address router, bool isEnabled,"
    " uint64 minSeqNr, bool isRMNVerificationDisabled, bytes onRamp))",
    "function getAllSourceChainConfigs() view returns (uint64[] selectors, (address router, bool isEnabled,"
    " uint64 minSeqNr, bool isRMNVerificationDisabled, bytes onRamp)[] configs)",
)
FEE_QUOTER = Abi.parse("function getFeeTokens() view returns (address[])")
