"""Why attempts failed: what the attempt did wrong told apart from what the message does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seamark.devnet.artifacts import ccip_artifact
from seamark.evm.abi import Error
from seamark.messages.protocols.ccip.v2_0.attempts import _REFUSALS, explain_attempt, is_provisional
from tests.unit.messages.ccip_v2_0.golden import runs

ADDRESS = "0x" + "ab" * 20


def raised(signature: str, *values: object) -> bytes:
    return Error.parse(f"error {signature}").encode(*values)


@pytest.mark.parametrize(
    ("data", "reason", "text", "provisional"),
    [
        (b"", "not_enough_gas", "ran out of gas", True),
        (raised("NotEnoughGasForCall()"), "not_enough_gas", "NotEnoughGasForCall", True),
        (raised("InsufficientGasForStaticCall()"), "not_enough_gas", "InsufficientGasForStaticCall", True),
        (
            raised("InboundImplementationNotFound(address a, bytes b)", ADDRESS, bytes(10)),
            "verification_failed",
            "the proof was refused: reverted: InboundImplementationNotFound",
            True,
        ),
        (raised("RequiredCCVMissing(address a)", ADDRESS), "verification_failed", ADDRESS, True),
        (raised("OptionalCCVQuorumNotReached(uint256 a, uint256 b)", 2, 1), "verification_failed", "(2, 1)", True),
        (raised("WrongNumberOfSignatures()"), "verification_failed", "WrongNumberOfSignatures", True),
        (raised("UnauthorizedSigner()"), "verification_failed", "UnauthorizedSigner", True),
        (raised("NonOrderedOrNonUniqueSignatures()"), "verification_failed", "NonOrdered", True),
        (raised("ReceiverError(bytes e)", b""), "receiver_out_of_gas", "the receiver ran out of gas", False),
        (
            raised("ReceiverError(bytes e)", raised("Error(string m)", "no")),
            "receiver_reverted",
            "the receiver reverted: no",
            False,
        ),
        (
            raised(
                "TokenHandlingError(address a, bytes e)",
                ADDRESS,
                raised("TokenRateLimitReached(uint256 a, uint256 b, address c)", 60, 1, ADDRESS),
            ),
            "token_rate_limited",
            "the token pool reverted: TokenRateLimitReached",
            False,
        ),
        (
            raised("InvalidRequestedFinality(bytes4 a, bytes4 b)", bytes.fromhex("0000000c"), bytes(4)),
            "finality_refused",
            "the receiver accepts finalized, the sender asked for 12 blocks",
            False,
        ),
        (
            raised(
                "InvalidRequestedFinality(bytes4 a, bytes4 b)", bytes.fromhex("00000003"), bytes.fromhex("00010005")
            ),
            "finality_refused",
            "finalized or safe or 5 or more blocks, the sender asked for 3 blocks",
            False,
        ),
        (
            raised("InvalidRequestedFinality(bytes4 a, bytes4 b)", bytes(4), bytes(4))[:20],
            "finality_refused",
            "",
            False,
        ),
        (bytes.fromhex("12345678"), "other", "0x12345678", False),
    ],
)
def test_classes(data: bytes, reason: str, text: str, provisional: bool) -> None:
    failure = explain_attempt(data)
    assert failure.reason == reason
    assert text in failure.text
    assert is_provisional(failure) is provisional


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(_REFUSALS), st.binary(max_size=140))
def test_a_refusal_that_was_cut_short_is_still_one(error: Error, rest: bytes) -> None:
    failure = explain_attempt(error.selector + rest)
    assert failure.reason == "verification_failed"


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_data_is_explained(data: bytes) -> None:
    assert explain_attempt(data).text


def test_every_refusal_is_an_error_of_a_published_contract() -> None:
    names = ("offramp", "versioned_verifier_resolver", "committee_verifier", "cctp_verifier", "lombard_verifier")
    published = {error.selector for name in names for error in ccip_artifact("v2_0_0", name).abi.errors}
    missing = [error.signature for error in _REFUSALS if error.selector not in published]
    assert missing == []


@pytest.mark.parametrize(
    ("fate", "reasons"),
    [
        ("delivered", [""]),
        ("griefed, then delivered", ["verification_failed", ""]),
        ("one signature", ["verification_failed"]),
        ("too little gas", ["not_enough_gas"]),
        ("too fast", ["finality_refused"]),
        ("reverted, then repaired", ["receiver_reverted", ""]),
    ],
)
def test_what_the_contracts_said(fate: str, reasons: list[str]) -> None:
    assert [run.reason for run in runs(fate)] == reasons
