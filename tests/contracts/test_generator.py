"""The artifact generator says which file is missing, stale or superfluous, and what to do."""

from pathlib import Path

import pytest
from tools import contracts


@pytest.fixture
def artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(contracts, "ROOT", tmp_path)
    monkeypatch.setattr(contracts, "ARTIFACTS", tmp_path / "artifacts")
    monkeypatch.setattr(contracts, "build", lambda out: None)
    monkeypatch.setattr(contracts, "render", lambda out: {"A.json": "a\n", "B.json": "b\n"})
    return tmp_path / "artifacts"


def test_generate_then_check(artifacts: Path) -> None:
    assert contracts.main(["generate"]) == 0
    assert (artifacts / "A.json").read_text() == "a\n"
    assert contracts.main(["check"]) == 0


def test_check_names_what_differs(artifacts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    contracts.main(["generate"])
    (artifacts / "A.json").write_text("other\n")
    (artifacts / "B.json").unlink()
    (artifacts / "C.json").write_text("old\n")
    assert contracts.main(["check"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(";")[0] for line in lines] == [
        "contracts: artifacts/A.json differs from contracts/src",
        "contracts: artifacts/B.json is missing",
        "contracts: artifacts/C.json belongs to no contract",
    ]
    assert all("python tools/contracts.py generate" in line for line in lines)


def test_generate_removes_what_belongs_to_no_contract(artifacts: Path) -> None:
    artifacts.mkdir()
    (artifacts / "C.json").write_text("old\n")
    contracts.main(["generate"])
    assert sorted(path.name for path in artifacts.iterdir()) == ["A.json", "B.json"]


def test_missing_tool_chain_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(contracts, "FOUNDRY", tmp_path)
    assert contracts.main(["check"]) == 1
    assert capsys.readouterr().err == "contracts: forge is not installed: run `make setup` (it runs `npm ci`)\n"
