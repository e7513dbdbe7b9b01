"""From what key services answer to an Ethereum signature: DER to (r, s), s in the lower half, the missing parity.

A service knows nothing of the recovery bit and may answer with either s: (r, s) and (r, n - s) are both valid to it,
and only the lower one to Ethereum (EIP-2). The parity is found by trying: the one that leads back to the signer's
address. So an answer that was made with another key, or damaged on its way, is noticed here.
"""

from __future__ import annotations

from typing import Final

from coincurve import PublicKey
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.ids import Address
from seamark.evm.crypto import address_of_public_key, recover_address
from seamark.evm.signers.raw_key import SECP256K1_ORDER

__all__ = ["NotThisCurve", "address_of_der", "address_of_pem", "address_of_point", "from_der", "with_parity"]

_CURVE: Final = "secp256k1"


class NotThisCurve(RejectedError):
    """The public key is no point of secp256k1."""


def address_of_der(encoded: bytes) -> Address:
    """The account of a SubjectPublicKeyInfo (RFC 5280).

    Raises:
        NotThisCurve: Another kind of key, or none.
    """
    try:
        return _address_of(load_der_public_key(encoded))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise NotThisCurve("no public key that can be read") from error


def address_of_pem(encoded: bytes) -> Address:
    """As `address_of_der`, from its PEM form."""
    try:
        return _address_of(load_pem_public_key(encoded))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise NotThisCurve("no public key that can be read") from error


def address_of_point(point: bytes) -> Address:
    """The account of the 64 bytes x, y.

    Raises:
        NotThisCurve: No point of the curve.
    """
    try:
        return address_of_public_key(PublicKey(b"\x04" + point).format(compressed=False))
    except ValueError as error:
        raise NotThisCurve("no point of secp256k1") from error


def _address_of(key: object) -> Address:
    if not isinstance(key, EllipticCurvePublicKey):
        raise NotThisCurve(f"a key of another kind ({type(key).__name__})")
    if key.curve.name != _CURVE:
        raise NotThisCurve(f"a key on {key.curve.name}, not on secp256k1")
    return address_of_public_key(key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))


def from_der(encoded: bytes) -> tuple[int, int]:
    """(r, s) of a DER-encoded ECDSA signature (RFC 3279, section 2.2.3).

    Raises:
        TemporaryError: Not one.
    """
    try:
        return decode_dss_signature(encoded)
    except ValueError as error:
        raise TemporaryError("answers with no DER signature") from error


def with_parity(digest: bytes, r: int, s: int, address: Address) -> tuple[int, int, int]:
    """(y parity, r, s) with s in the lower half, by which the digest leads back to the address.

    Raises:
        TemporaryError: It leads to neither: another key signed, or another digest.
    """
    low = s if s <= SECP256K1_ORDER // 2 else SECP256K1_ORDER - s
    for parity in (0, 1):
        try:
            if recover_address(digest, parity, r, low) == address:
                return parity, r, low
        except RejectedError:
            continue
    raise TemporaryError(f"answers with a signature that is not {address}'s", remedy="find out who changed its key")
