"""What EVM2EVMOnRamp, CommitStore and EVM2EVMOffRamp emit in 1.2 as in 1.5, and the reads that both answer alike.

Source: `EVM2EVMOnRamp.sol`, `EVM2EVMOffRamp.sol`, `CommitStore.sol`, `OCR2Base.sol` 1.2.0 and 1.5.0,
`PriceRegistry.sol` 1.2.0 of @chainlink/contracts-ccip. What differs is in `v1_2/events.py` and `v1_5/events.py`.
"""

from __future__ import annotations

from seamark.evm.abi import Abi, Event

__all__ = [
    "ADMIN_SET",
    "COMMITTED",
    "EXECUTED",
    "FAILURE",
    "FEE_CONFIG_SET",
    "NEXT_SEQUENCE",
    "NOPS_SET",
    "OCR_CONFIG_SET",
    "PAUSED",
    "PRICE_REGISTRY",
    "ROOT_REMOVED",
    "SENT",
    "SKIPPED_NONCE",
    "SKIPPED_PREVIOUS_RAMP",
    "SUCCESS",
    "TRANSMITTED",
    "UNPAUSED",
]

SENT = Event.parse(
    "event CCIPSendRequested((uint64 sourceChainSelector, address sender, address receiver, uint64 sequenceNumber,"
    " uint256 gasLimit, bool strict, uint64 nonce, address feeToken, uint256 feeTokenAmount, bytes data,"
    " (address token, uint256 amount)[] tokenAmounts, bytes[] sourceTokenData, bytes32 messageId) message)"
)
FEE_CONFIG_SET = Event.parse(
    "event FeeConfigSet((address token, uint32 networkFeeUSDCents, uint64 gasMultiplierWeiPerEth,"
    " uint64 premiumMultiplierWeiPerEth, bool enabled)[] feeConfig)"
)
NOPS_SET = Event.parse("event NopsSet(uint256 nopWeightsTotal, (address nop, uint16 weight)[] nopsAndWeights)")
ADMIN_SET = Event.parse("event AdminSet(address newAdmin)")

COMMITTED = Event.parse(
    "event ReportAccepted((((address sourceToken, uint224 usdPerToken)[] tokenPriceUpdates,"
    " (uint64 destChainSelector, uint224 usdPerUnitGas)[] gasPriceUpdates) priceUpdates, (uint64 min, uint64 max)"
    " interval, bytes32 merkleRoot) report)"
)
ROOT_REMOVED = Event.parse("event RootRemoved(bytes32 root)")
PAUSED = Event.parse("event Paused(address account)")
UNPAUSED = Event.parse("event Unpaused(address account)")

EXECUTED = Event.parse(
    "event ExecutionStateChanged(uint64 indexed sequenceNumber, bytes32 indexed messageId, uint8 state,"
    " bytes returnData)"
)
SKIPPED_NONCE = Event.parse("event SkippedIncorrectNonce(uint64 indexed nonce, address indexed sender)")
SKIPPED_PREVIOUS_RAMP = Event.parse(
    "event SkippedSenderWithPreviousRampMessageInflight(uint64 indexed nonce, address indexed sender)"
)
TRANSMITTED = Event.parse("event Transmitted(bytes32 configDigest, uint32 epoch)")
"""Of a CommitStore, or of an OffRamp for an execution by the network; a manual execution emits none."""

OCR_CONFIG_SET = Event.parse(
    "event ConfigSet(uint32 previousConfigBlockNumber, bytes32 configDigest, uint64 configCount, address[] signers,"
    " address[] transmitters, uint8 f, bytes onchainConfig, uint64 offchainConfigVersion, bytes offchainConfig)"
)

SUCCESS, FAILURE = 2, 3
"""`state` of `ExecutionStateChanged`; 0 and 1 (untouched, in progress) are never emitted."""

NEXT_SEQUENCE = Abi.parse("function getExpectedNextSequenceNumber() view returns (uint64)")
"""Of an OnRamp: the number after the last one sent. Of a CommitStore: the number after the last one committed."""

PRICE_REGISTRY = Abi.parse("function getFeeTokens() view returns (address[])")
