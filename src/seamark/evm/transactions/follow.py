"""Following what is not settled yet, one look at the chain at a time.

A look reads the head, the signer's counts and the receipts of every attempt that may be mined, judges each nonce by
the rules, stores the new states, then pushes what is stuck: the same bytes, a higher offer, or a transfer to ourselves
where a nonce is missing. The first look of a process is its recovery: nothing counts as sent yet, so everything unmined
goes out again.

Looks never overlap, and the book is never read anew during one: a verdict is on the book as it stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Final

import structlog

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.ids import Hash32
from seamark.evm.ports import Intent, TxState
from seamark.evm.transactions.book import Book
from seamark.evm.transactions.broadcast import Broadcaster, SigningDesk
from seamark.evm.transactions.commit import Committer
from seamark.evm.transactions.errors import Refusal
from seamark.evm.transactions.fees import Hold, next_fees, quote
from seamark.evm.transactions.model import FINAL_STATES, Attempt, Entry, Fees, Slot, filler_intent
from seamark.evm.transactions.ports import (
    BalanceRead,
    ChainWriter,
    GapFilled,
    Held,
    InFlight,
    Mined,
    Observer,
    Orphaned,
    Replaced,
    Settled,
    Spent,
)
from seamark.evm.transactions.quoting import FeeDesk, GasDesk
from seamark.evm.transactions.rules import (
    Bump,
    Keep,
    Resend,
    UsedSince,
    Verdict,
    View,
    judge,
    may_be_foreign,
    needs_receipts,
    next_move,
    plan_recovery,
)
from seamark.evm.transactions.settings import SenderSettings
from seamark.evm.transactions.spending import ALL, OverBudget, highest_cost
from seamark.evm.transactions.store import Change, Journal
from seamark.evm.types import Receipt
from seamark.storage.database import Database

__all__ = ["Follower"]

REGRESSED_LOOKS: Final = 2  # looks in a row with a count below what was confirmed, before a reorg is believed
REGRESSED_MS: Final = 60_000  # without a block that proves it: no node is behind for so long, the chain lost its end
PUSHES: Final = 64  # broadcasts per look: a long queue must not starve what else uses the endpoint

log = structlog.get_logger("seamark.evm.transactions")


@dataclass(frozen=True, slots=True)
class Crew:
    """The collaborators that follower and sender share."""

    chain: ChainWriter
    database: Database
    journal: Journal
    book: Book
    desk: SigningDesk
    fees: FeeDesk
    gas: GasDesk
    broadcaster: Broadcaster
    committer: Committer
    lock: asyncio.Lock
    observer: Observer
    settings: SenderSettings


class Follower:
    """Looks, judges, stores, pushes."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._book = crew.book
        self._desk = crew.desk
        self.settled_below = 0  # every nonce below was used for good, as far as the journal knows
        self.balance: int | None = None
        self._regressed = 0
        self._regressed_ms = 0
        self._held: dict[int, Hold] = {}
        self._head: Hash32 | None = None
        self._judged_at: Hash32 | None = None  # the newest block when all was last judged
        self.turn = asyncio.Lock()  # held for a look; taken before the lock of the journal, never inside it

    async def look(self) -> None:
        """Once. Raises `TemporaryError` when the chain or the database cannot be reached; nothing is lost then."""
        async with self.turn:
            await self.look_in_turn()

    async def look_in_turn(self) -> None:
        """As `look`, for a caller that holds the turn."""
        await self._crew.fees.keep_fresh()
        view = await self._view()
        await self._reopen_if_regressed(view)
        self._crew.committer.at_least(view.latest)
        await self._judge_all(view)
        self._judged_at = self._head
        await self._fill_holes(view)
        await self._push_all(view)
        self._report()

    # ---- looking ----

    async def _view(self) -> View:
        chain, me = self._crew.chain, self._desk.address
        latest, pending, head, self.balance = await asyncio.gather(
            chain.nonce(me, "latest"), chain.nonce(me, "pending"), chain.header("latest"), chain.balance(me)
        )
        if head is None:
            raise TemporaryError(f"chain {chain.chain_id}: a node knows no newest block")
        self._desk.head = head.number
        self._head = head.hash
        found = self._known_receipts() if head.hash == self._judged_at else {}
        asked = [slot for slot in self._book.slots() if needs_receipts(slot, latest) and not _is_in(found, slot)]
        wanted = [hash_ for slot in asked for hash_ in slot.hashes]
        receipts = await chain.receipts(wanted) if wanted else []
        found |= {receipt.transaction_hash: receipt for receipt in receipts if receipt is not None}
        final = await self._final_block(head.number)
        orphaned = await self._orphaned_nonces(found)
        view = View(head.number, final, latest, pending, self._desk.now_ms(), found, orphaned=orphaned)
        patience = self._crew.settings.patience
        if any(may_be_foreign(slot, view, self._book.used.get(slot.nonce), patience) for slot in self._book.slots()):
            return replace(view, settled=await self._count_in(final))
        return view

    def _known_receipts(self) -> dict[Hash32, Receipt]:
        """Of what is mined and not final. While the newest block is the same, so are they: nobody need be asked."""
        winners = [slot.winner for slot in self._book.slots()]
        receipts = [entry.receipt for entry in winners if entry is not None]
        return {receipt.transaction_hash: receipt for receipt in receipts if receipt is not None}

    async def _orphaned_nonces(self, found: Mapping[Hash32, Receipt]) -> frozenset[int]:
        """Mined ones whose receipt is gone, because another block stands where theirs was."""
        gone = [slot for slot in self._book.slots() if not _is_in(found, slot)]
        mined = {slot.nonce: slot.winner.receipt for slot in gone if slot.winner and slot.winner.receipt}
        blocks = {receipt.block_hash: receipt for receipt in mined.values()}
        left = dict(zip(blocks, await asyncio.gather(*map(self._has_left, blocks.values())), strict=True))
        return frozenset(nonce for nonce, receipt in mined.items() if left[receipt.block_hash])

    async def _has_left(self, receipt: Receipt) -> bool:
        """Whether its block is proven to be off the chain: a node that lags has none of that number, or the same."""
        header = await self._crew.chain.header(receipt.block_number)
        return header is not None and header.hash != receipt.block_hash

    async def _count_in(self, block: int) -> int:
        """The count in a final block; 0 (so nothing is decided) where the node cannot tell at the moment."""
        try:
            return await self._crew.chain.nonce(self._desk.address, block)
        except (TemporaryError, RejectedError) as error:
            log.warning("an older state is not known", block=block, error=str(error))
            return 0

    async def _final_block(self, head: int) -> int:
        tag = self._crew.settings.final_tag
        if tag is not None:
            block = await self._crew.chain.header(tag)
            if block is not None:
                return block.number
        return head - self._crew.settings.confirmations + 1

    async def _reopen_if_regressed(self, view: View) -> None:
        """A reorg deeper than `confirmations` took back what was confirmed: follow and send it again."""
        if view.latest >= self.settled_below:
            self._regressed = 0
            return
        if not self._regressed:
            self._regressed_ms = view.now_ms
        self._regressed += 1
        if self._regressed < REGRESSED_LOOKS or not await self._is_lost(view):
            return
        journal, now = self._crew.journal, view.now_ms
        async with self._crew.lock:
            lost = await self._crew.database.write(lambda c: journal.reopen_from(c, view.latest, now), urgent=True)
            for entry in lost:
                self._book.put(entry)
        self.settled_below = view.latest
        self._crew.committer.at_least(max((entry.nonce + 1 for entry in lost), default=0))
        log.warning("confirmed transactions left the chain", count=len(lost), first_nonce=view.latest)

    async def _is_lost(self, view: View) -> bool:
        """Whether what was confirmed from the count on is off the chain, and not merely unknown to a node that lags."""
        if view.now_ms - self._regressed_ms >= REGRESSED_MS:
            return True
        first = await self._crew.database.read(lambda c: self._crew.journal.confirmed_from(c, view.latest))
        return first is not None and first.receipt is not None and await self._has_left(first.receipt)

    # ---- judging ----

    async def _judge_all(self, view: View) -> None:
        verdicts = [
            (slot, verdict) for slot in self._book.slots() if isinstance(verdict := self._judge(slot, view), Verdict)
        ]
        changes = [change for slot, verdict in verdicts for change in _changes(slot, verdict)]
        accepted = frozenset(self._book.accepted)
        if not changes and not accepted:
            return
        journal = self._crew.journal
        async with self._crew.lock:
            await self._crew.database.write(lambda c: journal.change(c, changes, view.now_ms, accepted), urgent=True)
            self._book.accepted -= accepted
            for slot, verdict in verdicts:
                self._apply(slot, verdict, view)

    def _judge(self, slot: Slot, view: View) -> Verdict | Keep:
        verdict = judge(slot, view, self._book.used.get(slot.nonce), self._crew.settings.patience)
        mined = any(hash_ in view.receipts for hash_ in slot.hashes)
        if slot.nonce < view.latest and not mined:
            self._book.used.setdefault(slot.nonce, UsedSince(view.head, view.now_ms))
        else:
            self._book.used.pop(slot.nonce, None)
        return verdict

    def _apply(self, slot: Slot, verdict: Verdict, view: View) -> None:
        before = slot.winner
        for change in _changes(slot, verdict):
            self._book.put(replace(change.entry, state=change.state, current=change.current, receipt=change.receipt))
        if verdict.winner is not None and verdict.receipt is not None and before is None:
            self._mined(verdict.winner, verdict.receipt, view)
        if verdict.state is TxState.BROADCAST:
            self._orphaned(slot)
        if verdict.state in FINAL_STATES:
            self._settled(slot, verdict)

    def _mined(self, entry: Entry, receipt: Receipt, view: View) -> None:
        self._crew.gas.learn(entry.to, entry.data, entry.gas, receipt)
        seconds = (view.now_ms - entry.created_ms) / 1000
        fee = receipt.gas_used * receipt.effective_gas_price
        self._crew.observer(Mined(entry.key, entry.nonce, seconds, fee, receipt.succeeded))

    def _orphaned(self, slot: Slot) -> None:
        self._book.sent_ms.pop(slot.nonce, None)
        key = slot.current.key
        log.warning("transaction left the chain with its block", key=key, nonce=slot.nonce)
        self._crew.observer(Orphaned(key, slot.nonce))

    def _settled(self, slot: Slot, verdict: Verdict) -> None:
        after = self._book.slot(slot.nonce)
        assert after is not None
        for entry in after.entries:
            self._crew.observer(Settled(entry.key, entry.nonce, entry.state))
        if verdict.state is TxState.FOREIGN:
            log.error(
                "somebody else used this key",
                key=slot.current.key,
                nonce=slot.nonce,
                signer=self._desk.address,
                remedy="one key, one sender: find who else signs with it",
            )
        else:
            self.settled_below = max(self.settled_below, slot.nonce + 1)
        self._held.pop(slot.nonce, None)
        self._book.settle(slot.nonce)

    # ---- pushing ----

    async def _fill_holes(self, view: View) -> None:
        """A nonce that nobody used blocks every later one."""
        async with self._crew.lock:
            slots = self._book.slots()
            holes = plan_recovery([slot.nonce for slot in slots], view.latest, view.pending).fill
            if not holes or holes[0] < self.settled_below:
                return  # below what was confirmed it is no hole: either this node lags or a reorg is being looked at
            fees = quote(await self._crew.fees.market(), self._crew.settings.fees)
            filled = []
            for nonce in holes:
                try:
                    filled.append(await self._add_filler(nonce, fees))
                except RejectedError as error:  # the signer's policy; what is ours and sent is followed all the same
                    log.error("a nonce that nobody used stays unused", nonce=nonce, error=str(error))  # noqa: TRY400
                    break
        for entry in filled:
            log.warning("filled a nonce that nobody used", nonce=entry.nonce)
            self._crew.observer(GapFilled(entry.nonce))
            await self._crew.broadcaster.send(entry)

    async def _add_filler(self, nonce: int, fees: Fees) -> Entry:
        intent = filler_intent(nonce, self._desk.address)
        draft = await self._crew.committer.draft(nonce, intent, intent.gas_limit or 0, fees)
        return (await self._crew.committer.add([draft]))[0]

    async def _push_all(self, view: View) -> None:
        market = await self._crew.fees.market()
        again: list[Entry] = []
        bumps: list[tuple[Slot, Fees]] = []
        for slot in self._book.slots():
            if slot.nonce < view.latest or (slot.winner is not None and _is_in(view.receipts, slot)):
                continue
            move = next_move(
                slot,
                view,
                sent_ms=self._book.sent_ms.get(slot.nonce),
                refused=self._crew.broadcaster.needs_fees(slot.nonce),
                market=market,
                policy=self._crew.settings.fees,
                patience=self._crew.settings.patience,
            )
            self._note_hold(slot, move if isinstance(move, Hold) else None)
            if isinstance(move, Resend):
                again.append(slot.current)
            elif isinstance(move, Bump):
                bumps.append((slot, move.fees))
        with ExitStack() as reserved:
            affordable = [(slot, fees) for slot, fees in bumps[:PUSHES] if self._reserve(reserved, slot, fees)]
            again += await self._bump(affordable)
        await self._send(again[: 2 * PUSHES])

    def _reserve(self, reserved: ExitStack, slot: Slot, fees: Fees) -> bool:
        """Whether the budget has room for a higher offer, which is then held for it."""
        key, more = slot.current.key, slot.current.gas * fees.cap + slot.current.value - highest_cost(slot)
        try:
            reserved.enter_context(self._book.spending.reserved(key, max(more, 0), self._desk.now_ms()))
        except OverBudget as error:
            if self._held.get(slot.nonce) is not Hold.BUDGET:
                log.error("transaction waits: no money for a higher offer", nonce=slot.nonce, error=str(error))  # noqa: TRY400
            self._note_hold(slot, Hold.BUDGET)
            return False
        return True

    def _note_hold(self, slot: Slot, reason: Hold | None) -> None:
        if reason is None or self._held.get(slot.nonce) is reason:
            return
        self._held[slot.nonce] = reason
        self._crew.observer(Held(slot.current.key, slot.nonce, reason))
        if reason is Hold.CEILING:
            log.error(
                "transaction waits: a higher offer would break the ceiling",
                key=slot.current.key,
                nonce=slot.nonce,
                offered_wei=slot.current.last.fees.cap,
                ceiling_wei=self._crew.settings.fees.ceiling,
                remedy="raise max_gas_price, or wait for the market to fall",
            )

    async def _bump(self, bumps: Sequence[tuple[Slot, Fees]]) -> list[Entry]:
        """Sign and journal higher offers; the caller sends them."""
        if not bumps:
            return []
        async with self._crew.lock:
            fresh = [(slot, fees) for slot, fees in bumps if self._book.slot(slot.nonce) == slot]
            attempts = [(slot.current, await self._signed(slot, fees)) for slot, fees in fresh]
            signed = [(entry, attempt) for entry, attempt in attempts if attempt is not None]
            await self._crew.database.write(lambda c: self._crew.journal.add_attempts(c, signed), urgent=True)
            raised = [replace(entry, attempts=(*entry.attempts, attempt)) for entry, attempt in signed]
            for entry in raised:
                self._book.refusals.pop(entry.nonce, None)
                self._held.pop(entry.nonce, None)
                self._book.put(entry)
        for entry in raised:
            self._crew.observer(Replaced(entry.key, entry.nonce, entry.last.fees.cap))
            log.info("offering more", key=entry.key, nonce=entry.nonce, cap_wei=entry.last.fees.cap)
        return raised

    async def _signed(self, slot: Slot, fees: Fees) -> Attempt | None:
        """A higher offer; None where the signer gives none, which is told once and tried again at the next look."""
        one = slot.current
        try:
            return await self._desk.attempt(one.nonce, one.intent, one.gas, fees)
        except (TemporaryError, RejectedError) as error:
            if self._held.get(slot.nonce) is not Hold.SIGNER:
                log.error("transaction waits: no higher offer signed", key=one.key, nonce=slot.nonce, error=str(error))  # noqa: TRY400
            self._note_hold(slot, Hold.SIGNER)
            return None

    async def _send(self, entries: Sequence[Entry]) -> None:
        for entry in sorted(entries, key=lambda one: one.nonce):
            refused = await self._crew.broadcaster.send(entry)
            if refused is not None and refused[0] is Refusal.NEVER and not entry.is_filler:
                await self.abandon(entry)

    async def abandon(self, entry: Entry) -> None:
        """No node will ever take these bytes: use up the nonce with a transfer to ourselves, so that others pass."""
        market = await self._crew.fees.market()
        intent = filler_intent(entry.nonce, self._desk.address)
        async with self._crew.lock:
            slot = self._book.slot(entry.nonce)
            if slot is None or slot.winner is not None or slot.current.id != entry.id:
                return
            raised = next_fees(slot.highest_fees, market, self._crew.settings.fees)
            fees = raised if isinstance(raised, Fees) else quote(market, self._crew.settings.fees)
            try:
                filler = await self.supersede(entry, intent, intent.gas_limit or 0, fees)
            except RejectedError as error:
                log.error("transaction waits: no node will take it", key=entry.key, error=str(error))  # noqa: TRY400
                return
        log.error("transaction given up: no node will take it", key=entry.key, nonce=entry.nonce)
        await self._crew.broadcaster.send(filler)

    async def supersede(self, old: Entry, intent: Intent, gas: int, fees: Fees) -> Entry:
        """Journal another intent at the same nonce. The caller holds the lock and sends it."""
        draft = await self._crew.committer.draft(old.nonce, intent, gas, fees)
        added = await self._crew.database.write(lambda c: self._crew.journal.supersede(c, old, draft), urgent=True)
        self._book.refusals.pop(old.nonce, None)
        self._book.sent_ms[old.nonce] = draft.created_ms
        self._book.put(replace(old, current=False))
        self._book.put(added)
        return added

    # ---- telling ----

    def _report(self) -> None:
        unmined = [slot for slot in self._book.slots() if slot.winner is None]
        oldest = min((slot.entries[0].created_ms for slot in unmined), default=self._desk.now_ms())
        self._crew.observer(InFlight(len(unmined), (self._desk.now_ms() - oldest) / 1000))
        if self.balance is not None:
            self._crew.observer(BalanceRead(self.balance))
        spent = self._book.spending.spent(ALL, self._desk.now_ms())
        self._crew.observer(Spent(spent, self._crew.settings.spend_per_day))


def _is_in(found: Mapping[Hash32, Receipt], slot: Slot) -> bool:
    return any(hash_ in found for hash_ in slot.hashes)


def _changes(slot: Slot, verdict: Verdict) -> list[Change]:
    """What a verdict means for each entry of the slot."""
    if verdict.winner is None:
        current = verdict.state is not TxState.FOREIGN
        return [Change(entry, verdict.state, current and entry.current, None) for entry in slot.entries]
    return [
        Change(entry, verdict.state, entry.current, verdict.receipt)
        if entry.id == verdict.winner.id
        else Change(entry, TxState.REPLACED, entry.current, None)
        for entry in slot.entries
    ]
