"""The way of a final report to the chain: one transaction for one round, whatever happens.

The key of its intent is chain, contract, digest, epoch and round. The journal holds a key at most once, so neither a
crash between two effects nor a second call sends a round twice. A newer report takes the nonce of one that is not mined
where the chain's rules allow it, because the older one would only pay for a price that is out of date.

The machine has read the contract just before it calls: what another node has put there already does not come here.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from seamark.core.errors import RejectedError, SeamarkError, TemporaryError
from seamark.core.ids import Address, ChainId
from seamark.evm.ports import Intent, Outcome, TransactionSender, TxState
from seamark.oracle.reporting.codec import Transmission
from seamark.oracle.reporting.metrics import ReportingMeter
from seamark.oracle.reporting.plugin import EpochRound
from seamark.oracle.targets.ocr2 import refusal
from seamark.oracle.targets.target import Verdict

__all__ = ["ReportSender", "report_key", "report_spender"]

FOLLOWED: Final = 16  # transactions of one feed that are waited for at once; an older one is the sender's alone
RETRY_S: Final = 1.0

log = structlog.get_logger("seamark.oracle.reporting")


def report_spender(chain_id: ChainId, contract: Address) -> str:
    """Whose the feed's transactions are, to the sender: what all their keys begin with."""
    return f"{chain_id}:{contract}:report"


def report_key(chain_id: ChainId, contract: Address, digest: bytes, at: EpochRound) -> str:
    """The natural key of a round's transaction."""
    return f"{report_spender(chain_id, contract)}:{digest.hex()}.{at[0]}.{at[1]}"


class ReportSender:
    """`ports.ReportTransmitter` of one feed. `close()` ends the waiting, not the transactions.

    Args:
        sender: Sends from the transmitter's account.
        chain_id: Of the contract.
        contract: Where reports go.
        meter: Counts what becomes of them.
        gas_limit: None: estimated once, and from then on known.
    """

    def __init__(
        self,
        *,
        sender: TransactionSender,
        chain_id: ChainId,
        contract: Address,
        meter: ReportingMeter,
        gas_limit: int | None = None,
    ) -> None:
        self._sender = sender
        self._chain_id = chain_id
        self._contract = contract
        self._meter = meter
        self._gas_limit = gas_limit
        self._waiting: str | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._log = log.bind(contract=contract, chain_id=chain_id)

    async def transmit(self, at: EpochRound, call: Transmission) -> None:
        """Hand it over; returns when a node has accepted it.

        Raises:
            RejectedError: It would fail, and not because it is no longer needed (another node was faster).
            TemporaryError: No node took it; once journalled, the sender sends it again by itself.
        """
        key = report_key(self._chain_id, self._contract, call.context.digest, at)
        intent = Intent(key, self._contract, call.encode(), gas_limit=self._gas_limit)
        try:
            await self._send(intent)
        except TemporaryError:
            if await self._sender.find(key) is not None:
                self._follow(key, at)
            raise
        except RejectedError as error:
            told = refusal(error)
            if told.verdict is not Verdict.DONE:
                raise
            self._meter.settled("needless")
            self._log.info("report is not needed", epoch=at[0], round=at[1], kind=told.kind)
            return
        self._follow(key, at)

    async def _send(self, intent: Intent) -> Outcome:
        older = self._waiting
        if older is not None and older != intent.key:
            try:
                return await self._sender.replace(older, intent)
            except RejectedError as error:  # mined by now, too young, or no higher offer is possible
                self._log.debug("not replaced", key=older, error=str(error))
        return await self._sender.submit(intent)

    def _follow(self, key: str, at: EpochRound) -> None:
        if key in self._tasks:
            return
        self._waiting = key
        while len(self._tasks) >= FOLLOWED:
            self._tasks.pop(next(iter(self._tasks))).cancel()
        task = asyncio.create_task(self._wait(key, at), name=key)
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def _wait(self, key: str, at: EpochRound) -> None:
        outcome = await self._mined(key)
        if self._waiting == key:
            self._waiting = None
        if outcome is None:
            return
        receipt = outcome.receipt
        if receipt is None:
            self._meter.settled("replaced")
        elif receipt.succeeded:
            self._meter.settled("mined", fee=receipt.gas_used * receipt.effective_gas_price)
            self._log.info("report on chain", epoch=at[0], round=at[1], transaction=receipt.transaction_hash)
        else:  # normally another node's report came first
            self._meter.settled("reverted", fee=receipt.gas_used * receipt.effective_gas_price)
            self._log.warning("report reverted", epoch=at[0], round=at[1], transaction=receipt.transaction_hash)

    async def _mined(self, key: str) -> Outcome | None:
        while True:
            try:
                return await self._sender.wait(key, until=TxState.MINED)
            except TemporaryError as error:
                self._log.warning("waiting for a report's transaction", key=key, error=str(error))
                await asyncio.sleep(RETRY_S)
            except SeamarkError as error:
                self._log.warning("report not followed", key=key, error=str(error))
                return None

    async def close(self) -> None:
        """Wait for nothing any more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
