"""A node's key and certificate. (The interface; the body follows.)"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Identity", "create_identity", "fingerprint", "load_identity"]


@dataclass(frozen=True, slots=True)
class Identity:
    """A key (PEM, secret) and its certificate (PEM, public)."""

    certificate: bytes
    key: bytes = field(repr=False)

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.certificate)


def create_identity(key_file: Path, certificate_file: Path) -> Identity:
    """Make a P-256 key (mode 0600) and a self-signed certificate. Raises `SettingsError`: a file exists already."""
    raise NotImplementedError


def load_identity(key_file: str, certificate_file: str, *, setting: str) -> Identity:
    """Raises `SettingsError`: unreadable, open to others, or not a pair."""
    raise NotImplementedError


def fingerprint(certificate: bytes) -> str:
    """SHA-256 of the public key (SPKI) of a certificate (PEM), 64 hex digits: a node's name in `Node.peer`."""
    raise NotImplementedError
