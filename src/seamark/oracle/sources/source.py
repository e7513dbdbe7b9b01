"""A source: which request, and how one quote is read out of the reply. Pure; the requests are made in `poller`.

Numbers keep the digits that the venue wrote: JSON is decoded with its numbers as text, and text becomes a `Decimal`. A
reply that does not hold what the source declares is a failure of that source, with a class from a short list, and never
a quote.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, Protocol

import msgspec

from seamark.core.units import parse_decimal
from seamark.oracle.model import Quote
from seamark.oracle.sources.paths import JsonPath, PathError

__all__ = ["ContentError", "Fields", "Readable", "Request", "Source", "TimeUnit", "decode_json", "read_quote"]

_DECODER: Final = msgspec.json.Decoder(float_hook=str)  # integers are exact already; fractions stay as written
_MAX_NUMBER_CHARS = 80  # a uint256 has 78 digits; a longer "price" is an attack on our memory
_MAX_SHOWN = 60
_MAX_TIME_DIGITS = 18
_PER_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000}
_FIRST_TIME = 946_684_800  # 2000-01-01: an earlier "time" is another unit or another field
_LAST_TIME = 4_102_444_800  # 2100-01-01: a later one too


class TimeUnit(StrEnum):
    """How a venue writes its time."""

    SECONDS = "s"
    MILLISECONDS = "ms"
    MICROSECONDS = "us"
    ISO8601 = "iso8601"


class ContentError(Exception):
    """The reply came and is of no use. `kind` is one word for metrics: "json", "shape", "number", "time", "venue"."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Request:
    """One GET, or POST with a body. Sources with equal requests share it. What may hold keys is never shown."""

    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Fields:
    """Where the values are. Without `time` the source is untimed.

    `require` are conditions of a usable reply: path and the text of the value expected there.
    `error_list` is a list that is empty in a usable reply.
    """

    price: JsonPath
    bid: JsonPath | None = None
    ask: JsonPath | None = None
    volume: JsonPath | None = None
    time: JsonPath | None = None
    time_unit: TimeUnit = TimeUnit.MILLISECONDS
    require: tuple[tuple[JsonPath, str], ...] = ()
    error_list: JsonPath | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """One price at one venue. `name` is unique within a feed; `deadline` is in seconds, for the whole reply.

    `budget` is how many requests a day the venue's plan allows, `rate` how many a second the venue takes from us, over
    all sources there.
    """

    name: str
    venue: str
    request: Request
    fields: Fields
    deadline: float = 5.0
    weight: int = 1
    max_age: float | None = None
    budget: int | None = None
    rate: float | None = None


class Readable(Protocol):
    """A source whose quotes stand in a JSON document."""

    @property
    def name(self) -> str: ...
    @property
    def venue(self) -> str: ...
    @property
    def fields(self) -> Fields: ...


def decode_json(body: bytes) -> Any:
    """Decode a reply; a number with a fraction or exponent becomes the text it was written as.

    Raises:
        ContentError: Not JSON, or nested too deeply.
    """
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ContentError("json", f"not JSON: {error}") from error


def read_quote(source: Readable, document: Any, received_at: float, *, age: float = 0.0) -> Quote:
    """Read one quote out of a decoded reply.

    Args:
        source: What to read.
        document: As `decode_json` returns it.
        received_at: Seconds since the epoch.
        age: How old a cache in between says the reply is (HTTP `Age`), in seconds; for untimed sources.

    Raises:
        ContentError: The reply is an error of the venue, or lacks a declared value.
    """
    fields = source.fields
    if fields.require or fields.error_list is not None:
        _check_success(fields, document)
    observed_at = received_at - age if fields.time is None else _read_time(fields.time, fields.time_unit, document)
    return Quote(
        source.name,
        source.venue,
        _read_number(fields.price, document),
        observed_at,
        received_at,
        fields.time is None,
        None if fields.bid is None else _read_number(fields.bid, document),
        None if fields.ask is None else _read_number(fields.ask, document),
        None if fields.volume is None else _read_number(fields.volume, document),
    )


def _check_success(fields: Fields, document: Any) -> None:
    if fields.error_list is not None and (errors := _find(fields.error_list, document)):
        raise ContentError("venue", f"the venue says {_shown(errors)}")
    for path, expected in fields.require:
        if (given := _as_text(_find(path, document))) != expected:
            raise ContentError("venue", f"{path} is {_shown(given)}, not {expected}")


def _find(path: JsonPath, document: Any) -> Any:
    try:
        return path.find(document)
    except PathError as error:
        raise ContentError("shape", str(error)) from error


def _read_number(path: JsonPath, document: Any) -> Decimal:
    try:
        value = path.find(document)
    except PathError as error:
        raise ContentError("shape", str(error)) from error
    text = value if type(value) is str else _as_text(value)
    try:
        if len(text) > _MAX_NUMBER_CHARS:
            raise ValueError("too many digits")
        return parse_decimal(text)
    except ValueError as error:
        raise ContentError("number", f"{path} is {_shown(text)}, not a number") from error


def _as_text(value: Any) -> str:
    """Numbers and text alike; anything else (null, true, a list) as something that no number looks like."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else repr(value)


def _read_time(path: JsonPath, unit: TimeUnit, document: Any) -> float:
    text = _as_text(_find(path, document))
    try:
        seconds = _parse_iso(text) if unit is TimeUnit.ISO8601 else _parse_number(text, _PER_SECOND[unit])
    except (ValueError, OverflowError) as error:
        raise ContentError("time", f"{path} is {_shown(text)}, not a time ({unit})") from error
    if not _FIRST_TIME <= seconds <= _LAST_TIME:  # nor is NaN
        raise ContentError("time", f"{path} is {_shown(text)}, which is no time of ours in {unit}")
    return seconds


def _parse_number(text: str, per_second: int) -> float:
    """Both ways round once, to the nearest float."""
    if len(text) <= _MAX_TIME_DIGITS and text.isascii() and text.isdigit():
        return int(text) / per_second
    return float(parse_decimal(text) / per_second)


def _parse_iso(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
