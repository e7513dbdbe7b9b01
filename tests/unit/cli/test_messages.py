"""The message commands, as a user runs them, on a database file that services have left."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from seamark.cli import messages_show
from seamark.cli.commands import run_command
from seamark.cli.messages_database import DEMO_FILE, find_settings
from seamark.messages.model import NoticeKind
from tests.support.ledger_file import FileWorld
from tests.unit.messages.history import (
    BACK,
    OUT,
    A,
    B,
    Noticed,
    committed,
    executed,
    final,
    message_id,
    reorg,
    sent,
)

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("SEAMARK_CONFIG", "SEAMARK_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "ledger.db"


@pytest.fixture
def world(path: Path) -> Iterator[FileWorld]:
    """Out: 1 executed, 2 failed, 3 committed, 4 sent; back: 1 sent."""
    made = FileWorld(path)
    first = made.block(A, 10, [sent(1, size=40), sent(2), sent(3)])
    made.tell(A, first, final(first))
    made.tell(B, made.block(B, 12, [committed(1, 3), executed(1), executed(2, good=False)]))
    made.tell(A, made.block(A, 20, [sent(4)]))
    made.tell(B, made.block(B, 21, [sent(1, BACK)]))
    made.connection.commit()
    yield made
    made.close()


def seamark(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["seamark", *arguments])
    return run_command()


def listed(monkeypatch: pytest.MonkeyPatch, capsys: Captured, *arguments: str) -> list[str]:
    """Ids that a search finds, newest first."""
    assert seamark(monkeypatch, "messages", "list", "--json", "--database", "ledger.db", *arguments) == 0
    return [json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()]


def ids(*numbers: int) -> list[str]:
    return [message_id(OUT, number) for number in numbers]


# ---- the database ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("path")
def test_no_database_is_said_and_none_is_made(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, tmp_path: Path
) -> None:
    assert seamark(monkeypatch, "messages", "list") == 2
    assert "there is no database .seamark/seamark.db" in capsys.readouterr().err
    assert seamark(monkeypatch, "messages", "list", "--database", "gone.db") == 2
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_and_another_version_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, path: Path, world: FileWorld
) -> None:
    empty = path.with_name("empty.db")
    empty.touch()
    assert seamark(monkeypatch, "messages", "list", "--database", str(empty)) == 1
    assert "no tables of Seamark" in capsys.readouterr().err
    for version, words in (("0003", "older than this version"), ("9999", "unknown to this version")):
        world.connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{version}'")
        world.connection.commit()
        assert seamark(monkeypatch, "messages", "list", "--database", str(path)) == 1
        assert words in capsys.readouterr().err


@pytest.mark.usefixtures("world")
def test_where_the_database_is_named(monkeypatch: pytest.MonkeyPatch, capsys: Captured, path: Path) -> None:
    monkeypatch.setenv("SEAMARK_DATABASE", f"sqlite:///{path}")
    assert seamark(monkeypatch, "messages", "list") == 0
    monkeypatch.delenv("SEAMARK_DATABASE")
    path.with_name("other.yaml").write_text(f"database: sqlite:///{path}\n")
    assert seamark(monkeypatch, "messages", "list", "--config", "other.yaml") == 0
    path.with_name("seamark.yaml").write_text(f"database: sqlite:///{path}\n")
    assert seamark(monkeypatch, "messages", "list") == 0
    assert capsys.readouterr().out.count(message_id(OUT, 1)) == 3


@pytest.mark.usefixtures("world")
def test_a_demo_in_this_folder_is_found(monkeypatch: pytest.MonkeyPatch, capsys: Captured, path: Path) -> None:
    there = path.parent / DEMO_FILE
    there.parent.mkdir(parents=True)
    there.write_text(f"database: sqlite:///{path}\n")
    assert seamark(monkeypatch, "messages", "list") == 0
    shown = capsys.readouterr()
    assert message_id(OUT, 1) in shown.out
    assert shown.err == "with the demo's settings, .seamark/demo/demo.yaml\n"


@pytest.mark.parametrize("said", ["SEAMARK_DATABASE", "RPC_URL", "./seamark.yaml", ".seamark/seamark.db"])
def test_the_demo_is_meant_only_where_nothing_else_is(path: Path, said: str) -> None:
    there = path.parent / DEMO_FILE
    there.parent.mkdir(parents=True)
    there.write_text("")
    assert find_settings(None, {}) == DEMO_FILE
    environment = {said: "something"} if said.isupper() else {}
    if not environment:
        (path.parent / said).write_text("")
    assert find_settings(None, environment) != DEMO_FILE


# ---- list -----------------------------------------------------------------------------------------------------------


BACK_1 = message_id(BACK, 1)
SINCE, UNTIL = "2023-11-14T22:17:00Z", "2023-11-14T22:16:00Z"


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ([], [BACK_1, *ids(4, 3, 2, 1)]),
        (["--failed"], ids(2)),
        (["--stage", "executed"], ids(1)),
        (["--stage", "open", "--source", "alpha"], ids(4, 3)),
        (["--stage", "sent,committed", "-s", "ALPHA"], ids(4, 3)),
        (["--source", "22"], [BACK_1]),  # the protocol's number
        (["--destination", "1"], [BACK_1]),  # the chain id
        (["--id", ids(3)[0]], ids(3)),
        (["--tx", "0x" + "00" * 32], []),
        (["--sender", "0x" + "5E" * 20, "-n", "1"], [BACK_1]),
        (["--protocol", "hyperlane"], []),
        (["--lane-version", "9"], []),
        (["--since", SINCE], [BACK_1, *ids(4)]),
        (["--until", UNTIL], ids(3, 2, 1)),
        (["--since", "1h"], []),
        (["--late"], [BACK_1, *ids(4, 3)]),
        (["--flag", "manual"], []),
    ],
)
def test_every_filter(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, arguments: list[str], found: list[str]
) -> None:
    assert listed(monkeypatch, capsys, *arguments) == found


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--source", "gamma"], "no lane has a chain 'gamma'; known: alpha, beta"),
        (["--stage", "lost"], "there is no stage 'lost'"),
        (["--since", "soon"], "is not a time"),
        (["--since", "1h", "--until", "2h"], "is not after --since"),
        (["--sender", "me"], "is not hexadecimal"),
        (["--feed", "ETH/USD"], "no feed is called"),
        (["--cursor", "zz!"], "cursor"),
    ],
)
def test_wrong_filters_are_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, arguments: list[str], words: str
) -> None:
    assert seamark(monkeypatch, "messages", "list", "--database", "ledger.db", *arguments) in (1, 2)
    assert words in capsys.readouterr().err


@pytest.mark.usefixtures("world")
def test_pages_and_all_of_them(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    found: list[str] = []
    cursor: list[str] = []
    for _ in range(3):
        assert seamark(monkeypatch, "messages", "list", "--json", "--database", "ledger.db", "-n", "2", *cursor) == 0
        out, err = capsys.readouterr()
        found += [json.loads(line)["id"] for line in out.splitlines()]
        if "--cursor" not in err:
            break
        cursor = ["--cursor", err.split("--cursor ")[1].split(",")[0]]
    assert found == listed(monkeypatch, capsys, "--all")
    assert len(set(found)) == 5


@pytest.mark.usefixtures("world")
def test_in_a_pipe_nothing_is_cut(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    assert seamark(monkeypatch, "messages", "list", "--database", "ledger.db", "--failed") == 0
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split()[:2] == ["id", "sent"]
    assert row.split()[:4] == [message_id(OUT, 2), "2023-11-14T22:15:20Z", "ccip/1.6.0", "alpha->beta"]
    assert row.endswith("it failed")


# ---- show -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("world")
def test_a_failed_message_tells_why_and_what_to_do(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    assert seamark(monkeypatch, "messages", "show", message_id(OUT, 2), "--database", "ledger.db") == 0
    told = capsys.readouterr().out
    for words in (
        "failed",
        "alpha → beta, number 2",
        "receiver_reverted",
        "it failed",
        "Evidence",
        "block 10, log 1",
        f"seamark messages recover {message_id(OUT, 2)}",
    ):
        assert words in told


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("width", [44, 60, 80])
def test_a_narrow_terminal_shows_whole_transactions(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    screen = StringIO()
    terminal = Console(file=screen, width=width, highlight=False, soft_wrap=True, color_system=None)
    monkeypatch.setattr(messages_show, "page", lambda: terminal)
    assert seamark(monkeypatch, "messages", "show", message_id(OUT, 2), "--database", "ledger.db") == 0
    evidence = screen.getvalue().partition("Evidence")[2].partition("Steps")[0]
    hashes = re.findall("0x[0-9a-f]{64}", re.sub(r"\s", "", evidence))
    assert len(hashes) == 3, evidence


@pytest.mark.usefixtures("world")
def test_the_beginning_of_an_id_is_enough_if_it_is_the_only_one(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    whole = message_id(BACK, 1)
    alone = next(whole[:size] for size in range(3, 67) if not message_id(OUT, 1).startswith(whole[:size]))
    assert seamark(monkeypatch, "messages", "show", alone, "--json", "--database", "ledger.db") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["message"]["id"] == whole
    moments = [told["message"]["sent_time"], told["sightings"][0]["time"], told["transitions"][0]["seen_at"]]
    assert [len(moment) for moment in moments] == [len("2023-11-14T22:13:20.000Z")] * 3
    assert seamark(monkeypatch, "messages", "show", "0x00", "--database", "ledger.db") == 1
    assert "several messages begin with 0x00" in capsys.readouterr().err
    assert seamark(monkeypatch, "messages", "show", "0xff", "--database", "ledger.db") == 1
    assert "no message 0xff is known" in capsys.readouterr().err
    assert seamark(monkeypatch, "messages", "show", "latest", "--database", "ledger.db") == 1
    assert "is no message id" in capsys.readouterr().err


def test_what_left_the_chain_and_what_happened_meanwhile(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, world: FileWorld
) -> None:
    root, gone = world.block(A, 29), world.block(A, 30, [sent(5), Noticed(NoticeKind.CURSED, "22", {})])
    world.tell(A, root, gone)
    world.tell(A, world.block(A, 31, [Noticed(NoticeKind.CURSED, "22", {})]))
    assert seamark(monkeypatch, "messages", "show", message_id(OUT, 5), "--database", "ledger.db") == 0
    told = capsys.readouterr().out
    assert "cursed" in told
    world.tell(A, reorg(root, gone), world.block(A, 30, fork="b"))
    assert seamark(monkeypatch, "messages", "show", message_id(OUT, 5), "--database", "ledger.db") == 0
    told = capsys.readouterr().out
    assert "left the chain" in told
    assert "(orphaned)" in told


# ---- watch ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(("number", "code"), [(1, 0), (2, 1), (4, 3)])
def test_how_watching_one_ends(monkeypatch: pytest.MonkeyPatch, capsys: Captured, number: int, code: int) -> None:
    arguments = ("messages", "watch", message_id(OUT, number), "--timeout", "100ms", "--database", "ledger.db")
    assert seamark(monkeypatch, *arguments) == code
    assert message_id(OUT, number) in capsys.readouterr().out


def test_a_message_is_followed_to_its_end(monkeypatch: pytest.MonkeyPatch, capsys: Captured, world: FileWorld) -> None:
    """The steps are fresh, so they are in the event log; one comes while the command waits."""
    world.now_ms = 1_700_000_500_000
    world.connection.commit()

    def later() -> None:
        time.sleep(0.4)  # the command is up by then; if not, it sees the end at once, and the test still holds
        other = FileWorld.__new__(FileWorld)
        other.__dict__.update(world.__dict__)
        other.connection = world._engine.connect()
        other.tell(B, other.block(B, 40, [committed(4, 4), executed(4)]))
        other.connection.close()

    thread = threading.Thread(target=later)
    thread.start()
    arguments = ("messages", "watch", message_id(OUT, 4), "--json", "--timeout", "20s", "--database", "ledger.db")
    code = seamark(monkeypatch, *arguments)
    thread.join()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert code == 0
    assert lines[0]["event"] == "message.now"
    assert all(line["at"].endswith("Z") and line["time"].endswith("Z") for line in lines)
    assert lines[-1]["stage"] == "executed"
    assert [line["event"] for line in lines[1:]] in (["message.committed", "message.executed"], [])


def test_watching_needs_a_real_timeout(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    assert seamark(monkeypatch, "messages", "watch", "--timeout", "5") == 2
    assert "is not a duration" in capsys.readouterr().err


# ---- report ---------------------------------------------------------------------------------------------------------

SPAN = ("--from", "2023-11-14T22:00:00Z", "--to", "2023-11-14T23:00:00Z", "--database", "ledger.db")


@pytest.mark.usefixtures("world")
def test_a_report_for_people_and_for_programs(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    assert seamark(monkeypatch, "messages", "report", *SPAN, "--json") == 0
    whole = json.loads(capsys.readouterr().out)
    assert (whole["totals"]["sent"], whole["totals"]["failed"]) == (5, 1)
    assert whole["period"]["start"] == "2023-11-14T22:00:00.000Z"
    assert whole["buckets"][0]["start"] == "2023-11-14T22:00:00.000Z"
    assert whole["peak_hour"] == {"start": "2023-11-14T22:00:00.000Z", "sent": 5}
    assert seamark(monkeypatch, "messages", "report", *SPAN) == 0
    assert "it failed" in capsys.readouterr().out


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    ("name", "beginning"),
    [("r.md", "# "), ("r.html", "<!doctype html>"), ("r.json", "{"), ("r.txt", "Message report")],
)
def test_a_report_in_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, tmp_path: Path, name: str, beginning: str
) -> None:
    assert seamark(monkeypatch, "messages", "report", *SPAN, "--out", name) == 0
    text = (tmp_path / name).read_text()
    assert text.startswith(beginning)
    assert not [line for line in text.splitlines() if line != line.rstrip()]
    assert f"{name}: 5 messages" in capsys.readouterr().err


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(("lane", "count"), [("beta->alpha", 1), ("alpha ->", 4), ("->2", 4), ("alpha → 22", 4)])
def test_a_report_on_one_lane(monkeypatch: pytest.MonkeyPatch, capsys: Captured, lane: str, count: int) -> None:
    assert seamark(monkeypatch, "messages", "report", *SPAN, "--json", "--lane", lane) == 0
    assert json.loads(capsys.readouterr().out)["totals"]["sent"] == count


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    ("lane", "words"),
    [("alpha", "names no lane"), ("alpha->alpha", "there is no lane"), ("x->", "no lane has a chain")],
)
def test_a_lane_that_is_none(monkeypatch: pytest.MonkeyPatch, capsys: Captured, lane: str, words: str) -> None:
    assert seamark(monkeypatch, "messages", "report", *SPAN, "--lane", lane) == 2
    assert words in capsys.readouterr().err


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--daily", "--weekly"], "contradicts --daily"),
        (["--from", "2026-01-02", "--to", "2026-01-01"], "ends before it begins"),
        (["--out", "report.pdf"], "does not follow from report.pdf"),
    ],
)
def test_wrong_reports_are_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, arguments: list[str], words: str
) -> None:
    assert seamark(monkeypatch, "messages", "report", *arguments) == 2
    assert words in capsys.readouterr().err


@pytest.mark.usefixtures("world")
def test_a_report_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    assert seamark(monkeypatch, "messages", "report", *SPAN, "--out", "no/folder/r.md") == 2
    assert "cannot write no/folder/r.md" in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], ["list"], ["show"], ["watch"], ["report"], ["backfill"]])
def test_every_command_explains_itself(monkeypatch: pytest.MonkeyPatch, capsys: Captured, command: list[str]) -> None:
    assert seamark(monkeypatch, "messages", *command, "--help") == 0
    assert "Usage: seamark messages" in capsys.readouterr().out


def test_a_reader_that_has_enough_ends_the_command_quietly(world: FileWorld, path: Path) -> None:
    """`seamark messages list --all | head -1`: as every tool in a pipe."""
    numbers = range(100, 2100)
    world.tell(A, world.block(A, 100, [sent(number) for number in numbers]))
    command = [sys.executable, "-m", "seamark.cli.main", "messages", "list", "--all", "--json", "--database", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("{")
        process.stdout.close()
        told = process.stderr.read()
    assert told == ""
