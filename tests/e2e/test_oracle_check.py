"""`seamark oracle check` and `explain --live` as a user runs them, against a devnet with its venues."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seamark.cli.commands import run_command
from seamark.demo import PUBLISHER_KEY
from tests.e2e.conftest import KEY, STRANGER_KEY, RunningDevnet
from tests.support.process import write_settings

OWN = {"name": "own", "url": "http://127.0.0.1:9", "price": "p"}
Run = Callable[..., tuple[int, str]]

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """A command as a user gives it, in this process: (exit code, what it wrote)."""
    monkeypatch.chdir(tmp_path)

    def command(values: dict[str, Any], *arguments: str, key: str | None = KEY) -> tuple[int, str]:
        file = write_settings(tmp_path, values)
        monkeypatch.delenv(PUBLISHER_KEY, raising=False)
        if key is not None:
            monkeypatch.setenv(PUBLISHER_KEY, key)
        monkeypatch.setattr(sys, "argv", ["seamark", "oracle", *arguments, "--config", str(file)])
        code = run_command()
        told = capfd.readouterr()
        return code, told.out + told.err

    return command


def changed(devnet: RunningDevnet, **feed: Any) -> dict[str, Any]:
    values = devnet.values()
    values["oracle"]["feeds"][1] |= feed
    return values


def test_a_feed_that_is_well(devnet: RunningDevnet, run: Run, tmp_path: Path) -> None:
    code, text = run(devnet.values(), "check", "eth/usd", "--json")
    assert code == 0, text
    found = json.loads(text)
    (feed,) = found["feeds"]
    assert (found["ok"], feed["feed"], feed["worst"]) == (True, "ETH/USD", None)
    assert feed["contract"]["kind"] == "aggregator"
    assert feed["contract"]["decimals"] == 8
    assert int(feed["account"]["balance_wei"]) > 0
    assert {line["source"]: line["verdict"] for line in feed["sources"]} == dict.fromkeys(
        ("coinbase", "kraken", "bitstamp", "gemini"), "used"
    )
    assert [line["untimed"] for line in feed["sources"]].count(True) == 1
    assert float(feed["answer"]) > 0
    assert not (tmp_path / ".seamark").exists(), "nothing is stored"


def test_all_feeds_for_a_person(devnet: RunningDevnet, run: Run, tmp_path: Path) -> None:
    code, text = run(devnet.values(), "check")
    assert code == 0, text
    assert "3 feeds checked: all well" in text
    assert "signs as 0x" in text
    assert "remark: max_step is not set" in text


@pytest.mark.parametrize(
    ("feed", "key", "options", "code", "says"),
    [
        ({"sources": ["coinbase", "kraken", "bitstamp", OWN]},
         KEY, [], 1, "warning: own is not used: cannot connect"),
        ({"sources": ["coinbase", "kraken", "bitstamp", OWN]},
         KEY, ["--fail-on", "error"], 0, "1 with warnings"),
        ({"sources": [OWN]}, KEY, [], 1, "error: no answer: 0 of 1"),
        ({}, STRANGER_KEY, [], 1, "may not publish"),
        ({}, None, [], 1, "this environment variable is not set"),
        ({"pair": "BTC/USD"}, KEY, [], 1, "but the contract prices ETH/USD"),
        ({"aggregator": "0x" + "11" * 20}, KEY, [], 1, "there is no contract at"),
        ({"min_weight": 9}, KEY, [], 1, "a weight of 9 is needed, and all venues together have 4"),
        ({"min_weight": 9}, KEY, ["--offline"], 2, "a weight of 9 is needed"),
        ({"deviation": 0.5}, KEY, ["--offline"], 2, "0.5 has no unit: write 0.5%, 50bps or 5000000ppb"),
        ({}, None, ["--offline"], 0, "1 feed checked offline: all well"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_and_decides_the_exit_code(  # noqa: PLR0917 - one row, one case
    devnet: RunningDevnet,
    run: Run,
    feed: dict[str, Any],
    key: str | None,
    options: list[str],
    code: int,
    says: str,
) -> None:
    wanted = str(feed.get("pair", "ETH/USD"))
    values = changed(devnet, **feed)
    if wanted == "BTC/USD":
        del values["oracle"]["feeds"][0]
    found, text = run(values, "check", wanted, *options, key=key)
    assert says in text, text
    assert found == code, text


def test_one_chain_that_is_away_does_not_hide_the_others_feeds(devnet: RunningDevnet, run: Run, tmp_path: Path) -> None:
    values = devnet.values()
    values["chains"]["gone"] = {"chain_id": 99, "rpc": ["http://127.0.0.1:9"]}
    values["oracle"]["feeds"][0]["chain"] = "gone"
    code, text = run(values, "check", "--json")
    assert code == 1
    worst = {feed["feed"]: feed["worst"] for feed in json.loads(text)["feeds"]}
    assert worst == {"BTC/USD": "error", "ETH/USD": None, "LINK/USD": None}


def test_explain_live_asks_now(devnet: RunningDevnet, run: Run, tmp_path: Path) -> None:
    code, text = run(devnet.values(), "explain", "ETH/USD", "--live")
    assert code == 0, text
    assert "from 4 of 4 sources" in text
    code, text = run(devnet.values(), "explain", "ETH/USD", "--live", "--round", "3")
    assert code == 2
    assert "--live: asks now and reads no database" in text


def test_an_unknown_feed_is_told_with_the_known_ones(devnet: RunningDevnet, run: Run, tmp_path: Path) -> None:
    code, text = run(devnet.values(), "check", "NO/PE")
    assert code == 2
    assert "known: BTC/USD, ETH/USD, LINK/USD" in text
