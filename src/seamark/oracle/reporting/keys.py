"""The off-chain keys of a node: ed25519 signs observations, X25519 opens the secret that the network shares.

The secret travels on chain, in the open, encrypted once for each node: AES-128 of one block under a key from a
Diffie-Hellman exchange with the dealer's ephemeral point, beside the hash of the secret, so that no dealer can give two
nodes different ones. Keys are never shown.

Source: libocr `internal/config/shared_secret*.go` (MIT); RFC 7748, RFC 8032.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from seamark.core.errors import RejectedError
from seamark.evm.crypto import keccak256

__all__ = [
    "SECRET_BYTES",
    "EncryptionKey",
    "ObservationKey",
    "SharedSecret",
    "encrypt_secret",
    "is_right",
    "verify_observation",
]

SECRET_BYTES: Final = 16
KEY_BYTES: Final = 32


class ObservationKey:
    """An ed25519 key in this process's memory."""

    __slots__ = ("_key", "public")

    def __init__(self, seed: bytes) -> None:
        """Take over a seed of 32 bytes. Raises `RejectedError`: another length."""
        _check_key(seed)
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public: bytes = self._key.public_key().public_bytes_raw()

    def sign(self, payload: bytes) -> bytes:
        """64 bytes, the same for the same payload."""
        return self._key.sign(payload)

    def __repr__(self) -> str:
        return f"ObservationKey({self.public.hex()})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key does not leave its process")


def verify_observation(public: bytes, payload: bytes, signature: bytes) -> bool:
    """Whether the key of 32 bytes signed this; a malformed key or signature did not."""
    try:
        return is_right(Ed25519PublicKey.from_public_bytes(public), payload, signature)
    except ValueError:
        return False


def is_right(public: Ed25519PublicKey, payload: bytes, signature: bytes) -> bool:
    """As `verify_observation`, with a key that was read before."""
    try:
        public.verify(signature, payload)
    except InvalidSignature:
        return False
    return True


class EncryptionKey:
    """An X25519 key in this process's memory."""

    __slots__ = ("_key", "public")

    def __init__(self, scalar: bytes) -> None:
        """Take over 32 bytes. Raises `RejectedError`: another length."""
        _check_key(scalar)
        self._key = X25519PrivateKey.from_private_bytes(scalar)
        self.public: bytes = self._key.public_key().public_bytes_raw()

    def block_key(self, point: bytes) -> bytes:
        """The AES key shared with the holder of a public point. Raises `RejectedError`: no usable point."""
        try:
            return keccak256(self._key.exchange(X25519PublicKey.from_public_bytes(point)))[:SECRET_BYTES]
        except ValueError as error:
            raise RejectedError("not a usable X25519 point") from error

    def __repr__(self) -> str:
        return f"EncryptionKey({self.public.hex()})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key does not leave its process")


@dataclass(frozen=True, slots=True)
class SharedSecret:
    """The network's secret as it stands on chain: the dealer's point, the secret's hash, one block for each node."""

    point: bytes
    hash: bytes
    blocks: tuple[bytes, ...]

    def open(self, node: int, key: EncryptionKey) -> bytes:
        """The 16 bytes.

        Raises:
            RejectedError: No block for this node, or what comes out is not what the hash promises: the wrong key, or a
                dealer who gave nodes different secrets.
        """
        if not 0 <= node < len(self.blocks):
            raise RejectedError(f"the configuration holds no shared secret for node {node}")
        decrypt = Cipher(AES(key.block_key(self.point)), ECB()).decryptor()  # noqa: S305 - one block, as OCR2 has it
        secret = decrypt.update(self.blocks[node])
        if not hmac.compare_digest(keccak256(secret), self.hash):
            raise RejectedError(
                f"the shared secret for node {node} does not match its hash",
                remedy="check that the node's encryption key is the one in the configuration",
            )
        return secret


def encrypt_secret(secret: bytes, publics: Sequence[bytes], ephemeral: EncryptionKey) -> SharedSecret:
    """Deal a secret of 16 bytes to the nodes with these X25519 keys; `ephemeral` is used once and forgotten."""
    if len(secret) != SECRET_BYTES:
        raise RejectedError(f"a shared secret has {SECRET_BYTES} bytes, not {len(secret)}")
    ciphers = [Cipher(AES(ephemeral.block_key(public)), ECB()) for public in publics]  # noqa: S305 - as above
    return SharedSecret(ephemeral.public, keccak256(secret), tuple(one.encryptor().update(secret) for one in ciphers))


def _check_key(raw: bytes) -> None:
    if len(raw) != KEY_BYTES:
        raise RejectedError(f"a key has {KEY_BYTES} bytes, not {len(raw)}")
