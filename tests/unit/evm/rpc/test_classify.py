"""Real error texts of nodes and providers, each with what it means."""

from __future__ import annotations

import pytest

from seamark.core.errors import RejectedError, TemporaryError
from seamark.evm.rpc import errors as e
from seamark.evm.rpc.classify import classify, classify_status, revert_data

LOGS, SEND, CALL, ESTIMATE = "eth_getLogs", "eth_sendRawTransaction", "eth_call", "eth_estimateGas"

ALCHEMY_RANGE = (
    "You can make eth_getLogs requests with up to a 500 block range. Based on your parameters, this block range should "
    "work: [0x64, 0x257]"
)
ALCHEMY_SIZE = (
    "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no limit on the "
    "response size, or you can request any block range with a cap of 10K logs in the response. Based on your "
    "parameters and the response size limit, this block range should work: [0x0, 0xd043b8]"
)
ALCHEMY_RATE = (
    "Your app has exceeded its compute units per second capacity. If you have retries enabled, you can safely ignore "
    "this message."
)
INFURA_RATE = {"rate": {"allowed_rps": 1, "backoff_seconds": 24.5, "current_rps": 1.4}}

RANGES = [
    # (code, text, suggested blocks, suggested range)
    (-32600, ALCHEMY_RANGE, 500, (0x64, 0x257)),
    (-32602, "range 1000000 exceeds limit of 10000", 10000, None),
    (-32614, "eth_getLogs is limited to a 10,000 range", 10000, None),
    (-32614, "eth_getLogs is limited to a 5 range", 5, None),
    (-32012, "query exceeds max block range 1000", 1000, None),
    (-32600, "block range is too wide", None, None),
    (-32047, "Max range: 800", 800, None),
    (-32602, "Maximum allowed number of requested blocks is 3500", 3500, None),
    (-32000, "eth_getLogs is limited to 1024 block", 1024, None),
    (-32600, "Block range limit exceeded.", None, None),
    (-32602, "block range too large", None, None),
    (-32000, "Block range is too large", None, None),
    (-32602, "block range too large (10000), maximum allowed is 2000 blocks", 2000, None),
    (-32000, "requested too many blocks from 1 to 100001, maximum is set to 2048", 2048, None),
    (-32000, "exceed maximum block range: 5000", 5000, None),
    (-32000, "block range is larger than max block range, block range = 5120, max block range = 5000", 5000, None),
    (-32701, "maximum block range: 50000", 50000, None),
    (-32000, "please limit the query to at most 1000 blocks", 1000, None),
    (-32000, "block range is too wide (maximum 1024)", 1024, None),
    (-32000, "query must be smaller than size 1024", 1024, None),
]


@pytest.mark.parametrize(("code", "text", "suggested", "suggested_range"), RANGES)
def test_too_wide_ranges(code: int, text: str, suggested: int | None, suggested_range: tuple[int, int] | None) -> None:
    error = classify("host", LOGS, code, text)
    assert type(error) is e.RangeTooWide
    assert error.suggested == suggested
    assert error.suggested_range == suggested_range


def test_the_range_may_stand_in_the_data() -> None:
    error = classify("host", LOGS, -32602, "Invalid params", "range 5000 is bigger than range limit 2000")
    assert isinstance(error, e.RangeTooWide)
    assert error.suggested == 2000


@pytest.mark.parametrize(
    ("code", "text", "suggested_range"),
    [
        (-32602, ALCHEMY_SIZE, (0, 0xD043B8)),
        (-32005, "query returned more than 10000 results. Try with this block range [0x10, 0x20].", (0x10, 0x20)),
        (-32005, "query returned more than 10000 results", None),
        (-32000, "query exceeds max results 20000, retry with the range 1-2", None),
        (-32000, "logs matched by query exceeds limit of 10000", None),
        (-32000, "backend response too large", None),
        (-32602, "response size should not greater than 10000000 bytes", None),
        (-32005, "query timeout exceeded", None),
    ],
)
def test_too_large_results(code: int, text: str, suggested_range: tuple[int, int] | None) -> None:
    error = classify("host", LOGS, code, text)
    assert type(error) is e.ResultTooLarge
    assert error.suggested is None, "the number counts results or bytes, not blocks"
    assert error.suggested_range == suggested_range


@pytest.mark.parametrize(
    ("code", "text", "data", "wait"),
    [
        (429, ALCHEMY_RATE, None, None),
        (-32005, "exceeded project rate limit", INFURA_RATE, 24.5),
        (-32005, "daily request count exceeded, request rate limited", None, None),
        (-32012, "credits limited to 6000/sec", None, None),
        (-32029, "slow down", {"rate": {"backoff_seconds": 3}}, 3.0),
        (-32000, "Too Many Requests", {"rate": {"backoff_seconds": -1}}, None),
        (-32000, "Request exceeds defined limit, 25 requests per second", {"rate": {"backoff_seconds": True}}, None),
    ],
)
@pytest.mark.parametrize("method", [LOGS, CALL, SEND, "eth_chainId"])
def test_rate_limits(method: str, code: int, text: str, data: object, wait: float | None) -> None:
    error = classify("host", method, code, text, data)
    assert type(error) is e.RateLimited
    assert error.retry_after == wait


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (-32602, "invalid block range"),
        (-32602, "BlockOutOfRangeError: block height is 0 but requested was 16"),
        (-32000, "header not found"),
        (-32000, "safe block not found"),
        (-32000, "finalized block not found"),
        (-39001, "Unknown block"),
        (-39001, "?"),
        (-32000, "toBlock is greater than the latest block"),
        (-32000, "cannot query unfinalized data: after last accepted block 12"),
    ],
)
def test_beyond_the_head_is_not_too_wide(code: int, text: str) -> None:
    assert type(classify("host", LOGS, code, text)) is e.BlockOutOfRange
    assert type(classify("host", "eth_getBlockByNumber", code, text)) is e.BlockOutOfRange


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("nonce too low", e.NonceTooLow),
        ("nonce too low: next nonce 5, tx nonce 3", e.NonceTooLow),
        ("OldNonce", e.NonceTooLow),
        ("invalid transaction nonce", e.NonceTooLow),
        ("nonce has already been used", e.NonceTooLow),
        ("nonce too high", e.NonceTooHigh),
        ("NonceGap", e.NonceTooHigh),
        ("replacement transaction underpriced", e.ReplacementUnderpriced),
        ("Replacement transaction underpriced", e.ReplacementUnderpriced),
        ("ReplacementNotAllowed", e.ReplacementUnderpriced),
        ("transaction underpriced", e.Underpriced),
        ("Gas price below configured minimum gas price", e.Underpriced),
        ("FeeTooLow", e.Underpriced),
        ("FeeTooLow, MaxFeePerGas too low", e.Underpriced),
        ("max fee per gas less than block base fee", e.Underpriced),
        ("already known", e.AlreadyKnown),
        ("transaction already imported", e.AlreadyKnown),
        ("Known transaction", e.AlreadyKnown),
        ("AlreadyKnown", e.AlreadyKnown),
        ("OwnNonceAlreadyUsed", e.AlreadyKnown),
        ("transaction already finalized", e.AlreadyKnown),
        ("insufficient funds for gas * price + value", e.InsufficientFunds),
        ("Upfront cost exceeds account balance", e.InsufficientFunds),
        ("tx fee (1.05 ether) exceeds the configured cap (1.00 ether)", e.FeeCapExceeded),
        ("intrinsic gas too low", e.InvalidTransaction),
        ("exceeds block gas limit", e.InvalidTransaction),
        ("oversized data", e.InvalidTransaction),
        ("max initcode size exceeded", e.InvalidTransaction),
        ("max priority fee per gas higher than max fee per gas", e.InvalidTransaction),
        ("invalid sender", e.InvalidTransaction),
        ("Failed to decode transaction", e.InvalidTransaction),
        ("SenderIsContract", e.InvalidTransaction),
        ("execution reverted", e.InvalidTransaction),
    ],
)
def test_refused_transactions(text: str, kind: type[Exception]) -> None:
    error = classify("host", SEND, -32000, text)
    assert type(error) is kind
    assert text in str(error), "the node's own words stay readable"


@pytest.mark.parametrize(
    ("code", "text", "data", "expected"),
    [
        (3, "execution reverted", "0x4e487b71", b"\x4e\x48\x7b\x71"),
        (3, "execution reverted: No data present", "0x08c379a0", b"\x08\xc3\x79\xa0"),
        (-32000, "Execution reverted", "0x08c379a0", b"\x08\xc3\x79\xa0"),
        (-32015, "VM execution error.", "Reverted 0x08c379a0", b"\x08\xc3\x79\xa0"),
        (-32000, "VM Exception while processing transaction: revert", {"data": "0x08c379a0"}, b"\x08\xc3\x79\xa0"),
        (-32000, "reverted", {"originalError": {"data": "0x08c379a0"}}, b"\x08\xc3\x79\xa0"),
        (-32000, "execution reverted", None, b""),
        (-32000, "out of gas", None, b""),
        (-32000, "invalid opcode: INVALID", None, b""),
    ],
)
@pytest.mark.parametrize("method", [CALL, ESTIMATE])
def test_reverts(method: str, code: int, text: str, data: object, expected: bytes) -> None:
    error = classify("host", method, code, text, data)
    assert type(error) is e.CallReverted
    assert error.data == expected


@pytest.mark.parametrize(
    ("method", "code", "text", "kind"),
    [
        (LOGS, -32601, "Method not found", e.MethodNotSupported),
        (LOGS, -32000, "eth_getLogs is disabled", e.MethodNotSupported),
        ("eth_feeHistory", -32601, "the method eth_feeHistory does not exist/is not available", e.MethodNotSupported),
        ("eth_call", -32004, "no", e.MethodNotSupported),
        ("eth_call", -32602, "invalid argument 0", e.RequestRefused),
        ("eth_call", -32600, "batch too large", e.RequestRefused),
        ("eth_call", -32000, "Batch of more than 3 requests are not allowed on free tier", e.RequestRefused),
        (LOGS, -32000, "no backend is currently healthy to serve traffic", e.RpcUnavailable),
        (CALL, -32603, "Internal error", e.RpcUnavailable),
        (CALL, -32000, "something new", e.RpcUnavailable),
        (CALL, -32000, "request timed out", e.RpcTimeout),
        (CALL, -32000, "context deadline exceeded", e.RpcTimeout),
    ],
)
def test_the_rest(method: str, code: int, text: str, kind: type[Exception]) -> None:
    assert type(classify("host", method, code, text)) is kind


@pytest.mark.parametrize("data", [None, 5, [], {}, {"data": 7}, {"rate": 5}, "text", "0xzz", {"message": None}, [1]])
@pytest.mark.parametrize(
    "text", ["", "x", "block range", "exceeded project rate limit", "execution reverted", "9" * 400]
)
@pytest.mark.parametrize("method", [LOGS, CALL, SEND])
def test_any_shape_is_classified(method: str, text: str, data: object) -> None:
    error = classify("host", method, 0, text, data)
    assert isinstance(error, TemporaryError | RejectedError)
    assert len(str(error)) < 500


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (413, e.ResultTooLarge),
        (429, e.RateLimited),
        (408, e.RpcTimeout),
        (504, e.RpcTimeout),
        (524, e.RpcTimeout),
        (500, e.RpcUnavailable),
        (502, e.RpcUnavailable),
        (503, e.RpcUnavailable),
    ],
)
def test_http_statuses(status: int, kind: type[Exception]) -> None:
    assert type(classify_status("host", CALL, status)) is kind


@pytest.mark.parametrize("status", [200, 400, 401, 404])
def test_statuses_whose_body_tells(status: int) -> None:
    assert classify_status("host", CALL, status) is None


def test_http_rate_limit_keeps_the_wait() -> None:
    error = classify_status("host", CALL, 429, retry_after=7.0)
    assert isinstance(error, e.RateLimited)
    assert error.retry_after == 7.0


def test_revert_data_of_nothing() -> None:
    assert revert_data({"data": {"deep": 1}}) == revert_data(None) == revert_data("no hex") == b""
