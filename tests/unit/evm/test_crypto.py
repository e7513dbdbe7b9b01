from __future__ import annotations

import subprocess
import sys

import pytest
from coincurve import PrivateKey

from seamark.core.errors import RejectedError, StopError
from seamark.evm import crypto

# The first account of the well-known development mnemonic.
KEY = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
ACCOUNT = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"


def test_known_digests() -> None:
    assert crypto.keccak256_hex(b"") == "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert (
        crypto.keccak256(b"Transfer(address,address,uint256)").hex()
        == "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
    )


def test_address_and_recovery() -> None:
    key = PrivateKey.from_hex(KEY)
    assert crypto.address_of_public_key(key.public_key.format(compressed=False)) == ACCOUNT
    digest = crypto.keccak256(b"message")
    signature = key.sign_recoverable(digest, hasher=None)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    assert crypto.recover_address(digest, signature[64], r, s) == ACCOUNT
    assert crypto.recover_address(crypto.keccak256(b"other"), signature[64], r, s) != ACCOUNT


@pytest.mark.parametrize(
    ("digest", "parity", "r", "s"),
    [(b"x" * 32, 0, 0, 5), (b"x" * 32, 9, 5, 5), (b"x" * 32, 0, 1 << 256, 5), (b"x", 0, 5, 5), (b"x" * 32, 300, 5, 5)],
)
def test_bad_signatures(digest: bytes, parity: int, r: int, s: int) -> None:
    with pytest.raises(RejectedError, match="signature"):
        crypto.recover_address(digest, parity, r, s)


def test_fast_backends_are_in_use() -> None:
    # In a process of its own: the first hash of a process fixes the backend.
    code = "import eth_account; from seamark.evm.crypto import assert_fast_backends as f; f(); f()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_a_slow_hash_backend_stops_the_service() -> None:
    code = (
        "import os, seamark.evm.crypto as c; os.environ['ETH_HASH_BACKEND'] = 'pycryptodome'; c.assert_fast_backends()"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode != 0
    assert "instead of safe-pysha3" in done.stderr


def test_a_wrong_hash_stops_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crypto, "keccak256", lambda data: bytes(32))
    with pytest.raises(StopError, match="another hash"):
        crypto.assert_fast_backends()
