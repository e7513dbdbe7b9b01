"""`seamark config check --online` tells which account each signer is, or why it cannot sign."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from seamark.cli.config import _check
from seamark.core.errors import SettingsError
from seamark.evm.address import to_checksum
from tests.support.key_services import (
    ACCESS_KEY,
    ADDRESS,
    OTHER_ADDRESS,
    SECRET,
    SECRET_KEY,
    AwsKmsService,
    Web3SignerService,
    aws_error,
    served,
)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)


def written(folder: Path, **signers: Any) -> Path:
    path = folder / "seamark.yaml"
    path.write_text(yaml.safe_dump({part: {"signer": signer} for part, signer in signers.items()}))
    return path


async def test_each_signer_is_asked_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with served(Web3SignerService()) as keeper, served(AwsKmsService()) as kms:
        file = written(
            tmp_path,
            recovery={"web3signer": {"url": keeper.url, "address": ADDRESS}, "policy": {"max_fee": "0.01 ether"}},
            operations={"aws_kms": {"key_id": "alias/seamark", "region": "eu-central-1", "endpoint": kms.url}},
        )
        await _check(None, file, True, True)
        told = json.loads(capsys.readouterr().out)
        assert told["signers"] == {"recovery.signer": to_checksum(ADDRESS), "operations.signer": to_checksum(ADDRESS)}
        await _check(None, file, True, False)
        told = capsys.readouterr().out
        assert "nodes and signers asked" in told
        assert f"recovery.signer: {to_checksum(ADDRESS)}" in told


async def test_a_signer_that_cannot_sign_is_told_by_its_setting(tmp_path: Path) -> None:
    async with served(AwsKmsService()) as kms:
        kms.answers = [None, aws_error("AccessDeniedException", "not authorized to perform: kms:Sign")]
        wanted = {"key_id": "alias/seamark", "region": "eu-central-1", "endpoint": kms.url}
        file = written(tmp_path, recovery={"aws_kms": wanted})
        with pytest.raises(SettingsError, match=r"^recovery\.signer\.aws_kms: Sign is refused: AccessDenied") as caught:
            await _check(None, file, True, True)
        assert "kms:Sign" in caught.value.remedy
        assert SECRET_KEY not in str(caught.value)
        file = written(tmp_path, recovery={"aws_kms": wanted | {"address": OTHER_ADDRESS}})
        with pytest.raises(SettingsError, match=r"^recovery\.signer\.aws_kms\.address: the key there is"):
            await _check(None, file, True, True)


async def test_offline_nobody_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, recovery={"web3signer": {"url": "http://127.0.0.1:1", "address": ADDRESS}})
    await _check(None, file, False, True)
    assert "signers" not in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("signer", "setting", "problem"),
    [
        ({}, "recovery.signer", "exactly one way"),
        (
            {"private_key": SECRET, "web3signer": {"url": "http://h", "address": ADDRESS}},
            "recovery.signer",
            "exactly one",
        ),
        ({"web3signer": {"url": "http://h"}}, "recovery.signer.web3signer", "either address or public_key"),
        ({"web3signer": {"url": "h:1", "address": ADDRESS}}, "recovery.signer.web3signer.url", "no node address"),
        (
            {"web3signer": {"url": "http://h", "public_key": "0x12"}},
            "recovery.signer.web3signer.public_key",
            "64 bytes",
        ),
        (
            {"web3signer": {"url": "https://h", "address": ADDRESS, "client_key": "k"}},
            "recovery.signer.web3signer",
            "needs its key",
        ),
        (
            {"web3signer": {"url": "http://h", "address": ADDRESS, "ca_file": "k"}},
            "recovery.signer.web3signer",
            "without TLS",
        ),
        ({"aws_kms": {"key_id": "k", "region": "Frankfurt am Main"}}, "recovery.signer.aws_kms.region", "no region"),
        ({"aws_kms": {"key_id": "k"}}, "recovery.signer.aws_kms.region", "is missing"),
        ({"gcp_kms": {"key_version": "projects/p"}}, "recovery.signer.gcp_kms.key_version", "no key version"),
        ({"private_key": SECRET, "policy": {"max_fee": 5}}, "recovery.signer.policy.max_fee", "unit"),
        (
            {"private_key": SECRET, "policy": {"max_fees": "1 wei"}},
            "recovery.signer.policy.max_fees",
            "unknown setting",
        ),
        (
            {"private_key": SECRET, "policy": {"allow": [{"functions": ["f(uint)"]}]}},
            "recovery.signer.policy.allow[0].functions[0]",
            "without its size",
        ),
        (
            {"private_key": SECRET, "policy": {"allow": [{"functions": ["transfer"]}]}},
            "recovery.signer.policy.allow[0].functions[0]",
            "no function",
        ),
    ],
)
async def test_mistakes_are_found_without_asking(tmp_path: Path, signer: Any, setting: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem) as caught:
        await _check(None, written(tmp_path, recovery=signer), False, True)
    assert caught.value.setting.endswith(f": {setting}")
    assert SECRET not in str(caught.value)
