"""What an earlier run left behind: attempts that the journal holds and the database does not.

The process may die between the journal's commit (which is what makes a transaction real) and the row that tells of it.
Keys are natural, so the journal is asked for every attempt that could exist at the latest rounds and the next one.
"""

from __future__ import annotations

from typing import Final

from seamark.core.errors import RejectedError
from seamark.evm.ports import ChainReader, TransactionSender
from seamark.evm.types import Receipt
from seamark.oracle.model import FeedRef, FeedState, Publication, Reason, TriggerPolicy
from seamark.oracle.publications import attempt_key, came_to_nothing, from_journal
from seamark.oracle.rules import moved
from seamark.oracle.store import known_publications
from seamark.oracle.targets.reads import read_round
from seamark.oracle.targets.receipts import SubmittedLog, read_receipt
from seamark.runtime.clock import Clock
from seamark.storage.database import Database

__all__ = ["Recovery"]

LOOK_BACK: Final = 16  # rounds: a publisher has one in flight, so more would mean that others published in between
_ROWS: Final = 8 * LOOK_BACK  # of the same time; a round rarely takes more than a few attempts


class Recovery:
    """Questions about the past of one feed."""

    def __init__(
        self,
        *,
        ref: FeedRef,
        chain: ChainReader,
        sender: TransactionSender,
        database: Database,
        clock: Clock,
        trigger: TriggerPolicy,
    ) -> None:
        self._ref = ref
        self._chain = chain
        self._sender = sender
        self._database = database
        self._clock = clock
        self.trigger = trigger

    async def unrecorded(self, state: FeedState) -> list[Publication]:
        """Attempts at the latest rounds, and at the next, that have no row."""
        known = await self._rows()
        now = self._clock.now()
        found: list[Publication] = []
        for round_id in range(max(1, state.next_round + 1 - LOOK_BACK), state.next_round + 1):
            for attempt in range(1, await self._next_in_journal(round_id)):
                publication = from_journal(self._ref, round_id, attempt, decimals=state.decimals, now=now)
                if publication.key not in known:
                    found.append(publication)
        return found

    async def next_attempt(self, round_id: int) -> int:
        """The attempt at a round that a new decision leads to.

        That is the first one that neither the journal nor the database knows. But where an earlier one may still
        publish the round, as after a reorg that nobody watched, it is that one: submitting it again is to wait for it.
        """
        known = await self._rows()
        attempt = 1
        while True:
            key = attempt_key(self._ref, round_id, attempt)
            outcome = await self._sender.find(key)
            if outcome is not None and not came_to_nothing(outcome, self._ref):
                return attempt
            if outcome is None and key not in known:
                return attempt
            attempt += 1

    async def _next_in_journal(self, round_id: int) -> int:
        attempt = 1
        while await self._sender.find(attempt_key(self._ref, round_id, attempt)) is not None:
            attempt += 1
        return attempt

    async def _rows(self) -> set[str]:
        rows = await self._database.read(lambda connection: known_publications(connection, self._ref, _ROWS))
        return {row.key for row in rows}

    async def derive_reason(self, publication: Publication, receipt: Receipt | None) -> Reason:
        """Why a round was published, by the same rules on the chain's own history.

        Raises:
            TemporaryError: The chain cannot be read.
        """
        told = read_receipt(receipt, self._ref.address) if receipt is not None else None
        if isinstance(told, SubmittedLog) and not told.started:
            return Reason.JOIN
        if publication.round == 1 or publication.answer is None:
            return Reason.FIRST
        try:
            before = await read_round(self._chain, self._ref.address, publication.round - 1)
        except RejectedError:  # a round before ours that the contract does not show: nothing to compare with
            return Reason.HEARTBEAT
        far = moved(before, publication.answer, self.trigger, publication.decimals)
        return Reason.DEVIATION if far else Reason.HEARTBEAT
