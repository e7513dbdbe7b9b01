"""What key services answer becomes an Ethereum signature, or an error."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.support.key_services import (
    ADDRESS,
    OTHER_ADDRESS,
    SECRET,
    der_signature,
    plain_crc32c,
    point,
    private_key,
)

from seamark.core.errors import TemporaryError
from seamark.evm.crypto import keccak256, recover_address
from seamark.evm.signers.crc32c import crc32c
from seamark.evm.signers.ecdsa import (
    NotThisCurve,
    address_of_der,
    address_of_pem,
    address_of_point,
    from_der,
    with_parity,
)
from seamark.evm.signers.raw_key import SECP256K1_ORDER


def encoded(key, kind=Encoding.DER):
    return key.public_key().public_bytes(kind, PublicFormat.SubjectPublicKeyInfo)


def test_the_account_of_a_public_key_in_each_form():
    assert address_of_der(encoded(private_key(SECRET))) == ADDRESS
    assert address_of_pem(encoded(private_key(SECRET), Encoding.PEM)) == ADDRESS
    assert address_of_point(point(SECRET)) == ADDRESS


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "secp256r1"),
        (rsa.generate_private_key(65537, 1024), "another kind"),
    ],
)
def test_keys_of_other_kinds_are_named(key, problem):
    with pytest.raises(NotThisCurve, match=problem):
        address_of_der(encoded(key))
    with pytest.raises(NotThisCurve, match=problem):
        address_of_pem(encoded(key, Encoding.PEM))


@pytest.mark.parametrize("read", [address_of_der, address_of_pem, address_of_point])
def test_what_is_no_public_key(read):
    with pytest.raises(NotThisCurve):
        read(b"\x01" * 64)


def test_signatures_come_out_low_and_lead_back():
    halves = set()
    for number in range(24):
        digest = keccak256(bytes([number]))
        r, s = from_der(der_signature(SECRET, digest))
        halves.add(s > SECP256K1_ORDER // 2)
        parity, same_r, low = with_parity(digest, r, s, ADDRESS)
        assert same_r == r
        assert low <= SECP256K1_ORDER // 2
        assert recover_address(digest, parity, r, low) == ADDRESS
    assert halves == {True, False}, "the service used both halves"


def test_another_key_or_another_digest_is_noticed():
    digest = keccak256(b"text")
    r, s = from_der(der_signature(SECRET, digest))
    with pytest.raises(TemporaryError, match="is not"):
        with_parity(digest, r, s, OTHER_ADDRESS)
    with pytest.raises(TemporaryError, match="is not"):
        with_parity(keccak256(b"other"), r, s, ADDRESS)


@pytest.mark.parametrize(("r", "s"), [(0, 1), (1, 0), (SECP256K1_ORDER, 1), (1, SECP256K1_ORDER + 5), (2**300, 1)])
def test_numbers_out_of_range_are_no_signature(r, s):
    r, s = from_der(encode_dss_signature(r, s))
    with pytest.raises(TemporaryError, match="is not"):
        with_parity(keccak256(b""), r, s, ADDRESS)


@pytest.mark.parametrize("broken", [b"", b"\x30", b"\x30\x06\x02\x01\x01\x02\x01", b"\x00" * 70])
def test_what_is_no_der(broken):
    with pytest.raises(TemporaryError, match="no DER"):
        from_der(broken)


@pytest.mark.parametrize(
    ("content", "expected"),
    [  # RFC 3720, appendix B.4, and the usual check value
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"123456789", 0xE3069283),
        (b"", 0),
    ],
)
def test_crc32c_as_published(content, expected):
    assert crc32c(content) == plain_crc32c(content) == expected
