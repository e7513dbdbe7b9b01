"""Recorded prices: rows of a CSV or Parquet file as `Tick`s in the order of their time.

A row has a time and a price; source, venue, volume, bid, ask and weight where there are columns for them. Columns are
known by the names that exchanges and archives use, or are named by the caller. Times are ISO 8601 (UTC where no
zone is written) or numbers since the epoch; their unit follows from their size, which is unambiguous from
the year 2000 to 2100.

Prices keep the digits of a CSV file. A Parquet column of floats has none to keep: its shortest decimal form is taken.
"""

from __future__ import annotations

import csv
import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from seamark.core.errors import SettingsError
from seamark.core.units import parse_decimal
from seamark.oracle.model import Quote

__all__ = ["NAMES", "Tick", "read_ticks", "to_quote"]

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "time": ("time", "timestamp", "open_time", "date", "datetime", "ts"),
    "price": ("price", "last", "close"),
    "source": ("source",),
    "venue": ("venue", "exchange"),
    "volume": ("volume",),
    "bid": ("bid",),
    "ask": ("ask",),
    "weight": ("weight",),
}
_FIRST_S: Final = 946_684_800  # 2000-01-01: an earlier "time" is another unit or another column
_LAST_S: Final = 4_102_444_800  # 2100-01-01
_UNITS: Final = (1, 1_000, 1_000_000, 1_000_000_000)  # seconds, milli-, micro-, nanoseconds
_CONTENT: Final = "ticks"


@dataclass(frozen=True, slots=True)
class Tick:
    """One recorded price. `time` in seconds since the epoch."""

    time: float
    source: str
    venue: str
    price: Decimal
    volume: Decimal | None = None
    bid: Decimal | None = None
    ask: Decimal | None = None
    weight: int = 1


def to_quote(tick: Tick) -> Quote:
    """What the source would have told then."""
    return Quote(
        tick.source,
        tick.venue,
        tick.price,
        observed_at=tick.time,
        received_at=tick.time,
        bid=tick.bid,
        ask=tick.ask,
        volume=tick.volume,
        weight=tick.weight,
    )


def read_ticks(path: Path, *, source: str | None = None, columns: Mapping[str, str] | None = None) -> list[Tick]:
    """All ticks of a file, by time.

    Args:
        path: `.parquet` needs the extra `backtest`; everything else is read as CSV with a header.
        source: What the rows without a source column are from; the file's name where missing.
        columns: Names of columns by what they hold, where they differ from `NAMES`.

    Raises:
        SettingsError: The file is missing, or has rows that are no ticks; names the line.
    """
    if not path.is_file():
        raise SettingsError(_CONTENT, f"there is no file {path}", remedy="name a CSV or Parquet file")
    header, rows = _parquet(path) if path.suffix.lower() == ".parquet" else _csv(path)
    at = _columns(header, columns or {}, path)
    name = source or path.stem
    ticks = [_to_tick(row, at, name, f"{path.name}:{number}") for number, row in rows]
    if not ticks:
        raise SettingsError(_CONTENT, f"{path} holds no ticks", remedy="name a file with rows")
    return sorted(ticks, key=lambda tick: tick.time)


def _csv(path: Path) -> tuple[list[str], Iterable[tuple[int, Sequence[Any]]]]:
    lines = _lines(path)
    _, header = next(lines, (0, []))
    return [name.strip() for name in header], lines


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        try:
            for row in reader:
                if row:
                    yield reader.line_num, row
        except (UnicodeDecodeError, csv.Error) as error:
            raise SettingsError(_CONTENT, f"{path} is no CSV file: {error}", remedy="export it as CSV") from error


def _parquet(path: Path) -> tuple[list[str], Iterable[tuple[int, Sequence[Any]]]]:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        remedy = "pip install 'seamark[backtest]', or export it as CSV"
        raise SettingsError(_CONTENT, f"{path.name} is Parquet, and pyarrow is not installed", remedy=remedy) from error
    table = parquet.read_table(path)
    values = [column.to_pylist() for column in table.columns]
    return list(table.column_names), enumerate(zip(*values, strict=True), start=1)


def _columns(header: Sequence[str], named: Mapping[str, str], path: Path) -> dict[str, int]:
    """Where each field stands."""
    places = {name.casefold(): index for index, name in enumerate(header)}
    found: dict[str, int] = {}
    for field, names in NAMES.items():
        candidates = (named[field],) if field in named else names
        place = next((places[name.casefold()] for name in candidates if name.casefold() in places), None)
        if place is not None:
            found[field] = place
        elif field in named or field in ("time", "price"):
            wanted = " or ".join(candidates)
            known = ", ".join(header)[:120]
            remedy = f"its columns are {known}; name one with --column {field}=NAME"
            raise SettingsError(_CONTENT, f"{path} has no column {wanted}", remedy=remedy)
    return found


def _to_tick(row: Sequence[Any], at: Mapping[str, int], name: str, where: str) -> Tick:
    try:
        cell = {field: row[place] for field, place in at.items()}
        source = str(cell.get("source") or name)
        return Tick(
            _time(cell["time"]),
            source,
            str(cell.get("venue") or source),
            _number(cell["price"]),
            _optional(cell.get("volume")),
            _optional(cell.get("bid")),
            _optional(cell.get("ask")),
            _weight(cell.get("weight")),
        )
    except (ValueError, IndexError) as error:
        raise SettingsError(_CONTENT, f"{where}: {error}", remedy="correct the row or name other columns") from error


def _time(value: Any) -> float:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    text = str(value).strip()
    try:
        number = parse_decimal(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    for unit in _UNITS:
        if _FIRST_S <= number / unit <= _LAST_S:
            return float(number / unit)
    raise ValueError(f"{text[:40]!r} is no time since the epoch between 2000 and 2100")


def _number(value: Any) -> Decimal:
    return value if isinstance(value, Decimal) else parse_decimal(str(value).strip())


def _optional(value: Any) -> Decimal | None:
    return None if value is None or str(value).strip() == "" else _number(value)


def _weight(value: Any) -> int:
    if value is None or str(value).strip() == "":
        return 1
    weight = int(str(value))
    if weight < 1:
        raise ValueError(f"{weight} is no weight; write a whole number of 1 or more")
    return weight
