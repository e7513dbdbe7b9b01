"""What makes an executing message valid. Pure: no I/O, clock or logging.

Each check has its clause in ethereum-optimism/specs: `interop/messaging.md` (existence, timestamp invariant, expiry,
transitivity), `interop/derivation.md` (activation), `interop/dependency-set.md`. Where texts disagree the reference
code is followed (op-supervisor): a message executed exactly `window` seconds after it was sent is valid; it is flagged.

The order matters to a reader: what needs no look at another chain is decided first, then what the log says, then time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from seamark.core.ids import ChainId, Hash32
from seamark.evm.abi import DecodeError
from seamark.evm.logs.bloom import bloom_of
from seamark.evm.ports import Block
from seamark.evm.types import BlockHeader, Log
from seamark.messages.protocols.op_interop import events
from seamark.messages.protocols.op_interop.encodings import checksum, payload_hash
from seamark.messages.protocols.op_interop.model import (
    BadLog,
    ExecutingMessage,
    Found,
    Identifier,
    InitiatingLog,
    Rule,
    Seen,
    Status,
    Verdict,
)
from seamark.messages.protocols.op_interop.network import Network

__all__ = [
    "declared",
    "doubt",
    "find_executing",
    "grade_of",
    "judge",
    "judge_alone",
    "lacks_logs",
    "look_at",
    "needs_second_look",
    "parse_executing",
    "weigh",
]

_MAX_UINT32: Final = 2**32 - 1
_MAX_UINT64: Final = 2**64 - 1
_BLOOM_DIGITS: Final = 2 + 512  # "0x" and 2048 bits
_BLOOM_BITS: Final = 2048
_FROM_THE_LOG: Final = frozenset({Rule.NO_LOG, Rule.WRONG_ORIGIN, Rule.WRONG_PAYLOAD, Rule.WRONG_TIME})


# ---- reading the inbox ----------------------------------------------------------------------------------------------


def find_executing(chain_id: ChainId, block: Block) -> Found:
    """All executing messages of a block; what cannot be read is told, never left out."""
    messages, bad = [], []
    for log in block.logs:
        if log.address != events.INBOX or log.topics[:1] != (events.EXECUTING.topic0,):
            continue
        try:
            messages.append(parse_executing(chain_id, block, log))
        except (DecodeError, ValueError) as error:
            bad.append(BadLog(chain_id, block.ref, log.transaction_hash, log.log_index, str(error)))
    return Found(tuple(messages), tuple(bad)) if messages or bad else _NOTHING


_NOTHING: Final = Found()


def parse_executing(chain_id: ChainId, block: Block, log: Log) -> ExecutingMessage:
    """One log of the inbox.

    Raises:
        DecodeError: Not an `ExecutingMessage`.
        ValueError: A number is larger than the inbox lets through.
    """
    record = events.EXECUTING.decode(log)
    told = record.id
    for name, value, limit in (
        ("block number", told.blockNumber, _MAX_UINT64),
        ("log index", told.logIndex, _MAX_UINT32),
        ("timestamp", told.timestamp, _MAX_UINT64),
    ):
        if value > limit:
            raise ValueError(f"{name} {value} does not fit into {limit.bit_length()} bits")
    identifier = Identifier(told.origin, told.blockNumber, told.logIndex, told.timestamp, told.chainId)
    payload = Hash32("0x" + record.msgHash.hex())
    return ExecutingMessage(chain_id, block.ref, log.transaction_hash, log.log_index, payload, identifier)


# ---- judging one message --------------------------------------------------------------------------------------------


def judge_alone(message: ExecutingMessage, network: Network) -> Verdict | None:
    """What can be decided without a look at the other chain; None: that look is needed."""
    told, own = message.identifier, int(message.chain_id)
    for chain_id in (told.chain_id, own):
        if chain_id not in network.members:
            return Verdict(Status.INVALID, Rule.UNKNOWN_CHAIN, f"chain {chain_id} is not in the dependency set")
    if told.timestamp > message.block.timestamp:
        ahead = told.timestamp - message.block.timestamp
        return Verdict(Status.INVALID, Rule.FUTURE, f"it names a log {ahead} s younger than its own block")
    for chain_id, time, what in (
        (told.chain_id, told.timestamp, "the initiating log"),
        (own, message.block.timestamp, "the executing block"),
    ):
        began = network.activation.get(chain_id)
        if began is not None and time <= began:
            return Verdict(
                Status.INVALID,
                Rule.NOT_ACTIVE,
                f"{what} is of {time}; interop on {network.name(chain_id)} began after {began}",
            )
    return None


def judge(message: ExecutingMessage, network: Network, seen: Seen | None) -> Verdict:
    """The verdict on one message by itself.

    Args:
        message: What was executed.
        network: By what to judge.
        seen: The initiating block now; None: the chain has no such block yet.
    """
    early = judge_alone(message, network)
    if early is not None:
        return early
    told = message.identifier
    late = message.block.timestamp - told.timestamp - network.window_s
    expired = Verdict(
        Status.EXPIRED, Rule.TOO_LATE, f"executed {late} s after the end of the window of {network.window_s} s"
    )
    if seen is None:
        if late > 0:
            return expired
        return Verdict(
            Status.UNKNOWN, Rule.NO_BLOCK, f"{network.name(told.chain_id)} has no block {told.block_number} yet"
        )
    if (broken := _broken(message, seen)) is not None:
        return broken
    if late > 0:
        return Verdict(expired.status, expired.rule, expired.detail, block_hash=seen.block_hash)
    return Verdict(Status.VALID, boundary=late == 0, block_hash=seen.block_hash)


def _broken(message: ExecutingMessage, seen: Seen) -> Verdict | None:
    told, log = message.identifier, seen.log
    place = f"log {told.log_index} of block {told.block_number}"

    def invalid(rule: Rule, detail: str) -> Verdict:
        return Verdict(Status.INVALID, rule, detail, block_hash=seen.block_hash)

    if log is None:
        return invalid(Rule.NO_LOG, f"there is no {place}" if seen.whole else f"{told.origin} has no {place}")
    if log.origin != told.origin:
        return invalid(Rule.WRONG_ORIGIN, f"{place} is of {log.origin}, not of {told.origin}")
    if log.payload != message.payload:
        return invalid(Rule.WRONG_PAYLOAD, f"{place} has the payload hash {log.payload}, not {message.payload}")
    if seen.timestamp != told.timestamp:
        detail = f"block {told.block_number} is of {seen.timestamp}, not of {told.timestamp}"
        return Verdict(Status.TIMESTAMP_MISMATCH, Rule.WRONG_TIME, detail, block_hash=seen.block_hash)
    return None


def needs_second_look(verdict: Verdict) -> bool:
    """Whether it rests on what one node said of a block: such words are told only after a second look."""
    return verdict.rule in _FROM_THE_LOG


def weigh(first: Verdict, second: Verdict) -> Verdict:
    """One verdict of two looks, of which the second saw more."""
    if (first.status, first.block_hash) == (second.status, second.block_hash):
        return second
    detail = (
        f"one look said {first.status} ({first.rule or 'true'}), the next {second.status} ({second.rule or 'true'})"
    )
    return Verdict(Status.UNKNOWN, Rule.DISPUTED, detail)


def doubt(verdict: Verdict) -> Verdict:
    """What becomes of an accusation that was drawn from a block of which a node leaves out logs."""
    said = f"{verdict.status} ({verdict.rule})"
    return Verdict(
        Status.UNKNOWN,
        Rule.DISPUTED,
        f"a look said {said}, but the node leaves out logs that the block's header tells of",
    )


def lacks_logs(header: BlockHeader, logs: Sequence[Log]) -> bool:
    """Whether these cannot be all logs of a block.

    A header's bloom holds the address and topics of every log (Ethereum yellow paper, 4.3.1): what these logs do not
    explain was left out. And logs of a block are numbered from 0 without a gap. A bloom that is missing, empty or all
    ones, as some rollups send, says nothing.
    """
    if {item.log_index for item in logs} != set(range(len(logs))):
        return True
    if len(header.logs_bloom) != _BLOOM_DIGITS:
        return False
    told = int(header.logs_bloom, 16)
    if told.bit_count() == _BLOOM_BITS:
        return False
    shown = int(bloom_of(part for item in logs for part in (item.address, *item.topics)), 16)
    return told & ~shown != 0


def look_at(message: ExecutingMessage, block_hash: Hash32, timestamp: int, logs: Sequence[Log], *, whole: bool) -> Seen:
    """What a block's logs say of the place that a message names."""
    wanted = message.identifier.log_index
    log = next((item for item in logs if item.log_index == wanted), None)
    if log is None:
        return Seen(block_hash, timestamp, None, whole)
    return Seen(block_hash, timestamp, InitiatingLog(log.address, payload_hash(log.topics, log.data)), whole)


# ---- messages among each other --------------------------------------------------------------------------------------


def grade_of(own: Verdict, *, cyclic: bool, rotten: str) -> Verdict:
    """The verdict in view of other messages: a valid one falls with a cycle or with what it depends on.

    Args:
        own: What the message is by itself.
        cyclic: It is part of a cycle of messages of one timestamp.
        rotten: An invalid message in its initiating block, in words; "" where there is none.
    """
    if own.status is not Status.VALID:
        return own
    if cyclic:
        detail = "messages of one timestamp depend on each other in a circle"
        return Verdict(Status.INVALID, Rule.CYCLE, detail, block_hash=own.block_hash)
    if rotten:
        detail = f"its initiating block holds an invalid message: {rotten}"
        return Verdict(Status.INVALID, Rule.DEPENDS_ON_INVALID, detail, block_hash=own.block_hash)
    return own


def declared(message: ExecutingMessage, access_list: Mapping[str, Collection[str]]) -> bool:
    """Whether the transaction declared this message, as the inbox requires; addresses and keys in lower case."""
    return checksum(message.identifier, message.payload) in access_list.get(events.INBOX, ())
