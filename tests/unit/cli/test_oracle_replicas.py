"""`seamark oracle replicas`, as a user runs it."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from seamark.cli.commands import run_command
from seamark.storage.database import open_database
from seamark.storage.fencing import enter_term

Captured = pytest.CaptureFixture[str]


def fill(path: Path, *terms: tuple[str, int, str]) -> None:
    async def work() -> None:
        database = await open_database(f"sqlite:///{path}")
        for term in terms:
            await enter_term(database, *term)
        await database.close()

    asyncio.run(work())


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("SEAMARK_CONFIG", "SEAMARK_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "feeds.db"


def replicas(monkeypatch: pytest.MonkeyPatch, path: Path, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["seamark", "oracle", "replicas", "--database", str(path), *arguments])
    return run_command()


def test_each_lease_with_its_leader(monkeypatch: pytest.MonkeyPatch, capsys: Captured, path: Path) -> None:
    fill(path, ("publisher-0xab", 1, "host-a"), ("publisher-0xab", 2, "host-b"), ("other", 1, "host-c"))
    assert replicas(monkeypatch, path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["lease", "leader", "term", "since"]
    assert lines[1].split()[:3] == ["other", "host-c", "1"]
    assert lines[2].split()[:3] == ["publisher-0xab", "host-b", "2"]


def test_as_json(monkeypatch: pytest.MonkeyPatch, capsys: Captured, path: Path) -> None:
    fill(path, ("publisher-0xab", 3, "host-b"))
    assert replicas(monkeypatch, path, "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found.pop("since").endswith("Z")
    assert found == {"lease": "publisher-0xab", "leader": "host-b", "term": 3}


def test_where_nobody_has_led_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: Captured, path: Path) -> None:
    fill(path)
    assert replicas(monkeypatch, path) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert "no publisher has led here" in told.err
