from __future__ import annotations

import json

import pytest

from seamark.core.errors import StopError
from seamark.devnet import artifacts
from seamark.devnet.artifacts import CCIP_PACKAGE, ccip_artifact
from seamark.evm.abi import compile_decoder, parse_params

ABI = [{"type": "constructor", "inputs": [{"name": "a", "type": "uint256"}]}]


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """A project with one contract in its package, and one above it without any."""
    ccip_artifact.cache_clear()
    package = tmp_path / "node_modules" / CCIP_PACKAGE
    for kind, name, text in (("abi", "thing.json", json.dumps(ABI)), ("bytecode", "thing.bin", "0x6001\n")):
        (package / kind / "v1").mkdir(parents=True)
        (package / kind / "v1" / name).write_text(text)
    monkeypatch.setattr(artifacts, "node_module_roots", lambda: [tmp_path / "empty", tmp_path / "node_modules"])
    yield tmp_path
    ccip_artifact.cache_clear()


def test_a_contract_of_the_package(modules):
    artifact = ccip_artifact("v1", "thing")
    creation = artifact.creation(5)
    assert creation[:2] == bytes.fromhex("6001")
    assert compile_decoder(parse_params("uint256"))(creation[2:]) == (5,)
    assert ccip_artifact("v1", "thing") is artifact


def test_a_missing_contract_names_the_remedy(modules):
    with pytest.raises(StopError, match="contracts-ccip has no v1/other; run `make demo` or `npm ci`"):
        ccip_artifact("v1", "other")


def test_a_missing_package_names_the_remedy(modules, monkeypatch):
    monkeypatch.setattr(artifacts, "node_module_roots", lambda: [modules / "empty"])
    with pytest.raises(StopError, match="contracts-ccip is not installed; run `make demo` or `npm ci`"):
        ccip_artifact("v1", "thing")
