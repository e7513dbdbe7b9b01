"""Why a message could not be executed, or not even be sent: revert data to a class and to words.

The data of `ExecutionStateChanged` is nested (an error of the OffRamp around the receiver's or pool's own) and cut
short by the contracts; it is read leniently (`errors`). Classes are few and fixed, because they become metric labels.
Source: OffRamp, OnRamp, Router and TokenPool of @chainlink/contracts-ccip 1.2 to 2.0, CallWithExactGas.
"""

from __future__ import annotations

from dataclasses import dataclass

from seamark.evm.abi import Error
from seamark.messages.protocols.ccip.errors import SELECTOR_BYTES, blob, describe_revert

__all__ = [
    "CURSED",
    "NOT_ENOUGH_GAS",
    "NO_REASON",
    "OTHER",
    "REASONS",
    "RECEIVER_OUT_OF_GAS",
    "RECEIVER_REVERTED",
    "REFUSALS",
    "TOKEN_FAILED",
    "TOKEN_NO_LIQUIDITY",
    "TOKEN_RATE_LIMITED",
    "VERIFICATION_FAILED",
    "Failure",
    "explain_failure",
    "explain_refusal",
]

RECEIVER_REVERTED = "receiver_reverted"
RECEIVER_OUT_OF_GAS = "receiver_out_of_gas"
TOKEN_RATE_LIMITED = "token_rate_limited"  # noqa: S105 - a class of failure
TOKEN_NO_LIQUIDITY = "token_no_liquidity"  # noqa: S105 - as above
TOKEN_FAILED = "token_failed"  # noqa: S105 - as above
NOT_ENOUGH_GAS = "not_enough_gas"
VERIFICATION_FAILED = "verification_failed"
CURSED = "cursed"
NO_REASON = "no_reason"
OTHER = "other"

REASONS = (
    RECEIVER_REVERTED,
    RECEIVER_OUT_OF_GAS,
    TOKEN_RATE_LIMITED,
    TOKEN_NO_LIQUIDITY,
    TOKEN_FAILED,
    NOT_ENOUGH_GAS,
    VERIFICATION_FAILED,
    CURSED,
    NO_REASON,
    OTHER,
)
"""Of executions."""

LANE_CLOSED = "lane_closed"
SENDER_NOT_ALLOWED = "sender_not_allowed"
FEE_TOO_LOW = "fee_too_low"
FEE_TOKEN_REFUSED = "fee_token_refused"  # noqa: S105 - a class of refusals
PRICES_STALE = "prices_stale"
GAS_LIMIT_TOO_HIGH = "gas_limit_too_high"
MESSAGE_TOO_LARGE = "message_too_large"
TOKEN_REFUSED = "token_refused"  # noqa: S105 - as above
ORDER_REFUSED = "order_refused"
NO_FUNDS = "no_funds"

REFUSALS = (
    CURSED,
    LANE_CLOSED,
    SENDER_NOT_ALLOWED,
    FEE_TOO_LOW,
    FEE_TOKEN_REFUSED,
    PRICES_STALE,
    GAS_LIMIT_TOO_HIGH,
    MESSAGE_TOO_LARGE,
    TOKEN_REFUSED,
    TOKEN_RATE_LIMITED,
    ORDER_REFUSED,
    NO_FUNDS,
    OTHER,
)
"""Of sends and fee quotes."""


def _class(reason: str, *signatures: str) -> dict[bytes, str]:
    return {Error.parse(f"error {signature}").selector: reason for signature in signatures}


_RATE_LIMITS = _class(
    TOKEN_RATE_LIMITED,
    "TokenMaxCapacityExceeded(uint256,uint256,address)",
    "TokenRateLimitReached(uint256,uint256,address)",
    "AggregateValueMaxCapacityExceeded(uint256,uint256)",
    "AggregateValueRateLimitReached(uint256,uint256)",
)
_CURSES = _class(CURSED, "CursedByRMN()", "CursedByRMN(uint64)", "BadARMSignal()")
_CLASSES = {
    **_RATE_LIMITS,
    **_CURSES,
    **_class(TOKEN_NO_LIQUIDITY, "InsufficientLiquidity()", "InsufficientLiquidity(uint256,uint256)"),
    **_class(
        TOKEN_FAILED,
        "ReleaseOrMintBalanceMismatch(uint256,uint256,uint256)",
        "NotACompatiblePool(address)",
        "UnsupportedToken(address)",
        "UnlockingUSDCFailed()",
    ),
    **_class(
        NOT_ENOUGH_GAS,
        "InsufficientGasForStaticCall()",
        "NotEnoughGasForCall()",
        "NoGasForCallExactCheck()",
        "InsufficientGasToCompleteTx(bytes4)",
    ),
    **_class(
        VERIFICATION_FAILED,
        "InboundImplementationNotFound(address,bytes)",
        "RequiredCCVMissing(address)",
        "OptionalCCVQuorumNotReached(uint256,uint256)",
    ),
}
_REFUSAL_CLASSES = {
    **_RATE_LIMITS,
    **_CURSES,
    **_class(
        LANE_CLOSED,
        "UnsupportedDestinationChain(uint64)",
        "DestinationChainNotEnabled(uint64)",
        "DestinationChainNotSupported(uint64)",
        "MustBeCalledByRouter()",
        "InvalidDestChainSelector(uint64)",
        "ChainNotAllowed(uint64)",
        "PausedError()",
    ),
    **_class(SENDER_NOT_ALLOWED, "SenderNotAllowed(address)"),
    **_class(FEE_TOO_LOW, "InsufficientFeeTokenAmount()", "InvalidMsgValue()", "MessageFeeTooHigh(uint256,uint256)"),
    **_class(FEE_TOKEN_REFUSED, "FeeTokenNotSupported(address)", "NotAFeeToken(address)"),
    **_class(
        PRICES_STALE,
        "StaleGasPrice(uint64,uint256,uint256)",
        "StaleTokenPrice(address,uint256,uint256)",
        "NoGasPriceAvailable(uint64)",
        "TokenNotSupported(address)",
    ),
    **_class(GAS_LIMIT_TOO_HIGH, "MessageGasLimitTooHigh()"),
    **_class(MESSAGE_TOO_LARGE, "MessageTooLarge(uint256,uint256)"),
    **_class(
        TOKEN_REFUSED,
        "UnsupportedToken(address)",
        "UnsupportedNumberOfTokens()",
        "UnsupportedNumberOfTokens(uint256,uint256)",
        "CannotSendZeroTokens()",
    ),
    **_class(ORDER_REFUSED, "ExtraArgOutOfOrderExecutionMustBeTrue()"),
    **_class(
        NO_FUNDS,
        "ERC20InsufficientAllowance(address,uint256,uint256)",
        "ERC20InsufficientBalance(address,uint256,uint256)",
    ),
}
_NO_FUNDS_WORDS = ("insufficient allowance", "exceeds balance", "exceeds allowance", "insufficient balance")

_RECEIVER_ERROR = Error.parse("error ReceiverError(bytes err)").selector
# Where the inner blob of a wrapper is: the number of words before it.
_TOKEN_ERRORS = {
    Error.parse("error TokenHandlingError(bytes err)").selector: 0,  # 1.2 and 1.5
    Error.parse("error TokenHandlingError(address target, bytes err)").selector: 1,  # 1.6 and later
}
_ENVELOPES = {
    Error.parse("error ExecutionError(bytes err)").selector: 0,  # 1.2 and 1.5, of a manual execution
    Error.parse("error ExecutionError(bytes32 messageId, bytes err)").selector: 1,  # 1.6
    Error.parse("error NoStateProgressMade(bytes32 messageId, bytes err)").selector: 1,  # 2.0
}
_DEEPEST = 4  # envelopes in each other; contracts produce two


@dataclass(frozen=True, slots=True)
class Failure:
    """A class of `REASONS` (or `REFUSALS`), and one line for a person."""

    reason: str
    text: str


def explain_failure(data: bytes) -> Failure:
    """Read the revert data of a failed execution; never fails."""
    for _ in range(_DEEPEST):
        if data[:SELECTOR_BYTES] in _ENVELOPES:
            data = blob(data, _ENVELOPES[data[:SELECTOR_BYTES]])
    selector = data[:SELECTOR_BYTES]
    if not data:
        return Failure(NO_REASON, "failed without a reason")
    if selector == _RECEIVER_ERROR:
        return _receiver(blob(data, 0))
    if selector in _TOKEN_ERRORS:
        inner = blob(data, _TOKEN_ERRORS[selector])
        return Failure(_pool_class(inner), f"the token pool {describe_revert(inner)}")
    return Failure(_CLASSES.get(selector, OTHER), f"the off-ramp {describe_revert(data)}")


def explain_refusal(data: bytes) -> Failure:
    """Read the revert data of a send, or of a fee quote, that was refused; never fails."""
    text = describe_revert(data)
    reason = _REFUSAL_CLASSES.get(data[:SELECTOR_BYTES], OTHER)
    if reason == OTHER and any(words in text for words in _NO_FUNDS_WORDS):
        reason = NO_FUNDS
    return Failure(reason, f"the send was refused: {text}")


def _receiver(inner: bytes) -> Failure:
    if not inner:
        # No data at all is what running out of gas leaves behind; a bare `revert()` looks the same.
        return Failure(RECEIVER_OUT_OF_GAS, "the receiver ran out of gas, or reverted without a reason")
    return Failure(RECEIVER_REVERTED, f"the receiver {describe_revert(inner)}")


def _pool_class(inner: bytes) -> str:
    """What failed in a pool; only what names its cause is told apart from any other failure of tokens."""
    found = _CLASSES.get(inner[:SELECTOR_BYTES], TOKEN_FAILED)
    return found if found in (TOKEN_RATE_LIMITED, TOKEN_NO_LIQUIDITY, CURSED, NOT_ENOUGH_GAS) else TOKEN_FAILED
