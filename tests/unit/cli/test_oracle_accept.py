"""`seamark oracle accept`, as a user runs it, on a database in which a publisher holds a jump."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seamark.cli.commands import run_command
from seamark.core.ids import ChainId
from seamark.oracle.acceptance import ACCEPTED
from seamark.oracle.store import record_held
from seamark.storage.database import open_database
from seamark.storage.events import Event, read_events
from tests.unit.oracle.fakes import REF

Captured = pytest.CaptureFixture[str]
FAR = replace(REF, chain="far", chain_id=ChainId(138))
DETAIL = "held: 3000 is a jump from 2000 that waits for confirmation"


def at(path: Path, work: Callable[[Any], Any]) -> Any:
    async def run() -> Any:
        database = await open_database(f"sqlite:///{path}")
        try:
            return await database.write(work)
        finally:
            await database.close()

    return asyncio.run(run())


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("SEAMARK_CONFIG", "SEAMARK_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "feeds.db"
    at(path, lambda connection: record_held(connection, REF, held=True, detail=DETAIL))
    return path


def accept(monkeypatch: pytest.MonkeyPatch, path: Path, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["seamark", "oracle", "accept", "--database", str(path), *arguments])
    return run_command()


def accepted(path: Path) -> list[Event]:
    found: list[Event] = at(path, lambda connection: read_events(connection, 0, topics=(ACCEPTED,)))
    return found


def test_the_held_ones_are_listed(monkeypatch: pytest.MonkeyPatch, capsys: Captured, path: Path) -> None:
    assert accept(monkeypatch, path) == 0
    assert capsys.readouterr().out == f"ETH/USD on home: {DETAIL}\n"
    at(path, lambda connection: record_held(connection, REF, held=False, detail=""))
    assert accept(monkeypatch, path) == 0
    assert capsys.readouterr().err == "nothing is held\n"


def test_who_and_why_are_kept(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    assert accept(monkeypatch, path, "eth/usd", "--why", "listed on two exchanges", "--yes") == 0
    (event,) = accepted(path)
    assert (event.key, event.payload["why"]) == ("ETH/USD", "listed on two exchanges")
    assert event.payload["who"]
    assert (event.payload["chain_id"], event.payload["address"]) == (REF.chain_id, REF.address)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("BTC/USD", "--why", "x", "--yes"), "'BTC/USD' is not held; held: ETH/USD"),
        (("ETH/USD", "--chain", "moon", "--why", "x", "--yes"), "is not held"),
        (("ETH/USD", "--yes"), "--why: is missing; say why this price is right"),
    ],
)
def test_what_cannot_be_accepted(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, path: Path, arguments: tuple[str, ...], says: str
) -> None:
    assert accept(monkeypatch, path, *arguments) == 2
    assert says in capsys.readouterr().err
    assert accepted(path) == []


def test_one_feed_on_two_chains_needs_the_chain(monkeypatch: pytest.MonkeyPatch, capsys: Captured, path: Path) -> None:
    at(path, lambda connection: record_held(connection, FAR, held=True, detail=DETAIL))
    assert accept(monkeypatch, path, "ETH/USD", "--why", "x", "--yes") == 2
    assert "is held on 2 chains; name one of them" in capsys.readouterr().err
    assert accept(monkeypatch, path, "ETH/USD", "--chain", "far", "--why", "x", "--yes") == 0
    (event,) = accepted(path)
    assert event.payload["chain"] == "far"


def test_without_a_yes_nothing_is_accepted(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setattr("typer.confirm", lambda _: False)
    assert accept(monkeypatch, path, "ETH/USD", "--why", "x") == 1
    assert accepted(path) == []
