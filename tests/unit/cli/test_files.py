from pathlib import Path

import pytest

from seamark.cli.config import _shown, _without_secrets
from seamark.cli.files import check_services, find_file, read_settings
from seamark.cli.folders import make_folder
from seamark.core.errors import SettingsError
from seamark.settings import Settings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(file: Path, text: str) -> None:
    file.write_text(text)


def test_the_file_named_comes_first_then_the_one_here_then_none() -> None:
    assert find_file(None) is None
    Path("seamark.yaml").touch()
    assert find_file(None) == Path("seamark.yaml")
    Path("other.yaml").touch()
    assert find_file(Path("other.yaml")) == Path("other.yaml")
    with pytest.raises(SettingsError, match=r"^--config: there is no file nowhere\.yaml; check the path$"):
        find_file(Path("nowhere.yaml"))


async def test_a_file_leaves_the_environment_aside() -> None:
    file = Path("seamark.yaml")
    write(file, "api:\n  port: ${PORT:-7}")
    found = await read_settings(["oracle"], file, {"API_PORT": "9"})
    assert (found.settings.api.port, found.names) == (7, {})
    assert (await read_settings(["oracle"], file, {"PORT": "8"})).settings.api.port == 8


async def test_without_a_file_the_environment_counts() -> None:
    found = await read_settings(["api"], None, {"API_PORT": "9"})
    assert found.settings.api.port == 9
    assert found.names["api.port"] == "API_PORT"


def test_services_are_known_by_name() -> None:
    check_services(["oracle", "ccip-monitor", "api"])
    with pytest.raises(SettingsError, match="there is no service 'orcale'; one of oracle, ccip-monitor, "):
        check_services(["api", "orcale"])


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///a/b.db", "sqlite:///a/b.db"),
        ("postgresql://user:pass@db:5432/name?password=pass", "postgresql://db:5432/name"),
        ("postgresql://user:p%40ss@db/name", "postgresql://db/name"),
        ("postgresql://user:pass@/name?host=/run", "postgresql:///name"),
    ],
)
def test_a_database_is_shown_without_secrets(url: str, shown: str) -> None:
    assert _without_secrets(url) == shown
    assert _shown(Settings(database=url))["database"] == shown


def test_a_folder_is_made_or_told(folder: Path) -> None:
    make_folder(Path("a/b"))
    make_folder(Path("a/b"))
    assert (folder / "a" / "b").is_dir()
    Path("file").touch()
    with pytest.raises(SettingsError, match=r"^--data: cannot make the folder file/x: Not a directory; choose another"):
        make_folder(Path("file/x"))
    with pytest.raises(SettingsError, match=r"^--data: cannot make the folder file: File exists"):
        make_folder(Path("file"))


def test_a_folder_that_may_not_be_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seamark.cli.folders.os.access", lambda *_: False)
    with pytest.raises(SettingsError, match=r"^--data: this user may not write to \.; choose another folder$"):
        make_folder(Path())
