"""Reads a node's error object: what does it mean, and what does it suggest?

Clients and providers agree on no code (-32005 is "rate limit" and "too many results" at the same provider; -32012 is a
rate at one and a range at another), so the text decides and the code only helps where the text is silent. The first
rule that matches wins; the order matters: "replacement transaction underpriced" contains "transaction underpriced", and
"credits limited to 6000/sec" looks like a block range.

Texts were collected from providers' answers and from the error tables of transaction managers in production.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from seamark.core.errors import RejectedError, TemporaryError
from seamark.evm.rpc.errors import (
    AlreadyKnown,
    BlockOutOfRange,
    CallReverted,
    FeeCapExceeded,
    InsufficientFunds,
    InvalidTransaction,
    MethodNotSupported,
    NonceTooHigh,
    NonceTooLow,
    RangeTooWide,
    RateLimited,
    ReplacementUnderpriced,
    RequestRefused,
    ResultTooLarge,
    RpcTimeout,
    RpcUnavailable,
    Underpriced,
)

__all__ = ["classify", "classify_status", "revert_data"]

MAX_SUGGESTED_BLOCKS: Final = 1_000_000  # a larger number in the text is something else: a block number, a byte count
MAX_TEXT: Final = 300  # characters of a node's words that an error keeps

_CODE_REVERT: Final = 3  # EIP-1474 as geth writes it
_CODE_METHOD_NOT_FOUND: Final = -32601
_CODE_METHOD_NOT_SUPPORTED: Final = -32004
_CODE_RATE: Final = -32029
_CODES_REFUSED: Final = frozenset({-32600, -32602, -32700})
_CODE_UNKNOWN_BLOCK: Final = -39001
_HTTP_TOO_MANY: Final = 429
_HTTP_TOO_LARGE: Final = 413
_HTTP_SERVER: Final = 500
_HTTP_TIMEOUTS: Final = frozenset({408, 504, 524})

_SEND: Final = frozenset({"eth_sendRawTransaction"})
_EXECUTE: Final = frozenset({"eth_call", "eth_estimateGas"})
_LOGS: Final = frozenset({"eth_getLogs"})

Failure: TypeAlias = TemporaryError | RejectedError
Kind = Callable[[str], Failure]


def _rule(pattern: str, kind: Kind, methods: frozenset[str] | None = None) -> tuple[re.Pattern[str], Kind, Any]:
    return re.compile(pattern, re.IGNORECASE), kind, methods


# (text, error, methods it can belong to; None for all)
_RULES: Final = (
    # Rates first: they borrow the words of everything else.
    _rule(
        r"compute units per second|rate.?limit|request count exceeded|credits? limited to|too many requests"
        r"|requests? per second|(throughput|capacity) (limit )?exceeded|exceeded .*quota|quota exceeded"
        r"|limited to \d+ ?/ ?s|back ?off",
        RateLimited,
    ),
    _rule(r"\bbatch\b", RequestRefused),
    _rule(
        r"block ?out ?of ?range|block height is|invalid block range|header not found|unknown block|block not found"
        r"|(safe|finalized) block|future block|after last accepted block|beyond (the )?(current )?(head|latest)"
        r"|(to|from)block.*(greater|higher|larger) than.*(head|latest|current)|requested block .*not available",
        BlockOutOfRange,
    ),
    # Sizes of results, not of ranges; some also suggest a range.
    _rule(
        r"response size (exceeded|should not)|returned more than \d+ results|exceeds? max(imum)? results"
        r"|logs matched by query exceeds|response (is )?too (large|big)|too many (results|logs)|query timeout"
        r"|query (took|takes) too long",
        ResultTooLarge,
    ),
    _rule(
        r"block.{0,8}range|range .*(exceed|too|limit|bigger|larger|wide)|exceed.*range|limited to .*(range|blocks?)"
        r"|max(imum)? range|number of requested blocks|too many blocks|at most [\d,]+ blocks"
        r"|must be smaller than size",
        RangeTooWide,
        _LOGS,
    ),
    _rule(
        r"no backend is currently healthy|service (is )?(temporarily )?unavailable|server (is )?(overloaded|busy)"
        r"|bad gateway|upstream",
        RpcUnavailable,
    ),
    _rule(r"time(d)? ?-?out|deadline exceeded", RpcTimeout),
    _rule(
        r"(method|eth_\w+).*(not found|not supported|not available|does not exist|disabled|not (white|allow)listed"
        r"|is not (white|allow)listed|unsupported)|unsupported method",
        MethodNotSupported,
    ),
    # Answers to a raw transaction.
    _rule(
        r"already known|already ?imported|known transaction|alreadyknown|ownnoncealreadyused|same hash was already"
        r"|already finalized|already in (the )?(mem)?pool|existing txn? with same hash|already exists in cache",
        AlreadyKnown,
        _SEND,
    ),
    _rule(
        r"nonce (is )?too low|oldnonce|invalid transaction nonce|nonce has already|pool\(stale\)", NonceTooLow, _SEND
    ),
    _rule(r"nonce (is )?too (high|far|distant)|nonce ?gap", NonceTooHigh, _SEND),
    _rule(
        r"replacement (transaction )?underpriced|replacement is underpriced|replacementnotallowed"
        r"|another transaction with same nonce|another tx which has the same nonce|could not replace existing tx",
        ReplacementUnderpriced,
        _SEND,
    ),
    _rule(r"exceeds the configured cap|transaction fee cap exceeded", FeeCapExceeded, _SEND | _EXECUTE),
    _rule(
        r"insufficient (funds|balance)|insufficientfunds|upfront cost exceeds|not enough funds|would cause overdraft",
        InsufficientFunds,
        _SEND | _EXECUTE,
    ),
    _rule(
        r"underpriced|pool is full|too many transactions in the queue|fee ?too ?low"
        r"|gas price (.* )?(too low|below)|gasprice is less than"
        r"|max fee per gas less than block base fee|minimal gas",
        Underpriced,
        _SEND | _EXECUTE,
    ),
    _rule(
        r"intrinsic ?gas|floor data gas|exceeds (the )?block gas limit|gas ?limit (is )?(too high|reached)"
        r"|gas ?limit ?(too high|exceeded)|oversized data|initcode (size|too large)|invalid (sender|signature)"
        r"|(invalid|wrong) chain ?id|chain ?id (is required|not supported)|rlp|failed to (decode|recover sender)"
        r"|not an eoa|gas too (low|high)|(higher than|exceeds) max fee per gas|negative value|gas ?uint(64)? ?overflow"
        r"|execution reverted|sender ?is ?contract|(invalid|unsupported|supporting this) transaction type"
        r"|transaction type (is )?not supported"
        r"|transaction (cost overflow|invalid)",
        InvalidTransaction,
        _SEND,
    ),
)
_EXECUTION_FAILED: Final = re.compile(
    r"revert|invalid opcode|out of gas|stack (under|over)flow|vm execution error|invalid jump|bad jump"
    r"|bad instruction|gas required exceeds allowance|always failing transaction",
    re.IGNORECASE,
)
_HEX_RANGE: Final = re.compile(r"\[\s*(0x[0-9a-f]{1,16})\s*,\s*(0x[0-9a-f]{1,16})\s*\]", re.IGNORECASE)
_NUMBER: Final = re.compile(r"(?<![0-9a-zx.,])(\d[\d,]*)(k)?(?![0-9a-z])", re.IGNORECASE)
_HEX_DATA: Final = re.compile(r"0x(?:[0-9a-f]{2})*", re.IGNORECASE)


def classify(endpoint: str, method: str, code: int, message: str, data: object = None) -> Failure:
    """The error that a JSON-RPC error object stands for; never raises.

    Args:
        endpoint: What the error's message calls the endpoint.
        method: The method that was asked for: the same words mean different things to different methods.
        code: The object's `code`.
        message: The object's `message`.
        data: The object's `data`, of any shape.
    """
    words = _words(message, data)
    text = f"{endpoint}: {method}: {words[:MAX_TEXT]} (code {code})"
    if method in _EXECUTE and (code == _CODE_REVERT or _EXECUTION_FAILED.search(words)):
        return CallReverted(text, data=revert_data(data))
    if code == _CODE_RATE:
        return RateLimited(text, retry_after=_seconds(data))
    for pattern, kind, methods in _RULES:
        if (methods is None or method in methods) and pattern.search(words):
            return _build(kind, text, words, data)
    return _by_code(code, text)


def classify_status(endpoint: str, method: str, status: int, *, retry_after: float | None = None) -> Failure | None:
    """The error that an HTTP status stands for; None where the body must tell (200, and 4xx with an error object)."""
    text = f"{endpoint}: {method}: HTTP status {status}"
    if status == _HTTP_TOO_MANY:
        return RateLimited(text, retry_after=retry_after)
    if status == _HTTP_TOO_LARGE:
        return ResultTooLarge(text)
    if status in _HTTP_TIMEOUTS:
        return RpcTimeout(text)
    if status >= _HTTP_SERVER:
        return RpcUnavailable(text, retry_after=retry_after)
    return None


def revert_data(data: object) -> bytes:
    """Revert data out of the shapes that clients use: "0x…", "Reverted 0x…", {"data": …}, {"result": …}."""
    if isinstance(data, dict):
        found = (data.get("data"), data.get("result"), data.get("output"), data.get("originalError"))
        return next((raw for raw in map(revert_data, found) if raw), b"")
    if not isinstance(data, str):
        return b""
    found_hex = _HEX_DATA.search(data)
    return bytes.fromhex(found_hex[0][2:]) if found_hex else b""


def _build(kind: Kind, text: str, words: str, data: object) -> Failure:
    if kind is RateLimited:
        return RateLimited(text, retry_after=_seconds(data))
    if kind is ResultTooLarge:
        return ResultTooLarge(text, suggested_range=_suggested_range(words))
    if kind is RangeTooWide:
        suggested_range = _suggested_range(words)
        return RangeTooWide(text, suggested=_suggested_blocks(words, suggested_range), suggested_range=suggested_range)
    return kind(text)


def _by_code(code: int, text: str) -> Failure:
    if code in (_CODE_METHOD_NOT_FOUND, _CODE_METHOD_NOT_SUPPORTED):
        return MethodNotSupported(text)
    if code == _CODE_UNKNOWN_BLOCK:
        return BlockOutOfRange(text)
    if code in _CODES_REFUSED:
        return RequestRefused(text)
    return RpcUnavailable(text)


def _words(message: str, data: object) -> str:
    """The message, and the text that some providers put into `data` instead."""
    extra = data.get("message") if isinstance(data, dict) else data
    if isinstance(extra, str) and not _HEX_DATA.fullmatch(extra):
        return f"{message} {extra}"
    return message


def _suggested_range(words: str) -> tuple[int, int] | None:
    found = _HEX_RANGE.search(words)
    if found is None:
        return None
    first, last = int(found[1], 16), int(found[2], 16)
    return (first, last) if first <= last else None


def _suggested_blocks(words: str, suggested_range: tuple[int, int] | None) -> int | None:
    """The last number in the text: where it names what was asked and what is allowed, it names the latter last."""
    if suggested_range is not None:
        return suggested_range[1] - suggested_range[0] + 1
    numbers = [int(digits.replace(",", "")) * (1000 if thousand else 1) for digits, thousand in _NUMBER.findall(words)]
    plausible = [number for number in numbers if 0 < number <= MAX_SUGGESTED_BLOCKS]
    return plausible[-1] if plausible else None


def _seconds(data: object) -> float | None:
    """Seconds to wait, as Infura names them: data.rate.backoff_seconds."""
    rate = data.get("rate") if isinstance(data, dict) else None
    seconds = rate.get("backoff_seconds") if isinstance(rate, dict) else None
    if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and seconds >= 0:
        return float(seconds)
    return None
