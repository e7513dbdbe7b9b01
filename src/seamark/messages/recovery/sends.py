"""Finding sends again by their sequence numbers: the messages of a root that was committed.

Model: the ledger names the blocks of the sends it knows. Sequence numbers of a lane rise with the blocks, so a send
that it does not know lies between its neighbours, or before or after all that are known; there the search goes on in
growing steps until the numbers have passed it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from seamark.core.errors import RejectedError
from seamark.evm.ports import ChainReader
from seamark.evm.types import Log, LogFilter
from seamark.messages.recovery.model import Place

__all__ = ["LogsGone", "Sends", "find_sends"]

NEAR_BLOCKS = 500  # blocks between two sends that are cheaper read in one question than in two
FIRST_STEP_BLOCKS = 1_000  # a root's messages are minutes apart; this is two minutes of the fastest chains
SEARCH_BLOCKS = 1_000_000  # in each direction; three days of blocks every quarter of a second
GROWTH = 4


class LogsGone(RejectedError):
    """The source does not have the logs of some sends any more; what the ledger has kept of them may be enough."""


@dataclass(slots=True)
class Sends:
    """What was found: logs by sequence number."""

    reader: ChainReader
    wanted: LogFilter
    number_of: Callable[[Log], int | None]
    found: dict[int, Log] = field(default_factory=dict)

    async def read(self, first: int, last: int) -> None:
        for log in await self.reader.logs(self.wanted, first, last):
            number = self.number_of(log)
            if number is not None:
                self.found[number] = log


async def find_sends(
    reader: ChainReader,
    wanted: LogFilter,
    numbers: range,
    known: Mapping[int, Place],
    number_of: Callable[[Log], int | None],
    *,
    chain: str,
) -> list[Log]:
    """The logs of all sends with these sequence numbers, in their order.

    Args:
        reader: The source chain.
        wanted: The OnRamp and its event.
        numbers: Which sends.
        known: Where some of them are; at least one.
        number_of: The sequence number of a log; None for one of another lane.
        chain: The source's name, for errors.

    Raises:
        LogsGone: Some are not to be found: the node has lost its old logs, or a reorg took them away.
        TemporaryError: No node answers.
    """
    sends = Sends(reader, wanted, number_of)
    for first, last in _spans(place.block_number for number, place in known.items() if number in numbers):
        await _read_known(sends, first, last, chain)
    await _search_between(sends, numbers)
    await _search_before(sends, numbers)
    await _search_after(sends, numbers)
    if missing := _missing(sends, numbers):
        raise _gone(chain, missing, known)
    return [sends.found[number] for number in numbers]


async def _read_known(sends: Sends, first: int, last: int, chain: str) -> None:
    try:
        await sends.read(first, last)
    except RejectedError as error:
        raise LogsGone(
            f"the nodes of {chain} do not give the logs of block {first}: {error.message}", remedy=_archive(chain)
        ) from error


def _spans(blocks: Iterable[int]) -> list[tuple[int, int]]:
    """Ranges that cover the blocks, with near ones in one."""
    spans: list[tuple[int, int]] = []
    for block in sorted(set(blocks)):
        if spans and block - spans[-1][1] <= NEAR_BLOCKS:
            spans[-1] = (spans[-1][0], block)
        else:
            spans.append((block, block))
    return spans


async def _search_between(sends: Sends, numbers: range) -> None:
    for number in _missing(sends, numbers):
        below = [log.block_number for known, log in sends.found.items() if known < number]
        above = [log.block_number for known, log in sends.found.items() if known > number]
        if number not in sends.found and below and above and max(below) <= min(above):
            await sends.read(max(below), min(above))


async def _search_before(sends: Sends, numbers: range) -> None:
    end = min((log.block_number for log in sends.found.values()), default=0)
    lowest, step = max(0, end - SEARCH_BLOCKS), FIRST_STEP_BLOCKS
    while end > lowest and _missing_below(sends, numbers):
        first = max(lowest, end - step)
        await sends.read(first, end - 1)
        end, step = first, step * GROWTH


def _missing_below(sends: Sends, numbers: range) -> bool:
    """Whether one is missing below all that were found, and none was found below them all."""
    return bool(sends.found) and min(sends.found) > numbers.start


async def _search_after(sends: Sends, numbers: range) -> None:
    if not sends.found or max(sends.found) >= numbers.stop - 1:
        return
    head = await sends.reader.header("latest")
    begin = max(log.block_number for log in sends.found.values()) + 1
    highest = min(head.number if head else 0, begin + SEARCH_BLOCKS)
    step = FIRST_STEP_BLOCKS
    while begin <= highest and max(sends.found) < numbers.stop - 1:
        last = min(highest, begin + step)
        await sends.read(begin, last)
        begin, step = last + 1, step * GROWTH


def _missing(sends: Sends, numbers: range) -> list[int]:
    return [number for number in numbers if number not in sends.found]


def _gone(chain: str, missing: Sequence[int], known: Mapping[int, Place]) -> LogsGone:
    names = ", ".join(f"#{number}" for number in missing[:5]) + (", …" if len(missing) > 5 else "")  # noqa: PLR2004
    where = sorted({place.block_number for number, place in known.items() if number in missing})
    blocks = f" (block {where[0]})" if where else ""
    return LogsGone(
        f"the nodes of {chain} have no log of the sends {names}{blocks}: they no longer keep logs that old, or a reorg"
        " took the messages away",
        remedy=_archive(chain),
    )


def _archive(chain: str) -> str:
    return f"add an endpoint that keeps old logs to the rpc list of {chain}"
