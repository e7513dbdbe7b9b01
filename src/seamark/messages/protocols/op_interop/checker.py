"""Looks at what executing messages point to, and decides.

One checker per initiating chain, as in the reference monitor, and one for messages that point elsewhere: a chain whose
nodes fail holds up nobody else. A checker sleeps until something has made jobs due; then it takes them in groups by
initiating block, so a thousand messages of one block cost two reads.

A word against a message is told only after a second look, at another endpoint where there is one, and at all logs of
the block, which must be those that its header tells of: nodes that leave out a log raise no alarm, not even all of them
together. Where nobody can look, the last verdict stays and is marked stale.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import structlog

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.ids import ChainId, Hash32
from seamark.evm.ports import BlockLogReader, BlockLogs
from seamark.messages.protocols.op_interop.bell import Bell
from seamark.messages.protocols.op_interop.metrics import InteropMetrics
from seamark.messages.protocols.op_interop.model import Rule, Seen, Status, Verdict
from seamark.messages.protocols.op_interop.network import Network
from seamark.messages.protocols.op_interop.rules import (
    declared,
    doubt,
    judge,
    judge_alone,
    lacks_logs,
    look_at,
    needs_second_look,
    weigh,
)
from seamark.messages.protocols.op_interop.store import Decision, Job, JobBook, JobChanges, read_due
from seamark.runtime.clock import Clock
from seamark.runtime.health import Health
from seamark.storage.database import Database

__all__ = ["ELSEWHERE_NAME", "Checker", "log_verdicts"]

ELSEWHERE_NAME: Final = "elsewhere"
ROUND_JOBS: Final = 1_000
BLOCKS_AT_ONCE: Final = 8  # reads under way; the endpoint's own limits lie below
MAX_LINES: Final = 20  # of one unit of work in the log: a burst is no reason to flood it
IDLE_S: Final = 5.0  # between looks without a wake-up call: another process may have stored jobs
SECOND_LOOK_PAUSE_S: Final = 0.2  # where one endpoint must be asked twice
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0

log = structlog.get_logger("seamark.messages.interop")


class Checker:
    """Decides the jobs that point to one chain, or (chain None) to none that is read. A `Service`."""

    def __init__(
        self,
        chain: ChainId | None,
        *,
        network: Network,
        readers: Mapping[ChainId, BlockLogReader],
        database: Database,
        metrics: InteropMetrics,
        wake: Callable[[], None],
        told: Callable[[], None],
        clock: Clock,
        check_access_lists: bool = True,
    ) -> None:
        self.name = f"interop-checker:{ELSEWHERE_NAME if chain is None else network.name(chain)}"
        self._chain = chain
        self._network = network
        self._readers = readers
        self._database = database
        self._metrics = metrics
        self._wake = wake
        self._told = told
        self._clock = clock
        self._check_access_lists = check_access_lists
        self._pause = FIRST_PAUSE_S
        self.last_error = ""
        self.bell = Bell()

    async def run(self) -> None:
        while True:
            jobs, again = await self.round()
            if again:
                await self.bell.wait(self._pause)  # what cannot be decided holds up nothing new
                self._pause = min(self._pause * 2, LONGEST_PAUSE_S)
            else:
                self._pause = FIRST_PAUSE_S
                if not jobs:
                    await self.bell.wait(IDLE_S)

    async def health(self) -> Health:
        return Health.degraded(self.last_error) if self.last_error else Health.ok("verdicts are up to date")

    async def round(self) -> tuple[int, bool]:
        """Look at the jobs that are due; how many there were, and whether some could not be decided for now."""
        chains = list(self._readers) if self._chain is None else [self._chain]
        jobs = await self._database.read(
            lambda connection: read_due(connection, chains, others=self._chain is None, limit=ROUND_JOBS)
        )
        if not jobs:
            return 0, False
        found, declarations = await asyncio.gather(self._verdicts(jobs), self._declarations(jobs))
        decisions = [
            Decision(
                key=item.key,
                touches=item.touches,
                verdict=found[item.key],
                declared=declarations.get(item.key),
                again=_again(found[item.key]),
            )
            for item in jobs
        ]
        now_ms = int(self._clock.now() * 1000)

        def work(connection: object) -> JobChanges:
            book = JobBook(connection, self._network, now_ms=now_ms)  # type: ignore[arg-type]
            book.decide(decisions)
            return book.close()

        changes = await self._database.write(work)
        self._metrics.follow(changes)
        log_verdicts(changes)
        if changes.told:
            self._told()
        if changes.due:
            self._wake()
        open_ones = changes.again or any(item.verdict is None for item in decisions)
        if not open_ones:
            self.last_error = ""
        return len(jobs), open_ones

    # ---- looking ----------------------------------------------------------------------------------------------------

    async def _verdicts(self, jobs: Sequence[Job]) -> dict[str, Verdict | None]:
        """By key; None where nobody could look."""
        found: dict[str, Verdict | None] = {}
        by_block: defaultdict[int, list[Job]] = defaultdict(list)
        for item in jobs:
            if (early := judge_alone(item.message, self._network)) is not None:
                found[item.key] = early
            elif self._chain is None:
                detail = f"{self._network.name(item.message.identifier.chain_id)} is in the set and not read here"
                found[item.key] = Verdict(Status.UNKNOWN, Rule.NOT_WATCHED, detail)
            else:
                by_block[item.message.identifier.block_number].append(item)
        gate = asyncio.Semaphore(BLOCKS_AT_ONCE)

        async def look(number: int, here: Sequence[Job]) -> None:
            async with gate:
                found.update(await self._look(number, here))

        await asyncio.gather(*(look(number, here) for number, here in by_block.items()))
        return found

    async def _look(self, number: int, jobs: Sequence[Job]) -> dict[str, Verdict | None]:
        """One initiating block."""
        assert self._chain is not None
        reader = self._readers[self._chain]
        origins = sorted({item.message.identifier.origin for item in jobs})
        try:
            first = await reader.block_logs(number, origins)
            verdicts: dict[str, Verdict | None] = {item.key: self._judge(item, first) for item in jobs}
            accused = [item for item in jobs if needs_second_look(_some(verdicts[item.key]))]
            if accused:
                second = await self._second_look(reader, number)
                lacking = _lacks_logs(second)
                if lacking:
                    self._note_lacking(number)
                for item in accused:
                    said = _some(verdicts[item.key])
                    verdicts[item.key] = doubt(said) if lacking else weigh(said, self._judge(item, second))
        except (TemporaryError, RejectedError) as error:
            self.last_error = f"block {number} of {self._network.name(self._chain)} cannot be read: {error}"
            log.warning("no look at an initiating block", chain=self._network.name(self._chain), error=str(error))
            return {item.key: None for item in jobs}
        return verdicts

    async def _second_look(self, reader: BlockLogReader, number: int) -> BlockLogs | None:
        """At all logs of the block: by another endpoint; else, or where that one leaves out some, by the first one a
        little later.
        """
        with suppress(TemporaryError):
            seen = await reader.block_logs(number, second=True)
            if not _lacks_logs(seen):
                return seen
        await self._clock.sleep(SECOND_LOOK_PAUSE_S)
        return await reader.block_logs(number)

    def _note_lacking(self, number: int) -> None:
        assert self._chain is not None
        name = self._network.name(self._chain)
        self.last_error = f"the nodes of {name} leave out logs of block {number}"
        log.warning("nodes leave out logs that the block's header tells of", chain=name, block=number)

    def _judge(self, item: Job, seen: BlockLogs | None) -> Verdict:
        if seen is None:
            return judge(item.message, self._network, None)
        header = seen.header
        look: Seen = look_at(item.message, header.hash, header.timestamp, seen.logs, whole=seen.whole)
        return judge(item.message, self._network, look)

    # ---- access lists -----------------------------------------------------------------------------------------------

    async def _declarations(self, jobs: Sequence[Job]) -> dict[str, bool]:
        """For jobs of which it is not known; each transaction is read once."""
        wanted: defaultdict[ChainId, dict[Hash32, list[Job]]] = defaultdict(dict)
        for item in jobs if self._check_access_lists else ():
            if item.declared is None and item.message.chain_id in self._readers:
                wanted[item.message.chain_id].setdefault(item.message.transaction, []).append(item)
        found: dict[str, bool] = {}
        for chain_id, transactions in wanted.items():
            try:
                lists = await self._readers[chain_id].access_lists(list(transactions))
            except (TemporaryError, RejectedError) as error:
                # Asked again when the job is looked at again: with the next level of safety at the latest.
                log.debug("no access lists", chain=self._network.name(chain_id), error=str(error))
                continue
            for here, declaring in zip(transactions.values(), lists, strict=True):
                if declaring is not None:
                    found.update((item.key, declared(item.message, declaring)) for item in here)
        return found


def log_verdicts(changes: JobChanges) -> None:
    """One line for each message that is not valid, or was not; the event log and the alerts hold them all."""
    for event in changes.events[:MAX_LINES]:
        log.warning(event.topic, message=event.key, **event.payload)
    if len(changes.events) > MAX_LINES:
        log.warning("more of the same", messages=len(changes.events) - MAX_LINES)


def _lacks_logs(seen: BlockLogs | None) -> bool:
    return seen is not None and lacks_logs(seen.header, seen.logs)


def _again(found: Verdict | None) -> bool:
    return found is not None and found.rule is Rule.DISPUTED


def _some(found: Verdict | None) -> Verdict:
    assert found is not None
    return found
