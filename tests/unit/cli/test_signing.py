"""What commands that make transactions share."""

from __future__ import annotations

import getpass
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from seamark.cli.signing import confirm, operator_name, parse_account, parse_wait, write_unsigned
from seamark.core.errors import SettingsError

NAME = "0xabcdef0123"


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A person at a terminal who answers; gives back what was asked."""

    def person(answer: str) -> list[str]:
        asked: list[str] = []

        def prompt(text: str, **_: Any) -> str:
            asked.append(text)
            return answer

        monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
        monkeypatch.setattr(typer, "prompt", prompt)
        return asked

    return person


@pytest.mark.parametrize("answer", ["abcdef", " ABCDEF ", "0xabcdef"])
def test_the_beginning_of_the_name_confirms(typing: Any, answer: str) -> None:
    asked = typing(answer)
    confirm(NAME, "1 transaction")
    assert asked == ["To send 1 transaction, type abcdef"]


@pytest.mark.parametrize("answer", ["", "y", "yes", "abcde", "abcdef0123"])
def test_anything_else_does_not(typing: Any, answer: str) -> None:
    typing(answer)
    with pytest.raises(SettingsError, match="nothing was sent"):
        confirm(NAME, "it")


def test_what_is_done_is_said_in_its_own_words(typing: Any) -> None:
    asked = typing("no")
    with pytest.raises(SettingsError, match=r"^pause: not confirmed"):
        confirm(NAME, "sending", verb="pause", option="pause", policy="operations.policy")
    assert asked == ["To pause sending, type abcdef"]


def test_a_short_name_is_typed_whole(typing: Any) -> None:
    typing("812")
    confirm("812", "round 812")


def test_a_pipe_is_no_person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    with pytest.raises(SettingsError, match="nobody is there") as caught:
        confirm(NAME, "it")
    assert "--yes" in caught.value.remedy


def test_who_acts_has_a_name_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "ada")
    assert operator_name() == "ada"

    def nobody() -> str:
        raise KeyError("uid 1000")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert operator_name() == "unknown"


def test_one_transaction_is_an_object_and_several_are_a_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "out.json"
    write_unsigned(file, [{"to": "0x1"}])
    assert json.loads(file.read_text()) == {"to": "0x1"}
    write_unsigned(file, [{"to": "0x1"}, {"to": "0x2"}])
    assert json.loads(file.read_text()) == [{"to": "0x1"}, {"to": "0x2"}]
    write_unsigned(Path("-"), [{"to": "0x1"}])
    assert json.loads(capsys.readouterr().out) == {"to": "0x1"}


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be written"):
        write_unsigned(tmp_path, [{}])


def test_options_are_named_in_errors() -> None:
    assert parse_wait("1m30s") == 90
    assert parse_account("--from", "0x" + "AB" * 20) == "0x" + "ab" * 20
    with pytest.raises(SettingsError, match="--timeout"):
        parse_wait("soon")
    with pytest.raises(SettingsError, match="--from"):
        parse_account("--from", "0x12")
