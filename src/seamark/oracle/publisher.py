"""One feed: from quotes to rounds on chain.

    on_quotes, tick --decide--> one Planned at a time --submit--> followed until mined --> stored, adopted as state

What keeps it right:
- Every decision is made against the chain's own state, read from its contract or from the receipt of our own
  transaction, never against what this process remembers sending.
- A round and its attempt give the intent's key. The sender's journal holds a key at most once, and the contract takes a
  round at most once, so neither a crash nor a second publisher can publish a round twice.
- An attempt that ended without its round (reverted, parked, its nonce taken) is followed by another attempt at the same
  round with the next number, or, if somebody else published the round, by the next round.
- The journal is the durable record; rows in the database follow from it. After a crash the journal is asked for every
  round that could be ours, so a publication that has no row yet gets one.
- A newer answer may take the nonce of one that is not mined. Both are attempts at the same round, so the chain takes at
  most one of them; they are followed together to the end of their nonce.
- On the way from a price to its broadcast there is no read of the chain and no write of ours.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

import structlog

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.units import format_duration
from seamark.evm.ports import ChainReader, Intent, Outcome, TransactionSender, TxState
from seamark.oracle.hearing import Hearing
from seamark.oracle.metrics import FeedMeter
from seamark.oracle.model import (
    Answer,
    FeedState,
    Jump,
    Planned,
    Publication,
    PublicationState,
    Reason,
    Rejected,
    SourceReport,
    Trigger,
)
from seamark.oracle.plan import FeedPlan
from seamark.oracle.publications import attempt_key, settle, settle_losers, spender, state_after, to_publication
from seamark.oracle.recovery import Recovery
from seamark.oracle.rules import (
    decide,
    explain,
    follow_jump,
    is_held,
    replaces,
)
from seamark.oracle.store import (
    add_publication,
    add_replacement,
    open_publications,
    record_failure,
    record_state,
    register_feed,
    settle_publication,
)
from seamark.oracle.targets.find import make_target
from seamark.oracle.targets.target import Verdict
from seamark.oracle.tasks import run_together
from seamark.oracle.telling import Telling, no_answer, unpaid
from seamark.runtime.clock import Clock
from seamark.storage.database import Database

__all__ = ["FeedPublisher"]

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
PAUSED_AFTER: Final = 5  # errors in a row; from then on the feed shows as paused
GAS_RESERVE: Final = 2  # times what earlier submissions used: storage that turns from zero costs more
WAIT_PAUSE_S: Final = 1.0
REPLACE_PAUSE_S: Final = 5.0  # before a replacement that was refused is tried again
LOOK_S: Final = 0.1
SLOW_AFTER_S: Final = 120.0  # ten slots of Ethereum: by now fees have been raised several times

log = structlog.get_logger("seamark.oracle")


class FeedPublisher:
    """Publishes one feed. A `Service`; `run()` may be called again after it failed and resumes where the chain is.

    Args:
        plan: What to publish, where, and when.
        chain: Reads the chain that the contract is on.
        sender: Sends from the account that may publish.
        database: For publications and events.
        clock: Time.
        meter: The feed's metrics.
    """

    def __init__(
        self,
        *,
        plan: FeedPlan,
        chain: ChainReader,
        sender: TransactionSender,
        database: Database,
        clock: Clock,
        meter: FeedMeter,
    ) -> None:
        self.plan = plan
        self.name = f"oracle:{plan.ref.name}@{plan.ref.chain}"
        self.state: FeedState | None = None
        self.result: Answer | Rejected | None = None
        self._target = make_target(plan.contract, chain, plan.ref.address, sender.address)
        self._sender = sender
        self._database = database
        self._clock = clock
        self.meter = meter
        self._recovery = Recovery(
            ref=plan.ref, chain=chain, sender=sender, database=database, clock=clock, trigger=plan.trigger
        )
        self._log = log.bind(feed=plan.ref.name, chain=plan.ref.chain)
        self._told: list[SourceReport] = []  # in this turn of the event loop
        self.heard = Hearing(plan, meter)
        self._jump: Jump | None = None
        self.telling = Telling(plan.ref, database, self._log)
        self._gas_used = 0
        self._reset()
        self._set_limits()

    def _set_limits(self) -> None:
        owner, limit, sender = spender(self.plan.ref), self.plan.spend_per_day, self._sender
        self.meter.expect(self.plan.aggregation.min_venues)
        sender.limit_spending(owner, limit)
        self.meter.watch_spending(lambda: sender.spent(owner), limit)

    def change(self, plan: FeedPlan) -> None:
        """Follow another plan of the same contract and pair from the next decision on; what is in flight goes on.

        What was heard of sources that are gone, or are others now, is forgotten.
        """
        kept = self.heard.change(plan)
        self._told = [report for report in self._told if report.source in kept]
        self.plan, self._recovery.trigger = plan, plan.trigger
        self.meter.change(plan.trigger)
        self._set_limits()

    async def retire(self, limit_s: float) -> None:
        """Begin nothing more; return when nothing is in flight, or the time is up."""
        self._ready = False
        give_up = self._clock.monotonic() + limit_s
        while self._busy and self._clock.monotonic() < give_up:
            await self._clock.sleep(LOOK_S)

    def _reset(self) -> None:
        self._work: asyncio.Queue[Planned] = asyncio.Queue()
        self._newer: asyncio.Queue[Planned] = asyncio.Queue()
        self._pending: Publication | None = None  # the newest attempt that waits to be mined
        self._handed_in = 0.0  # when that was (monotonic)
        self._ready = False  # until what an earlier run began is finished
        self._busy = False
        self._busy_since = 0.0
        self._attempt = 1
        self._failures = 0
        self._refusal = ""
        self._not_before = 0.0
        self._looked_at = -math.inf  # whoever begins, or takes over, decides at once
        self._unreachable = False
        patience = max((source.deadline for source in self.plan.sources), default=0.0)
        self._patience_until = self._clock.monotonic() + patience

    # ---- the way of a price: no waiting in here ---------------------------------------------------------------------

    def on_report(self, report: SourceReport) -> None:
        """A source told something: decided at once, together with what else comes in this turn of the event loop."""
        if not self._told:
            asyncio.get_running_loop().call_soon(self._take_told)
        self._told.append(report)

    def _take_told(self) -> None:
        told, self._told = self._told, []
        try:
            self.on_quotes(told)
        except Exception:  # noqa: BLE001 - whatever is wrong with one feed, the others go on
            self._log.exception("feed cannot use its quotes")

    def on_quotes(self, reports: Iterable[SourceReport]) -> Planned | None:
        """Take quotes (or failures of sources) and decide at once; what is returned is already on its way."""
        self.heard.take(reports, self._clock.now())
        return self.tick()

    def tick(self) -> Planned | None:
        """Decide again, because time has passed or the chain has moved."""
        state, now = self.state, self._clock.now()
        if state is None:
            return None
        self._looked_at = now
        result = self.result = self.heard.answer(state, now)
        if isinstance(result, Rejected):
            return None
        self._jump = follow_jump(state, result, self._jump, now, self.plan.trigger)
        if not self._may_publish():
            return self._plan_replacement(state, result, now)
        decision = decide(state, result, now, self.plan.trigger, self._jump)
        return self._plan_round(state, result, decision.reason, now) if isinstance(decision, Trigger) else None

    def _may_publish(self) -> bool:
        """One at a time, not while backing off, and not before every source had its chance to speak at start."""
        now = self._clock.monotonic()
        return self._all_spoke() and self._ready and not self._busy and now >= self._not_before

    def _all_spoke(self) -> bool:
        return not self.heard.silent or self._clock.monotonic() >= self._patience_until

    def _plan_round(self, state: FeedState, answer: Answer, reason: Reason, now: float) -> Planned:
        ref, round_id = self.plan.ref, state.next_round
        key = attempt_key(ref, round_id, self._attempt)
        planned = Planned(key, ref, round_id, self._attempt, answer, reason, now)
        self._occupy()
        self._work.put_nowait(planned)
        return planned

    def _plan_replacement(self, state: FeedState, answer: Answer, now: float) -> Planned | None:
        """A newer answer for the round that waits to be mined, where that is worth another transaction."""
        pending = self._pending
        if pending is None or pending.answer is None or pending.round != state.next_round:
            return None
        if not self._all_spoke() or not self._newer.empty():
            return None
        waited = self._clock.monotonic() - self._handed_in
        observed_at = pending.observed_at or 0
        trigger, jump = self.plan.trigger, self._jump
        if not replaces(state, pending.answer, observed_at, answer, waited=waited, policy=trigger, jump=jump):
            return None
        joined = pending.reason is Reason.JOIN
        reason = pending.reason if joined else explain(state, answer.value, self.plan.trigger) or pending.reason
        attempt = pending.attempt + 1
        key = attempt_key(self.plan.ref, pending.round, attempt)
        planned = Planned(key, self.plan.ref, pending.round, attempt, answer, reason, now)
        self._newer.put_nowait(planned)
        return planned

    def problem(self) -> str | None:
        """What keeps the feed from being well, in a few words; None if nothing does."""
        if self.state is None:
            return "its contract was not read yet"
        if self._failures >= PAUSED_AFTER:
            return f"{self._failures} failed publications in a row" + (f": {self._refusal}" if self._refusal else "")
        if self._busy and (waited := self._clock.monotonic() - self._busy_since) > SLOW_AFTER_S:
            return f"its transaction waits for {format_duration(waited)}"
        if self.telling.stale:
            return "expired on chain"
        return self._jump_held() or unpaid(self.state) or no_answer(self.state, self.result, self._clock.now())

    def _jump_held(self) -> str | None:
        """What the circuit breaker keeps back, in words; None: nothing."""
        if self.state is None or not isinstance(self.result, Answer):
            return None
        if not is_held(self.state, self.result, self._jump, self.plan.trigger):
            return None
        return f"held: {self.result.price:f} is a jump from {self.state.price:f} that waits for confirmation"

    # ---- running ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Resume, then publish until cancelled.

        Raises:
            TemporaryError: The chain or the database cannot be reached; call again.
        """
        self._reset()
        try:
            await self._resume()
            self._ready = True
            await run_together(self._tick_forever(), self._refresh_forever(), self._work_forever())
        finally:
            self._ready = False

    async def _tick_forever(self) -> None:
        while True:
            if self._clock.now() - self._looked_at >= self.plan.poll_interval:
                self.tick()
            await self._tell_standing()
            await self._clock.sleep(self.plan.poll_interval)

    async def _refresh_forever(self) -> None:
        while True:
            await self._clock.sleep(min(self.plan.refresh_interval, self._target.look_every or math.inf))
            try:
                await self.refresh()
                self._unreachable = False
                if self._known_state().turn is not None:
                    self.tick()  # a round that others have opened waits for us
            except (TemporaryError, RejectedError) as error:
                await self._count_failure("chain_read", str(error), tell=not self._unreachable)
                if not self._unreachable:  # once per outage
                    self._log.warning("cannot read the feed's contract", error=str(error))
                self._unreachable = True

    async def _work_forever(self) -> None:
        while True:
            await self._carry_out(await self._work.get())

    async def stand_by(self) -> None:
        """While another replica leads, until cancelled: keep quotes and the contract's state warm, store nothing."""
        while True:
            try:
                await self.refresh(store=False)
            except (TemporaryError, RejectedError) as error:
                self._log.debug("cannot read the feed's contract", error=str(error))
            self.tick()
            await self._clock.sleep(min(self.plan.refresh_interval, self.plan.poll_interval * 5))

    async def refresh(self, *, store: bool = True) -> None:
        """Read the contract; a state older than the one known comes from a node that lags behind, and is ignored."""
        state = await self._target.read()
        if self.state is not None and state.block_number < self.state.block_number:
            return
        known = self.state
        if known is not None and state.next_round != known.next_round:
            self._attempt = 1
        self._adopt(state)
        unchanged = known is not None and known.same_feed(state)
        if store and not unchanged:
            now = self._clock.now()
            await self._database.write(lambda connection: record_state(connection, self.plan.ref, state, now=now))

    def _adopt(self, state: FeedState) -> None:
        if unpaid(state) and not unpaid(self.state):
            self._log.warning("payments run out", detail=unpaid(state))
        self.state = state
        self.meter.observed(state)

    async def _tell_standing(self) -> None:
        detail = self.result.detail if isinstance(self.result, Rejected) else ""
        heartbeat, now = self.plan.trigger.heartbeat, self._clock.now()
        await self.telling.freshness(self.state, heartbeat=heartbeat, now=now, detail=detail)
        held, jump = self._jump_held(), self._jump
        self.meter.held(held is not None)
        await self.telling.held(held)
        if held is not None and jump is not None and await self.telling.accepted(since=jump.since):
            self._jump = replace(jump, observed_at=0)  # a person has confirmed it, so no later observation need
            self.tick()

    # ---- one publication --------------------------------------------------------------------------------------------

    async def _carry_out(self, planned: Planned) -> None:
        try:
            outcome = await self._sender.submit(self._intent(planned))
        except RejectedError as error:
            await self._refused(error)
            return
        except TemporaryError as error:
            found = await self._sender.find(planned.key)
            if found is None:
                await self._give_up("submit", str(error))
                return
            outcome = found
        self.meter.accepted_seconds.observe(self._clock.now() - planned.planned_at)
        publication = to_publication(planned, outcome)
        await self._database.write(lambda connection: add_publication(connection, publication))
        await self._follow(publication)

    def _intent(self, planned: Planned) -> Intent:
        data = self._target.encode(planned.round, planned.answer)
        return Intent(planned.key, self.plan.ref.address, data, value=self.plan.value, gas_limit=self._gas_limit())

    def _gas_limit(self) -> int | None:
        asked = self.state.gas_limit if self.state is not None else None
        return self.plan.gas_limit or asked or (self._gas_used * GAS_RESERVE or None)

    async def _follow(self, *sent: Publication) -> None:
        """Wait until one of these attempts (of one nonce, oldest first), or a newer one in their place, is mined."""
        self._occupy()
        attempts = list(sent)
        try:
            self._await(attempts[-1])
            while isinstance(event := await self._mined_or_newer(attempts[-1]), Planned):
                self._pending = None  # until it is known which attempt waits: no second one with the same number
                newer = await self._replace(attempts[-1], event)
                if newer is None:
                    self._pending = attempts[-1]
                else:
                    attempts.append(newer)
                    self._await(newer)
        finally:
            self._pending, self._newer = None, asyncio.Queue()
        await self._end(attempts, event)

    def _await(self, publication: Publication) -> None:
        self._pending, self._handed_in = publication, self._clock.monotonic()

    async def _mined_or_newer(self, publication: Publication) -> Outcome | Planned:
        """Its end, or the answer that shall replace it, whichever comes first."""
        mined = asyncio.create_task(self._wait_mined(publication.key))
        newer = asyncio.create_task(self._newer.get())
        try:
            await asyncio.wait((mined, newer), return_when=asyncio.FIRST_COMPLETED)
            return mined.result() if mined.done() else newer.result()
        finally:
            mined.cancel()
            newer.cancel()

    async def _replace(self, old: Publication, planned: Planned) -> Publication | None:
        """Give the nonce to a newer answer; None where that could not be, and nothing was journalled."""
        try:
            outcome = await self._sender.replace(old.key, self._intent(planned))
        except (RejectedError, TemporaryError) as error:
            found = await self._sender.find(planned.key)
            if found is None:  # the older one may be mined by now, the offer too young or the limit reached
                self._log.info("not replaced", round=old.round, error=str(error))
                self._handed_in = self._clock.monotonic() - self.plan.trigger.replace_after + REPLACE_PAUSE_S
                return None
            outcome = found
        publication = to_publication(planned, outcome)
        additions = await self._database.write(
            lambda connection: add_replacement(connection, publication, replaces=old.key)
        )
        self.meter.metrics.add(additions)
        self._log.info("answer replaced", round=old.round, old=old.answer, answer=publication.answer)
        return publication

    async def _end(self, attempts: Sequence[Publication], last: Outcome) -> None:
        """Store what came of the attempts at a nonce, and take the one that was mined as the chain's state."""
        outcomes = await self._outcomes(attempts, last)
        decisive = next((one for one in attempts if outcomes[one.key].receipt is not None), attempts[-1])
        outcome, now = outcomes[decisive.key], self._clock.now()
        settled = settle(decisive, outcome, now=now)
        if decisive.answer is None and settled.answer is not None:
            settled = replace(settled, reason=await self._recovery.derive_reason(settled, outcome.receipt))
        for loser in settle_losers(attempts, decisive, outcomes, now=now):
            await self._store_end(loser, None)
        state = state_after(self._known_state(), outcome, self.plan.ref)
        await self._store_end(settled, state)
        tried = max(one.attempt for one in attempts)
        if settled.state in (PublicationState.REVERTED, PublicationState.REPLACED):
            await self._fail_attempt(settled, tried)
        else:
            self._succeed(settled, outcome, state, tried)

    async def _outcomes(self, attempts: Sequence[Publication], last: Outcome) -> dict[str, Outcome]:
        """How each attempt stands; those before the newest are asked for once that is known."""
        found = {one.key: await self._sender.find(one.key) for one in attempts[:-1]}
        known = {key: outcome for key, outcome in found.items() if outcome is not None}
        gone = {key: replace(last, key=key, state=TxState.REPLACED, receipt=None) for key in found.keys() - known}
        return {**known, **gone, attempts[-1].key: last}

    async def _wait_mined(self, key: str) -> Outcome:
        while True:
            try:
                return await self._sender.wait(key, until=TxState.MINED)
            except TemporaryError as error:
                self._log.warning("waiting for a transaction", key=key, error=str(error))
                await self._clock.sleep(WAIT_PAUSE_S)

    async def _store_end(self, settled: Publication, state: FeedState | None) -> None:
        now = self._clock.now()
        additions = await self._database.write(
            lambda connection: settle_publication(connection, settled, state=state, now=now)
        )
        self.meter.metrics.add(additions)

    def _succeed(self, settled: Publication, outcome: Outcome, state: FeedState | None, tried: int) -> None:
        if state is not None:
            self._adopt(state)
        if outcome.receipt is not None:
            self._gas_used = max(self._gas_used, outcome.receipt.gas_used)
        self._attempt = self._attempt_after(settled, tried)
        if settled.state is not PublicationState.PARKED and self._known_state().asks_for(settled.round):
            # A reorg took the block and the sender does not know yet: asking again at once would give the same answer.
            self._not_before = self._clock.monotonic() + FIRST_PAUSE_S
        self._failures = 0
        self.meter.paused.set(0)
        self.meter.mined_seconds.observe(max(0.0, self._clock.now() - settled.planned_at))
        self._release()
        self._log.info(
            "answer parked" if settled.state is PublicationState.PARKED else "round published",
            round=settled.round,
            answer=settled.answer,
            reason=str(settled.reason),
            transaction=settled.transaction,
        )

    def _attempt_after(self, ended: Publication, tried: int) -> int:
        """Attempts at a round are numbered without gaps, which is how a restart finds them all."""
        if self._known_state().next_round != ended.round:
            return 1
        return 1 if ended.state in (PublicationState.MINED, PublicationState.FINAL) else tried + 1

    def _occupy(self) -> None:
        if not self._busy:
            self._busy_since = self._clock.monotonic()
        self._busy = True
        self.meter.pending.set(1)

    def _release(self) -> None:
        self._busy = False
        self.meter.pending.set(0)

    # ---- when it fails ----------------------------------------------------------------------------------------------

    async def _fail_attempt(self, settled: Publication, tried: int) -> None:
        self._log.warning("publication failed", round=settled.round, state=str(settled.state), key=settled.key)
        self._gas_used = 0
        self._refusal = ""
        await self._back_off()
        self._attempt = self._attempt_after(settled, tried)

    async def _refused(self, error: RejectedError) -> None:
        """Nothing was sent. Where the round is over without us, nothing failed either."""
        refusal = self._target.refusal(error)
        if refusal.verdict is Verdict.DONE:
            self._log.info("round is over", kind=refusal.kind, error=str(error))
            await self._look_again(FIRST_PAUSE_S)
            return
        await self._give_up(refusal.kind, str(error), broken=refusal.verdict is Verdict.BROKEN)

    async def _give_up(self, kind: str, detail: str, *, broken: bool = False) -> None:
        """Nothing was sent: the same attempt may be made again."""
        self._log.warning("publication refused", kind=kind, error=detail)
        self._refusal = detail
        await self._count_failure(kind, detail)
        await self._back_off(broken=broken)

    async def _count_failure(self, kind: str, detail: str, *, tell: bool = True) -> None:
        ref = self.plan.ref
        additions = await self._database.write(
            lambda connection: record_failure(connection, ref, kind, detail, tell=tell)
        )
        self.meter.metrics.add(additions)

    async def _back_off(self, *, broken: bool = False) -> None:
        """Look at the chain again, and wait longer after each error in a row; at once for long where it takes a person
        to mend it.
        """
        self._failures += 1
        self.meter.paused.set(self._failures >= PAUSED_AFTER)
        await self._look_again(
            LONGEST_PAUSE_S if broken else min(FIRST_PAUSE_S * 2 ** (self._failures - 1), LONGEST_PAUSE_S)
        )

    async def _look_again(self, pause: float) -> None:
        self._not_before = self._clock.monotonic() + pause
        try:
            await self.refresh()
        except (TemporaryError, RejectedError) as error:
            self._log.warning("cannot read the feed's contract", error=str(error))
        self._release()

    # ---- starting ---------------------------------------------------------------------------------------------------

    async def _resume(self) -> None:
        """Read the chain, then finish what an earlier run began."""
        plan = self.plan
        await self._database.write(
            lambda connection: register_feed(
                connection, plan.ref, heartbeat=plan.trigger.heartbeat, deviation=plan.trigger.deviation
            )
        )
        self.state = None
        await self.refresh()
        pending = await self._database.read(lambda connection: open_publications(connection, plan.ref))
        await self._finish([*pending, *await self._recovery.unrecorded(self._known_state())])
        await self.refresh()
        self._attempt = await self._recovery.next_attempt(self._known_state().next_round)
        self._release()

    def _known_state(self) -> FeedState:
        assert self.state is not None, "read before anything else"
        return self.state

    async def _finish(self, publications: Iterable[Publication]) -> None:
        """Follow what is on its way; attempts at one nonce together."""
        nonces: dict[int, list[Publication]] = {}
        for publication in publications:
            outcome = await self._sender.find(publication.key)
            if outcome is None:  # the journal was lost or replaced; the chain alone tells which rounds exist
                await self._store_end(replace(publication, state=PublicationState.REPLACED, closed=True), None)
                continue
            self._log.info("resuming a publication", round=publication.round, state=str(outcome.state))
            nonces.setdefault(outcome.nonce, []).append(publication)
        for attempts in nonces.values():
            await self._follow(*sorted(attempts, key=lambda one: (one.round, one.attempt)))
