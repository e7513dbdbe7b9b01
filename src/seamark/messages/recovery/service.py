"""From a message id to a transaction: the ledger, the destination's contracts and the rules, in one place.

    examine -> an `Examination` for people; prepare -> transactions with safe gas limits, checked once more
    audit   -> what was built and sent, by whom and why, in the event log

Nothing here signs or sends: that is the caller's, with the keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from seamark.core.errors import RejectedError
from seamark.core.ids import Address, ChainId, Hash32
from seamark.evm.abi import Error, decode_revert
from seamark.evm.crypto import keccak256_hex
from seamark.evm.rpc.errors import CallReverted, RequestRefused
from seamark.messages.recovery.model import (
    Answer,
    Case,
    ExecutionState,
    Gas,
    Head,
    ManualCall,
    Standing,
    Trial,
    Verdict,
)
from seamark.messages.recovery.port import ExecutionChain, Recoverer, RecoveryProtocol
from seamark.messages.recovery.rules import advise, gas_limit, held_up, in_nonce_order, judge, judge_together
from seamark.messages.recovery.sends import LogsGone
from seamark.messages.recovery.store import find_cases, find_head, load_case, load_told
from seamark.storage.database import Database
from seamark.storage.events import Event, append_events

__all__ = ["BEGUN", "BUILT", "SENT", "Examination", "Prepared", "RecoveryDesk", "record"]

BUILT, BEGUN, SENT = "recovery.built", "recovery.begun", "recovery.sent"
"""Topics of the event log."""

_NO_GAS = Error.parse("error InsufficientGasToCompleteTx(bytes4 err)")
_AGAIN = Error.parse("error ExecutionError(bytes32 messageId, bytes err)")
_OLD_AGAIN = Error.parse("error ExecutionError(bytes err)")
_EARLY = Error.parse("error ManualExecutionNotYetEnabled(uint64 source)")


@dataclass(frozen=True, slots=True)
class Examination:
    """What is to be said of one message: may it be executed, and what would come of it (`trial`, where it may)."""

    case: Case
    standing: Standing
    verdict: Verdict
    trial: Trial | None = None
    advice: str = ""

    @property
    def worthwhile(self) -> bool:
        """It may be executed, and a trial did not fail."""
        return self.verdict.allowed and (self.trial is None or self.trial.succeeds is not False)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A transaction ready to be signed, with the limit it needs. `checked` is what a run of all of it said: "" where it
    passes, else why it could not be checked.
    """

    call: ManualCall
    gas: int
    estimate: int | None
    checked: str

    @property
    def key(self) -> str:
        """The natural key of the recovery: same messages, same calldata, same key."""
        words = "".join(self.call.messages).encode() + self.call.data
        return f"recovery:{self.call.chain_id}:{keccak256_hex(words)[2:34]}"


class RecoveryDesk:
    """Examines and prepares.

    Args:
        database: The ledger.
        protocols: By name.
        chains: Those that are open, by chain id; more may be added.
    """

    def __init__(
        self, *, database: Database, protocols: Sequence[RecoveryProtocol], chains: Mapping[ChainId, ExecutionChain]
    ) -> None:
        self._database = database
        self._protocols = {protocol.name: protocol for protocol in protocols}
        self._chains = chains
        self._recoverers: dict[tuple[object, str], Recoverer] = {}

    async def case(self, message_id: str) -> Case:
        """Raises `RejectedError` where the ledger knows none, or several."""
        return await self._database.read(lambda c: load_case(c, message_id))

    async def cases(
        self, *, source: str | None = None, destination: str | None = None, sender: str | None = None
    ) -> list[Case]:
        """All that are not executed, in the order in which they must be."""
        found = await self._database.read(
            lambda c: find_cases(
                c, source=source, destination=destination, sender=sender, protocols=list(self._protocols)
            )
        )
        return in_nonce_order(found)

    async def examine(self, case: Case, gas: Gas) -> Examination:
        """Ask the destination, and try the execution where it is allowed.

        Raises:
            RejectedError: The message cannot be dealt with from here; says why.
            TemporaryError: No node answers.
        """
        standing = await self._standing(case)
        verdict = judge(case, standing)
        if verdict.answer is Answer.NONCE_BLOCKED and standing.next_nonce is not None:
            nonce = standing.next_nonce
            head = await self._database.read(lambda c: find_head(c, case, nonce))
            verdict = judge(case, standing, head)
        return await self._with_trial(Examination(case, standing, verdict), gas)

    async def examine_all(self, cases: Sequence[Case], gas: Gas, *, anyway: bool = False) -> list[Examination]:
        """A batch, in nonce order: who may go once those before it have gone. One that cannot be dealt with is told as
        refused, and the others go on. One whose trial fails stays, and holds up its sender's later ones, unless it goes
        `anyway`: it would be recorded as a failure, which uses its nonce.
        """
        standings: list[Standing] = []
        problems: dict[int, RejectedError] = {}
        for at, case in enumerate(cases):
            try:
                standings.append(await self._standing(case))
            except RejectedError as error:
                problems[at] = error
                standings.append(_unknown())
        found = []
        for at, (case, standing, verdict) in enumerate(
            zip(cases, standings, judge_together(cases, standings), strict=True)
        ):
            if problem := problems.get(at):
                refused = Verdict(Answer.REFUSED, problem.message, problem.remedy)
                found.append(Examination(case, standing, refused))
                continue
            found.append(await self._tried(Examination(case, standing, verdict), gas))
        return found if anyway else _held_up(found)

    async def prepare(self, examined: Sequence[Examination], gas: Gas) -> list[Prepared]:
        """The transactions for what may be executed, in order, one lane's after another's.

        Raises:
            RejectedError: The whole transaction would fail; says why.
            TemporaryError: No node answers.
        """
        groups: dict[tuple[object, str], list[Examination]] = {}
        for item in examined:
            groups.setdefault((item.case.lane, item.case.version), []).append(item)
        prepared = []
        for items in groups.values():
            cases, standings = [item.case for item in items], [item.standing for item in items]
            calls = await self._recoverer(cases[0]).build(cases, standings, gas)
            prepared += [await self._measure(call) for call in calls]
        return prepared

    async def states(self, cases: Sequence[Case]) -> dict[Hash32, ExecutionState]:
        """What the destination says of each now."""
        return {case.id: (await self._recoverer(case).standing(case)).state for case in cases}

    # ---- audit ------------------------------------------------------------------------------------------------------

    async def audit(self, topic: str, prepared: Sequence[Prepared], *, operator: str, why: str, **more: Any) -> None:
        """Write down who built or sent what, and why: one event for each message."""
        events = record(topic, prepared, operator=operator, why=why, **more)

        def work(connection: Connection) -> None:
            append_events(connection, events)

        await self._database.write(work)

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _recoverer(self, case: Case) -> Recoverer:
        key = case.lane, case.version
        if key not in self._recoverers:
            protocol = self._protocols.get(case.lane.protocol)
            if protocol is None:
                raise RejectedError(
                    f"messages of {case.lane.protocol} cannot be executed by hand from here",
                    remedy="use the protocol's own tools",
                )
            self._recoverers[key] = protocol.recoverer(case, self._chains)
        return self._recoverers[key]

    async def _standing(self, case: Case) -> Standing:
        """Some generations need the message itself for that; they remember it."""
        try:
            return await self._recoverer(case).standing(case)
        except LogsGone:
            told = await self._database.read(lambda c: load_told(c, case))
            return await self._recoverer(case).standing(replace(case, told=told))

    async def _tried(self, examination: Examination, gas: Gas) -> Examination:
        try:
            return await self._with_trial(examination, gas)
        except RejectedError as error:
            return replace(examination, verdict=Verdict(Answer.REFUSED, error.message, error.remedy))

    async def _with_trial(self, examination: Examination, gas: Gas) -> Examination:
        if not examination.verdict.allowed:
            return examination
        case, standing = examination.case, examination.standing
        try:
            trial = await self._recoverer(case).trial(case, standing, gas)
        except LogsGone:
            told = await self._database.read(lambda c: load_told(c, case))
            case = replace(case, told=told)
            trial = await self._recoverer(case).trial(case, standing, gas)
        return replace(examination, case=case, trial=trial, advice=advise(case, trial, gas))

    async def _measure(self, call: ManualCall) -> Prepared:
        chain = self._chains[call.chain_id]
        try:
            estimate = await chain.estimate_gas(sender=call.estimate_as, to=call.to, data=call.data)
        except CallReverted as error:
            raise _explained(call, error) from error
        except RequestRefused as error:
            return Prepared(call, gas_limit(None, call.least_gas), None, f"the node does not estimate: {error.message}")
        estimate = call.measured or estimate
        gas = gas_limit(estimate, call.least_gas)
        return Prepared(call, gas, estimate, await self._check(chain, call, gas))

    async def _check(self, chain: ExecutionChain, call: ManualCall, gas: int) -> str:
        """Run all of it with exactly the limit it will have, as the sender to whom a lack of gas is told."""
        try:
            await chain.simulate(sender=call.estimate_as, to=call.to, data=call.data, gas=gas)
        except CallReverted as error:
            raise _explained(call, error) from error
        except RequestRefused as error:
            return f"the node does not run it: {error.message}"
        return ""


def record(topic: str, prepared: Sequence[Prepared], *, operator: str, why: str, **more: Any) -> list[Event]:
    """What the event log keeps of transactions: one event for each message."""
    return [
        Event(
            topic,
            message,
            {
                "operator": operator,
                "why": why,
                "chain_id": item.call.chain_id,
                "to": item.call.to,
                "gas": item.gas,
                "key": item.key,
                "batch": len(item.call.messages),
                **more,
            },
        )
        for item in prepared
        for message in item.call.messages
    ]


def _held_up(examined: Sequence[Examination]) -> list[Examination]:
    """The same, where those behind an untouched message that stays must stay too."""
    heads: dict[tuple[object, str], Head] = {}
    found = []
    for item in examined:
        case, standing = item.case, item.standing
        queue = case.lane, case.sender
        if standing.nonce and standing.state is ExecutionState.UNTOUCHED:
            head = heads.get(queue)
            if head is not None and head.nonce < standing.nonce and item.verdict.allowed:
                item = Examination(case, standing, held_up(case, standing, head))  # noqa: PLW2901 - the same item, judged again
            elif not item.worthwhile:
                heads.setdefault(queue, Head(case.id, case.sequence, standing.nonce, case.stage))
        found.append(item)
    return found


def _unknown() -> Standing:
    return Standing(state=ExecutionState.UNTOUCHED, now=0, off_ramp=Address(""), version="", needs_commit=False)


def _explained(call: ManualCall, error: CallReverted) -> RejectedError:
    known = (_NO_GAS, _AGAIN, _OLD_AGAIN, _EARLY)
    told = decode_revert(error.data, known).text if error.data else error.message
    names = ", ".join(_short(message) for message in call.messages[:3])
    return RejectedError(f"the execution of {names} would fail as a whole: {told}", remedy="nothing was sent")


def _short(message: Hash32) -> str:
    return f"{message[:10]}…"
