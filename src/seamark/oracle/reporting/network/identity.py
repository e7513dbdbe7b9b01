"""A node's key and certificate: made, kept and read.

A node is its key. The certificate around it is self-signed, so nobody vouches for it but the one who lists it; what is
compared is the fingerprint of the public key. The key never leaves its file and this process.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from seamark.core.errors import RejectedError, SettingsError
from seamark.evm.signers.secret_files import read_secret_file

__all__ = [
    "SERVER_NAME",
    "Identity",
    "create_identity",
    "fingerprint",
    "load_identity",
    "make_identity",
    "read_certificate",
]

SERVER_NAME: Final = "node.seamark"  # in each certificate; TLS insists on a name, and the key is what counts
LIFETIME: Final = dt.timedelta(days=3650)  # its end is a new configuration of the network, not a routine
SKEW: Final = dt.timedelta(days=1)  # clocks that differ
LARGEST_CERTIFICATE: Final = 16 * 1024  # bytes
_KEY_MODE: Final = 0o600
_PUBLIC_MODE: Final = 0o644


@dataclass(frozen=True, slots=True)
class Identity:
    """A key (PEM, secret) and its certificate (PEM, public)."""

    certificate: bytes
    key: bytes = field(repr=False)

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.certificate)

    @property
    def expires_at(self) -> float:
        """When peers will refuse it, in seconds since the epoch."""
        return read_certificate(self.certificate).not_valid_after_utc.timestamp()


def make_identity() -> Identity:
    """A new P-256 key and its certificate, in memory."""
    key = ec.generate_private_key(ec.SECP256R1())
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Identity(_certify(key).public_bytes(Encoding.PEM), secret)


def create_identity(key_file: Path, certificate_file: Path) -> Identity:
    """Make a P-256 key (mode 0600) and a self-signed certificate for it.

    Raises:
        SettingsError: One of the files exists already, or cannot be written.
    """
    made = make_identity()
    for path in (key_file, certificate_file):
        if path.exists():
            raise SettingsError(str(path), "exists already", remedy="move it away first: a node is its key")
    _write(key_file, made.key, _KEY_MODE)
    _write(certificate_file, made.certificate, _PUBLIC_MODE)
    return made


def load_identity(key_file: str, certificate_file: str, *, setting: str) -> Identity:
    """Read both files.

    Raises:
        SettingsError: Unreadable, the key open to others, not a pair, or a certificate whose time is over.
    """
    secret = read_secret_file(key_file, setting=setting)
    try:
        certificate = Path(certificate_file).read_bytes()
    except OSError as error:
        raise SettingsError(setting, f"cannot read {certificate_file}: {error.strerror}") from error
    try:
        parsed = read_certificate(certificate)
    except RejectedError as error:
        raise SettingsError(setting, f"{certificate_file}: {error.message}") from error
    _check_pair(parsed, secret, key_file, certificate_file, setting)
    return Identity(certificate, secret)


def read_certificate(certificate: bytes) -> x509.Certificate:
    """Exactly one certificate in PEM, as `create_identity` makes it.

    Raises:
        RejectedError: None, several, one that could vouch for others, or one whose name is not its key's: under the
            name of another node it would keep that one out.
    """
    if len(certificate) > LARGEST_CERTIFICATE:
        raise RejectedError(f"{len(certificate)} bytes are no certificate of one node")
    try:
        parsed = x509.load_pem_x509_certificates(certificate)
    except ValueError as error:
        raise RejectedError("not a certificate in PEM form") from error
    if len(parsed) != 1:
        raise RejectedError(f"{len(parsed)} certificates instead of one")
    if _is_authority(parsed[0]):
        raise RejectedError("a certificate of an authority is not a node's")
    name = f"CN={_name_of(parsed[0].public_key())}"
    if not parsed[0].subject.rfc4514_string() == parsed[0].issuer.rfc4514_string() == name:
        raise RejectedError("a certificate of a node carries the fingerprint of its key as its name")
    return parsed[0]


def fingerprint(certificate: bytes) -> str:
    """SHA-256 of the public key (SPKI) of a certificate (PEM), 64 hex digits: a node's name in `Node.peer`.

    Raises:
        RejectedError: Not exactly one certificate of a node.
    """
    return _name_of(read_certificate(certificate).public_key())


def _name_of(key: CertificatePublicKeyTypes) -> str:
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _certify(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    # TLS looks a self-signed certificate up by its subject: two listed ones must not share it.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _name_of(key.public_key()))])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(SERVER_NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    return builder.sign(key, hashes.SHA256())


def _is_authority(certificate: x509.Certificate) -> bool:
    """Without the extension it is one, to old verifiers."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return True


def _check_pair(parsed: x509.Certificate, secret: bytes, key_file: str, certificate_file: str, setting: str) -> None:
    try:
        key = load_pem_private_key(secret, password=None)
    except (ValueError, TypeError):
        raise SettingsError(setting, f"{key_file} holds no private key in PEM form") from None  # it may quote the file
    if key.public_key() != parsed.public_key():
        raise SettingsError(setting, f"{certificate_file} is not the certificate of the key in {key_file}")
    if parsed.not_valid_after_utc < dt.datetime.now(dt.UTC):
        raise SettingsError(setting, f"{certificate_file} was valid until {parsed.not_valid_after_utc:%Y-%m-%d}")


def _write(path: Path, content: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise SettingsError(str(path), f"cannot be written: {error.strerror}") from error
