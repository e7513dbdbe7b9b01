"""The packed form of a Hyperlane message, whose keccak-256 is its id.

    version u8, nonce u32, origin u32, sender 32 bytes, destination u32, recipient 32 bytes, body

Source: `libs/Message.sol` of @hyperlane-xyz/core.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from seamark.core.ids import Hash32
from seamark.evm.crypto import keccak256

__all__ = ["HyperlaneMessage", "account", "message_id", "pack_message", "parse_message"]

_HEADER = struct.Struct(">BII32sI32s")
_PADDING = bytes(12)


@dataclass(frozen=True, slots=True)
class HyperlaneMessage:
    """`sender` and `recipient` are 32 bytes: an EVM address is padded on the left."""

    version: int
    nonce: int
    origin: int
    sender: bytes
    destination: int
    recipient: bytes
    body: bytes


def parse_message(raw: bytes) -> HyperlaneMessage:
    """Unpack.

    Raises:
        ValueError: Shorter than a header (77 bytes).
    """
    if len(raw) < _HEADER.size:
        raise ValueError(f"a message of {len(raw)} bytes is shorter than its header of {_HEADER.size}")
    version, nonce, origin, sender, destination, recipient = _HEADER.unpack_from(raw)
    return HyperlaneMessage(version, nonce, origin, sender, destination, recipient, raw[_HEADER.size :])


def pack_message(message: HyperlaneMessage) -> bytes:
    """The bytes that a Mailbox dispatches, and that `process` wants."""
    item = message
    header = (item.version, item.nonce, item.origin, item.sender, item.destination, item.recipient)
    return _HEADER.pack(*header) + item.body


def message_id(raw: bytes) -> Hash32:
    return Hash32("0x" + keccak256(raw).hex())


def account(raw: bytes) -> str:
    """An account in the form of its own chain family: 20 bytes of an EVM address, else all 32."""
    return "0x" + raw.removeprefix(_PADDING).hex()
