"""`seamark alerts` as a user types it, over a database that findings were reported to."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from seamark.cli.alerts import app
from seamark.core.errors import RejectedError, SettingsError
from seamark.core.findings import Finding, Severity
from seamark.monitoring.alerts import store
from seamark.storage.database import open_database
from tests.unit.monitoring.makers import finding

Report = Callable[..., None]
Run = Callable[..., Result]


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return f"sqlite:///{tmp_path}/seamark.db"


@pytest.fixture
def report(database: str) -> Report:
    def tell(*findings: Finding) -> None:
        async def work() -> None:
            opened = await open_database(database)
            await opened.write(lambda c: store.report(c, "judge", findings, int(time.time() * 1000)))
            await opened.close()

        asyncio.run(work())

    return tell


@pytest.fixture
def run(database: str) -> Run:
    def typed(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--database", database], catch_exceptions=True)

    return typed


def answer(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_list_shows_what_is_open(report: Report, run: Run) -> None:
    report()
    assert run("list").stdout == "no open alerts\n"
    report(finding(title="3 messages are stuck"), finding("feed_stale", "eth-usd", severity=Severity.CRITICAL))
    shown = run("list").stdout
    assert "3 messages are stuck" in shown
    assert "critical" in shown
    assert [item["kind"] for item in answer(run("list", "--json", "--kind", "feed_*"))] == ["feed_stale"]
    assert [item["kind"] for item in answer(run("list", "--json", "--severity", "warning"))] == ["message_stuck"]
    report()
    assert answer(run("list", "--json")) == []
    assert len(answer(run("list", "--json", "--all"))) == 2


def test_check_is_for_cron(report: Report, run: Run) -> None:
    report(finding())
    assert run("list", "--check").exit_code == 0
    report(finding(), finding(subject="b", severity=Severity.CRITICAL))
    assert run("list").exit_code == 0
    assert run("list", "--check").exit_code == 1
    assert run("list", "--check", "--severity", "info").exit_code == 1, "whatever else is shown"


def test_show_tells_all(report: Report, run: Run) -> None:
    report(finding(labels={"source": "besu"}, count=3))
    run("ack", "1", "--who", "ann", "--why", "on it")
    shown = run("show", "1").stdout
    for words in ("message_stuck", "source=besu", "ann has it: on it", "do: seamark messages", "#message_stuck"):
        assert words in shown
    assert answer(run("show", "1", "--json"))["acknowledged"]["who"] == "ann"
    missing = run("show", "9")
    assert isinstance(missing.exception, RejectedError)
    assert "there is no alert 9" in str(missing.exception)


def test_acknowledging_and_taking_it_back(report: Report, run: Run) -> None:
    report(finding(), finding(subject="b"))
    assert run("ack", "1", "2", "--who", "ann", "--for", "2h").stdout == "ann has alerts 1, 2\n"
    states = {item["id"]: item["state"] for item in answer(run("list", "--json"))}
    assert states == {1: "acknowledged", 2: "acknowledged"}
    assert run("ack", "1", "--undo").stdout == "nobody has alert 1\n"
    assert answer(run("list", "--json"))[1]["state"] == "firing"
    history = answer(run("history", "--json", "--limit", "3"))
    assert [entry["action"] for entry in history] == ["unacknowledged", "acknowledged", "acknowledged"]
    assert isinstance(run("ack", "7").exception, RejectedError)


def test_who_is_the_user_of_the_machine(report: Report, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "operator")
    report(finding())
    assert run("ack", "1").stdout == "operator has alert 1\n"


def test_silences(report: Report, run: Run) -> None:
    report(finding())
    made = run("silence", "kind=message_*", "--for", "2h", "--why", "upgrade", "--who", "ann")
    assert made.stdout == "silence 1 for 2h00m; to end it: seamark alerts unsilence 1\n"
    assert answer(run("list", "--json"))[0]["state"] == "silenced"
    assert "upgrade" in run("silences").stdout
    assert run("unsilence", "1", "--who", "bob").stdout == "silence 1 is over\n"
    assert run("silences").stdout == "no silences\n"
    assert "over (bob)" in run("silences", "--all").stdout
    assert answer(run("silences", "--all", "--json"))[0]["ended_by"] == "bob"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["silence", "colour=red", "--for", "2h", "--why", "x"], "MATCHER: 'colour=red' is no matcher"),
        (["silence", "kind=x", "--for", "2", "--why", "x"], "--for: '2' is not a duration"),
        (["ack", "1", "--for", "soon"], "--for: 'soon' is not a duration"),
    ],
)
def test_what_is_typed_wrong(report: Report, run: Run, arguments: list[str], words: str) -> None:
    report(finding())
    failed = run(*arguments)
    assert isinstance(failed.exception, SettingsError)
    assert words in str(failed.exception)


def test_sources_and_forgetting_one(report: Report, run: Run) -> None:
    report(finding())
    unknown = run("forget", "nobody", "--why", "x")
    assert isinstance(unknown.exception, RejectedError)
    assert "nobody called 'nobody' has reported" in str(unknown.exception)
    assert run("sources").stdout.startswith("judge: 1 finding, ")
    assert answer(run("sources", "--json"))[0]["source"] == "judge"
    assert run("forget", "judge", "--why", "moved").stdout == "judge is forgotten, with 1 finding\n"
    assert answer(run("list", "--json")) == []
    assert "moved" in run("history").stdout
    assert run("sources").stdout == "nobody has reported yet\n"


def test_without_a_database_there_is_one_line(run: Run) -> None:
    failed = run("list")
    assert isinstance(failed.exception, SettingsError)
    assert "there is no database" in str(failed.exception)


# ---- test notices ----


class Taker(BaseHTTPRequestHandler):
    status = 200
    bodies: list[Any] = []  # noqa: RUF012 - one test at a time

    def do_POST(self) -> None:
        self.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture
def taker() -> Iterator[HTTPServer]:
    Taker.bodies.clear()
    server = HTTPServer(("127.0.0.1", 0), Taker)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_test_notice_is_sent_at_once(taker: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPS_URL", f"http://127.0.0.1:{taker.server_port}/hidden")
    receivers = "[{name: ops, webhook: {env: OPS_URL}}, {name: gone, webhook: {value: 'http://127.0.0.1:9/hidden'}}]"
    Path("seamark.yaml").write_text(f"alerts: {{receivers: {receivers}}}\n")
    runner = CliRunner()
    good = runner.invoke(app, ["test", "ops", "--who", "ann"])
    assert (good.exit_code, good.stdout) == (0, "ops: took it\n")
    assert Taker.bodies[0]["event"] == "test"
    assert "ann tries the receiver ops" in Taker.bodies[0]["text"]
    bad = runner.invoke(app, ["test"])
    assert bad.exit_code == 1
    assert "gone: did not take it: cannot be reached" in bad.stdout
    assert "hidden" not in bad.output
    as_json = json.loads(runner.invoke(app, ["test", "--json"]).stdout)
    assert [item["delivered"] for item in as_json] == [True, False]
    unknown = runner.invoke(app, ["test", "nobody"])
    assert "there is none called 'nobody'; known: ops, gone" in str(unknown.exception)


def test_a_test_needs_receivers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no seamark.yaml here" in str(CliRunner().invoke(app, ["test"]).exception)
    Path("seamark.yaml").write_text("database: sqlite:///x.db\n")
    assert "alerts.receivers: is empty" in str(CliRunner().invoke(app, ["test"]).exception)


def test_what_is_done_is_told_to_programs_as_the_api_tells_it(report: Report, run: Run) -> None:
    report(finding(), finding("feed_stale", "eth-usd"))
    taken = answer(run("ack", "1", "2", "--who", "ann", "--why", "looking", "--json"))
    assert [(item["id"], item["acknowledged"]["who"]) for item in taken] == [(1, "ann"), (2, "ann")]
    assert [item["acknowledged"] for item in answer(run("ack", "1", "--undo", "--who", "ann", "--json"))] == [None]

    made = answer(run("silence", "kind=feed_*", "--for", "2h", "--who", "ann", "--why", "move", "--json"))
    assert (made["id"], made["matchers"], made["active"]) == (1, ["kind=feed_*"], True)
    assert [item["id"] for item in answer(run("silences", "--json"))] == [1]
    over = answer(run("unsilence", "1", "--who", "ben", "--json"))
    assert (over["active"], over["ended_by"]) == (False, "ben")
    assert over["ended_at"].endswith("Z")

    (source,) = answer(run("sources", "--json"))
    assert (source["source"], source["findings"]) == ("judge", 2)
    assert source["reported_at"].endswith("Z")
    gone = answer(run("forget", "judge", "--who", "ann", "--why", "no more", "--json"))
    assert gone == {"source": "judge", "findings": 2}
