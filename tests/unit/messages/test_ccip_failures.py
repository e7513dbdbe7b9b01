"""Revert data to classes and words."""

from __future__ import annotations

import pytest

from seamark.evm.abi import Error
from seamark.messages.protocols.ccip.failures import REASONS, explain_failure

RECEIVER = Error.parse("error ReceiverError(bytes err)")
TOKEN = Error.parse("error TokenHandlingError(address target, bytes err)")
OLD_TOKEN = Error.parse("error TokenHandlingError(bytes err)")
LIMIT = Error.parse("error TokenRateLimitReached(uint256 minWaitInSeconds, uint256 available, address token)")
CAPACITY = Error.parse("error TokenMaxCapacityExceeded(uint256 capacity, uint256 requested, address token)")
REASON = Error.parse("error Error(string reason)")
ADDRESS = "0x" + "ab" * 20


@pytest.mark.parametrize(
    ("data", "reason", "words"),
    [
        (b"", "no_reason", "without a reason"),
        (RECEIVER.encode(REASON.encode("stale price")), "receiver_reverted", "the receiver reverted: stale price"),
        (RECEIVER.encode(b""), "receiver_out_of_gas", "ran out of gas"),
        (RECEIVER.encode(bytes.fromhex("deadbeef")), "receiver_reverted", "0xdeadbeef"),
        (TOKEN.encode(ADDRESS, LIMIT.encode(30, 5, ADDRESS)), "token_rate_limited", "TokenRateLimitReached(30, 5"),
        (OLD_TOKEN.encode(CAPACITY.encode(1, 2, ADDRESS)), "token_rate_limited", "TokenMaxCapacityExceeded"),
        (TOKEN.encode(ADDRESS, b""), "token_failed", "the token pool"),
        (bytes.fromhex("ea7f4b12"), "not_enough_gas", "InsufficientGasForStaticCall"),
        (bytes.fromhex("37c3be29"), "not_enough_gas", "NotEnoughGasForCall"),
        (bytes.fromhex("518d2ac5") + bytes(32), "verification_failed", "RequiredCCVMissing"),
        (bytes.fromhex("12345678"), "other", "0x12345678"),
        (b"\x01", "other", "0x01"),
    ],
)
def test_classes_and_words(data: bytes, reason: str, words: str) -> None:
    failure = explain_failure(data)
    assert failure.reason == reason
    assert words in failure.text
    assert failure.reason in REASONS


def test_data_cut_by_the_contracts_is_still_read() -> None:
    """132 bytes per layer: selector, offset, length and 64 bytes of the inner error are left."""
    inner = REASON.encode("a reason that is much longer than what the contracts keep of it, and then some more words")
    cut = RECEIVER.encode(inner)[:132]
    failure = explain_failure(cut)
    assert failure.reason == "receiver_reverted"
    assert "0x08c379a0" in failure.text


@pytest.mark.parametrize("size", range(0, 132, 7))
def test_any_prefix_is_explained(size: int) -> None:
    data = TOKEN.encode(ADDRESS, LIMIT.encode(30, 5, ADDRESS))[:size]
    assert explain_failure(data).reason in REASONS
