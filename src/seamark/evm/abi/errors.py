"""What can go wrong between bytes and values. All are `RejectedError`s: the item is bad and stays bad."""

from __future__ import annotations

from seamark.core.errors import RejectedError

__all__ = ["AbiError", "AbiTypeError", "DecodeError", "EncodeError"]


class AbiError(RejectedError):
    """Root of this package's errors."""


class AbiTypeError(AbiError):
    """A type, signature or ABI entry that Solidity does not have."""


class DecodeError(AbiError):
    """Bytes that are not a strict encoding of the expected types."""


class EncodeError(AbiError):
    """A value that does not fit its type."""
