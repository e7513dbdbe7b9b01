"""Recovery joined to what it runs on: the ledger's database, the chains that a message needs, the operator's key.

async with open_recovery(settings, database, clock=clock) as office:
    examined = await office.examine([message_id], gas)
    prepared = await office.prepare(examined, gas)
    results  = await office.send(prepared, examined, signer, …)
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection

from seamark.app.chains import Chains, OpenChain
from seamark.app.sending import Delivery, send_once, unsigned_transaction
from seamark.app.verification import indexers
from seamark.core.errors import RejectedError, SettingsError, TemporaryError
from seamark.core.ids import Address, ChainId, Hash32
from seamark.core.times import DAY_MS
from seamark.evm.crypto import keccak256_hex
from seamark.evm.metrics import RpcMetrics
from seamark.evm.ports import Intent, Signer
from seamark.messages.protocols.ccip.cctp import Attested, Circle, burn_messages
from seamark.messages.protocols.ccip.failures import TOKEN_FAILED
from seamark.messages.protocols.ccip.recoverers import ccip_recovery
from seamark.messages.protocols.ccip.v2_0.proofs import ProofSource
from seamark.messages.recovery.model import Case, ExecutionState, Gas
from seamark.messages.recovery.port import ExecutionChain
from seamark.messages.recovery.rules import refusal
from seamark.messages.recovery.service import BEGUN, BUILT, SENT, Examination, Prepared, RecoveryDesk, record
from seamark.messages.recovery.settings import RecoveryPolicy
from seamark.runtime.clock import Clock
from seamark.runtime.http import make_session
from seamark.runtime.http_get import get_bytes
from seamark.settings import Settings
from seamark.storage.database import Database
from seamark.storage.events import append_events, read_events, take_turn

__all__ = ["Author", "RecoveryOffice", "Result", "open_recovery"]

PAGE = 5_000
_WHERE = "name Circle's API as recovery.usdc_attestations in the settings, or give it with --attestation"
MAX_ATTESTATION_BYTES = 100_000  # signatures of some attesters, in hex


@dataclass(frozen=True, slots=True)
class Author:
    """Who acts, and why; goes into the event log."""

    operator: str
    why: str


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a sent transaction. `states` is by message id, as the destination says after it; empty where the
    transaction is in no block yet.
    """

    prepared: Prepared
    delivery: Delivery
    states: dict[Hash32, ExecutionState]

    @property
    def succeeded(self) -> bool:
        return bool(self.states) and all(state is ExecutionState.SUCCESS for state in self.states.values())


class RecoveryOffice:
    """What commands ask."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        chains: Chains,
        clock: Clock,
        *,
        proofs: Sequence[ProofSource] = (),
        circle: Circle | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._database = database
        self._chains = chains
        self._clock = clock
        self._tell = tell
        self._circle = circle
        self._token_data: dict[Hash32, tuple[bytes, ...]] = {}
        self._by_id: dict[ChainId, ExecutionChain] = {}
        self.unread: dict[str, str] = {}
        """Sources that cannot be read, by name in the settings, and why."""

        self._desk = RecoveryDesk(
            database=database, protocols=[ccip_recovery(proofs, self._token_data)], chains=self._by_id
        )

    # ---- looking ----------------------------------------------------------------------------------------------------

    async def examine(self, message_id: str, gas: Gas, token_data: tuple[bytes, ...] = ()) -> Examination:
        """One message. `token_data` are attestations for its tokens, in their order; where they are missing and the
        settings name Circle's API, it is asked for that of USDC.

        Raises:
            RejectedError: The ledger does not know it, or it cannot be dealt with from here.
            SettingsError: A chain that it needs cannot be reached.
        """
        case = await self._desk.case(message_id)
        await self._open([case])
        if token_data:
            self._token_data[case.id] = token_data
        examined = await self._desk.examine(case, gas)
        if examined.trial is None or examined.trial.reason != TOKEN_FAILED or token_data:
            return examined
        return await self._desk.examine(case, gas) if await self._attest(case) else examined

    async def examine_all(
        self,
        gas: Gas,
        *,
        source: str | None = None,
        destination: str | None = None,
        sender: str | None = None,
        anyway: bool = False,
    ) -> list[Examination]:
        """All messages that are not executed, of some lane or sender, in nonce order."""
        cases = await self._desk.cases(source=source, destination=destination, sender=sender)
        await self._open(cases)
        return await self._desk.examine_all(cases, gas, anyway=anyway)

    # ---- making -----------------------------------------------------------------------------------------------------

    async def prepare(self, examined: Sequence[Examination], gas: Gas, author: Author) -> list[Prepared]:
        """Transactions for those, written down as built."""
        prepared = await self._desk.prepare(examined, gas)
        await self._desk.audit(BUILT, prepared, operator=author.operator, why=author.why)
        return prepared

    async def unsigned(self, prepared: Prepared, sender: Address | None) -> dict[str, str]:
        """For a signer elsewhere."""
        call = prepared.call
        item = self._item(call.chain_id)
        return await unsigned_transaction(
            item, to=call.to, data=call.data, gas=prepared.gas, clock=self._clock, sender=sender
        )

    # ---- sending ----------------------------------------------------------------------------------------------------

    async def check_policy(self, prepared: Sequence[Prepared]) -> None:
        """May these be sent without a person's confirmation?

        Raises:
            SettingsError: No, and why.
        """
        policy = self._settings.recovery.policy
        if policy is None:
            raise SettingsError(
                "--yes",
                "nothing is sent without a confirmation, because the settings have no recovery.policy",
                remedy="add recovery.policy with chains, max_gas and per_day, or run it in a terminal",
            )
        sent = await self._database.read(_sent_today)
        for number, item in enumerate(prepared):
            self._obey(policy, item, sent + number)

    def _obey(self, policy: RecoveryPolicy, prepared: Prepared, sent: int) -> None:
        problem = refusal(
            self._item(prepared.call.chain_id).name,
            prepared.gas,
            sent,
            chains=policy.chains,
            max_gas=policy.max_gas,
            per_day=policy.per_day,
        )
        if problem:
            raise SettingsError("--yes", f"recovery.policy forbids it: {problem}", remedy="run it in a terminal")

    async def send(
        self,
        prepared: Prepared,
        examined: Sequence[Examination],
        signer: Signer,
        author: Author,
        *,
        timeout_s: float,
        by_policy: bool = False,
    ) -> Result:
        """Send one transaction once, and see what came of it. It is on record before it is sent.

        Args:
            prepared: The transaction.
            examined: Its messages.
            signer: Who pays.
            author: Who, and why.
            timeout_s: How long to wait for a block.
            by_policy: Nobody confirmed it: recovery.policy is asked once more, together with the record.

        Raises:
            SettingsError: The policy forbids it.
            RejectedError: It would fail; nothing was sent.
            TemporaryError: No node answers.
        """
        call = prepared.call
        cases = [item.case for item in examined if item.case.id in call.messages]

        async def still_wanted() -> bool:
            return ExecutionState.SUCCESS not in (await self._desk.states(cases)).values()

        await self._begin(prepared, signer, author, by_policy=by_policy)
        delivery = await send_once(
            self._item(call.chain_id),
            signer,
            Intent(prepared.key, call.to, call.data, 0, prepared.gas),
            database=self._database,
            clock=self._clock,
            timeout_s=timeout_s,
            still_wanted=still_wanted,
            tell=self._tell,
        )
        if delivery.wanted:
            await self._desk.audit(
                SENT,
                [prepared],
                operator=author.operator,
                why=author.why,
                tx=delivery.transaction,
                signer=signer.address,
                mined=delivery.receipt is not None,
            )
        done = delivery.receipt is not None or not delivery.wanted
        return Result(prepared, delivery, await self._desk.states(cases) if done else {})

    async def _attest(self, case: Case) -> bool:
        """Fetch what Circle attests; says why where there is nothing."""
        source = None if case.source_chain is None else self._by_id.get(case.source_chain)
        receipt = None if source is None or case.sent is None else await source.receipt(case.sent.transaction)
        if receipt is None:
            return False
        if self._circle is None:
            for message in burn_messages(receipt):
                self._tell(f"It brings USDC, which needs Circle's attestation of {keccak256_hex(message)}: {_WHERE}.")
            return False
        try:
            found = await self._circle.find(receipt)
        except TemporaryError as error:
            found = Attested(None, f"Circle was not heard: {error}")
        if found.text:
            self._tell(found.text)
        if found.data is not None:
            self._token_data[case.id] = (found.data,)
        return found.data is not None

    # ---- inside -----------------------------------------------------------------------------------------------------

    async def _open(self, cases: Iterable[Case]) -> None:
        """The chains at both ends, as far as the settings have them. Without a source the ledger may know enough."""
        cases = list(cases)
        await self._chains.open(self._named({case.destination_chain for case in cases}))
        for name in self._named({case.source_chain for case in cases}):
            try:
                await self._chains.open([name])
            except SettingsError as error:
                self.unread[name] = error.problem
        opened = self._chains.opened.items()
        self._by_id.update({item.chain.chain_id: item.chain for name, item in opened if name not in self.unread})

    def _named(self, wanted: Collection[ChainId | None]) -> list[str]:
        return [name for name, item in self._settings.chains.items() if item.chain_id in wanted]

    def _item(self, chain_id: ChainId) -> OpenChain:
        for item in self._chains.opened.values():
            if item.chain.chain_id == chain_id:
                return item
        raise RejectedError(f"chain {chain_id} is not in the settings")

    async def _begin(self, prepared: Prepared, signer: Signer, author: Author, *, by_policy: bool) -> None:
        policy = self._settings.recovery.policy if by_policy else None
        events = record(BEGUN, [prepared], operator=author.operator, why=author.why, signer=signer.address)

        def work(connection: Connection) -> None:
            take_turn(connection)  # two commands at once see each other's record
            if policy is not None:
                self._obey(policy, prepared, _sent_today(connection, besides=prepared.key))
            append_events(connection, events)

        await self._database.write(work)


def _circle(settings: Settings, session: aiohttp.ClientSession) -> Circle | None:
    url = settings.recovery.usdc_attestations
    if url is None:
        return None

    async def get(address: str) -> bytes | None:
        return await get_bytes(session, address, limit=MAX_ATTESTATION_BYTES)

    return Circle(url, get)


def _sent_today(connection: Connection, *, besides: str = "") -> int:
    """Transactions begun in the last 24 hours, by the event log: what was begun counts, whether or not its command
    lived to tell what came of it. One that is begun again before it was seen in a block is the same one.

    Args:
        connection: The ledger's.
        besides: The key of one that is not counted while it is under way.
    """
    since = int(time.time() * 1000) - DAY_MS
    under_way: set[str] = set()
    count = after = 0
    while page := read_events(connection, after, topics=(BEGUN, SENT), limit=PAGE):
        for event in page:
            key = str(event.payload.get("key"))
            if event.at_ms < since:
                continue
            if event.topic == BEGUN and key not in under_way:
                under_way.add(key)
                count += 1
            elif event.topic == SENT and event.payload.get("mined"):
                under_way.discard(key)
        after = page[-1].id
    return count - (besides in under_way)


@asynccontextmanager
async def open_recovery(
    settings: Settings,
    database: Database,
    *,
    clock: Clock,
    proofs: Sequence[ProofSource] = (),
    asked: Sequence[str] = (),
    tell: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[RecoveryOffice]:
    """Ready to be asked; chains are opened when a message needs them.

    Args:
        settings: With the chains.
        database: The ledger's.
        clock: For the chains.
        proofs: What is known of verifier results already.
        asked: Base addresses of indexers to ask for verifier results, after `proofs` and before those of the settings.
        tell: Where to say that another command signs with the same key.
    """
    async with make_session() as session:
        chains = Chains(settings.chains, session, clock, RpcMetrics(CollectorRegistry()), settings.start_timeout)
        urls = dict.fromkeys([*asked, *settings.ccip.verification.indexers])
        sources = [*proofs, *indexers(list(urls), session)]
        try:
            yield RecoveryOffice(
                settings, database, chains, clock, proofs=sources, circle=_circle(settings, session), tell=tell
            )
        finally:
            await chains.close()
