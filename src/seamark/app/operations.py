"""Operations on sender contracts, joined to what they run on: chains, keys, the journal, the ledger of messages.

    refill    record -> transfer LINK
    pause, resume
    change    record -> pause -> each change -> read back -> resume -> a test message -> watch it land
                                 `---------------- on failure: each change taken back, resume

Everything is written down before it is sent, with who and why, and every transaction goes through the journal: the same
command after a crash goes on where the last one was.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from prometheus_client import CollectorRegistry
from sqlalchemy import Connection

from seamark.app.chains import Chains, OpenChain, open_settings_signer
from seamark.app.recovery import Author
from seamark.app.sending import Delivery, send_once
from seamark.core.errors import RejectedError, SeamarkError, SettingsError
from seamark.core.ids import Address, ChainId, Hash32, Selector
from seamark.core.units import from_base_units, to_base_units
from seamark.evm import artifacts
from seamark.evm.abi import Abi
from seamark.evm.address import ZERO_ADDRESS, to_checksum
from seamark.evm.contract import Contract
from seamark.evm.metrics import RpcMetrics
from seamark.evm.ports import Intent, Signer
from seamark.evm.rpc.errors import CallReverted
from seamark.evm.settings import SignerSettings
from seamark.evm.types import Receipt
from seamark.messages.model import Stage
from seamark.messages.protocols.ccip.selectors import SelectorTable
from seamark.messages.store import MessageView, find_message, read_chains
from seamark.oracle.administration import store
from seamark.oracle.administration.model import Change, SenderState
from seamark.oracle.administration.reads import read_sender
from seamark.oracle.administration.rules import pause_call, plan_changes, resume_call
from seamark.oracle.administration.store import Operation, Step
from seamark.oracle.administration.wanted import WantedSender
from seamark.runtime.clock import Clock
from seamark.runtime.http import make_session
from seamark.settings import Settings
from seamark.storage.database import Database

__all__ = ["Guarded", "OperationsOffice", "Place", "open_operations"]

DAY_MS: Final = 86_400_000
LINK_DECIMALS: Final = 18
GAS_MARGIN_PERCENT: Final = 130
POLL_S: Final = 1.0
FRESH_S: Final = 300  # a monitor that read a chain so lately is reading it
_TOKEN: Final = Abi.parse(
    "function transfer(address to, uint256 amount) returns (bool)",
    "function balanceOf(address account) view returns (uint256)",
    "function symbol() view returns (string)",
)
_ROUTER: Final = Abi.parse(
    "function typeAndVersion() view returns (string)",
    "function isChainSupported(uint64 chainSelector) view returns (bool)",
)
_DELIVERED: Final = (Stage.EXECUTED.value, Stage.RECOVERED.value)

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Place:
    """A sender contract and its chain."""

    item: OpenChain
    address: Address

    @property
    def chain_id(self) -> ChainId:
        return self.item.chain.chain_id

    @property
    def title(self) -> str:
        return f"{to_checksum(self.address)} on {self.item.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """How a guarded sequence came out."""

    operation: Operation
    problem: str = ""
    messages: tuple[str, ...] = ()

    @property
    def succeeded(self) -> bool:
        return not self.problem


class OperationsOffice:
    """What commands ask."""

    def __init__(self, settings: Settings, database: Database, chains: Chains, clock: Clock, tell: Tell) -> None:
        self._settings = settings
        self._database = database
        self._chains = chains
        self._clock = clock
        self._tell = tell
        self._signers: dict[str, Signer] = {}

    # ---- looking ----------------------------------------------------------------------------------------------------

    async def place(self, chain: str, address: Address) -> Place:
        """Raises `SettingsError` for a chain that is not defined or does not answer."""
        if chain not in self._settings.chains:
            known = ", ".join(sorted(self._settings.chains)) or "none is defined"
            raise SettingsError("--chain", f"there is no chain {chain!r}", remedy=f"chains: {known}")
        await self._chains.open([chain])
        return Place(self._chains.opened[chain], address)

    async def state(self, place: Place) -> SenderState:
        return await read_sender(place.item.chain, place.address)

    async def unended(self, place: Place) -> Operation | None:
        """What was begun with this contract and has not ended."""
        return await self._database.read(lambda c: store.unended_operation(c, place.chain_id, place.address))

    async def history(self, limit: int) -> list[Operation]:
        return await self._database.read(lambda c: store.list_operations(c, limit=limit))

    def plan(self, present: SenderState, wanted: WantedSender) -> list[Change]:
        """The changes between; raises `SettingsError` for a destination that nobody knows."""
        keys = [*wanted.destinations, *wanted.remove]
        selectors = {key: self.selector(key) for key in keys}
        names = {selector: key for key, selector in selectors.items()}
        return plan_changes(present, wanted, selectors, names)

    def selector(self, text: str) -> Selector:
        """Of a chain by its key under `chains`, its id, or itself.

        Raises:
            SettingsError: Nobody knows it.
        """
        table = SelectorTable()
        chain = self._settings.chains.get(text)
        if chain is not None:
            published = table.of_chain(ChainId(chain.chain_id))
            if chain.selector or published:
                return Selector(chain.selector or published.selector)  # type: ignore[union-attr]
        if text.isdigit():
            by_id = table.of_chain(ChainId(int(text)))
            return by_id.selector if by_id else Selector(int(text))
        known = ", ".join(sorted(self._settings.chains)) or "none"
        raise SettingsError(
            "destinations", f"there is no chain {text!r} with a selector", remedy=f"chains: {known}, or a CCIP selector"
        )

    def check_policy(self, kind: str, place: Place) -> None:
        """May this be done without a person's confirmation?

        Raises:
            SettingsError: No, and why.
        """
        policy = self._settings.operations.policy
        if policy is None:
            problem, remedy = "the settings have no operations.policy", "add one with chains and kinds"
        elif place.item.name not in policy.chains:
            problem, remedy = f"operations.policy does not list chain {place.item.name}", "run it in a terminal"
        elif kind not in policy.kinds:
            problem, remedy = f"operations.policy does not allow {kind}", "run it in a terminal"
        else:
            return
        raise SettingsError("--yes", problem, remedy=remedy)

    # ---- refill -----------------------------------------------------------------------------------------------------

    async def check_refill(self, place: Place, amount: Decimal) -> tuple[Address, Decimal]:
        """The LINK token, and what the signer has of it.

        Raises:
            SettingsError: Above a ceiling.
            RejectedError: The signer has not so much.
        """
        limits = self._settings.operations.refill
        if amount > limits.per_refill:
            raise SettingsError(
                "--amount",
                f"{amount} LINK is above operations.refill.per_refill ({limits.per_refill})",
                remedy="send less",
            )
        since = round(self._clock.now() * 1000) - DAY_MS
        spent = await self._database.read(lambda c: store.spent_since(c, place.chain_id, since))
        unended = await self.unended(place)
        again = unended is not None and unended.kind == "refill"  # counted already
        total = from_base_units(spent, LINK_DECIMALS) + (0 if again else amount)
        if total > limits.per_day:
            raise SettingsError(
                "--amount",
                f"with it {_text(total)} LINK would be sent on {place.item.name} within 24 hours, above"
                f" operations.refill.per_day ({limits.per_day})",
                remedy="send less, wait, or raise the ceiling",
            )
        link = Address(
            await Contract(place.item.chain, place.address, artifacts.load("OracleWithCCIP").abi).read("linkToken")
        )
        signer = await self.signer()
        held = from_base_units(
            await Contract(place.item.chain, link, _TOKEN).read("balanceOf", signer.address), LINK_DECIMALS
        )
        if held < amount:
            raise RejectedError(
                f"{to_checksum(signer.address)} (operations.signer) has {_text(held)} LINK on {place.item.name}",
                remedy="send LINK there first",
            )
        return link, held

    async def refill(
        self, place: Place, amount: Decimal, author: Author, *, timeout_s: float
    ) -> tuple[Operation, Delivery]:
        """Send LINK to the contract."""
        base = to_base_units(amount, LINK_DECIMALS)
        link, _ = await self.check_refill(place, amount)
        operation = await self._begin("refill", place, author, amount=base)
        if int(operation.amount) != base:
            begun = _text(from_base_units(int(operation.amount), LINK_DECIMALS))
            raise RejectedError(
                f"a refill of {begun} LINK was begun and has not ended",
                remedy="finish it first: give the same command with that amount",
            )
        data = _TOKEN.encode_call("transfer", place.address, base)
        delivery = await self._send(place, await self.signer(), f"operation:{operation.id}", link, data, timeout_s)
        if delivery.receipt is None:
            return operation, delivery
        outcome = "done" if delivery.receipt.succeeded else "failed"
        return await self._end(operation, outcome), delivery

    # ---- pause and resume -------------------------------------------------------------------------------------------

    async def switch(
        self, place: Place, kind: str, function: str, author: Author, *, timeout_s: float
    ) -> tuple[Operation, Delivery]:
        """`pauseSending`, `unpauseSending`, `pause` or `unpause`."""
        data = artifacts.load("OracleWithCCIP").abi.encode_call(function)
        signer = await self.signer()
        await self._try(place, signer, data, "PAUSER_ROLE")
        operation = await self._begin(kind, place, author)
        key = f"operation:{operation.id}"
        delivery = await self._send(place, signer, key, place.address, data, timeout_s)
        if delivery.receipt is None:
            return operation, delivery
        return await self._end(operation, "done" if delivery.receipt.succeeded else "failed"), delivery

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
        self, kind: str, place: Place, changes: Sequence[Change], author: Author, *, timeout_s: float, test: bool
    ) -> Guarded:
        """Pause, apply, read back, resume, test; or take everything back.

        Raises:
            TemporaryError: No node answers; give the same command again.
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

    # ---- routers ----------------------------------------------------------------------------------------------------

    async def check_router(self, place: Place, present: SenderState, router: Address) -> None:
        """Is it a CCIP router that serves all destinations?

        Raises:
            RejectedError: It is not, or does not.
        """
        contract = Contract(place.item.chain, router, _ROUTER)
        try:
            said = await contract.read("typeAndVersion")
        except RejectedError as error:
            raise RejectedError(
                f"{to_checksum(router)} is no CCIP router: it has no typeAndVersion()", remedy="check the address"
            ) from error
        if not said.startswith("Router "):
            raise RejectedError(f"{to_checksum(router)} is no CCIP router but a {said}", remedy="check the address")
        for selector, destination in present.destinations.items():
            if destination.enabled and not await contract.read("isChainSupported", selector):
                raise RejectedError(
                    f"{to_checksum(router)} does not serve destination {selector}",
                    remedy="wait until it does, or disable the destination first",
                )

    def router_change(self, present: SenderState) -> Change:
        """Accepting the proposed router. Its undo proposes the old one, which takes the contract's delay again."""
        abi = artifacts.load("OracleWithCCIP").abi
        return Change(
            "router",
            to_checksum(present.router),
            to_checksum(present.pending_router),
            abi.encode_call("acceptRouter"),
            abi.encode_call("proposeRouter", present.router),
        )

    async def propose_router(
        self, place: Place, router: Address, author: Author, *, timeout_s: float
    ) -> tuple[Operation, Delivery]:
        """The first half of an upgrade."""
        data = artifacts.load("OracleWithCCIP").abi.encode_call("proposeRouter", router)
        admin = await self.admin()
        await self._try(place, admin, data, "DEFAULT_ADMIN_ROLE")
        operation = await self._begin("upgrade", place, author)
        delivery = await self._send(place, admin, f"operation:{operation.id}", place.address, data, timeout_s)
        if delivery.receipt is None:
            return operation, delivery
        return await self._end(operation, "done" if delivery.receipt.succeeded else "failed"), delivery

    # ---- keys -------------------------------------------------------------------------------------------------------

    async def signer(self) -> Signer:
        """Who pauses, tests and pays; raises `SettingsError` where there is none."""
        return await self._open_signer("operations.signer", self._settings.operations.signer)

    async def admin(self) -> Signer:
        """Who changes the configuration."""
        settings = self._settings.operations
        if settings.admin is None:
            return await self.signer()
        return await self._open_signer("operations.admin", settings.admin)

    async def _open_signer(self, setting: str, wanted: SignerSettings | None) -> Signer:
        if wanted is None:
            raise SettingsError(setting, "is not set, so nothing can be signed", remedy="set it to a key of its own")
        if wanted == self._settings.oracle.signer:
            raise SettingsError(
                setting,
                "is the publisher's key: two processes that sign with the same one take each other's nonces",
                remedy="use another key",
            )
        if setting not in self._signers:
            self._signers[setting] = await open_settings_signer(wanted, setting)
        return self._signers[setting]

    # ---- steps ------------------------------------------------------------------------------------------------------

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
            data = artifacts.load("OracleWithCCIP").abi.encode_call("resend", present.latest_round, selector)
            value = fee * GAS_MARGIN_PERCENT // 100 if fee_token == ZERO_ADDRESS else 0
            self._tell(f"test message to {selector}")
            receipt = await sequence.step(f"test message to {selector}", data, None, await self.signer(), value=value)
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

    async def _try(self, place: Place, signer: Signer, data: bytes, role: str) -> None:
        try:
            await place.item.chain.simulate(sender=signer.address, to=place.address, data=data)
        except CallReverted as error:
            said = str(artifacts.load("OracleWithCCIP").abi.decode_error(error.data)) if error.data else error.message
            remedy = f"{to_checksum(signer.address)} needs {role} on {place.title}" if "Unauthorized" in said else ""
            raise RejectedError(f"it would fail: {said}", remedy=remedy or "nothing was sent") from error

    async def _is_back(self, place: Place, signer: Signer, data: bytes, step: Step) -> bool:
        """A call that would fail has nothing to take back: the step never happened."""
        if step.what == "pause sending":
            return not (await self.state(place)).sending_paused
        try:
            await self._try(place, signer, data, "")
        except RejectedError:
            return True
        return False

    async def _send(  # noqa: PLR0917 - a transaction has so many parts
        self, place: Place, signer: Signer, key: str, to: Address, data: bytes, timeout_s: float, *, value: int = 0
    ) -> Delivery:
        async def still_wanted() -> bool:
            return True

        return await send_once(
            place.item,
            signer,
            Intent(key, to, data, value),
            database=self._database,
            clock=self._clock,
            timeout_s=timeout_s,
            still_wanted=still_wanted,
            once=True,
        )

    async def _begin(self, kind: str, place: Place, author: Author, *, amount: int = 0) -> Operation:
        """A new record, or the one that was interrupted.

        Raises:
            RejectedError: Something else was begun with this contract and has not ended.
        """
        now_ms = round(self._clock.now() * 1000)

        def work(connection: Connection) -> Operation:
            open_ = store.unended_operation(connection, place.chain_id, place.address)
            if open_ is None:
                return store.begin_operation(
                    connection,
                    kind,
                    place.chain_id,
                    place.address,
                    operator=author.operator,
                    why=author.why,
                    now_ms=now_ms,
                    amount=amount,
                )
            if open_.kind != kind:
                raise RejectedError(
                    f"operation {open_.id} ({open_.kind}, by {open_.operator}) was begun and has not ended",
                    remedy="finish it with the same command, or take it back with --roll-back",
                )
            return open_

        return await self._database.write(work)

    async def note(self, operation: Operation, step: Step) -> Operation:
        """Write a step down, before it is taken."""
        return await self._database.write(lambda c: store.add_step(c, operation, step))

    async def _end(self, operation: Operation, outcome: str) -> Operation:
        now_ms = round(self._clock.now() * 1000)
        return await self._database.write(lambda c: store.end_operation(c, operation, outcome, now_ms=now_ms))

    send = _send


class _Failed(SeamarkError):
    """A step of a sequence came to nothing; what was done is taken back."""


class _Sequence:
    """The steps of one operation, each written down before it is sent."""

    def __init__(self, office: OperationsOffice, place: Place, operation: Operation, timeout_s: float) -> None:
        self._office = office
        self._place = place
        self.operation = operation
        self._timeout_s = timeout_s

    async def step(self, what: str, data: bytes, undo: bytes | None, signer: Signer, *, value: int = 0) -> Receipt:
        """Send one call.

        Raises:
            _Failed: It reverted, or is in no block in time.
        """
        key = f"operation:{self.operation.id}:{len(self.operation.steps)}"
        taken = Step(what, undo.hex() if undo else "", signer.address)
        self.operation = await self._office.note(self.operation, taken)
        place = self._place
        delivery = await self._office.send(place, signer, key, place.address, data, self._timeout_s, value=value)
        if delivery.receipt is None:
            raise _Failed(f"{what}: transaction {delivery.transaction} is in no block after {self._timeout_s:g} s")
        if not delivery.receipt.succeeded:
            raise _Failed(f"{what}: transaction {delivery.transaction} failed")
        return delivery.receipt


def _check_callback(message: MessageView) -> None:
    """CCIP calls it a success when the receiver has no code, or does not say that it takes messages."""
    if message.callback is False:
        blame = f"{message.receiver} has none, or takes no CCIP messages"
        raise _Failed(f"the test message {message.id} arrived, but no code ran: {blame}")


def _text(amount: Decimal) -> str:
    return f"{amount.normalize():f}"


def _message_of(receipt: Receipt, sender: Address) -> Hash32:
    event = artifacts.load("OracleWithCCIP").abi.event("CrossChainUpdateSent")
    for log in receipt.logs:
        if log.address == sender and log.topics and log.topics[0] == event.topic0:
            return Hash32("0x" + event.decode(log).messageId.hex())
    raise _Failed(f"transaction {receipt.transaction_hash} sent no message")


@asynccontextmanager
async def open_operations(
    settings: Settings, database: Database, *, clock: Clock, tell: Tell = lambda _: None
) -> AsyncIterator[OperationsOffice]:
    """An office over the chains of the settings; each is opened when it is needed."""
    async with make_session() as session:
        chains = Chains(settings.chains, session, clock, RpcMetrics(CollectorRegistry()), settings.start_timeout)
        try:
            yield OperationsOffice(settings, database, chains, clock, tell)
        finally:
            await chains.close()
