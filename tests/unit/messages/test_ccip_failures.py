"""Revert data to classes and words."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.evm.abi import Error, compile_encoder, parse_params
from seamark.messages.protocols.ccip.errors import describe_revert, known_error
from seamark.messages.protocols.ccip.failures import REASONS, REFUSALS, Failure, explain_failure, explain_refusal

RECEIVER = Error.parse("error ReceiverError(bytes err)")
TOKEN = Error.parse("error TokenHandlingError(address target, bytes err)")
OLD_TOKEN = Error.parse("error TokenHandlingError(bytes err)")
LIMIT = Error.parse("error TokenRateLimitReached(uint256 minWaitInSeconds, uint256 available, address token)")
CAPACITY = Error.parse("error TokenMaxCapacityExceeded(uint256 capacity, uint256 requested, address token)")
LIQUIDITY = Error.parse("error InsufficientLiquidity()")
REASON = Error.parse("error Error(string reason)")
ADDRESS = "0x" + "ab" * 20
_encode_bytes = compile_encoder(parse_params("bytes"))


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
    """Of what a receiver returned 132 bytes are kept: selector, offset, length and 64 bytes of the text."""
    inner = REASON.encode("a reason that is much longer than what the contracts keep of it, and then some more words")
    failure = explain_failure(RECEIVER.encode(inner[:132]))
    assert failure.reason == "receiver_reverted"
    assert failure.text == "the receiver reverted: a reason that is much longer than what the contracts keep of it,…"


def test_a_blob_cut_before_its_text() -> None:
    assert explain_failure(RECEIVER.encode(REASON.encode("words"))[:132]).text == "the receiver reverted: …"


def test_arguments_are_told_as_far_as_they_go() -> None:
    cut = LIMIT.encode(30, 5, ADDRESS)[: 4 + 32 + 16]
    failure = explain_failure(TOKEN.encode(ADDRESS, cut))
    assert failure == Failure("token_rate_limited", "the token pool reverted: TokenRateLimitReached(30, …, …)")


@pytest.mark.parametrize(
    "envelope",
    [
        lambda inner: Error.parse("error ExecutionError(bytes err)").encode(inner),
        lambda inner: Error.parse("error ExecutionError(bytes32 id, bytes err)").encode(bytes(32), inner),
        lambda inner: Error.parse("error NoStateProgressMade(bytes32 id, bytes err)").encode(bytes(32), inner),
    ],
)
def test_envelopes_are_opened(envelope: Callable[[bytes], bytes]) -> None:
    inner = TOKEN.encode(ADDRESS, CAPACITY.encode(1, 2, ADDRESS))
    assert explain_failure(envelope(inner)) == explain_failure(inner)
    assert explain_failure(envelope(envelope(inner))).reason == "token_rate_limited"


def test_an_envelope_that_holds_nothing() -> None:
    assert explain_failure(Error.parse("error ExecutionError(bytes err)").encode(b"")).reason == "no_reason"


def test_an_error_inside_an_error_of_a_receiver() -> None:
    """A receiver that passes on what a router of its own said."""
    inner = Error.parse("error ExecutionError(bytes err)").encode(REASON.encode("deep down"))
    assert explain_failure(RECEIVER.encode(inner)).text == "the receiver reverted: ExecutionError(deep down)"


def test_layers_without_end_are_not_followed_for_ever() -> None:
    data = b""
    for _ in range(2_000):
        data = Error.parse("error ExecutionError(bytes err)").selector + _encode_bytes([data])
    assert "ExecutionError" in describe_revert(data)
    assert explain_failure(data).reason == "other"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (LIQUIDITY.encode(), "token_no_liquidity"),
        (Error.parse("error InsufficientLiquidity(uint256 a, uint256 b)").encode(5, 4), "token_no_liquidity"),
        (
            Error.parse("error ReleaseOrMintBalanceMismatch(uint256 a, uint256 b, uint256 c)").encode(1, 2, 3),
            "token_failed",
        ),
        (Error.parse("error CursedByRMN()").encode(), "cursed"),
        (Error.parse("error NotACompatiblePool(address pool)").encode(ADDRESS), "token_failed"),
        (Error.parse("error SomethingOfTheirOwn()").encode(), "token_failed"),
    ],
)
@pytest.mark.parametrize("shape", ["1.5", "1.6"])
def test_failures_of_pools(data: bytes, reason: str, shape: str) -> None:
    wrapped = TOKEN.encode(ADDRESS, data) if shape == "1.6" else OLD_TOKEN.encode(data)
    assert explain_failure(wrapped).reason == reason


@pytest.mark.parametrize(
    ("signature", "selector"),
    [
        ("ReceiverError(bytes)", "0a8d6e8c"),
        ("TokenHandlingError(address,bytes)", "9fe2f95a"),
        ("TokenHandlingError(bytes)", "e1cd5509"),
        ("TokenMaxCapacityExceeded(uint256,uint256,address)", "1a76572a"),
        ("TokenRateLimitReached(uint256,uint256,address)", "d0c8d23a"),
        ("ReleaseOrMintBalanceMismatch(uint256,uint256,uint256)", "a966e21f"),
        ("NotACompatiblePool(address)", "ae9b4ce9"),
        ("InsufficientGasForStaticCall()", "ea7f4b12"),
        ("NotEnoughGasForCall()", "37c3be29"),
        ("NoGasForCallExactCheck()", "afa32a2c"),
        ("NoContract()", "0c3b563c"),
        ("CursedByRMN(uint64)", "fdbd6a72"),
        ("BadARMSignal()", "c1483715"),
        ("SenderNotAllowed(address)", "d0d25976"),
        ("InboundImplementationNotFound(address,bytes)", "2665cea2"),
        ("NoStateProgressMade(bytes32,bytes)", "10afb5b6"),
    ],
)
def test_the_table_of_errors(signature: str, selector: str) -> None:
    found = known_error(bytes.fromhex(selector))
    assert found is not None
    assert found.signature == signature


def test_every_entry_of_the_table_is_under_its_own_selector() -> None:
    path = files("seamark.messages.protocols.ccip") / "data" / "errors.json"
    entries = msgspec.json.decode(path.read_bytes())["errors"]
    assert len(entries) > 400
    for selector, signature in entries:
        assert "0x" + Error.parse(f"error {signature}").selector.hex() == selector


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (Error.parse("error CursedByRMN(uint64 s)").encode(5), "cursed"),
        (Error.parse("error BadARMSignal()").encode(), "cursed"),
        (Error.parse("error UnsupportedDestinationChain(uint64 s)").encode(5), "lane_closed"),
        (Error.parse("error MustBeCalledByRouter()").encode(), "lane_closed"),
        (Error.parse("error SenderNotAllowed(address a)").encode(ADDRESS), "sender_not_allowed"),
        (Error.parse("error InsufficientFeeTokenAmount()").encode(), "fee_too_low"),
        (Error.parse("error StaleGasPrice(uint64 d, uint256 t, uint256 p)").encode(1, 2, 3), "prices_stale"),
        (Error.parse("error MessageGasLimitTooHigh()").encode(), "gas_limit_too_high"),
        (Error.parse("error FeeTokenNotSupported(address t)").encode(ADDRESS), "fee_token_refused"),
        (Error.parse("error ExtraArgOutOfOrderExecutionMustBeTrue()").encode(), "order_refused"),
        (LIMIT.encode(30, 5, ADDRESS), "token_rate_limited"),
        (REASON.encode("ERC20: insufficient allowance"), "no_funds"),
        (REASON.encode("ERC20: transfer amount exceeds balance"), "no_funds"),
        (REASON.encode("no"), "other"),
        (b"", "other"),
    ],
)
def test_refused_sends(data: bytes, reason: str) -> None:
    refusal = explain_refusal(data)
    assert refusal.reason == reason
    assert reason in REFUSALS
    assert refusal.text.startswith("the send was refused: reverted")


@given(st.binary(max_size=400), st.integers(0, 5), st.booleans())
def test_anything_is_explained(raw: bytes, wrapper: int, cut: bool) -> None:
    heads = [b"", RECEIVER.selector, TOKEN.selector, OLD_TOKEN.selector, REASON.selector, bytes.fromhex("10afb5b6")]
    data = heads[wrapper] + (raw[: len(raw) // 2] if cut else raw)
    assert explain_failure(data).reason in REASONS
    assert explain_refusal(data).reason in REFUSALS


@pytest.mark.parametrize("size", range(0, 132, 7))
def test_any_prefix_is_explained(size: int) -> None:
    data = TOKEN.encode(ADDRESS, LIMIT.encode(30, 5, ADDRESS))[:size]
    assert explain_failure(data).reason in REASONS
