"""Guarded changes of a sender contract: all of a sequence, or none of it.

    pause -> each change -> read back -> resume -> a test message to each destination -> watch it land
        `------------- on failure: each change taken back, the last one first -------------'

Each step is written down, with the call that takes it back, before it is sent; the same command after a crash goes on
where the last one was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from seamark.app.operations_desk import NO_ROLE, OperationsDesk, Place
from seamark.app.recovery import Author
from seamark.core.errors import RejectedError, SeamarkError, TemporaryError
from seamark.core.ids import Address, ChainId, Hash32, Selector
from seamark.evm import artifacts
from seamark.evm.address import ZERO_ADDRESS
from seamark.evm.contract import Contract
from seamark.evm.ports import Signer
from seamark.evm.types import Receipt
from seamark.messages.model import Stage
from seamark.messages.protocols.ccip.selectors import SelectorTable
from seamark.messages.store import MessageView, find_message, read_chains
from seamark.oracle.administration import store
from seamark.oracle.administration.model import Change, SenderState
from seamark.oracle.administration.rules import pause_call, resume_call
from seamark.oracle.administration.store import Operation, Step

__all__ = ["Guarded", "GuardedDesk"]

FEE_MARGIN_PERCENT: Final = 130  # of a native fee; the contract gives back what is too much
POLL_S: Final = 1.0
FRESH_S: Final = 300  # a monitor that read a chain so lately is reading it
_DELIVERED: Final = (Stage.EXECUTED.value, Stage.RECOVERED.value)

Left = Callable[[SenderState], Sequence[Change]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """How a guarded sequence came out."""

    operation: Operation
    problem: str = ""
    messages: tuple[str, ...] = ()

    @property
    def succeeded(self) -> bool:
        return not self.problem


class GuardedDesk(OperationsDesk):
    """Sequences of changes; a part of `operations.OperationsOffice`."""

    # ---- guarded sequences ------------------------------------------------------------------------------------------

    async def check_changes(self, place: Place, present: SenderState, changes: Sequence[Change]) -> None:
        """Try everything as those who will sign it, before anything is sent.

        Raises:
            RejectedError: One would fail, and why.
        """
        signer, admin = await self.signer(), await self.admin()
        if not present.sending_paused:
            await self._try(place, signer, pause_call(), "PAUSER_ROLE")
        for change in changes:
            if change.what.startswith("heartbeat of") and change.undo is None:
                continue  # of a destination that is not there yet
            await self._try(place, admin, change.call, "DEFAULT_ADMIN_ROLE")

    async def check_monitor(self, destinations: Sequence[Selector]) -> None:
        """Is somebody reading the chains where a test message would land?

        Raises:
            RejectedError: Nobody, so it could not be watched.
        """
        views = await self._database.read(lambda c: read_chains(c, "ccip"))
        fresh = {view.chain_id for view in views if self._clock.now() - view.scanned_time < FRESH_S}
        table = SelectorTable()
        known = {
            chain.selector
            or (found.selector if (found := table.of_chain(ChainId(chain.chain_id))) else None): chain.chain_id
            for chain in self._settings.chains.values()
        }
        blind = [str(selector) for selector in destinations if known.get(selector) not in fresh]
        if blind:
            raise RejectedError(
                f"no ccip-monitor has read the chain of {', '.join(blind)} lately, so nobody would see a test message",
                remedy="start one on this database (seamark run ccip-monitor), or give --no-test",
            )

    async def apply(
        self,
        kind: str,
        place: Place,
        changes: Sequence[Change],
        author: Author,
        *,
        timeout_s: float,
        test: bool,
        left: Left = lambda _: (),
    ) -> Guarded:
        """Pause, apply, read back, resume, test; or take everything back.

        Args:
            kind: Of operation.
            place: With which contract.
            changes: What to do.
            author: Who, and why.
            timeout_s: How long to wait for a block, and for a test message.
            test: Whether to send one to each destination that was touched.
            left: What is still to be done, by the contract's state after the changes.

        Raises:
            TemporaryError: No node answers, or a transaction is in no block yet; give the same command again.
        """
        operation = await self._begin(kind, place, author)
        present = await self.state(place)
        sequence = _Sequence(self, place, operation, timeout_s)
        try:
            if not present.sending_paused:
                self._tell("pausing")
                await sequence.step("pause sending", pause_call(), resume_call(), await self.signer())
            for change in changes:
                self._tell(f"{change.what}: {change.after}")
                await sequence.step(change.what, change.call, change.undo, await self.admin())
            if rest := left(await self.state(place)):
                raise _Failed(f"the contract is not as it was asked for: {', '.join(item.what for item in rest)}")
            self._tell("resuming")
            await sequence.step("resume sending", resume_call(), None, await self.signer())
            touched = {change.selector for change in changes if change.selector is not None}
            messages = await self._test(place, sequence, touched, timeout_s) if test else ()
        except (RejectedError, _Failed) as error:
            self._tell(f"failed: {error}")
            ended = await self.roll_back(place, sequence.operation, timeout_s=timeout_s)
            return Guarded(operation=ended, problem=str(error))
        return Guarded(operation=await self._end(sequence.operation, "done"), messages=messages)

    async def roll_back(self, place: Place, operation: Operation, *, timeout_s: float) -> Operation:
        """Take back what an operation did, the last step first; what is back already is left alone."""
        for number, step in enumerate(store.steps_back(operation)):
            signer = await (self.signer() if step.what == "pause sending" else self.admin())
            data = bytes.fromhex(step.undo)
            if await self._is_back(place, signer, data, step):
                continue
            self._tell(f"taking back: {step.what}")
            key = f"operation:{operation.id}:back:{number}"
            delivery = await self._send(place, signer, key, place.address, data, timeout_s)
            if delivery.receipt is None or not delivery.receipt.succeeded:
                raise RejectedError(
                    f"{step.what} could not be taken back",
                    remedy=f"look at transaction {delivery.transaction}, then give the command again with --roll-back",
                )
        return await self._end(operation, "rolled back")

    async def _test(
        self, place: Place, sequence: _Sequence, touched: set[Selector], timeout_s: float
    ) -> tuple[str, ...]:
        present = await self.state(place)
        wanted = [
            selector
            for selector, item in present.destinations.items()
            if item.enabled and (selector in touched or not touched)
        ]
        if not present.latest_round:
            self._tell("no test message: the feed has no round yet")
            return ()
        found = []
        contract = Contract(place.item.chain, place.address, artifacts.load("OracleWithCCIP").abi)
        for selector in wanted:
            fee_token, fee = await contract.read("quote", selector)
            what = f"test message to {selector}"
            # A round that came since an interruption must not make a second message of it.
            data = sequence.call_of(what) or contract.abi.encode_call("resend", present.latest_round, selector)
            value = fee * FEE_MARGIN_PERCENT // 100 if fee_token == ZERO_ADDRESS else 0
            self._tell(what)
            receipt = await sequence.step(what, data, None, await self.signer(), value=value)
            message_id = _message_of(receipt, place.address)
            await self._landed(message_id, timeout_s)
            self._tell(f"landed: {message_id}")
            found.append(message_id)
        return tuple(found)

    async def _landed(self, message_id: str, timeout_s: float) -> None:
        """Until the ledger says so.

        Raises:
            _Failed: It failed, or did not land in time.
        """
        stage = "not in the ledger"
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    found = await self._database.read(lambda c: find_message(c, message_id))
                    if found is not None:
                        stage = found.message.stage
                        if stage in _DELIVERED:
                            _check_callback(found.message)
                            return
                        if stage == Stage.FAILED:
                            raise _Failed(f"the test message {message_id} failed: {found.message.error}")
                    await self._clock.sleep(POLL_S)
        except TimeoutError:
            raise _Failed(f"the test message {message_id} did not land within {timeout_s:g} s ({stage})") from None

    async def _is_back(self, place: Place, signer: Signer, data: bytes, step: Step) -> bool:
        """A call that would fail has nothing to take back: the step never happened. One that this key may not make says
        nothing of that.
        """
        if step.what == "pause sending":
            return not (await self.state(place)).sending_paused
        try:
            await self._try(place, signer, data, "")
        except RejectedError as error:
            if NO_ROLE in error.message:
                raise
            return True
        return False


class _Failed(SeamarkError):
    """A step of a sequence came to nothing; what was done is taken back."""


class _Sequence:
    """The steps of one operation, each written down before it is sent."""

    def __init__(self, office: GuardedDesk, place: Place, operation: Operation, timeout_s: float) -> None:
        self._office = office
        self._place = place
        self.operation = operation
        self._timeout_s = timeout_s

    def call_of(self, what: str) -> bytes | None:
        """What was recorded for a step of this name before an interruption."""
        return next((bytes.fromhex(step.call) for step in self.operation.steps if step.what == what), None)

    async def step(self, what: str, data: bytes, undo: bytes | None, signer: Signer, *, value: int = 0) -> Receipt:
        """Send one call. A step that was recorded before an interruption is the same transaction.

        Raises:
            _Failed: It reverted.
            TemporaryError: It is in no block yet, so nothing can be said: neither go on nor take it back.
        """
        taken = Step(what, undo.hex() if undo else "", signer.address, data.hex())
        if taken not in self.operation.steps:
            self.operation = await self._office.note(self.operation, taken)
        key = f"operation:{self.operation.id}:{self.operation.steps.index(taken)}"
        place = self._place
        delivery = await self._office.send(place, signer, key, place.address, data, self._timeout_s, value=value)
        if delivery.receipt is None:
            raise TemporaryError(
                f"{what}: transaction {delivery.transaction} is in no block after {self._timeout_s:g} s",
                remedy="give the same command again: it waits for it",
            )
        if not delivery.receipt.succeeded:
            raise _Failed(f"{what}: transaction {delivery.transaction} failed")
        return delivery.receipt


def _check_callback(message: MessageView) -> None:
    """CCIP calls it a success when the receiver has no code, or does not say that it takes messages."""
    if message.callback is False:
        blame = f"{message.receiver} has none, or takes no CCIP messages"
        raise _Failed(f"the test message {message.id} arrived, but no code ran: {blame}")


def _message_of(receipt: Receipt, sender: Address) -> Hash32:
    event = artifacts.load("OracleWithCCIP").abi.event("CrossChainUpdateSent")
    for log in receipt.logs:
        if log.address == sender and log.topics and log.topics[0] == event.topic0:
            return Hash32("0x" + event.decode(log).messageId.hex())
    raise _Failed(f"transaction {receipt.transaction_hash} sent no message")
