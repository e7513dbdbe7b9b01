"""What all operations on sender contracts need: the contract and its chain, keys, the record, the journal.

A record is begun before anything is sent and kept for good, with who and why; each transaction's key in the journal is
made of the record's number, so the same command after a crash finds what was sent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from seamark.app.chains import Chains, OpenChain, open_settings_signer
from seamark.app.recovery import Author
from seamark.app.sending import Delivery, send_once
from seamark.core.errors import RejectedError, SettingsError
from seamark.core.ids import Address, ChainId, Hash32, Selector
from seamark.evm import artifacts
from seamark.evm.address import to_checksum
from seamark.evm.ports import Intent, Signer
from seamark.evm.rpc.errors import CallReverted
from seamark.evm.settings import SignerSettings
from seamark.evm.transactions.model import Entry
from seamark.evm.transactions.store import find_entries
from seamark.messages.protocols.ccip.selectors import SelectorTable
from seamark.oracle.administration import store
from seamark.oracle.administration.model import Change, SenderState
from seamark.oracle.administration.reads import read_sender
from seamark.oracle.administration.rules import plan_changes
from seamark.oracle.administration.store import Operation, Step
from seamark.oracle.administration.wanted import WantedSender
from seamark.runtime.clock import Clock
from seamark.settings import Settings
from seamark.storage.database import Database
from seamark.storage.events import take_turn

__all__ = ["NO_ROLE", "OperationsDesk", "Place", "Sent", "Tell"]

NO_ROLE: Final = "Unauthorized"
"""In the name of the error by which a contract refuses an account without the role."""

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


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction of an operation. `state` is the journal's word."""

    what: str
    transaction: Hash32
    state: str


class OperationsDesk:
    """The shared part of `operations.OperationsOffice`."""

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

    async def transactions(self, operation: Operation) -> list[Sent]:
        """What an operation has sent, by the journal, in order; what took a step back comes last."""
        number = f"operation:{operation.id}"
        steps = list(enumerate(operation.steps))
        wanted = {number: operation.kind} if not steps else {f"{number}:{at}": step.what for at, step in steps}
        back = store.steps_back(operation)
        wanted |= {f"{number}:back:{at}": f"taking back: {step.what}" for at, step in enumerate(back)}
        chain_id = ChainId(operation.chain_id)
        entries = await self._database.read(lambda c: find_entries(c, chain_id, list(wanted)))
        return [_sent(what, entries[key]) for key, what in wanted.items() if key in entries]

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
        if wanted.same_key(self._settings.oracle.signer):
            raise SettingsError(
                setting,
                "is the publisher's key: two processes that sign with the same one take each other's nonces",
                remedy="use another key",
            )
        if setting not in self._signers:
            self._signers[setting] = await open_settings_signer(
                wanted, setting, session=self._chains.session, clock=self._clock, database=self._database
            )
        return self._signers[setting]

    # ---- steps ------------------------------------------------------------------------------------------------------

    async def _try(self, place: Place, signer: Signer, data: bytes, role: str) -> None:
        try:
            await place.item.chain.simulate(sender=signer.address, to=place.address, data=data)
        except CallReverted as error:
            said = str(artifacts.load("OracleWithCCIP").abi.decode_error(error.data)) if error.data else error.message
            remedy = f"{to_checksum(signer.address)} needs {role} on {place.title}" if NO_ROLE in said else ""
            raise RejectedError(f"it would fail: {said}", remedy=remedy or "nothing was sent") from error

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
            tell=self._tell,
        )

    async def _begin(
        self,
        kind: str,
        place: Place,
        author: Author,
        *,
        amount: int = 0,
        check: Callable[[Connection], None] = lambda _: None,
    ) -> Operation:
        """A new record, or the one that was interrupted.

        Args:
            kind: Of operation.
            place: With which contract.
            author: Who, and why.
            amount: Base units that it sends.
            check: Asked in the same unit of work before a new record is made; raises where it must not be.

        Raises:
            RejectedError: Something else was begun with this contract and has not ended.
        """
        now_ms = round(self._clock.now() * 1000)

        def work(connection: Connection) -> Operation:
            take_turn(connection)  # two that check a ceiling at once must see each other's record
            open_ = store.unended_operation(connection, place.chain_id, place.address)
            if open_ is None:
                check(connection)
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

    async def _once(  # noqa: PLR0917 - a transaction has so many parts
        self, operation: Operation, place: Place, signer: Signer, to: Address, data: bytes, timeout_s: float
    ) -> tuple[Operation, Delivery]:
        """An operation of one transaction, to its end. One that cannot be sent at all has ended, too."""
        try:
            delivery = await self._send(place, signer, f"operation:{operation.id}", to, data, timeout_s)
        except RejectedError:
            await self._end(operation, "failed")
            raise
        if delivery.receipt is None:
            return operation, delivery
        return await self._end(operation, "done" if delivery.receipt.succeeded else "failed"), delivery

    async def _end(self, operation: Operation, outcome: str) -> Operation:
        now_ms = round(self._clock.now() * 1000)
        return await self._database.write(lambda c: store.end_operation(c, operation, outcome, now_ms=now_ms))

    send = _send


def _sent(what: str, entry: Entry) -> Sent:
    hash_ = entry.receipt.transaction_hash if entry.receipt else entry.last.hash
    return Sent(what, hash_, entry.state.value)
