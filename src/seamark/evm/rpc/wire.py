"""JSON-RPC replies as typed structs, and their checked conversion into `seamark.evm.types`.

msgspec reads a reply straight into structs (58 times faster than dicts with formatters); what a struct cannot say is
checked here. A fact that cannot be true is a `BadReply`: it must never look like an answer.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from seamark.core.ids import Address, Hash32
from seamark.evm.hexdata import HexError, parse_data, parse_quantity
from seamark.evm.rpc.errors import BadReply
from seamark.evm.types import BlockHeader, Log, LogFilter, Receipt

__all__ = [
    "AccessList",
    "FeeHistory",
    "read_access_list",
    "read_bytes",
    "read_fee_history",
    "read_header",
    "read_input",
    "read_logs",
    "read_logs_of",
    "read_number",
    "read_receipt",
]

_HASH: Final = re.compile(r"0x[0-9a-f]{64}", re.ASCII)
_ADDRESS: Final = re.compile(r"0x[0-9a-f]{40}", re.ASCII)
_MAX_TOPICS: Final = 4


@dataclass(frozen=True, slots=True)
class FeeHistory:
    """An eth_feeHistory answer in wei: N + 1 base fees (the last is the next block's), rewards of N blocks.

    Both are empty where the chain has no fee market.
    """

    base_fees: tuple[int, ...]
    rewards: tuple[tuple[int, ...], ...]


class _Log(msgspec.Struct, gc=False):
    address: str
    topics: list[str]
    data: str
    blockNumber: str  # noqa: N815 - as on the wire; null (a pending log) is refused
    blockHash: str  # noqa: N815
    transactionHash: str  # noqa: N815
    logIndex: str  # noqa: N815
    blockTimestamp: str | None = None  # noqa: N815
    removed: bool = False


class _Header(msgspec.Struct, gc=False):
    number: str
    hash: str
    parentHash: str  # noqa: N815
    timestamp: str
    logsBloom: str | None = None  # noqa: N815
    baseFeePerGas: str | None = None  # noqa: N815


class _Receipt(msgspec.Struct):
    transactionHash: str  # noqa: N815
    blockNumber: str | None  # noqa: N815
    blockHash: str | None  # noqa: N815
    gasUsed: str  # noqa: N815
    logs: list[_Log]
    status: str | None = None
    effectiveGasPrice: str | None = None  # noqa: N815
    contractAddress: str | None = None  # noqa: N815


class _Transaction(msgspec.Struct):
    hash: str
    input: str


class _Declared(msgspec.Struct):
    address: str
    storageKeys: list[str]  # noqa: N815


class _Declaring(msgspec.Struct):
    hash: str
    accessList: list[_Declared] | None = None  # noqa: N815


class _FeeHistory(msgspec.Struct):
    baseFeePerGas: list[str] | None = None  # noqa: N815
    reward: list[list[str]] | None = None


_LOGS: Final = msgspec.json.Decoder(list[_Log])
_HEADER: Final = msgspec.json.Decoder(_Header | None)
_RECEIPT: Final = msgspec.json.Decoder(_Receipt | None)
_TRANSACTION: Final = msgspec.json.Decoder(_Transaction | None)
_FEES: Final = msgspec.json.Decoder(_FeeHistory)
_DECLARING: Final = msgspec.json.Decoder(_Declaring | None)
_TEXT: Final = msgspec.json.Decoder(str)

_T = TypeVar("_T")

AccessList: TypeAlias = Mapping[str, Collection[str]]
"""Address -> storage keys, all lower case (EIP-2930)."""


def read_number(raw: msgspec.Raw) -> int:
    """A quantity."""
    return _checked(lambda: parse_quantity(_TEXT.decode(raw)))


def read_bytes(raw: msgspec.Raw) -> bytes:
    """Hex data."""
    return _checked(lambda: parse_data(_TEXT.decode(raw)))


def read_header(raw: msgspec.Raw) -> BlockHeader | None:
    """A block, with or without its transactions; None for null."""
    return _checked(lambda: _header(_HEADER.decode(raw)))


def read_receipt(raw: msgspec.Raw, transaction: Hash32) -> Receipt | None:
    """The receipt of this very transaction; None for null or while it is in no block."""
    return _checked(lambda: _receipt(_RECEIPT.decode(raw), transaction))


def read_input(raw: msgspec.Raw, transaction: Hash32) -> bytes | None:
    """The calldata of this very transaction; None where the node does not know it."""

    def read() -> bytes | None:
        reply = _TRANSACTION.decode(raw)
        if reply is None:
            return None
        if _hash(reply.hash) != transaction:
            raise BadReply(f"the transaction is {reply.hash}, not {transaction}")
        return parse_data(reply.input)

    return _checked(read)


def read_logs(raw: msgspec.Raw, wanted: LogFilter, first: int, last: int) -> list[Log]:
    """Logs in order, each one asked for: its block inside first..last, its address and topic in the filter.

    Raises:
        BadReply: A log that was not asked for, a pending or removed one, one twice, or two hashes for one block.
    """
    return _checked(lambda: _logs(_LOGS.decode(raw), wanted, first, last))


def read_logs_of(raw: msgspec.Raw, header: BlockHeader, addresses: Collection[Address]) -> list[Log]:
    """All logs of one block in order, or those of some addresses (none: of all).

    Raises:
        BadReply: A log of another block, or that was not asked for.
    """
    return _checked(lambda: _logs_of(_LOGS.decode(raw), header, addresses))


def read_access_list(raw: msgspec.Raw, transaction: Hash32) -> AccessList | None:
    """What a transaction declared; empty where its kind declares nothing; None for null."""
    return _checked(lambda: _access_list(_DECLARING.decode(raw), transaction))


def read_fee_history(raw: msgspec.Raw) -> FeeHistory:
    """Base fees and rewards."""

    def read() -> FeeHistory:
        reply = _FEES.decode(raw)
        base_fees = tuple(parse_quantity(fee) for fee in reply.baseFeePerGas or ())
        rewards = tuple(tuple(parse_quantity(tip) for tip in block) for block in reply.reward or ())
        return FeeHistory(base_fees, rewards)

    return _checked(read)


def _checked(read: Callable[[], _T]) -> _T:
    try:
        return read()
    except (msgspec.MsgspecError, HexError) as error:
        raise BadReply(f"the result is malformed: {error}") from error


def _hash(text: str) -> Hash32:
    lowered = text.lower()
    if not _HASH.fullmatch(lowered):
        raise BadReply(f"{text[:80]!r} is not a 32-byte hash")
    return Hash32(lowered)


def _address(text: str) -> Address:
    lowered = text.lower()
    if not _ADDRESS.fullmatch(lowered):
        raise BadReply(f"{text[:60]!r} is not an address")
    return Address(lowered)


def _header(reply: _Header | None) -> BlockHeader | None:
    if reply is None:
        return None
    return BlockHeader(
        number=parse_quantity(reply.number),
        hash=_hash(reply.hash),
        parent_hash=_hash(reply.parentHash),
        timestamp=parse_quantity(reply.timestamp),
        logs_bloom=(reply.logsBloom or "").lower(),
        base_fee=None if reply.baseFeePerGas is None else parse_quantity(reply.baseFeePerGas),
    )


def _receipt(reply: _Receipt | None, transaction: Hash32) -> Receipt | None:
    if reply is None or reply.blockNumber is None or reply.blockHash is None:
        return None
    if _hash(reply.transactionHash) != transaction:
        raise BadReply(f"the receipt is of {reply.transactionHash}, not of {transaction}")
    if reply.status is None:
        raise BadReply(f"the receipt of {transaction} tells no status")
    number, block_hash = parse_quantity(reply.blockNumber), _hash(reply.blockHash)
    logs = tuple(_to_logs(reply.logs))
    if any(log.block_hash != block_hash or log.transaction_hash != transaction for log in logs):
        raise BadReply(f"the receipt of {transaction} holds logs of another block or transaction")
    return Receipt(
        transaction_hash=transaction,
        block_number=number,
        block_hash=block_hash,
        succeeded=parse_quantity(reply.status) == 1,
        gas_used=parse_quantity(reply.gasUsed),
        effective_gas_price=parse_quantity(reply.effectiveGasPrice or "0x0"),
        logs=logs,
        contract_address=None if reply.contractAddress is None else _address(reply.contractAddress),
    )


class _Memo(dict[str, _T]):
    """Checks each different text once: the logs of one block share most of theirs."""

    def __init__(self, read: Callable[[str], _T]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, text: str) -> _T:
        value = self[text] = self._read(text)
        return value


class _Hashes(dict[str, Hash32]):
    """The same for hashes: nearly all are in lower case, and are kept as they are."""

    def __missing__(self, text: str) -> Hash32:
        value = self[text] = Hash32(text) if _HASH.fullmatch(text) else _hash(text)
        return value


def _to_logs(replies: Sequence[_Log]) -> list[Log]:
    """One loop, by position: this runs for every log there is."""
    hashes, numbers, addresses = _Hashes(), _Memo(parse_quantity), _Memo(_address)
    hash_of, logs = hashes.__getitem__, list[Log]()
    for reply in replies:
        topics, timestamp = reply.topics, reply.blockTimestamp
        if reply.removed or len(topics) > _MAX_TOPICS or not reply.data.startswith("0x"):
            raise BadReply("a log is removed or malformed")
        logs.append(
            Log(
                addresses[reply.address],
                tuple(map(hash_of, topics)),
                reply.data,
                numbers[reply.blockNumber],
                hashes[reply.blockHash],
                hashes[reply.transactionHash],
                numbers[reply.logIndex],
                # Some nodes send a zero time for a block that they have not indexed: as good as none.
                None if timestamp is None else numbers[timestamp] or None,
            )
        )
    return logs


def _logs(replies: Sequence[_Log], wanted: LogFilter, first: int, last: int) -> list[Log]:
    addresses, topics = frozenset(wanted.addresses), frozenset(wanted.topics)
    logs = _to_logs(replies)
    for log in logs:
        if not first <= log.block_number <= last:
            raise BadReply(f"a log of block {log.block_number} was sent for blocks {first} to {last}")
        if log.address not in addresses or not log.topics or log.topics[0] not in topics:
            raise BadReply(f"a log of {log.address} was sent that does not match the filter")
    logs.sort(key=_position)
    _check_order(logs)
    return logs


def _logs_of(replies: Sequence[_Log], header: BlockHeader, addresses: Collection[Address]) -> list[Log]:
    logs = _to_logs(replies)
    for log in logs:
        if log.block_number != header.number or log.block_hash != header.hash:
            raise BadReply(f"a log of block {log.block_number} {log.block_hash} was sent for {header.hash}")
        if addresses and log.address not in addresses:
            raise BadReply(f"a log of {log.address} was sent that does not match the filter")
    logs.sort(key=_position)
    _check_order(logs)
    return logs


def _access_list(reply: _Declaring | None, transaction: Hash32) -> AccessList | None:
    if reply is None:
        return None
    if _hash(reply.hash) != transaction:
        raise BadReply(f"the transaction is {reply.hash}, not {transaction}")
    found: dict[str, set[str]] = {}
    for item in reply.accessList or ():
        found.setdefault(_address(item.address), set()).update(map(_hash, item.storageKeys))
    return found


def _position(log: Log) -> Any:
    return log.block_number, log.log_index


def _check_order(logs: Sequence[Log]) -> None:
    for before, log in itertools.pairwise(logs):
        if before.block_number != log.block_number:
            continue
        if before.log_index == log.log_index:
            raise BadReply(f"log {log.log_index} of block {log.block_number} was sent twice")
        if before.block_hash != log.block_hash:
            raise BadReply(f"logs of two different blocks {log.block_number} were sent")
