"""The bytes of a transaction: RLP, EIP-155 legacy and EIP-1559 (type 2).

Pure and small, so that the very bytes are known before they are journalled. Tests compare them with eth-account, byte
for byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from seamark.core.ids import Address, ChainId, Hash32
from seamark.evm.crypto import keccak256, keccak256_hex
from seamark.evm.transactions.model import Fees

__all__ = ["RlpItem", "Unsigned", "intrinsic_gas", "rlp_encode", "transaction_hash"]

RlpItem: TypeAlias = "int | bytes | Sequence[RlpItem]"

_DYNAMIC_FEE_TYPE: Final = b"\x02"  # EIP-2718 type of EIP-1559
_EIP155_OFFSET: Final = 35
_SHORT: Final = 55  # RLP: up to this length the prefix holds the length itself
_STRING, _LIST = 0x80, 0xC0

_GAS_BASE, _GAS_CREATE = 21_000, 32_000
_GAS_ZERO_BYTE, _GAS_BYTE = 4, 16  # EIP-2028
_GAS_INIT_WORD: Final = 2  # EIP-3860
_WORD: Final = 32


def rlp_encode(item: RlpItem) -> bytes:
    """Encode integers (big endian, no leading zeros), byte strings and nested lists."""
    if isinstance(item, int):
        return rlp_encode(item.to_bytes((item.bit_length() + 7) // 8, "big"))
    if isinstance(item, bytes):
        return item if len(item) == 1 and item[0] < _STRING else _prefix(len(item), _STRING) + item
    body = b"".join(map(rlp_encode, item))
    return _prefix(len(body), _LIST) + body


def _prefix(length: int, offset: int) -> bytes:
    if length <= _SHORT:
        return bytes([offset + length])
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([offset + _SHORT + len(size)]) + size


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A complete transaction but for its signature. `to` None creates a contract."""

    chain_id: ChainId
    nonce: int
    to: Address | None
    data: bytes
    value: int
    gas: int
    fees: Fees

    def preimage(self) -> bytes:
        """What gets hashed and signed: the payload without its signature (EIP-155, EIP-1559)."""
        if self.fees.legacy:
            return rlp_encode([*self._fields(), self.chain_id, 0, 0])
        return _DYNAMIC_FEE_TYPE + rlp_encode(self._fields())

    def digest(self) -> bytes:
        """keccak256 of the preimage."""
        return keccak256(self.preimage())

    def signed(self, parity: int, r: int, s: int) -> bytes:
        """The raw transaction that a node takes."""
        if self.fees.legacy:
            return rlp_encode([*self._fields(), _EIP155_OFFSET + 2 * self.chain_id + parity, r, s])
        return _DYNAMIC_FEE_TYPE + rlp_encode([*self._fields(), parity, r, s])

    def _fields(self) -> list[RlpItem]:
        to = bytes.fromhex(self.to[2:]) if self.to else b""
        if self.fees.legacy:
            return [self.nonce, self.fees.cap, self.gas, to, self.value, self.data]
        access_list: list[RlpItem] = []
        return [
            self.chain_id,
            self.nonce,
            self.fees.tip,
            self.fees.cap,
            self.gas,
            to,
            self.value,
            self.data,
            access_list,
        ]


def transaction_hash(raw: bytes) -> Hash32:
    """The name under which a node knows these bytes."""
    return keccak256_hex(raw)


def intrinsic_gas(to: Address | None, data: bytes) -> int:
    """What a transaction costs before its first instruction; less is refused by every node for ever."""
    zeros = data.count(0)
    gas = _GAS_BASE + zeros * _GAS_ZERO_BYTE + (len(data) - zeros) * _GAS_BYTE
    if to is None:
        gas += _GAS_CREATE + _GAS_INIT_WORD * ((len(data) + _WORD - 1) // _WORD)
    return gas
