"""The transactions of one signer on one chain: submit, wait, find, replace, and the loop that follows them.

    submit ──► nonce, signature, journal commit ──► broadcast ──► followed until it stays

Invariant: the journal knows every nonce and the very bytes before any node does. So a process killed at any
instruction loses nothing (the bytes go out at the next start), sends nothing twice (an intent's key and nonce are in
the journal) and leaves no gap (a nonce that nobody used is filled).

The hot path makes one request, the broadcast: nonce, fees and gas limit come from memory.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial

import structlog

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.ids import Address
from seamark.core.times import DAY_MS
from seamark.evm.ports import Intent, Outcome, Signer, TxState
from seamark.evm.transactions.book import Book
from seamark.evm.transactions.broadcast import Broadcaster, SigningDesk
from seamark.evm.transactions.commit import Committer, Desired
from seamark.evm.transactions.errors import Refusal
from seamark.evm.transactions.fees import Hold, Market, next_fees, quote
from seamark.evm.transactions.follow import Crew, Follower
from seamark.evm.transactions.model import FILLER_PREFIX, Entry, Fees, Slot, is_at_least
from seamark.evm.transactions.ports import ChainWriter, Event, Observer, Replaced, Submitted
from seamark.evm.transactions.quoting import FeeDesk, GasDesk
from seamark.evm.transactions.settings import SenderSettings
from seamark.evm.transactions.spending import Spending, highest_cost
from seamark.evm.transactions.store import Journal
from seamark.evm.types import BlockHeader
from seamark.runtime.clock import Clock
from seamark.storage.database import Database

__all__ = ["CannotReplace", "Sender"]

log = structlog.get_logger("seamark.evm.transactions")


class CannotReplace(RejectedError):
    """The transaction cannot be replaced at its nonce: it is mined, or the chain's or operator's fees leave no room."""


def _ignore(_event: Event) -> None:
    return


class Sender:
    """`evm.ports.TransactionSender`, and a `runtime.Service` that must run for `wait` to return.

    Args:
        chain: Where to send.
        signer: Who pays. Exactly one sender per signer and chain may run.
        database: Holds the journal.
        clock: Time.
        settings: Limits and patience.
        observer: Told what happens, for metrics; must not block or raise.
    """

    def __init__(
        self,
        *,
        chain: ChainWriter,
        signer: Signer,
        database: Database,
        clock: Clock,
        settings: SenderSettings | None = None,
        observer: Observer = _ignore,
    ) -> None:
        self._settings = settings or SenderSettings()
        self._clock = clock
        self.name = f"transactions-{chain.chain_id}"
        desk = SigningDesk(chain.chain_id, signer, clock)
        journal, lock = Journal(chain.chain_id, signer.address), asyncio.Lock()
        book = Book(Spending(self._settings.spend_per_day))
        self._crew = Crew(
            chain=chain,
            database=database,
            journal=journal,
            book=book,
            desk=desk,
            fees=FeeDesk(chain, clock, self._settings),
            gas=GasDesk(chain, clock, self._settings, signer.address),
            broadcaster=Broadcaster(chain, book, desk, observer),
            committer=Committer(chain=chain, desk=desk, journal=journal, database=database, book=book, lock=lock),
            lock=lock,
            observer=observer,
            settings=self._settings,
        )
        self._follower = Follower(self._crew)
        self._recovered = False
        self._recovering = asyncio.Lock()
        self._submitting: dict[str, asyncio.Task[Outcome]] = {}
        self._poke = asyncio.Event()
        self._outage = False
        self._replaces_free = True  # until a node of a chain without fees has refused to

    @property
    def address(self) -> Address:
        return self._crew.desk.address

    # ---- the service ----

    async def run(self) -> None:
        """Recover, then follow until cancelled.

        Raises:
            StopError: The journal belongs to another chain with this id.
        """
        self._recovered = False
        while True:
            try:
                await self.look()
            except TemporaryError as error:
                self._tell_outage(error)
            else:
                self._tell_outage(None)
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._poke.wait(), self._settings.poll_s)
            self._poke.clear()

    def _tell_outage(self, error: TemporaryError | None) -> None:
        """Once when it begins and once when it ends, not at every look."""
        if error is not None and not self._outage:
            log.warning("chain not followed", chain_id=self._crew.chain.chain_id, error=str(error))
        elif error is None and self._outage:
            log.info("chain followed again", chain_id=self._crew.chain.chain_id)
        self._outage = error is not None

    def forget(self) -> None:
        """Another process may have written to the journal: read it again before anything else."""
        self._recovered = False

    def poke(self) -> None:
        """Look at the chain now; call it when a new block is known."""
        self._poke.set()

    async def look(self) -> None:
        """One turn of the loop: recover if that is still to be done, else look at the chain once.

        Raises:
            TemporaryError: The chain or the database cannot be reached; the next turn starts where this one failed.
        """
        if self._recovered and not self._crew.committer.in_doubt:
            await self._follower.look()
        else:
            await self._ready()

    async def close(self) -> None:
        """Let a running commit end. The journal continues where this stops."""
        await self._crew.committer.close()

    async def _ready(self) -> None:
        """Recover once; whoever comes meanwhile waits."""
        if self._recovered and not self._crew.committer.in_doubt:
            return
        async with self._recovering:
            if not self._recovered or self._crew.committer.in_doubt:
                await self._recover()
                self._recovered = True

    async def _recover(self) -> None:
        crew = self._crew
        await crew.fees.market()
        first = await crew.chain.header(0)
        async with self._follower.turn:
            latest, pending = await asyncio.gather(
                crew.chain.nonce(self.address, "latest"), crew.chain.nonce(self.address, "pending")
            )
            await self._reload(first, latest, pending)
            await self._follower.look_in_turn()

    async def _reload(self, first: BlockHeader | None, latest: int, pending: int) -> None:
        """Have the book say what the journal says."""
        crew = self._crew
        async with crew.lock:
            if first is not None:
                await crew.database.write(lambda c: crew.journal.check_genesis(c, first.hash))
            entries = await crew.database.read(crew.journal.load_open)
            confirmed = await crew.database.read(crew.journal.highest_confirmed)
            self._follower.settled_below = 0 if confirmed is None else confirmed + 1
            nonces = [entry.nonce for entry in entries] + ([] if confirmed is None else [confirmed])
            since = crew.desk.now_ms() - DAY_MS
            spent = await crew.database.read(partial(crew.journal.costs_since, since_ms=since))
            crew.book.load(entries, spent)
            for key in crew.book.missed():
                if ended := await crew.database.read(partial(crew.journal.find, key=key)):
                    crew.book.tell(ended)
            crew.committer.restart(max(nonces, default=None), latest, pending)
        if entries:
            log.info("recovering transactions", count=len(entries), chain_id=crew.chain.chain_id)

    # ---- sending ----

    async def submit(self, intent: Intent) -> Outcome:
        """Journal, then broadcast; returns when a node has accepted it (state BROADCAST).

        With a key that the journal knows, nothing new is sent: the answer tells how the first one fares. One exception:
        a key whose nonce somebody else took (FOREIGN) is journalled anew with the next nonce.

        Raises:
            TemporaryError: Nothing was accepted yet. Once journalled it is sent again by the sender itself; submitting
                the same key again is right in any case.
            RejectedError: It would fail (reverts, no funds, gas limit too low): nothing was journalled. Or no node will
                ever take it: then its nonce is used up by a transfer to ourselves.
        """
        running = self._submitting.get(intent.key)
        if running is None:
            if intent.key.startswith(FILLER_PREFIX):
                raise RejectedError(f"{intent.key}: keys that start with {FILLER_PREFIX} are the sender's own")
            # A task of its own: a caller that gives up must not stop a broadcast half-way.
            running = asyncio.create_task(self._submit(intent))
            self._submitting[intent.key] = running
            running.add_done_callback(lambda task: self._submitted(intent.key, task))
        return await asyncio.shield(running)

    def _submitted(self, key: str, task: asyncio.Task[Outcome]) -> None:
        self._submitting.pop(key, None)
        if not task.cancelled():
            task.exception()  # seen, also where the caller gave up

    async def _submit(self, intent: Intent) -> Outcome:
        started = self._clock.monotonic()
        await self._ready()
        known = await self._known(intent)
        if known is not None:
            return known.outcome()
        gas = await self._gas(intent)
        fees = quote(await self._crew.fees.market(), self._settings.fees)
        cost = gas * fees.cap + intent.value
        await self._check_funds(intent, cost)
        with self._crew.book.spending.reserved(intent.key, cost, self._crew.desk.now_ms()):
            committed = await self._crew.committer.commit(Desired(intent, gas, fees))
        if not committed.new:
            return committed.entry.outcome()
        await self._broadcast(committed.entry)
        self._crew.observer(Submitted(intent.key, committed.entry.nonce, self._clock.monotonic() - started))
        return self._outcome(committed.entry)

    async def _known(self, intent: Intent) -> Entry | None:
        """What the journal knows of the key, asked only where the answer spares requests: the commit asks anyway."""
        entry = self._crew.book.find(intent.key)
        if entry is not None or (self._crew.gas.known(intent) is not None and not self._settings.simulate):
            return entry
        found = await self._crew.database.read(lambda c: self._crew.journal.known(c, [intent.key]))
        return found.get(intent.key)

    async def _gas(self, intent: Intent) -> int:
        gas = await self._crew.gas.limit(intent)
        if self._settings.simulate:
            await self._crew.gas.check(intent)
        return gas

    async def _check_funds(self, intent: Intent, cost: int) -> None:
        """Against the last known balance; only where that is not enough the chain is asked."""
        needed = cost + self._crew.book.committed_wei
        if cost == 0 or (self._follower.balance is not None and needed <= self._follower.balance):
            return
        self._follower.balance = await self._crew.chain.balance(self.address)
        if needed > self._follower.balance:
            raise RejectedError(
                f"{intent.key}: {self.address} owns {self._follower.balance} wei on chain {self._crew.chain.chain_id}, "
                f"and with what is in flight this may cost {needed}",
                remedy="fund the address",
            )

    async def _broadcast(self, entry: Entry) -> None:
        refused = await self._crew.broadcaster.send(entry)
        if refused is None:
            return
        refusal, error = refused
        if refusal is Refusal.NEVER:
            await self._follower.abandon(entry)
            raise RejectedError(f"{entry.key}: no node will take it: {error}") from error
        if refusal is Refusal.NONCE_TOO_LOW:
            self._crew.committer.forget_nonce()
        self.poke()
        raise TemporaryError(
            f"{entry.key}: journalled with nonce {entry.nonce}, not accepted yet: {error}",
            remedy="it is sent again by itself" if refusal is not Refusal.NO_FUNDS else f"fund {self.address}",
        ) from error

    def _outcome(self, entry: Entry) -> Outcome:
        newest = self._crew.book.find(entry.key)
        return (newest or entry).outcome()

    async def replace(self, key: str, intent: Intent) -> Outcome:
        """Put a newer intent at the nonce of an unmined one, with higher fees; the older one becomes REPLACED.

        Either may still win until one is mined: whoever loses is REPLACED. Fitting for a price that is already out of
        date while it waits.

        On a chain without fees some pools let nothing replace nothing, and some do not: it is tried, and after the
        first refusal not again.

        Raises:
            CannotReplace: It is mined or unknown, the last offer is too young, or no higher offer is possible (no fees
                on this chain, ceiling reached). Nothing was journalled.
            TemporaryError, RejectedError: As for `submit`.
        """
        await self._ready()
        known = await self._crew.database.read(lambda c: self._crew.journal.known(c, [intent.key]))
        if known:
            return known[intent.key].outcome()
        gas = await self._gas(intent)
        market = await self._crew.fees.market()
        async with self._crew.lock:
            old = self._replaceable(key)
            slot = self._crew.book.slot(old.nonce)
            assert slot is not None
            fees = self._replacing_fees(slot, market)
            if isinstance(fees, Hold):
                raise CannotReplace(f"{key}: {_HOLD_REASONS[fees]}", remedy="wait for it, then submit the newer one")
            more = gas * fees.cap + intent.value - highest_cost(slot)
            with self._crew.book.spending.reserved(intent.key, max(more, 0), self._crew.desk.now_ms()):
                entry = await self._follower.supersede(old, intent, gas, fees)
        self._crew.observer(Replaced(intent.key, entry.nonce, fees.cap))
        try:
            await self._broadcast(entry)
        finally:
            if fees.is_zero and self._crew.broadcaster.needs_fees(entry.nonce):
                self._replaces_free = False
        return self._outcome(entry)

    def _replacing_fees(self, slot: Slot, market: Market) -> Fees | Hold:
        if self._crew.desk.now_ms() - slot.current.last.at_ms < self._settings.patience.replace_ms:
            return Hold.TOO_SOON
        fees = next_fees(slot.highest_fees, market, self._settings.fees)
        if fees is Hold.ZERO_FEE and slot.highest_fees.is_zero and self._replaces_free:
            return slot.highest_fees
        return fees

    def _replaceable(self, key: str) -> Entry:
        entry = self._crew.book.find(key)
        slot = self._crew.book.slot(entry.nonce) if entry else None
        if entry is None or slot is None or slot.winner is not None or slot.current.id != entry.id:
            raise CannotReplace(f"{key}: it is not waiting to be mined", remedy="submit the newer one by itself")
        return entry

    # ---- spending ----

    def limit_spending(self, owner: str, wei: int | None) -> None:
        """Refuse what would make the keys of this owner (all before a key's last colon) cost more in 24 hours."""
        self._crew.book.spending.limit(owner, wei)

    def spent(self, owner: str) -> int:
        """What the keys of this owner cost in the last 24 hours, in wei; unmined ones count at their highest offer."""
        return self._crew.book.spending.spent(owner, self._crew.desk.now_ms())

    # ---- asking ----

    async def find(self, key: str) -> Outcome | None:
        """What the journal knows."""
        entry = self._crew.book.find(key)
        if entry is None:
            entry = await self._crew.database.read(lambda c: self._crew.journal.find(c, key))
        return entry.outcome() if entry else None

    async def wait(self, key: str, *, until: TxState = TxState.MINED) -> Outcome:
        """Return once the transaction is at least `until`, REPLACED or FOREIGN.

        Raises:
            RejectedError: The journal does not know the key.
        """
        await self._ready()
        outcome = await self.find(key)
        if outcome is None:
            raise RejectedError(f"{key}: no such transaction in the journal", remedy="submit it first")
        known = self._crew.book.find(key)
        if known is None or is_at_least(known.state, until):
            return outcome if known is None else known.outcome()
        return await self._crew.book.wait(key, until)


_HOLD_REASONS = {
    Hold.ZERO_FEE: "a chain without fees takes no replacement",
    Hold.CEILING: "a replacement would break the fee ceiling",
    Hold.TOO_SOON: "the last offer is too young to be raised",
}
