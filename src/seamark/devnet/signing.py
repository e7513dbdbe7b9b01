"""Signers of the devnet's public keys."""

from __future__ import annotations

from coincurve import PrivateKey

from seamark.core.ids import Address
from seamark.evm.crypto import address_of_public_key
from seamark.evm.ports import Signer


class _Key:
    def __init__(self, key: str) -> None:
        self._key = PrivateKey(bytes.fromhex(key.removeprefix("0x")))
        self._address = address_of_public_key(self._key.public_key.format(compressed=False))

    @property
    def address(self) -> Address:
        return self._address

    async def sign(self, digest: bytes) -> tuple[int, int, int]:
        raw = self._key.sign_recoverable(digest, hasher=None)
        return raw[64], int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:64], "big")


def public_signer(key: str) -> Signer:
    """A signer for a key that everybody knows."""
    return _Key(key)
