"""Putting intents into the journal: one at a time gets its nonce, many at a time get committed.

While one group is being written, newcomers gather into the next. So under load a commit is shared, and alone a
transaction waits for nobody. The order is the point: nonce, signature, commit, and only then may anybody broadcast.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from seamark.core.errors import SeamarkError
from seamark.evm.ports import Intent
from seamark.evm.transactions.book import Book
from seamark.evm.transactions.broadcast import SigningDesk
from seamark.evm.transactions.model import Entry, Fees
from seamark.evm.transactions.ports import ChainWriter
from seamark.evm.transactions.rules import next_nonce
from seamark.evm.transactions.store import Draft, Journal, JournalConflict
from seamark.storage.database import Database

__all__ = ["Committed", "Committer", "Desired"]

GROUP: Final = 64  # intents per commit: bounds how long the first of them waits for the signatures of the others


@dataclass(frozen=True, slots=True)
class Desired:
    """An intent with everything but its nonce."""

    intent: Intent
    gas: int
    fees: Fees


@dataclass(frozen=True, slots=True)
class Committed:
    """In the journal. `new` is False where the key was there before; then nothing was added."""

    entry: Entry
    new: bool


@dataclass(slots=True)
class _Waiting:
    desired: Desired
    done: asyncio.Future[Committed] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Committer:
    """The only place that hands out nonces.

    Args:
        lock: Held while the journal changes; shared with everybody who writes to it.
    """

    def __init__(
        self,
        *,
        chain: ChainWriter,
        desk: SigningDesk,
        journal: Journal,
        database: Database,
        book: Book,
        lock: asyncio.Lock,
    ) -> None:
        self._chain = chain
        self._desk = desk
        self._journal = journal
        self._database = database
        self._book = book
        self._lock = lock
        self._next: int | None = None
        self._queue: list[_Waiting] = []
        self._worker: asyncio.Task[None] | None = None
        self.in_doubt = False  # a commit failed in a way that may have succeeded: read the journal again

    async def commit(self, desired: Desired) -> Committed:
        """Journal an intent, together with whoever else comes at the same time."""
        waiting = _Waiting(desired)
        self._queue.append(waiting)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await asyncio.shield(waiting.done)

    async def close(self) -> None:
        """Let the running commit end."""
        if self._worker is not None:
            with suppress(Exception):
                await self._worker

    def restart(self, highest: int | None, latest: int, pending: int) -> None:
        """Begin behind what journal, chain and pool know."""
        self._next = next_nonce(highest, latest, pending)
        self.in_doubt = False

    def at_least(self, nonce: int) -> None:
        """The chain's count went beyond ours: somebody else uses this key."""
        if self._next is not None:
            self._next = max(self._next, nonce)

    def forget_nonce(self) -> None:
        """Ask the chain before the next one: a node called ours too low."""
        self._next = None

    async def _work(self) -> None:
        while self._queue:
            async with self._lock:
                group, self._queue = self._queue[:GROUP], self._queue[GROUP:]
                try:
                    await self._write(group)
                except BaseException as error:
                    self.in_doubt = True
                    for waiting in group:
                        _fail(waiting.done, error)
                    if not isinstance(error, Exception):
                        raise

    async def _write(self, group: Sequence[_Waiting]) -> None:
        left = list(group)
        while left:
            left, drafts = await self._sign(left)
            if not left:
                return
            try:
                added = await self.add(drafts)
            except JournalConflict as conflict:
                left = await self._answer_known(left, conflict)
                continue
            if self._next is not None:  # else it was forgotten while we wrote: the chain is asked before the next one
                self._next = max(self._next, drafts[-1].nonce + 1)
            for waiting, entry in zip(left, added, strict=True):
                _resolve(waiting.done, Committed(entry, new=True))
            return

    async def _sign(self, group: list[_Waiting]) -> tuple[list[_Waiting], list[Draft]]:
        """Sign side by side: a remote signer takes its time. Whoever is refused hears it at once and takes no nonce;
        those behind him move up and are signed anew.
        """
        while group:
            first = await self._first_nonce()
            wanted = [waiting.desired for waiting in group]
            tasks = (self.draft(first + index, one.intent, one.gas, one.fees) for index, one in enumerate(wanted))
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            drafts = [answer for answer in answers if isinstance(answer, Draft)]
            if len(drafts) == len(group):
                return group, drafts
            left = []
            for waiting, answer in zip(group, answers, strict=True):
                if isinstance(answer, Draft):
                    left.append(waiting)
                elif isinstance(answer, SeamarkError):
                    _fail(waiting.done, answer)
                else:
                    raise answer
            group = left
        return [], []

    async def draft(self, nonce: int, intent: Intent, gas: int, fees: Fees) -> Draft:
        """Sign an intent for a nonce."""
        attempt = await self._desk.attempt(nonce, intent, gas, fees)
        return Draft(intent.key, nonce, intent.to, intent.data, intent.value, gas, attempt.at_ms, attempt)

    async def add(self, drafts: Sequence[Draft]) -> list[Entry]:
        """Commit drafts, then let the book know them. The caller holds the lock.

        Raises:
            JournalConflict: One of the keys or nonces is in the journal.
        """
        added = await self._database.write(lambda connection: self._journal.add(connection, drafts), urgent=True)
        for entry in added:
            self._book.sent_ms[entry.nonce] = entry.created_ms  # whoever drafted it sends it now
            self._book.put(entry)
        return added

    async def _answer_known(self, group: Sequence[_Waiting], conflict: JournalConflict) -> list[_Waiting]:
        """Tell those whose key was journalled before; the others are to be tried again.

        Looked up only when a commit was refused: nearly all keys are new, and a statement less counts.
        """
        keys = [waiting.desired.intent.key for waiting in group]
        known = await self._database.read(lambda connection: self._journal.known(connection, keys))
        if not known:
            raise conflict
        left = []
        for waiting in group:
            entry = known.get(waiting.desired.intent.key)
            if entry is None:
                left.append(waiting)
            else:
                _resolve(waiting.done, Committed(entry, new=False))
        return left

    async def _first_nonce(self) -> int:
        if self._next is None:
            latest = await self._chain.nonce(self._desk.address, "latest")
            pending = await self._chain.nonce(self._desk.address, "pending")
            slots = self._book.slots()
            self._next = next_nonce(slots[-1].nonce if slots else None, latest, pending)
        return self._next


def _resolve(future: asyncio.Future[Committed], value: Committed) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: asyncio.Future[Committed], error: BaseException) -> None:
    if future.done():
        return
    if isinstance(error, Exception):
        future.set_exception(error)
    else:
        future.cancel()
