"""Every mistake gets one line that names the file, the line, the setting and the remedy."""

from pathlib import Path

import pytest
from pydantic import Field

from seamark.core.errors import SettingsError
from seamark.core.units import Ppb, Seconds, Wei
from seamark.runtime.settings import (
    Duration,
    Money,
    Port,
    Ratio,
    SettingsModel,
    SettingsProblems,
    load_settings,
    parse_environment,
    validate_settings,
)


class Feed(SettingsModel):
    name: str
    heartbeat: Duration = Seconds(3600.0)
    deviation: Ratio = Ppb(5_000_000)


class Listener(SettingsModel):
    port: Port = 8000


class Root(SettingsModel):
    feeds: tuple[Feed, ...] = ()
    named: dict[str, Feed] = Field(default_factory=dict)
    listen: Listener | None = None


@pytest.fixture
def load(tmp_path: Path):
    def read(text: str, **environment: str) -> Root:
        path = tmp_path / "seamark.yaml"
        path.write_text(text)
        return load_settings(Root, path, environment)

    return read


def message_of(load, text: str, **environment: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(text, **environment)
    return str(caught.value).partition("seamark.yaml")[2].lstrip(":")


def test_a_good_file_gives_frozen_values(load) -> None:
    root = load("feeds: [{name: ETH, heartbeat: 1h30m, deviation: 0.25%}]\nlisten: {port: 0}")
    assert root.feeds[0].heartbeat == 5400
    assert root.feeds[0].deviation == 2_500_000
    assert root.listen.port == 0
    with pytest.raises(ValueError, match="frozen"):
        root.feeds[0].name = "other"


def test_an_empty_file_gives_the_defaults(load) -> None:
    assert load("") == Root()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("feeds:\n  - name: a\n    heartbeta: 1h", "3: feeds[0].heartbeta: unknown setting; did you mean heartbeat?"),
        ("named:\n  x:\n    nane: a\n    name: b", "3: named.x.nane: unknown setting; did you mean name?"),
        ("listen:\n  prot: 1", "2: listen.prot: unknown setting; did you mean port?"),
        ("zebra: 1", "1: zebra: unknown setting; known here: feeds, named, listen"),
        (
            "feeds:\n  - name: a\n    heartbeat: -1h",
            "3: feeds[0].heartbeat: '-1h' is negative; a time span is zero or more",
        ),
        (
            "feeds:\n  - name: a\n    heartbeat: 60",
            "3: feeds[0].heartbeat: 60 has no unit: write 250ms, 30s, 5m, 1h30m or 1d",
        ),
        (
            "feeds:\n  - name: a\n    deviation: 0.5",
            "3: feeds[0].deviation: 0.5 has no unit: write 0.5%, 50bps or 5000000ppb",
        ),
        ("feeds:\n  - heartbeat: 1h", "2: feeds[0].name: is missing; add it"),
        (
            "feeds:\n  - name: ${MISSING}",
            "2: feeds[0].name: the environment variable MISSING is not set; export MISSING=…",
        ),
        ("feeds:\n  - name: a\n    name: b", "3: feeds[0].name: is given twice; remove one of them"),
        ("listen: {port: 70000}", "1: listen.port: must be less than or equal to 65535"),
    ],
)
def test_mistakes_are_told_in_one_line(load, text: str, expected: str) -> None:
    message = message_of(load, text)
    assert message == expected
    assert "\n" not in message


def test_every_problem_is_kept(load) -> None:
    with pytest.raises(SettingsProblems) as caught:
        load("feeds:\n  - name: a\n    heartbeat: 1\n  - naem: b")
    assert [problem.setting for problem in caught.value.problems] == [
        "feeds[0].heartbeat",
        "feeds[1].name",
        "feeds[1].naem",
    ]
    assert "(and 2 more: seamark config check lists all)" in str(caught.value)


def test_variables_are_filled_in_scalars_only(load) -> None:
    root = load("feeds:\n  - name: ${NAME}-${KIND:-spot}", NAME="a: [1]\nfeeds: []")
    assert root.feeds[0].name == "a: [1]\nfeeds: []-spot"


@pytest.mark.parametrize("text", ["feeds: [", "- 1", "a: *nothing", "\tx: 1"])
def test_what_is_not_yaml_is_said_with_its_line(load, text: str) -> None:
    assert message_of(load, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere.yaml: cannot be read: No such file"):
        load_settings(Root, tmp_path / "nowhere.yaml", {})


def test_binary_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="UTF-8"):
        load_settings(Root, path, {})


def test_python_tags_build_nothing(load) -> None:
    assert message_of(load, "feeds: !!python/object/apply:os.system ['true']")


def test_one_value_from_the_environment() -> None:
    assert parse_environment({"N": " 5 "}, "N", int, example="5") == 5
    with pytest.raises(SettingsError, match="N: is not set; export N=5"):
        parse_environment({}, "N", int, example="5")
    with pytest.raises(SettingsError, match="N: invalid literal"):
        parse_environment({"N": "x"}, "N", int, example="5")


class Purse(SettingsModel):
    limit: Money = Wei(0)
    other: int = 0


class Owner(SettingsModel):
    purse: Purse = Purse()
    name: str = ""


def test_checked_amounts_stay_when_something_else_changes():
    purse = validate_settings(Purse, {"limit": "0.2 ether"})
    assert purse.with_changes(other=1) == Purse.model_construct(limit=Wei(2 * 10**17), other=1)
    assert Owner(purse=purse).with_changes(name="x").purse.limit == 2 * 10**17
    with pytest.raises(SettingsError, match="has no unit"):
        validate_settings(Purse, {"limit": 200})
