"""Keccak-256 and the proof that the fast native code is what runs.

The usual Ethereum libraries choose their backend in silence: eth-hash takes pycryptodome (5 times slower) even where
safe-pysha3 is installed, and eth-keys falls back to pure Python (70 times slower) where coincurve is missing. So
Seamark calls `sha3` directly, and a service asks `assert_fast_backends` once at its start.
"""

from __future__ import annotations

import os
from typing import Final

import sha3
from coincurve import PrivateKey, PublicKey

from seamark.core.errors import RejectedError, StopError
from seamark.core.ids import Address, Hash32

__all__ = ["address_of_public_key", "assert_fast_backends", "keccak256", "keccak256_hex", "recover_address"]

_HASH_BACKEND_VARIABLE = "ETH_HASH_BACKEND"
_KECCAK_OF_NOTHING: Final = bytes.fromhex("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470")
_REINSTALL = "install Seamark again from its locked requirements"
_SCALAR_BYTES = 32


def keccak256(data: bytes) -> bytes:
    """The 32-byte Keccak-256 digest (the original padding, not SHA3-256)."""
    digest: bytes = sha3.keccak_256(data).digest()
    return digest


def keccak256_hex(data: bytes) -> Hash32:
    """The digest as "0x…" text."""
    return Hash32("0x" + sha3.keccak_256(data).hexdigest())


def address_of_public_key(uncompressed: bytes) -> Address:
    """The account of a 65-byte uncompressed secp256k1 public key (0x04, x, y): the last 20 bytes of its hash."""
    return Address("0x" + keccak256(uncompressed[1:])[-20:].hex())


def recover_address(digest: bytes, parity: int, r: int, s: int) -> Address:
    """Who signed this 32-byte digest.

    Raises:
        RejectedError: Not a signature: a value out of range, or no such point on the curve.
    """
    try:
        signature = r.to_bytes(_SCALAR_BYTES, "big") + s.to_bytes(_SCALAR_BYTES, "big") + bytes([parity])
        key = PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except (ValueError, OverflowError) as error:
        raise RejectedError("not a valid secp256k1 signature") from error
    return address_of_public_key(key.format(compressed=False))


def assert_fast_backends() -> None:
    """Make eth-hash use safe-pysha3, then check that hashing and signing run on native code.

    Raises:
        StopError: A slow substitute is in use, or a digest or signature comes out wrong.
    """
    if keccak256(b"") != _KECCAK_OF_NOTHING:
        raise StopError("the sha3 module computes another hash than Keccak-256", remedy=_REINSTALL)
    _assert_hash_backend()
    _assert_key_backend()
    probe = PrivateKey(b"\x01" * _SCALAR_BYTES)
    signature = probe.sign_recoverable(_KECCAK_OF_NOTHING, hasher=None)
    if PublicKey.from_signature_and_message(signature, _KECCAK_OF_NOTHING, hasher=None) != probe.public_key:
        raise StopError("coincurve does not recover its own signature", remedy=_REINSTALL)


def _assert_hash_backend() -> None:
    os.environ.setdefault(_HASH_BACKEND_VARIABLE, "pysha3")
    # The first hash fixes the backend, so the variable comes first.
    from eth_hash.auto import keccak  # noqa: PLC0415

    keccak(b"")
    module = getattr(keccak.hasher, "__module__", "") or ""
    if not module.endswith("pysha3"):
        raise StopError(
            f"eth-hash runs on {module or 'an unknown backend'} instead of safe-pysha3",
            remedy=f"{_REINSTALL}, or unset {_HASH_BACKEND_VARIABLE}",
        )


def _assert_key_backend() -> None:
    from eth_keys.backends import get_backend  # noqa: PLC0415 - slow to import, needed once

    name = type(get_backend()).__name__
    if name != "CoinCurveECCBackend":
        raise StopError(
            f"eth-keys runs on {name} instead of coincurve", remedy=f"{_REINSTALL}, or unset ECC_BACKEND_CLASS"
        )
