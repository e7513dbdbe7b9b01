"""How far the ramps are by their own account: the highest sequence numbers sent and committed.

Logs can get lost on the way through a node without any error; these view calls cannot. They are asked as of the
final block, so that what they tell is part of the history that every node agrees on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import structlog

from seamark.core.errors import RejectedError
from seamark.evm.ports import ChainReader
from seamark.evm.types import BlockTag, Call
from seamark.messages.model import MAX_SEQUENCE, Contract
from seamark.messages.protocol import Counter
from seamark.messages.protocols.ccip.generation import Count, Counts, Place
from seamark.messages.protocols.ccip.generations import generation_of

__all__ = ["read_counters"]

log = structlog.get_logger("seamark.messages.ccip")


async def read_counters(reader: ChainReader, contracts: Iterable[Contract], place: Place) -> list[Counter]:
    """The counters of all ramps of a chain. A lane that has never been used has none.

    Raises:
        TemporaryError: No answer.
    """
    wanted: list[Count] = []
    for contract in contracts:
        generation = generation_of(contract)
        if isinstance(generation, Counts):
            wanted += generation.counts(contract, place, place.peers)
    header = await reader.header("finalized")
    answers = await _ask(reader, wanted, header.number if header else "latest")
    # A ramp younger than the final block, or a node that has forgotten that block's state: as of now, then.
    missing = [count for count, answer in zip(wanted, answers, strict=True) if isinstance(answer, Exception)]
    later = dict(zip(map(id, missing), await _ask(reader, missing, "latest"), strict=True)) if missing else {}
    found = []
    for count, answer in zip(wanted, answers, strict=True):
        value = _value(reader, count, later.get(id(count), answer))
        if value:
            found.append(Counter(count.lane, count.kind, value))
    return found


async def _ask(reader: ChainReader, counts: Sequence[Count], block: BlockTag) -> list[bytes | Exception]:
    """Answers that the function can read, or what is wrong with them."""
    calls = [Call(count.contract, count.function.encode(*count.arguments), block) for count in counts]
    return [
        answer or RejectedError("no contract there") if isinstance(answer, bytes) else answer
        for answer in await reader.calls(calls)
    ]


def _value(reader: ChainReader, count: Count, answer: bytes | Exception) -> int:
    """The last number that was used, 0 for none or where the contract refuses to say."""
    try:
        if isinstance(answer, Exception):
            raise answer
        following = count.next_of(count.function.decode_result(answer))
    except RejectedError as error:
        log.warning("ramp does not tell its counter", chain=reader.chain_id, address=count.contract, error=str(error))
        return 0
    return following - 1 if 0 < following <= MAX_SEQUENCE else 0
