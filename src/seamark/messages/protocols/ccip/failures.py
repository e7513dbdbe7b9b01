"""Why a message could not be executed: revert data to a class and to words.

The data of `ExecutionStateChanged` is nested (an error of the OffRamp around the receiver's or pool's own) and cut to
132 bytes per layer by the contracts, so it is read leniently: what is left of a blob is used. Classes are few and
fixed, because they become metric labels. Source: OffRamp, Router and TokenPool of @chainlink/contracts-ccip 1.2 to
2.0, CallWithExactGas.
"""

from __future__ import annotations

from dataclasses import dataclass

from seamark.evm.abi import Error, decode_revert

__all__ = ["REASONS", "Failure", "explain_failure"]

RECEIVER_REVERTED = "receiver_reverted"
RECEIVER_OUT_OF_GAS = "receiver_out_of_gas"
TOKEN_RATE_LIMITED = "token_rate_limited"  # noqa: S105 - a class of failure
TOKEN_FAILED = "token_failed"  # noqa: S105 - as above
NOT_ENOUGH_GAS = "not_enough_gas"
VERIFICATION_FAILED = "verification_failed"
NO_REASON = "no_reason"
OTHER = "other"

REASONS = (
    RECEIVER_REVERTED,
    RECEIVER_OUT_OF_GAS,
    TOKEN_RATE_LIMITED,
    TOKEN_FAILED,
    NOT_ENOUGH_GAS,
    VERIFICATION_FAILED,
    NO_REASON,
    OTHER,
)

_SELECTOR, _WORD = 4, 32

_RECEIVER_ERROR = Error.parse("error ReceiverError(bytes err)")
_TOKEN_ERRORS = {
    Error.parse("error TokenHandlingError(address target, bytes err)"): 1,  # 1.5 and later: the blob is argument 1
    Error.parse("error TokenHandlingError(bytes err)"): 0,  # 1.2
}
_RATE_LIMITS = (
    Error.parse("error TokenMaxCapacityExceeded(uint256 capacity, uint256 requested, address token)"),
    Error.parse("error TokenRateLimitReached(uint256 minWaitInSeconds, uint256 available, address token)"),
    Error.parse("error AggregateValueMaxCapacityExceeded(uint256 capacity, uint256 requested)"),
    Error.parse("error AggregateValueRateLimitReached(uint256 minWaitInSeconds, uint256 available)"),
)
_GAS = (
    Error.parse("error InsufficientGasForStaticCall()"),
    Error.parse("error NotEnoughGasForCall()"),
    Error.parse("error NoGasForCallExactCheck()"),
    Error.parse("error InsufficientGasToCompleteTx(bytes4 err)"),
)
_VERIFICATION = (
    Error.parse("error InboundImplementationNotFound(address impl, bytes verifierResults)"),
    Error.parse("error RequiredCCVMissing(address requiredCCV)"),
)
_OTHERS = (
    Error.parse("error ReleaseOrMintBalanceMismatch(uint256 amountReleased, uint256 balancePre, uint256 balancePost)"),
    Error.parse("error NotACompatiblePool(address notPool)"),
    Error.parse("error NoContract()"),
    Error.parse("error CursedByRMN()"),
    Error.parse("error InvalidRouter(address router)"),
)
_KNOWN = (*_RATE_LIMITS, *_GAS, *_VERIFICATION, *_OTHERS)
_CLASS_OF = {
    **dict.fromkeys((error.selector for error in _RATE_LIMITS), TOKEN_RATE_LIMITED),
    **dict.fromkeys((error.selector for error in _GAS), NOT_ENOUGH_GAS),
    **dict.fromkeys((error.selector for error in _VERIFICATION), VERIFICATION_FAILED),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """A class of `REASONS`, and one line for a person."""

    reason: str
    text: str


def explain_failure(data: bytes) -> Failure:
    """Read the revert data of a failed execution; never fails."""
    if not data:
        return Failure(NO_REASON, "failed without a reason")
    selector = data[:_SELECTOR]
    if selector == _RECEIVER_ERROR.selector:
        return _receiver(_blob(data, 0))
    for error, position in _TOKEN_ERRORS.items():
        if selector == error.selector:
            inner = _blob(data, position)
            reason = _CLASS_OF.get(inner[:_SELECTOR], TOKEN_FAILED)
            return Failure(reason, f"the token pool {_words(inner)}")
    return Failure(_CLASS_OF.get(selector, OTHER), f"the off-ramp {_words(data)}")


def _receiver(inner: bytes) -> Failure:
    if not inner:
        # No data at all is what running out of gas leaves behind; a bare `revert()` looks the same.
        return Failure(RECEIVER_OUT_OF_GAS, "the receiver ran out of gas, or reverted without a reason")
    return Failure(RECEIVER_REVERTED, f"the receiver {_words(inner)}")


def _words(data: bytes) -> str:
    return str(decode_revert(data, _KNOWN))


def _blob(data: bytes, position: int) -> bytes:
    """The `bytes` argument at a position, as much of it as is there."""
    body = data[_SELECTOR:]
    offset = int.from_bytes(body[position * _WORD : (position + 1) * _WORD])
    length = int.from_bytes(body[offset : offset + _WORD])
    return body[offset + _WORD : offset + _WORD + length]
