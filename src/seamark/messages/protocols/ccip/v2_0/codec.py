"""MessageV1: the bytes that a CCIP 2.0 message is, on both chains.

The same bytes are emitted at the source, signed by the verifiers and handed to the OffRamp; their hash is the message
id. The format is packed, big-endian, without padding:

    u8 version | u64 source | u64 destination | u64 number | u32 execution gas | u32 callback gas | 4 finality
    | 32 hash of verifiers and executor | u8+onRamp | u8+offRamp | u8+sender | u8+receiver | u16+destination blob
    | u16+token transfer | u16+data

Addresses of the source side are padded to the chain's own form (32 bytes on EVM), those of the destination are bare (20
bytes on EVM). Reading is strict: any byte string that is read is written back as it was. Contracts that ran on test
networks before 2.0.0 wrote the finality in two bytes under the same version number; their messages are refused.
Source: `MessageV1Codec.sol` and `FinalityCodec.sol` of @chainlink/contracts-ccip 2.0.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from seamark.core.errors import RejectedError
from seamark.core.ids import Hash32
from seamark.evm.crypto import keccak256, keccak256_hex

__all__ = [
    "Finality",
    "FinalityMode",
    "MessageError",
    "MessageV1",
    "TokenTransferV1",
    "allowed_finality",
    "ccv_and_executor_hash",
    "decode_message",
    "encode_message",
    "message_id",
]

VERSION: Final = 1
BASE_SIZE: Final = 79  # bytes of a message whose variable fields are all empty
_U8, _U16, _U32, _U64, _U256 = 1, 2, 4, 8, 32
_EVM_ADDRESS = 20
_DEPTH_MASK = 0xFFFF  # lower half of the finality: a number of blocks; upper half: flags
_SAFE_FLAG = 1 << 16


class MessageError(RejectedError):
    """Bytes that are no MessageV1, or a value that does not fit into one."""


class FinalityMode(StrEnum):
    """What verifiers wait for on the source chain before they sign."""

    FINALIZED = "finalized"  # the chain's finality: nothing faster was asked for
    SAFE = "safe"  # the `safe` tag
    BLOCKS = "blocks"  # a number of blocks; never longer than finality
    UNKNOWN = "unknown"  # a flag that has no published meaning yet


@dataclass(frozen=True, slots=True)
class Finality:
    """The four bytes in words; `blocks` is 0 unless the mode is BLOCKS."""

    mode: FinalityMode
    blocks: int = 0

    @classmethod
    def read(cls, raw: bytes) -> Finality:
        value = int.from_bytes(raw)
        if value == 0:
            return cls(FinalityMode.FINALIZED)
        if value == _SAFE_FLAG:
            return cls(FinalityMode.SAFE)
        if value <= _DEPTH_MASK:
            return cls(FinalityMode.BLOCKS, value)
        return cls(FinalityMode.UNKNOWN)

    @property
    def is_fast(self) -> bool:
        """Faster than finality: a delivered message may still lose its source in a reorg."""
        return self.mode is not FinalityMode.FINALIZED

    def __str__(self) -> str:
        return f"{self.blocks} blocks" if self.mode is FinalityMode.BLOCKS else str(self.mode)


def allowed_finality(raw: bytes) -> str:
    """What a receiver, pool, verifier or executor accepts, in words: it may name several modes at once."""
    value = int.from_bytes(raw)
    modes = [str(FinalityMode.FINALIZED)]
    if value & _SAFE_FLAG:
        modes.append(str(FinalityMode.SAFE))
    if depth := value & _DEPTH_MASK:
        modes.append(f"{depth} or more blocks")
    return " or ".join(modes)


@dataclass(frozen=True, slots=True)
class TokenTransferV1:
    """One token on its way. `amount` is in the source token's base units, after the pool's fee."""

    amount: int
    source_pool: bytes
    source_token: bytes
    destination_token: bytes
    receiver: bytes
    extra_data: bytes = b""


@dataclass(frozen=True, slots=True)
class MessageV1:
    """A message as its bytes say it."""

    source: int
    destination: int
    number: int
    execution_gas: int
    callback_gas: int
    finality: bytes
    ccv_and_executor_hash: bytes
    on_ramp: bytes
    off_ramp: bytes
    sender: bytes
    receiver: bytes
    destination_blob: bytes = b""
    transfer: TokenTransferV1 | None = None
    data: bytes = b""


def message_id(encoded: bytes) -> Hash32:
    """The message's name on both chains."""
    return keccak256_hex(encoded)


def decode_message(encoded: bytes) -> MessageV1:
    """Read a whole message.

    Raises:
        MessageError: Too short, too long, another version, or a length that leads beyond the end.
    """
    if len(encoded) < BASE_SIZE:
        raise MessageError(f"{len(encoded)} bytes are no message: the shortest has {BASE_SIZE}")
    bytes_ = _Reader(encoded)
    _expect_version(bytes_.number(_U8, "version"), "message")
    message = MessageV1(
        source=bytes_.number(_U64, "source"),
        destination=bytes_.number(_U64, "destination"),
        number=bytes_.number(_U64, "number"),
        execution_gas=bytes_.number(_U32, "execution gas"),
        callback_gas=bytes_.number(_U32, "callback gas"),
        finality=bytes_.take(_U32, "finality"),
        ccv_and_executor_hash=bytes_.take(_U256, "hash of verifiers and executor"),
        on_ramp=bytes_.prefixed(_U8, "on-ramp"),
        off_ramp=bytes_.prefixed(_U8, "off-ramp"),
        sender=bytes_.prefixed(_U8, "sender"),
        receiver=bytes_.prefixed(_U8, "receiver"),
        destination_blob=bytes_.prefixed(_U16, "destination blob"),
        transfer=_decode_transfer(bytes_.prefixed(_U16, "token transfer")),
        data=bytes_.prefixed(_U16, "data"),
    )
    bytes_.end("message")
    return message


def encode_message(message: MessageV1) -> bytes:
    """Write a message.

    Raises:
        MessageError: A value that does not fit into its field.
    """
    transfer = _encode_transfer(message.transfer) if message.transfer else b""
    return b"".join(
        (
            _number(VERSION, _U8, "version"),
            _number(message.source, _U64, "source"),
            _number(message.destination, _U64, "destination"),
            _number(message.number, _U64, "number"),
            _number(message.execution_gas, _U32, "execution gas"),
            _number(message.callback_gas, _U32, "callback gas"),
            _exactly(message.finality, _U32, "finality"),
            _exactly(message.ccv_and_executor_hash, _U256, "hash of verifiers and executor"),
            _prefixed(message.on_ramp, _U8, "on-ramp"),
            _prefixed(message.off_ramp, _U8, "off-ramp"),
            _prefixed(message.sender, _U8, "sender"),
            _prefixed(message.receiver, _U8, "receiver"),
            _prefixed(message.destination_blob, _U16, "destination blob"),
            _prefixed(transfer, _U16, "token transfer"),
            _prefixed(message.data, _U16, "data"),
        )
    )


def ccv_and_executor_hash(ccvs: list[bytes], executor: bytes) -> bytes:
    """What the message says of who verifies and executes it: hash of the length of an address and the addresses."""
    for address in (*ccvs, executor):
        _exactly(address, _EVM_ADDRESS, "address")
    return keccak256(bytes([_EVM_ADDRESS]) + b"".join(ccvs) + executor)


def _decode_transfer(raw: bytes) -> TokenTransferV1 | None:
    if not raw:
        return None
    bytes_ = _Reader(raw)
    _expect_version(bytes_.number(_U8, "version"), "token transfer")
    transfer = TokenTransferV1(
        amount=bytes_.number(_U256, "amount"),
        source_pool=bytes_.prefixed(_U8, "source pool"),
        source_token=bytes_.prefixed(_U8, "source token"),
        destination_token=bytes_.prefixed(_U8, "destination token"),
        receiver=bytes_.prefixed(_U8, "token receiver"),
        extra_data=bytes_.prefixed(_U16, "pool data"),
    )
    bytes_.end("token transfer")
    return transfer


def _encode_transfer(transfer: TokenTransferV1) -> bytes:
    return b"".join(
        (
            _number(VERSION, _U8, "version"),
            _number(transfer.amount, _U256, "amount"),
            _prefixed(transfer.source_pool, _U8, "source pool"),
            _prefixed(transfer.source_token, _U8, "source token"),
            _prefixed(transfer.destination_token, _U8, "destination token"),
            _prefixed(transfer.receiver, _U8, "token receiver"),
            _prefixed(transfer.extra_data, _U16, "pool data"),
        )
    )


def _expect_version(version: int, what: str) -> None:
    if version != VERSION:
        raise MessageError(f"version {version} of a {what} is not known")


class _Reader:
    """Takes fields off the front; never beyond the end."""

    __slots__ = ("_at", "_raw")

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    def take(self, size: int, what: str) -> bytes:
        end = self._at + size
        if end > len(self._raw):
            raise MessageError(f"{what}: {size} bytes announced, {len(self._raw) - self._at} left")
        part, self._at = self._raw[self._at : end], end
        return part

    def number(self, size: int, what: str) -> int:
        return int.from_bytes(self.take(size, what))

    def prefixed(self, width: int, what: str) -> bytes:
        return self.take(self.number(width, what), what)

    def end(self, what: str) -> None:
        if self._at != len(self._raw):
            raise MessageError(f"{len(self._raw) - self._at} bytes behind the end of the {what}")


def _number(value: int, width: int, what: str) -> bytes:
    try:
        return value.to_bytes(width)
    except OverflowError as error:
        raise MessageError(f"{what} {value} does not fit into {width} bytes") from error


def _exactly(raw: bytes, size: int, what: str) -> bytes:
    if len(raw) != size:
        raise MessageError(f"{what} has {len(raw)} bytes, not {size}")
    return raw


def _prefixed(raw: bytes, width: int, what: str) -> bytes:
    return _number(len(raw), width, f"length of {what}") + raw
