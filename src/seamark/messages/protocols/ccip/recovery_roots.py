"""Finding a commit that the ledger has not seen: the monitor was started later, or watches the source alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from seamark.core.errors import RejectedError
from seamark.core.ids import Address, Hash32
from seamark.evm.abi import DecodeError
from seamark.evm.types import Log, LogFilter
from seamark.messages.recovery.model import Case, CommittedRoot
from seamark.messages.recovery.port import ExecutionChain

__all__ = ["search_commit"]

STEP_BLOCKS = 5_000
SEARCH_BLOCKS = 2_000_000


async def search_commit(
    destination: ExecutionChain,
    emitter: Address,
    topic: Hash32,
    roots: Callable[[Log], Sequence[tuple[int, int, bytes]]],
    case: Case,
) -> CommittedRoot | None:
    """Look backward from the newest block for the commit of a message; None where there is none in reach.

    Args:
        destination: The chain of the commits.
        emitter: Who emits them.
        topic: Of the event.
        roots: The (first, last, root) that a log commits for the message's source.
        case: Whose sequence number is looked for.

    Raises:
        RejectedError: The nodes do not give logs that old.
        TemporaryError: No node answers.
    """
    head = await destination.header("latest")
    end = head.number if head else -1
    lowest = max(0, end - SEARCH_BLOCKS)
    wanted = LogFilter((emitter,), (topic,))
    while end >= lowest:
        first = max(lowest, end - STEP_BLOCKS + 1)
        for log in reversed(await destination.logs(wanted, first, end)):
            for begin, last, root in _read(roots, log):
                if begin <= case.sequence <= last:
                    return CommittedRoot(begin, last, "0x" + root.hex(), 0, log.transaction_hash)
                if last < case.sequence:
                    return None  # sequence numbers are committed in rising order
        end = first - 1
    return None


def _read(roots: Callable[[Log], Sequence[tuple[int, int, bytes]]], log: Log) -> Sequence[tuple[int, int, bytes]]:
    try:
        return roots(log)
    except DecodeError as error:
        raise RejectedError(f"a commit in transaction {log.transaction_hash} cannot be read: {error}") from error
