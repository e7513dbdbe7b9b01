"""CCIP 2.0: why an attempt to execute failed, and what that says about the message.

Anybody may try, with any proof and any gas, and an attempt that fails is recorded as FAILURE all the same. So a failure
is of two kinds:

    provisional   the attempt was bad: no or wrong proof, too little gas. An honest attempt may follow and succeed, and
                  the network's executor makes one whatever others did.
    lasting       the message was carried out and refused: by its receiver, its token pool, or the receiver's demand
                  for finality. The next attempt fares the same until something is repaired.

A message that failed once and fails again leaves no trace: the OffRamp reverts (`NoStateProgressMade`). So after a
provisional failure, that the honest attempt failed too cannot be seen. Source: `OffRamp.sol`, `CommitteeVerifier.sol`,
`SignatureQuorumValidator.sol`, `CCTPVerifier.sol`, `LombardVerifier.sol`, `FinalityCodec.sol` 2.0.0.
"""

from __future__ import annotations

from typing import Final

from seamark.evm.abi import DecodeError, Error, decode_revert
from seamark.messages.protocols.ccip.failures import NOT_ENOUGH_GAS, VERIFICATION_FAILED, Failure, explain_failure
from seamark.messages.protocols.ccip.v2_0.codec import Finality, allowed_finality

__all__ = ["FINALITY_REFUSED", "explain_attempt", "is_provisional"]

FINALITY_REFUSED = "finality_refused"
"""The receiver does not take messages whose source is not final."""

_SELECTOR: Final = 4
_PROVISIONAL = frozenset({VERIFICATION_FAILED, NOT_ENOUGH_GAS})

_FINALITY = Error.parse("error InvalidRequestedFinality(bytes4 requestedFinality, bytes4 allowedFinality)")
_REFUSALS = (
    # OffRamp and resolver
    Error.parse("error InboundImplementationNotFound(address ccvAddress, bytes verifierResults)"),
    Error.parse("error RequiredCCVMissing(address requiredCCV)"),
    Error.parse("error OptionalCCVQuorumNotReached(uint256 wanted, uint256 got)"),
    Error.parse("error InvalidVerifierResultsLength()"),
    # committee
    Error.parse("error InvalidVerifierResults()"),
    Error.parse("error InvalidCCVVersion(bytes4 verifierVersion)"),
    Error.parse("error WrongNumberOfSignatures()"),
    Error.parse("error UnauthorizedSigner()"),
    Error.parse("error NonOrderedOrNonUniqueSignatures()"),
    Error.parse("error SourceNotConfigured(uint64 sourceChainSelector)"),
    Error.parse("error ForkedChain(uint256 expected, uint256 actual)"),
    Error.parse("error RemoteChainNotSupported(uint64 remoteChainSelector)"),
    Error.parse("error CallerIsNotARampOnRouter(address caller)"),
    # verifiers that wrap another bridge's attestation
    Error.parse("error InvalidCCVVersion(bytes4 expected, bytes4 got)"),
    Error.parse("error InvalidMessageId(bytes32 expected, bytes32 got)"),
    Error.parse("error InvalidMessageSender(bytes32 expected, bytes32 got)"),
    Error.parse("error InvalidMessageTransmitterVersion(uint32 expected, uint32 got)"),
    Error.parse("error InvalidTokenMessengerVersion(uint32 expected, uint32 got)"),
    Error.parse("error InvalidSourceDomain(uint32 expected, uint32 got)"),
    Error.parse("error InvalidMessageVersion(uint8 expected, uint8 actual)"),
    Error.parse("error InvalidMessageLength(uint256 expected, uint256 actual)"),
    Error.parse("error InvalidToken(bytes32 expected, bytes32 actual)"),
    Error.parse("error InvalidSender(bytes32 expected, bytes32 actual)"),
    Error.parse("error InvalidAmount(uint256 expected, uint256 actual)"),
    Error.parse("error InvalidReceiver(bytes receiver)"),
    Error.parse("error ReceiveMessageCallFailed()"),
    Error.parse("error ExecutionError()"),
)
_REFUSED = frozenset(error.selector for error in _REFUSALS)


def explain_attempt(data: bytes) -> Failure:
    """Read the return data of a failed attempt; never fails."""
    selector = data[:_SELECTOR]
    if not data:
        # The OffRamp's own errors all have data: none is left behind when its call to itself runs out of gas.
        return Failure(NOT_ENOUGH_GAS, "the attempt ran out of gas before it could tell")
    if selector in _REFUSED:
        return Failure(VERIFICATION_FAILED, f"the proof was refused: {decode_revert(data, _REFUSALS)}")
    if selector == _FINALITY.selector:
        return _finality(data)
    return explain_failure(data)


def is_provisional(failure: Failure) -> bool:
    """Did the attempt fail, and not the message?"""
    return failure.reason in _PROVISIONAL


def _finality(data: bytes) -> Failure:
    try:
        asked, allowed = _FINALITY.decode(data)
    except DecodeError:
        return Failure(FINALITY_REFUSED, "the receiver does not accept the finality that the sender asked for")
    return Failure(
        FINALITY_REFUSED,
        f"the receiver accepts {allowed_finality(allowed)}, the sender asked for {Finality.read(asked)}",
    )
