"""`seamark oracle backtest`, as a user runs it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from seamark.cli.commands import run_command

Captured = pytest.CaptureFixture[str]
PRICES = (100, 100.2, 100.6, 100.7, 101.3, 99)
SETTINGS = """
chains: {home: {chain_id: 1, rpc: ["http://127.0.0.1:1"]}}
oracle:
  signer: {private_key_env: KEY}
  feeds:
    - {pair: BTC/USD, chain: home, aggregator: "0x00000000000000000000000000000000000000fe", heartbeat: 2m,
       deviation: 1%, min_venues: 2, max_step: 1%}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEAMARK_CONFIG", raising=False)
    monkeypatch.setenv("KEY", "0x" + "11" * 32)
    record("kraken.csv")
    return tmp_path


def record(name: str, *, add: int = 0) -> None:
    rows = [f"{1_700_000_000 + 60 * at},{round(price + add, 1)}" for at, price in enumerate(PRICES)]
    Path(name).write_text("time,price\n" + "\n".join(rows) + "\n")


def backtest(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["seamark", "oracle", "backtest", *arguments])
    return run_command()


def test_a_table_of_all_combinations(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    tried = ("--deviation", "0.5%", "--deviation", "50bps", "--heartbeat", "1h", "--heartbeat", "1d")
    assert backtest(monkeypatch, "kraken.csv", *tried, "--gas", "100000", "--gas-price", "20 gwei") == 0
    text = capsys.readouterr().out
    assert text.startswith("6 ticks, 2023-11-14T22:13:20.000Z to 2023-11-14T22:18:20.000Z\n")
    rows = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines() if re.match(r"0\.5% / \S+  ", line)]
    assert [row[0] for row in rows] == ["0.5% / 1h00m", "0.5% / 1d"] * 2
    assert rows[0][1:] == ["4", "1+3+0", "0.2%", "0.2%", "0.05%", "2m", "0ms", "0", "0", "0.008 ether"]


def test_for_programs(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    assert backtest(monkeypatch, "kraken.csv", "--json", "--gas", "1", "--gas-price", "3 wei") == 0
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert (run["updates"], run["by_reason"], run["cost_wei"]) == (4, {"first": 1, "deviation": 3}, "12")
    assert (run["worst_error_ppb"], run["worst_at"]) == (1_996_007, "2023-11-14T22:14:20.000Z")


def test_the_rules_of_a_feed_of_the_settings(monkeypatch: pytest.MonkeyPatch, capsys: Captured, folder: Path) -> None:
    (folder / "seamark.yaml").write_text(SETTINGS)
    record("other.csv", add=1)
    named = ("--feed", "btc/usd", "--json")
    assert backtest(monkeypatch, "kraken.csv", "b=other.csv", *named) == 0
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert (run["deviation_ppb"], run["heartbeat_seconds"], run["held"]) == (10_000_000, 120, 1)
    assert backtest(monkeypatch, "kraken.csv", *named) == 2
    assert "FILE: the feed needs 2 venues and the files hold 1" in capsys.readouterr().err
    assert backtest(monkeypatch, "kraken.csv", "--feed", "ETH/USD") == 2
    assert "known: BTC/USD" in capsys.readouterr().err


def test_against_a_reference(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    record("truth.csv", add=100)
    assert backtest(monkeypatch, "kraken.csv", "--reference", "truth.csv", "--json") == 0
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert run["worst_error_ppb"] > 490_000_000


def test_a_page_with_a_chart_that_needs_nothing_else(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    record("<b>.csv")
    assert backtest(monkeypatch, "<b>.csv", "--html", "out.html", "--deviation", "0.5%", "--deviation", "1%") == 0
    text = (folder / "out.html").read_text()
    assert text.count("<svg") == 2
    assert text.count('<polyline class="chain"') == 2
    assert "&lt;b&gt;.csv" in text
    assert not re.search(r"https?:|<script|<link|<img|nan", text)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing.csv",), "there is no file nothing.csv"),
        (("kraken.csv", "--deviation", "0.5"), "--deviation: '0.5' is not a ratio: write a unit"),
        (("kraken.csv", "--deviation", "0%"), "--deviation: must be more than zero"),
        (("kraken.csv", "--heartbeat", "1"), "--heartbeat: '1' is not a duration"),
        (("kraken.csv", "--gas-price", "20"), "--gas-price: '20' is not an amount"),
        (("kraken.csv", "--column", "mid"), "--column: 'mid' names no column"),
        (("kraken.csv", "--feed", "X"), "--feed: there are no settings to take it from"),
    ],
)
def test_mistakes_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, arguments: tuple[str, ...], said: str
) -> None:
    assert backtest(monkeypatch, *arguments) == 2
    assert said in capsys.readouterr().err
