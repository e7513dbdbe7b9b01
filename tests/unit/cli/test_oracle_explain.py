"""`seamark oracle explain`, as a user runs it, on a database that a publisher has left."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from seamark.cli.commands import run_command
from seamark.core.ids import Hash32
from seamark.core.units import Ppb
from seamark.oracle.model import PublicationState
from seamark.oracle.store import add_publication, register_feed
from seamark.storage.database import open_database
from tests.unit.oracle.fakes import REF
from tests.unit.oracle.test_explain import BEFORE, ROUND

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("SEAMARK_CONFIG", "SEAMARK_DATABASE"):
        monkeypatch.delenv(name, raising=False)

    async def fill() -> None:
        database = await open_database(f"sqlite:///{tmp_path / 'feeds.db'}")
        await database.write(
            lambda connection: register_feed(connection, REF, heartbeat=3600, deviation=Ppb(5_000_000))
        )
        for row in (
            replace(BEFORE, key="7"),
            replace(ROUND, key="8", transaction=Hash32("0x" + "12" * 32)),
            replace(ROUND, key="9", round=9, state=PublicationState.REVERTED),
        ):
            await database.write(partial(add_publication, publication=row))
        await database.close()

    asyncio.run(fill())
    return tmp_path / "feeds.db"


def explain(monkeypatch: pytest.MonkeyPatch, path: Path, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["seamark", "oracle", "explain", "--database", str(path), *arguments])
    return run_command()


def test_the_last_answer_source_by_source(monkeypatch: pytest.MonkeyPatch, capsys: Captured, path: Path) -> None:
    assert explain(monkeypatch, path, "eth/usd") == 0
    text = capsys.readouterr().out
    assert "ETH/USD 2000  round 8 on home, mined" in text  # not the attempt that reverted
    assert "deviation: the price was 1.010101% from that of round 7, and the threshold is 0.5%" in text
    lines = {
        line.split()[0]: " ".join(line.split()) for line in text.splitlines() if line[:2] in ("a ", "b ", "c ", "d ")
    }
    assert lines == {
        "a": "a a 1999.5 -0.025% 250ms 1 used",
        "b": "b bee 2000 0% 3s 2 used",
        "c": "c c NaN - 1s 1 no finite number",
        "d": "d d 2600 +30% 1s 1 too far from the others",
    }
    assert "2 of 4 sources used" in text


def test_for_programs(monkeypatch: pytest.MonkeyPatch, capsys: Captured, path: Path) -> None:
    assert explain(monkeypatch, path, "ETH/USD", "--round", "7", "--chain", "home", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["round"], told["price"], told["price_before"]) == ("7", "1980.00000000", None)
    assert told["sources"][3] == {
        "source": "d",
        "venue": "d",
        "price": "2600",
        "age_seconds": 1.0,
        "weight": 1,
        "used": False,
        "why_not": "too far from the others",
        "distance_ppb": 313_131_313,
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("BTC/USD",), "no feed is called 'BTC/USD' here; known: ETH/USD"),
        (("ETH/USD", "--chain", "besu"), "known: none"),
        (("ETH/USD", "--round", "4"), "no round 4 of ETH/USD was published from here"),
    ],
)
def test_what_is_not_there(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, path: Path, arguments: tuple[str, ...], said: str
) -> None:
    assert explain(monkeypatch, path, *arguments) == 2
    assert said in capsys.readouterr().err
