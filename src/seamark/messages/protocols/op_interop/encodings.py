"""Hashes and access-list keys of OP Stack interop, byte for byte as the contracts and nodes make them.

Source: ethereum-optimism/specs, `interop/messaging.md` (message payload) and `interop/predeploys.md` (access list).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from seamark.core.ids import Hash32
from seamark.evm.abi import Function
from seamark.evm.crypto import keccak256, keccak256_hex
from seamark.messages.protocols.op_interop.model import Identifier

__all__ = ["access_list_keys", "checksum", "message_hash", "payload_hash", "split_nonce"]

_MAX_UINT64: Final = 2**64 - 1
_NONCE_BITS: Final = 240  # of messageNonce; the 16 bits above are the version of the encoding
_MESSAGE = Function.parse(
    "hash(uint256 destination, uint256 source, uint256 nonce, address sender, address target, bytes message)"
)


def payload_hash(topics: Sequence[str], data: str) -> Hash32:
    """Of an initiating log: keccak256 of its topics and data, one after the other. The emitter is not part of it."""
    return keccak256_hex(bytes.fromhex("".join(topic[2:] for topic in topics) + data[2:]))


def message_hash(*, destination: int, source: int, nonce: int, sender: str, target: str, message: bytes) -> Hash32:
    """What names a messenger's message: keccak256(abi.encode(…)), `Hashing.hashL2toL2CrossDomainMessage`."""
    encoded = _MESSAGE.encode(destination, source, nonce, sender, target, message)
    return keccak256_hex(encoded[4:])


def split_nonce(nonce: int) -> tuple[int, int]:
    """(version of the encoding, number of the message)."""
    return nonce >> _NONCE_BITS, nonce & ((1 << _NONCE_BITS) - 1)


def checksum(log: Identifier, payload: Hash32) -> str:
    """The access-list key of type 3, which the inbox requires to be declared."""
    log_hash = keccak256(bytes.fromhex(log.origin[2:] + payload[2:]))
    block, time, index = log.block_number.to_bytes(8, "big"), log.timestamp.to_bytes(8, "big"), log.log_index
    packed = bytes(12) + block + time + index.to_bytes(4, "big")
    bare = keccak256(keccak256(log_hash + packed) + log.chain_id.to_bytes(32, "big"))
    return "0x03" + bare[1:].hex()


def access_list_keys(log: Identifier, payload: Hash32) -> list[str]:
    """All keys that a transaction declares for one executing message, in the order of the specification."""
    low = log.chain_id & _MAX_UINT64
    keys = [f"0x01000000{low:016x}{log.block_number:016x}{log.timestamp:016x}{log.log_index:08x}"]
    if log.chain_id > _MAX_UINT64:
        keys.append(f"0x02{'00' * 7}{log.chain_id >> 64:048x}")
    return [*keys, checksum(log, payload)]
