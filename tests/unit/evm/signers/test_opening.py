"""From settings to a signer: files that others can read are refused, mistakes are named, secrets are not shown."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from eth_account import Account
from eth_keyfile.keyfile import create_keyfile_json

from seamark.core.errors import SettingsError
from seamark.evm.signers import SignerSource, open_signer

SECRET = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
ADDRESS = Account.from_key(SECRET).address.lower()
PASSWORD = "correct horse"


def write(path: Path, text: str, mode: int = 0o600) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def restate(path: Path, address: str) -> None:
    """Write another address into a keystore."""
    write(path, json.dumps(json.loads(path.read_text()) | {"address": address}))


@pytest.fixture
def password(tmp_path: Path) -> str:
    return write(tmp_path / "password", PASSWORD + "\n")


@pytest.fixture(params=["scrypt", "pbkdf2"])
def keystore(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    work = 2 if request.param == "scrypt" else 10  # as cheap as they get: what is tested is not how slow they are
    content = create_keyfile_json(bytes.fromhex(SECRET), PASSWORD.encode(), kdf=request.param, iterations=work)
    return write(tmp_path / "keystore.json", json.dumps(content))


async def refused(source: SignerSource, environment: dict[str, str] | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        await open_signer(source, environment or {})
    told = str(caught.value)
    assert "\n" not in told
    assert SECRET not in told
    assert PASSWORD not in told
    return told


async def test_a_key_in_the_environment():
    signer = await open_signer(SignerSource(private_key_env="PRIVATE_KEY"), {"PRIVATE_KEY": "0x" + SECRET})
    assert signer.address == ADDRESS


async def test_a_key_itself():
    assert (await open_signer(SignerSource(private_key=SECRET))).address == ADDRESS


async def test_a_key_in_a_file(tmp_path: Path):
    path = write(tmp_path / "key", SECRET + "\n")
    assert (await open_signer(SignerSource(private_key_file=path))).address == ADDRESS


async def test_a_keystore(keystore: str, password: str):
    signer = await open_signer(SignerSource(keystore=keystore, password_file=password))
    assert signer.address == ADDRESS


async def test_the_source_does_not_show_the_key():
    assert SECRET not in repr(SignerSource(private_key=SECRET))


@pytest.mark.parametrize("source", [SignerSource(), SignerSource(private_key=SECRET, private_key_env="X")])
async def test_exactly_one_way(source: SignerSource):
    assert "exactly one" in await refused(source)


async def test_a_variable_that_is_not_set():
    assert (await refused(SignerSource(private_key_env="MY_KEY"))).startswith("MY_KEY: ")


async def test_a_malformed_key_names_the_variable():
    told = await refused(SignerSource(private_key_env="MY_KEY"), {"MY_KEY": SECRET[:-1] + "z"})
    assert told.startswith("MY_KEY: ")
    assert SECRET[:-1] not in told


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o777, 0o610])
@pytest.mark.parametrize("which", ["key", "keystore", "password"])
async def test_files_open_to_others_are_refused(tmp_path: Path, keystore: str, password: str, which: str, mode: int):
    if which == "key":
        path = write(tmp_path / "key", SECRET, mode)
        source = SignerSource(private_key_file=path)
    else:
        path = keystore if which == "keystore" else password
        os.chmod(path, mode)  # noqa: PTH101 - a test may wait for its disk
        source = SignerSource(keystore=keystore, password_file=password)
    told = await refused(source)
    assert path in told
    assert f"{mode:04o}" in told
    assert f"chmod 600 {path}" in told


async def test_files_of_another_user_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write(tmp_path / "key", SECRET)
    if os.geteuid() == 0:
        os.chown(path, 12_345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    told = await refused(SignerSource(private_key_file=path))
    assert "belongs to user" in told
    assert path in told


async def test_what_is_no_file(tmp_path: Path):
    assert "No such file" in await refused(SignerSource(private_key_file=str(tmp_path / "missing")))
    assert "not a regular file" in await refused(SignerSource(private_key_file=str(tmp_path)))
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert "not a regular file" in await refused(SignerSource(private_key_file=str(tmp_path / "pipe")))
    large = write(tmp_path / "large", "a" * 70_000)
    assert "larger than any key file" in await refused(SignerSource(private_key_file=large))


async def test_a_wrong_password(tmp_path: Path, keystore: str):
    wrong = write(tmp_path / "wrong", "incorrect horse")
    told = await refused(SignerSource(keystore=keystore, password_file=wrong))
    assert f"the password in {wrong} does not open {keystore}" in told


async def test_a_keystore_needs_a_password_file(keystore: str):
    assert "password_file" in await refused(SignerSource(keystore=keystore))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("not json", "no JSON"),
        ("[]", "version 3"),
        ('{"version": 1}', "version 3"),
        ('{"version": 3}', "damaged"),
        ('{"version": 3, "crypto": {"kdf": "rot13"}}', "damaged"),
        ('{"version": 3, "crypto": 7}', "damaged"),
    ],
)
async def test_what_is_no_keystore(tmp_path: Path, password: str, content: str, problem: str):
    path = write(tmp_path / "broken.json", content)
    assert problem in await refused(SignerSource(keystore=path, password_file=password))


async def test_a_keystore_that_lies_about_its_address(keystore: str, password: str):
    restate(Path(keystore), "11" * 20)
    told = await refused(SignerSource(keystore=keystore, password_file=password))
    assert ADDRESS in told
    assert "0x" + "11" * 20 in told
