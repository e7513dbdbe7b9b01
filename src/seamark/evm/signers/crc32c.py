"""CRC-32C (Castagnoli), by which Google's services notice damage on the way (RFC 3720, appendix B.4).

A table of 256 entries; a signature or a digest takes microseconds. (zlib's CRC-32 is another polynomial.)
"""

from __future__ import annotations

from typing import Final

__all__ = ["crc32c"]

_POLYNOMIAL: Final = 0x82F63B78  # 0x1EDC6F41 with its bits reversed
_ALL_ONES: Final = 0xFFFFFFFF


def _entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte


_TABLE: Final = tuple(_entry(byte) for byte in range(256))


def crc32c(content: bytes) -> int:
    """The checksum as an unsigned 32-bit number."""
    crc = _ALL_ONES
    for byte in content:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ _ALL_ONES
