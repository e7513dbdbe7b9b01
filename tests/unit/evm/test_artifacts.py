from __future__ import annotations

import pytest

from seamark.core.errors import StopError
from seamark.evm import artifacts

GOOD = b"""{"contractName": "Box", "bytecode": "0x6001", "more": 1, "abi": [
  {"type": "constructor", "inputs": [{"name": "x", "type": "uint8"}]}]}"""


def test_artifact_with_constructor() -> None:
    artifact = artifacts.parse_artifact(GOOD)
    assert (artifact.name, artifact.bytecode) == ("Box", b"\x60\x01")
    assert artifact.creation(5) == b"\x60\x01" + (5).to_bytes(32, "big")


def test_bytecode_without_prefix() -> None:
    assert artifacts.parse_artifact(GOOD.replace(b"0x6001", b"6001")).bytecode == b"\x60\x01"


def test_shipped_artifacts() -> None:
    aggregator = artifacts.load("Aggregator")
    assert aggregator.bytecode
    assert aggregator.abi.function("latestRoundData").selector.hex() == "feaf968c"
    assert artifacts.load("Aggregator") is aggregator


def test_missing_artifact() -> None:
    with pytest.raises(StopError, match="NoSuchThing is missing; generate"):
        artifacts.load("NoSuchThing")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b'{"contractName": "A", "abi": [], "bytecode": "0xzz"}',
        b'{"contractName": "A", "abi": [{"type": "x"}], "bytecode": "0x"}',
    ],
)
def test_damaged_artifact(content: bytes, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "Broken.json").write_bytes(content)
    monkeypatch.setattr("seamark.evm.artifacts.resources.files", lambda _: tmp_path)
    with pytest.raises(StopError, match="Broken is damaged"):
        artifacts.load("Broken")
