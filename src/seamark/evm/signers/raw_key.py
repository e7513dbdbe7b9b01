"""A key in this process's memory.

Nothing about it is ever shown: not in a repr, not in an error about a malformed key (which may be the right key with a
typing mistake), not by pickling.
"""

from __future__ import annotations

import re
from typing import Final, NoReturn

from coincurve import PrivateKey

from seamark.core.errors import SettingsError
from seamark.core.ids import Address
from seamark.evm.crypto import address_of_public_key, keccak256

__all__ = ["SECP256K1_ORDER", "RawKeySigner"]

SECP256K1_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

_HEX_KEY: Final = re.compile(r"(0[xX])?([0-9a-fA-F]{64})", re.ASCII)
_KEY_BYTES: Final = 32
_REMEDY: Final = "write 64 hex digits, with or without 0x"


class RawKeySigner:
    """Signs with coincurve (libsecp256k1): deterministic nonces (RFC 6979), s always in the lower half (EIP-2)."""

    __slots__ = ("_key", "address")

    def __init__(self, secret: bytes, *, setting: str = "private key") -> None:
        """Take over a 32-byte secret.

        Raises:
            SettingsError: Not 32 bytes, zero, or not below the order of the curve. Names `setting`, never the value.
        """
        number = int.from_bytes(secret, "big")
        if len(secret) != _KEY_BYTES:
            raise SettingsError(setting, f"a private key has 32 bytes, not {len(secret)}", remedy=_REMEDY)
        if number == 0:
            raise SettingsError(setting, "a private key cannot be zero", remedy="put the real key there")
        if number >= SECP256K1_ORDER:
            raise SettingsError(
                setting, "not a private key: beyond the order of the curve", remedy="check for a typing mistake"
            )
        self._key = PrivateKey(secret)
        self.address: Address = address_of_public_key(self._key.public_key.format(compressed=False))

    @classmethod
    def from_hex(cls, text: str, *, setting: str = "private key") -> RawKeySigner:
        """Read 64 hex digits, with or without "0x"; white space around them is ignored.

        Raises:
            SettingsError: Anything else.
        """
        match = _HEX_KEY.fullmatch(text.strip())
        if match is None:
            problem = "is empty" if not text.strip() else "is not a hex private key"
            raise SettingsError(setting, problem, remedy=_REMEDY)
        return cls(bytes.fromhex(match[2]), setting=setting)

    async def sign(self, preimage: bytes) -> tuple[int, int, int]:
        """(y parity, r, s) over keccak256 of the bytes; about 20 µs, so it runs on the event loop."""
        signature = self._key.sign_recoverable(keccak256(preimage), hasher=None)
        return signature[64], int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")

    def __repr__(self) -> str:
        return f"RawKeySigner({self.address})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signer does not leave its process")
