"""The view functions that checks call, and the small message whose fee they ask for.

Source: `Router.sol` 1.2.0, `FeeQuoter.sol` 1.6 and 2.0, `PriceRegistry.sol` 1.2.0, `EVM2EVMOnRamp.sol`,
`RMNRemote.sol`, `TokenPool.sol` 1.5 to 2.0 of @chainlink/contracts-ccip.
"""

from __future__ import annotations

from typing import Any

from seamark.core.ids import Address
from seamark.evm.abi import Abi, compile_encoder, parse_params
from seamark.evm.address import ZERO_ADDRESS

__all__ = [
    "ERC20",
    "FEE_QUOTER",
    "NO_LIMIT",
    "ON_RAMP_POOL",
    "ON_RAMP_STATIC",
    "PAUSES",
    "POOL",
    "RISK",
    "ROUTER",
    "STATIC_1_6",
    "STATIC_2_0",
    "canary",
]

ROUTER = Abi.parse(
    "function typeAndVersion() view returns (string)",
    "function getOnRamp(uint64 destChainSelector) view returns (address)",
    "function getOffRamps() view returns ((uint64 sourceChainSelector, address offRamp)[])",
    "function getArmProxy() view returns (address)",
    "function getWrappedNative() view returns (address)",
    "function getFee(uint64 destinationChainSelector, (bytes receiver, bytes data, (address token, uint256 amount)[]"
    " tokenAmounts, address feeToken, bytes extraArgs) message) view returns (uint256)",
)
RISK = Abi.parse(
    "function isCursed() view returns (bool)",
    "function isCursed(bytes16 subject) view returns (bool)",
)
FEE_QUOTER = Abi.parse(
    "function getDestinationChainGasPrice(uint64 destChainSelector) view returns ((uint224 value, uint32 timestamp))",
    "function getTokenPrice(address token) view returns ((uint224 value, uint32 timestamp))",
    "function getStalenessThreshold() view returns (uint128)",  # 1.2 and 1.5: for both kinds of prices
)
STATIC_1_6 = Abi.parse(
    "function getStaticConfig() view returns ((uint96 maxFeeJuelsPerMsg, address linkToken,"
    " uint32 tokenPriceStalenessThreshold))",
    "function getDestChainConfig(uint64 destChainSelector) view returns ((bool isEnabled,"
    " uint16 maxNumberOfTokensPerMsg, uint32 maxDataBytes, uint32 maxPerMsgGasLimit, uint32 destGasOverhead,"
    " uint8 destGasPerPayloadByteBase, uint8 destGasPerPayloadByteHigh, uint16 destGasPerPayloadByteThreshold,"
    " uint32 destDataAvailabilityOverheadGas, uint16 destGasPerDataAvailabilityByte,"
    " uint16 destDataAvailabilityMultiplierBps, bytes4 chainFamilySelector, bool enforceOutOfOrder,"
    " uint16 defaultTokenFeeUSDCents, uint32 defaultTokenDestGasOverhead, uint32 defaultTxGasLimit,"
    " uint64 gasMultiplierWeiPerEth, uint32 gasPriceStalenessThreshold, uint32 networkFeeUSDCents))",
)
STATIC_2_0 = Abi.parse("function getStaticConfig() view returns ((uint96 maxFeeJuelsPerMsg, address linkToken))")
# The fields behind the first are of no use here; both generations begin alike and an answer may be longer.
ON_RAMP_STATIC = Abi.parse("function getStaticConfig() view returns (address linkToken)")
ON_RAMP_POOL = Abi.parse(
    "function getPoolBySourceToken(uint64 destChainSelector, address sourceToken) view returns (address)"
)
POOL = Abi.parse(
    "function getToken() view returns (address)",
    "function getCurrentOutboundRateLimiterState(uint64 remoteChainSelector) view returns ((uint128 tokens,"
    " uint32 lastUpdated, bool isEnabled, uint128 capacity, uint128 rate))",
    "function getCurrentInboundRateLimiterState(uint64 remoteChainSelector) view returns ((uint128 tokens,"
    " uint32 lastUpdated, bool isEnabled, uint128 capacity, uint128 rate))",
    "function getCurrentRateLimiterState(uint64 remoteChainSelector, bool fastFinality) view returns ((uint128 tokens,"
    " uint32 lastUpdated, bool isEnabled, uint128 capacity, uint128 rate) outbound, (uint128 tokens,"
    " uint32 lastUpdated, bool isEnabled, uint128 capacity, uint128 rate) inbound)",
)
ERC20 = Abi.parse(
    "function balanceOf(address account) view returns (uint256)",
    "function allowance(address owner, address spender) view returns (uint256)",
    "function symbol() view returns (string)",
)
PAUSES = Abi.parse(  # of an OracleWithCCIP; other senders have no such thing
    "function sendingPaused() view returns (bool)",
    "function paused() view returns (bool)",
)
NO_LIMIT = 2**32 - 1
"""A staleness threshold that means: never."""

_RECEIVER = Address("0x000000000000000000000000000000000000dead")
_DATA = bytes(224)  # as long as a price update of OracleWithCCIP
_GAS = 200_000
_encode_address = compile_encoder(parse_params("address"))
_encode_v1 = compile_encoder(parse_params("uint256 gasLimit"))
_encode_v2 = compile_encoder(parse_params("uint256 gasLimit, bool allowOutOfOrderExecution"))
_V1_TAG, _V2_TAG = bytes.fromhex("97a657c9"), bytes.fromhex("181dcf10")


def canary(version: str, fee_token: Address | None) -> tuple[Any, ...]:
    """A small message for `getFee`, as an OnRamp of that version wants it; `fee_token` None for native currency."""
    old = version.startswith("1.2.")
    extra = _V1_TAG + _encode_v1([_GAS]) if old else _V2_TAG + _encode_v2([_GAS, True])
    return (_encode_address([_RECEIVER]), _DATA, [], fee_token or ZERO_ADDRESS, extra)
