"""Chainlink external adapters, both ways: what is asked and answered. Pure.

    request   POST {"id": "1", "data": {"base": "ETH", "quote": "USD"}}
    success   {"jobRunID": "1", "data": {"result": 2000.1}, "result": 2000.1, "statusCode": 200}
    failure   {"jobRunID": "1", "status": "errored", "statusCode": 504, "error": {"name": …, "message": …}}

A reply with status 200 that holds an error, or no result, is a failure all the same. Numbers keep their digits. The
field names are those of Chainlink's external-adapters-js and its framework.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import msgspec

from seamark.oracle.model import Answer, Pair, Quote
from seamark.oracle.sources.paths import JsonPath
from seamark.oracle.sources.source import (
    ContentError,
    Fields,
    Request,
    TimeUnit,
    decode_json,
    read_quote,
)

__all__ = ["AdapterReply", "AdapterSource", "adapter_request", "answer_request", "read_adapter"]

REQUEST_ID: Final = "seamark"  # adapters give it back; nothing depends on it
_RESULT: Final = JsonPath.parse("data.result")  # for Flux jobs, and the least that nodes accept
_TOP_RESULT: Final = JsonPath.parse("result")  # for OCR jobs
_TIME: Final = JsonPath.parse("timestamps.providerIndicatedTimeUnixMs")
_RECEIVED: Final = JsonPath.parse("timestamps.providerDataReceivedUnixMs")
_MAX_SHOWN: Final = 80

_BASES: Final = ("base", "from", "coin")
_QUOTES: Final = ("quote", "to", "market")
_ENDPOINTS: Final = frozenset({"price", "crypto", "feed"})
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")

OK: Final = 200
BAD_REQUEST: Final = 400
NOT_FOUND: Final = 404
NOT_YET: Final = 504


# ---- asking an adapter ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AdapterSource:
    """One price that an external adapter gives."""

    name: str
    venue: str
    request: Request
    deadline: float = 5.0
    weight: int = 1
    max_age: float | None = None
    budget: int | None = None
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class _Shape:
    name: str
    venue: str
    fields: Fields


def adapter_request(url: str, data: Mapping[str, Any], headers: tuple[tuple[str, str], ...] = ()) -> Request:
    """The request for these `data` (base and quote, or whatever the adapter takes)."""
    body = json.dumps({"id": REQUEST_ID, "data": dict(data)}, sort_keys=True, separators=(",", ":")).encode()
    return Request(url, (*headers, ("Content-Type", "application/json")), body)


def read_adapter(source: AdapterSource, document: Any, received_at: float, *, age: float = 0.0) -> Quote:
    """Read an adapter's reply.

    Raises:
        ContentError: It is an error of the adapter or of its provider, or holds no result.
    """
    if not isinstance(document, dict):
        raise ContentError("shape", "the reply is no object")
    _check_success(document)
    path = _RESULT if _has(_RESULT, document) else _TOP_RESULT
    time = next((item for item in (_TIME, _RECEIVED) if _has(item, document)), None)
    fields = Fields(price=path, time=time, time_unit=TimeUnit.MILLISECONDS)
    return read_quote(_Shape(source.name, source.venue, fields), document, received_at, age=age)


def _check_success(document: Mapping[str, Any]) -> None:
    error = document.get("error") or document.get("errorMessage")
    if error or document.get("status") == "errored":
        text = error.get("message") if isinstance(error, dict) else error
        raise ContentError("venue", f"the adapter says {str(text or 'errored')[:_MAX_SHOWN]!r}")
    status = document.get("statusCode")
    if isinstance(status, int) and status >= BAD_REQUEST:
        raise ContentError("venue", f"the adapter says status {status}")


def _has(path: JsonPath, document: Any) -> bool:
    try:
        return path.find(document) is not None
    except ValueError:
        return False


# ---- being an adapter -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AdapterReply:
    """HTTP status and body."""

    status: int
    body: bytes


class _RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def answer_request(body: bytes, feeds: Mapping[Pair, Callable[[], Answer | None]]) -> AdapterReply:
    """Answer a node.

    Args:
        body: As it came.
        feeds: What each pair's quotes come to now; None where they come to nothing.
    """
    request_id = "1"
    try:
        request = _parse_request(body)
        request_id = str(request.get("id") or request_id)[:_MAX_SHOWN]
        pair = _pair_asked(request)
        if pair not in feeds:
            known = ", ".join(sorted(map(str, feeds))) or "none"
            raise _RefusedError(NOT_FOUND, f"there is no feed {pair}; use one of {known}")
        answer = feeds[pair]()
        if answer is None:
            raise _RefusedError(NOT_YET, f"there is no usable price of {pair} now; try again")
    except _RefusedError as error:
        return _refusal(request_id, error)
    return AdapterReply(OK, _ENCODER.encode(_success(request_id, pair, answer)))


def _parse_request(body: bytes) -> dict[str, Any]:
    try:
        request = decode_json(body)
    except ContentError:
        raise _RefusedError(BAD_REQUEST, "the request is not JSON") from None
    if not isinstance(request, dict) or not isinstance(request.get("data"), dict):
        raise _RefusedError(BAD_REQUEST, 'the request has no data; send {"id": "1", "data": {"base": …, "quote": …}}')
    return request


def _pair_asked(request: Mapping[str, Any]) -> Pair:
    data = request["data"]
    endpoint = data.get("endpoint", "price")
    if endpoint not in _ENDPOINTS:
        raise _RefusedError(NOT_FOUND, f"there is no endpoint {str(endpoint)[:_MAX_SHOWN]!r}; use price")
    base, quote = (next((data[name] for name in names if name in data), None) for names in (_BASES, _QUOTES))
    if not isinstance(base, str) or not isinstance(quote, str):
        raise _RefusedError(BAD_REQUEST, "data needs base and quote (or from and to, coin and market)")
    try:
        return Pair.parse(f"{base}/{quote}")
    except ValueError:
        raise _RefusedError(BAD_REQUEST, "base and quote are letters and digits, such as ETH and USD") from None


def _success(request_id: str, pair: Pair, answer: Answer) -> dict[str, Any]:
    price = Decimal(answer.value).scaleb(-answer.decimals)  # what the feed would publish, in its own decimals
    told_at = min((quote.observed_at for quote in answer.quotes), default=float(answer.observed_at))
    return {
        "jobRunID": request_id,
        "data": {"base": pair.base, "quote": pair.quote, "result": price},
        "result": price,
        "statusCode": OK,
        "timestamps": {
            "providerDataReceivedUnixMs": answer.observed_at * 1000,
            "providerIndicatedTimeUnixMs": int(told_at * 1000),
        },
    }


def _refusal(request_id: str, error: _RefusedError) -> AdapterReply:
    document = {
        "jobRunID": request_id,
        "status": "errored",
        "statusCode": error.status,
        "error": {"name": "AdapterError", "message": str(error)},
    }
    return AdapterReply(error.status, _ENCODER.encode(document))
