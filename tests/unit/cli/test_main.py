import sys

import pytest

import seamark
from seamark.cli import commands, loop
from seamark.cli.main import EXIT_INTERRUPTED, main
from seamark.core.errors import SettingsError, StopError


def ended(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["seamark", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.mark.parametrize(
    "command",
    [[], ["demo"], ["run"], ["devnet"], ["devnet", "up"], ["config"], ["config", "check"], ["config", "show"]],
)
def test_every_command_explains_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    assert ended(monkeypatch, *command, "--help") == 0
    assert "Usage: seamark" in capsys.readouterr().out


def test_the_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"seamark {seamark.__version__}\n"


@pytest.mark.parametrize(
    "arguments", [["bogus"], ["run"], ["demo", "--port", "70000"], ["devnet", "up", "--seed", "x"], []]
)
def test_wrong_arguments_are_code_2(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    assert ended(monkeypatch, *arguments) == 2


@pytest.mark.parametrize(
    ("error", "code"), [(SettingsError("a", "b"), 2), (StopError("a: b"), 1), (KeyboardInterrupt(), EXIT_INTERRUPTED)]
)
def test_how_a_command_ends_is_the_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(commands, "app", fail)
    assert ended(monkeypatch) == code
    assert "Traceback" not in capsys.readouterr().err


def test_a_command_that_returns_is_code_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "app", lambda: None)
    assert ended(monkeypatch) == 0


def test_errors_come_out_of_the_loop_as_they_are() -> None:
    async def work() -> None:
        raise StopError("stop")

    with pytest.raises(StopError, match="stop"):
        loop.run_until_stopped(work())
