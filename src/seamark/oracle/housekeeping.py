"""What follows publications without hurry: finality, reorgs, and how long the account's money lasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import structlog

from seamark.core.errors import TemporaryError
from seamark.core.ids import ChainId
from seamark.evm.ports import ChainReader, TransactionSender
from seamark.oracle.metrics import OracleMetrics
from seamark.oracle.model import Publication
from seamark.oracle.publications import settle
from seamark.oracle.store import recent_fees, settle_publication, unconfirmed_publications
from seamark.oracle.tasks import run_together
from seamark.runtime.clock import Clock
from seamark.storage.database import Database

__all__ = ["Housekeeping"]

SWEEP_S: Final = 10.0
BALANCE_S: Final = 30.0
FEES_AVERAGED: Final = 20  # publications; fees move slowly, and one dear round must not cry wolf

log = structlog.get_logger("seamark.oracle")


class Housekeeping:
    """Follows publications to finality and reads balances. A `Service`.

    A transaction whose block a reorg removed goes back to "broadcast" (its sender sends the same bytes again) and
    forward when it is mined anew, whatever came of it the first time; a round is counted once.

    Args:
        chains: Name, id, reader and sender of each chain that is published on.
        database: Publications.
        clock: Time.
        metrics: Balances.
    """

    name = "oracle-housekeeping"

    def __init__(
        self,
        *,
        chains: Sequence[tuple[str, ChainReader, TransactionSender]],
        database: Database,
        clock: Clock,
        metrics: OracleMetrics,
    ) -> None:
        self._chains = chains
        self._senders: Mapping[ChainId, TransactionSender] = {reader.chain_id: sender for _, reader, sender in chains}
        self._database = database
        self._clock = clock
        self._metrics = metrics

    @property
    def chains(self) -> list[str]:
        """The names of those that it looks after."""
        return [name for name, _, _ in self._chains]

    async def run(self) -> None:
        """Until cancelled."""
        await run_together(self._sweep_forever(), self._read_balances_forever())

    async def _sweep_forever(self) -> None:
        while True:
            await self.sweep()
            await self._clock.sleep(SWEEP_S)

    async def sweep(self) -> None:
        """Ask how the publications stand that have ended and may still change, and store what has.

        All of them, page by page: some may never end (their chain left the settings, their journal is gone), and must
        not stand in the way of the others.
        """
        after = 0
        while page := await self._database.read(partial(unconfirmed_publications, after=after)):
            after = page[-1].id
            for publication in page:
                sender = self._senders.get(publication.feed.chain_id)
                if sender is not None:
                    await self._follow(publication, sender)

    async def _follow(self, publication: Publication, sender: TransactionSender) -> None:
        outcome = await sender.find(publication.key)
        if outcome is None:
            return
        settled = settle(publication, outcome, now=self._clock.now())
        if _standing(settled) == _standing(publication):
            return
        if settled.state is not publication.state:
            log.info("publication", round=settled.round, feed=settled.feed.name, state=str(settled.state))
        self._metrics.add(await self._database.write(lambda connection: settle_publication(connection, settled)))

    async def _read_balances_forever(self) -> None:
        while True:
            for name, reader, sender in self._chains:
                try:
                    await self.read_balance(name, reader, sender)
                except TemporaryError as error:
                    log.warning("cannot read the balance", chain=name, error=str(error))
            await self._clock.sleep(BALANCE_S)

    async def read_balance(self, name: str, reader: ChainReader, sender: TransactionSender) -> None:
        """Show the balance, and how many publications it pays for at recent fees.

        Raises:
            TemporaryError: The chain did not answer.
        """
        balance = await reader.balance(sender.address)
        fees = await self._database.read(lambda connection: recent_fees(connection, reader.chain_id, FEES_AVERAGED))
        self._metrics.balance.labels(name).set(balance)
        if sum(fees):  # on a chain without fees the money lasts for ever: no number is better than infinity
            self._metrics.runs_left.labels(name).set(balance * len(fees) // sum(fees))


def _standing(publication: Publication) -> tuple[object, ...]:
    return publication.state, publication.block_number, publication.closed
