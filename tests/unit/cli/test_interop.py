"""`seamark interop` as a user types it, over a database with executing messages."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from typer.testing import CliRunner, Result

from seamark.cli.interop import app
from seamark.core.errors import SettingsError
from seamark.core.ids import ChainId
from seamark.messages.protocols.op_interop.model import Found, Status, Verdict
from seamark.messages.protocols.op_interop.network import Network
from seamark.messages.protocols.op_interop.rules import find_executing
from seamark.messages.protocols.op_interop.store import Decision, JobBook, list_jobs
from seamark.storage.database import open_database
from tests.support.interop import FakeL2, executing, initiating

NETWORK = Network(frozenset({901, 902}))


def fill(connection: Connection) -> None:
    """One valid message, one that names an unknown chain."""
    source, target = FakeL2(901), FakeL2(902)
    log = source.mine(initiating())
    target.mine(executing(log), executing(log, chain_id=10**20))
    found: Found = find_executing(ChainId(902), target.head)
    book = JobBook(connection, NETWORK, now_ms=1_700_000_000_000)
    book.record(found.messages, found.bad)
    book.close()
    (open_one,) = list_jobs(connection, statuses=[Status.UNKNOWN])
    book = JobBook(connection, NETWORK, now_ms=1_700_000_001_000)
    book.decide([Decision(key=open_one.key, touches=open_one.touches, verdict=Verdict(Status.VALID), declared=True)])
    book.close()


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path}/seamark.db"

    async def work() -> None:
        opened = await open_database(url)
        await opened.write(fill)
        await opened.close()

    asyncio.run(work())
    return url


def run(database: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--database", database])


def answer(database: str, *arguments: str) -> Any:
    result = run(database, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_list_with_filters(database: str) -> None:
    assert {item["status"] for item in answer(database, "list")} == {"valid", "invalid"}
    (bad,) = answer(database, "list", "--status", "invalid")
    assert (bad["rule"], bad["initiating_chain_id"]) == ("unknown_chain", str(10**20))
    assert answer(database, "list", "--executing", "901") == []
    assert len(answer(database, "list", "--initiating", "901")) == 1
    assert answer(database, "list", "--retracted") == []
    table = run(database, "list").output
    assert "unknown_chain" in table
    assert "valid" in table


def test_show_tells_the_history(database: str) -> None:
    (bad,) = answer(database, "list", "--status", "invalid")
    found = answer(database, "show", bad["message"])
    assert [item["step"] for item in found["history"]] == ["invalid"]
    assert "is not in the dependency set" in run(database, "show", bad["message"]).output


def test_show_of_nothing(database: str) -> None:
    result = run(database, "show", "902:0x00:0")
    assert (result.exit_code, "no executing message" in result.output) == (1, True)


def test_an_incident_is_closed_once_and_keeps_who_and_why(database: str) -> None:
    (item,) = answer(database, "incidents")
    assert (item["jobs"], item["closed_at"], item["calls"]) == (1, None, {})
    assert item["opened_at"] == "2023-11-14T22:13:20.000Z"
    done = run(database, "close", "--who", "ada", "--why", "the block was replaced")
    assert done.exit_code == 0
    assert "incident 1 closed by ada" in done.output
    (item,) = answer(database, "incidents")
    assert (item["closed_by"], item["why"]) == ("ada", "the block was replaced")
    assert run(database, "close", "--who", "ada", "--why", "again").exit_code == 1
    assert "ada" in run(database, "incidents").output


def test_close_wants_a_reason(database: str) -> None:
    result = run(database, "close", "--who", "ada", "--why", "  ")
    assert isinstance(result.exception, SettingsError)


def test_an_empty_list_says_so(database: str) -> None:
    assert run(database, "list", "--executing", "901").output == "no executing messages\n"
    assert run(database, "expiring").output.startswith("nothing expires")


def test_nothing_expires(database: str) -> None:
    assert answer(database, "expiring") == []
