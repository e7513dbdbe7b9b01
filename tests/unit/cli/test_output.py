import json

import pytest

from seamark.cli.output import EXIT_FAILED, EXIT_SETTINGS, Steps, print_error, print_json, print_problems
from seamark.core.errors import RejectedError, SettingsError, StopError, TemporaryError
from seamark.runtime.settings import Problem, SettingsProblems


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError("api.port", "is taken", remedy="choose another"), EXIT_SETTINGS),
        (StopError("api.port: is taken", remedy="choose another"), EXIT_FAILED),
        (TemporaryError("api.port: is taken", remedy="choose another"), EXIT_FAILED),
        (RejectedError("api.port: is taken", remedy="choose another"), EXIT_FAILED),
    ],
)
def test_an_error_is_one_line_and_a_code(capsys: pytest.CaptureFixture[str], error: SettingsError, code: int) -> None:
    assert print_error(error) == code
    assert capsys.readouterr() == ("", "seamark: api.port: is taken; choose another\n")


def test_markup_in_an_error_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(StopError("[red]x[/red] " + "long " * 100))
    assert capsys.readouterr().err == "seamark: [red]x[/red] " + "long " * 100 + "\n"


def test_every_problem_has_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    problems = [
        Problem("api.prot", "unknown setting", "did you mean port?", 3),
        Problem("settings", "two feeds are the same"),
        Problem("oracle", "is missing", "add it"),
    ]
    print_problems(SettingsProblems("a.yaml", problems))
    assert capsys.readouterr().err.splitlines() == [
        "a.yaml:3: api.prot: unknown setting; did you mean port?",
        "a.yaml: settings: two feeds are the same",
        "a.yaml: oracle: is missing; add it",
    ]


def test_json_is_all_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"selector": "13801380138013801380", "text": "→ [red]"})
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"selector": "13801380138013801380", "text": "→ [red]"}
    assert printed.err == ""


def test_steps_are_told_with_the_time_since_the_start(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([100.0, 100.25, 103.0])
    monkeypatch.setattr("seamark.cli.output.time.monotonic", lambda: next(times))
    steps = Steps()
    steps.done("chains", "two")
    steps.done("feeds")
    assert capsys.readouterr() == ("✓ chains two (250ms)\n✓ feeds (3s)\n", "")


def test_steps_stand_aside_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    Steps(aside=True).done("chains")
    assert capsys.readouterr().out == ""
