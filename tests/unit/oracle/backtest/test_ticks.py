"""Files as they come: exchanges' headers, times in every unit, and mistakes told by their line."""

import importlib
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from seamark.core.errors import SettingsError
from seamark.oracle.backtest.ticks import Tick, read_ticks, to_quote

AT = 1_700_000_000.0


def written(folder, text, name="binance.csv"):
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "time",
    [
        "1700000000",
        "1700000000.0",
        "1700000000000",
        "1700000000000000",
        "1700000000000000000",
        "2023-11-14T22:13:20Z",
        "2023-11-14 22:13:20",
        "2023-11-14 23:13:20+01:00",
    ],
)
def test_times_in_every_unit(tmp_path, time):
    assert read_ticks(written(tmp_path, f"time,price\n{time},1\n"))[0].time == AT


def test_a_file_of_candles(tmp_path):
    path = written(tmp_path, "open_time,open,high,low,close,volume\n1700000000000,1,2,3,23144.780,0.5\n")
    assert read_ticks(path) == [Tick(AT, "binance", "binance", Decimal("23144.780"), Decimal("0.5"))]
    assert read_ticks(path, source="kraken", columns={"price": "open"})[0].price == 1


def test_all_columns(tmp_path):
    path = written(tmp_path, "time,source,venue,price,volume,bid,ask,weight\n1700000000,a1,a,1,,0.9,1.1,3\n")
    told = to_quote(read_ticks(path)[0])
    assert (told.source, told.venue, told.volume, told.bid, told.ask, told.weight) == (
        "a1", "a", None, Decimal("0.9"), Decimal("1.1"), 3,
    )  # fmt: skip


def test_rows_are_put_in_the_order_of_time(tmp_path):
    path = written(tmp_path, "time,price\n1700000060,2\n\n1700000000,1\n")
    assert [tick.price for tick in read_ticks(path)] == [1, 2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("time,price\n1700000000,1\n1700000060,abc\n", "binance.csv:3: 'abc' is not a decimal number"),
        ("time,price\n1700000000,NaN\n", "binance.csv:2"),
        ("time,price\n17,1\n", "no time since the epoch"),
        ("time,price\nyesterday,1\n", "binance.csv:2"),
        ("time,price\n1700000000\n", "binance.csv:2"),
        ("time,price,weight\n1700000000,1,0\n", "0 is no weight"),
        ("when,price\n1,1\n", "has no column time or timestamp"),
        ("time,mid\n1,1\n", "--column price=NAME"),
        ("time,price\n", "holds no ticks"),
        ("", "has no column"),
    ],
)
def test_mistakes_are_told(tmp_path, text, said):
    with pytest.raises(SettingsError) as told:
        read_ticks(written(tmp_path, text))
    assert said in str(told.value)


def test_a_named_column_that_is_not_there(tmp_path):
    with pytest.raises(SettingsError, match="no column vol"):
        read_ticks(written(tmp_path, "time,price\n1700000000,1\n"), columns={"volume": "vol"})


def test_no_file(tmp_path):
    with pytest.raises(SettingsError, match="there is no file"):
        read_ticks(tmp_path / "nothing.csv")


def test_parquet_without_its_library_says_what_to_do(tmp_path, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(SettingsError, match=r"seamark\[backtest\]"):
        read_ticks(written(tmp_path, "PAR1", "x.parquet"))


def test_parquet(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = arrow.table({"time": [datetime.fromtimestamp(AT, UTC)], "price": [0.1], "volume": [Decimal("2.50")]})
    parquet.write_table(table, tmp_path / "own.parquet")
    assert read_ticks(tmp_path / "own.parquet") == [Tick(AT, "own", "own", Decimal("0.1"), Decimal("2.50"))]
