"""Sending a feed's round again, joined to what it runs on: the feed's chain, the far end, the ledger's messages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from prometheus_client import CollectorRegistry
from sqlalchemy import Connection

from seamark.app.chains import Chains, OpenChain
from seamark.app.recovery import Author
from seamark.app.sending import Delivery, send_once, unsigned_transaction
from seamark.core.errors import RejectedError, SettingsError
from seamark.core.ids import Address, ChainId, Selector
from seamark.evm import artifacts
from seamark.evm.metrics import RpcMetrics
from seamark.evm.ports import Intent, Signer
from seamark.evm.rpc.errors import CallReverted
from seamark.messages.protocols.ccip.selectors import SelectorTable
from seamark.messages.store import MessageFilter, find_message, list_messages
from seamark.oracle.payload import read_price_update
from seamark.oracle.resend import Carrier, Facts, Resend, judge_resend, read_facts, resend_call
from seamark.runtime.clock import Clock
from seamark.runtime.http import make_session
from seamark.settings import Settings
from seamark.storage.database import Database
from seamark.storage.events import Event, append_events

__all__ = ["ResendOffice", "Round", "open_resend"]

BEGUN, SENT = "resend.begun", "resend.sent"
LOOK_BACK = 100  # newest messages of the feed to the destination; older rounds are superseded anyway
GAS_MARGIN_PERCENT = 130


@dataclass(frozen=True, slots=True)
class Round:
    """What to send where. `answer` is the judgement, `gas` None where it cannot be estimated."""

    feed: str
    item: OpenChain
    contract: Address
    destination: str
    selector: Selector
    facts: Facts
    answer: Resend
    data: bytes
    gas: int | None = None

    @property
    def key(self) -> str:
        """Natural key: the same round to the same place is one transaction, until that has come to nothing."""
        return f"resend:{self.item.chain.chain_id}:{self.contract}:{self.facts.round}:{self.selector}"


class ResendOffice:
    """What the command asks."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        chains: Chains,
        clock: Clock,
        *,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._database = database
        self._chains = chains
        self._clock = clock
        self._tell = tell

    async def look(self, feed: str, destination: str, round_id: int | None, sender: Address | None) -> Round:
        """Gather the facts and judge. With `sender`, the call is also tried as that account.

        Raises:
            SettingsError: No such feed or chain in the settings.
            RejectedError: The feed's contract does not send.
        """
        name, chain, contract = self._feed(feed)
        far_name, selector = self._destination(destination)
        await self._chains.open([chain, *([far_name] if far_name in self._settings.chains else [])])
        item = self._chains.opened[chain]
        far = self._chains.opened.get(far_name)
        carriers = await self._database.read(lambda c: _carriers(c, contract, str(selector)))
        facts = await read_facts(
            item.chain, contract, selector, round_id=round_id, far=far.chain if far else None, carriers=carriers
        )
        data = resend_call(facts.round, selector) if 1 <= facts.round <= facts.latest else b""
        found = Round(name, item, contract, far_name, selector, facts, judge_resend(facts), data)
        return found if sender is None or not found.answer.possible else await self._tried(found, sender)

    async def unsigned(self, found: Round, sender: Address | None) -> dict[str, str]:
        """For a signer elsewhere.

        Raises:
            RejectedError: Its gas is not known, because nobody to try it as was named.
        """
        if found.gas is None:
            raise RejectedError(
                "the gas of the transaction is not known", remedy="name who will sign: --from ADDRESS (an operator)"
            )
        return await unsigned_transaction(
            found.item, to=found.contract, data=found.data, gas=found.gas, clock=self._clock, sender=sender
        )

    async def send(self, found: Round, signer: Signer, author: Author, *, timeout_s: float) -> Delivery:
        """Send it once; writes down who and why, before it is sent and after."""

        async def still_wanted() -> bool:
            return True

        about = {
            "feed": found.feed,
            "round": str(found.facts.round),
            "destination": str(found.selector),
            "operator": author.operator,
            "why": author.why,
            "signer": signer.address,
        }
        await self._database.write(lambda c: append_events(c, [Event(BEGUN, found.feed, about)]))
        delivery = await send_once(
            found.item,
            signer,
            Intent(found.key, found.contract, found.data, 0, found.gas),
            database=self._database,
            clock=self._clock,
            timeout_s=timeout_s,
            still_wanted=still_wanted,
            tell=self._tell,
        )
        payload = {**about, "tx": delivery.transaction, "mined": delivery.receipt is not None}
        await self._database.write(lambda c: append_events(c, [Event(SENT, found.feed, payload)]))
        return delivery

    async def _tried(self, found: Round, sender: Address) -> Round:
        chain = found.item.chain
        try:
            estimate = await chain.estimate_gas(sender=sender, to=found.contract, data=found.data)
        except CallReverted as error:
            abi = artifacts.load("OracleWithCCIP").abi
            facts = replace(found.facts, problem=str(abi.decode_error(error.data)) if error.data else error.message)
            return replace(found, facts=facts, answer=judge_resend(facts))
        return replace(found, gas=estimate * GAS_MARGIN_PERCENT // 100)

    def _feed(self, wanted: str) -> tuple[str, str, Address]:
        found = {}
        for feed in self._settings.oracle.feeds:
            name = str(feed.name or feed.pair or feed.aggregator)
            found[name] = (name, feed.chain, feed.aggregator)
            if wanted.casefold() in (name.casefold(), feed.aggregator):
                return found[name]
        known = ", ".join(sorted(found)) or "none"
        raise SettingsError("FEED", f"no feed of the settings is called {wanted[:60]!r}", remedy=f"known: {known}")

    def _destination(self, wanted: str) -> tuple[str, Selector]:
        """A chain of the settings by key or label, or a selector."""
        table = SelectorTable()
        for name, chain in self._settings.chains.items():
            published = table.of_chain(ChainId(chain.chain_id))
            selector = chain.selector or (published.selector if published else None)
            if selector is not None and wanted.casefold() in (
                name.casefold(),
                (chain.label or "").casefold(),
                str(selector),
            ):
                return name, Selector(selector)
        if wanted.isascii() and wanted.isdigit():
            return wanted, Selector(int(wanted))
        known = ", ".join(sorted(self._settings.chains)) or "none"
        raise SettingsError("--to", f"no chain is called {wanted[:60]!r}", remedy=f"known: {known}, or a selector")


def _carriers(connection: Connection, sender: Address, selector: str) -> list[tuple[int, Carrier]]:
    """The rounds that the newest messages of a feed carry to a destination."""
    page = list_messages(connection, MessageFilter(sender=sender, destination=selector), limit=LOOK_BACK)
    found = []
    for message in page.messages:
        detail = find_message(connection, message.id)
        bodies = [item.body for item in detail.sightings if item.kind == "sent"] if detail else []
        update = read_price_update(str(bodies[0].get("details", {}).get("data", ""))) if bodies else None
        if update is not None:
            found.append((update.round, Carrier(message.id, message.stage)))
    return found


@asynccontextmanager
async def open_resend(
    settings: Settings, database: Database, *, clock: Clock, tell: Callable[[str], None] = lambda _: None
) -> AsyncIterator[ResendOffice]:
    """Ready to be asked; chains are opened when they are needed. `tell` hears that another command has the turn."""
    async with make_session() as session:
        chains = Chains(settings.chains, session, clock, RpcMetrics(CollectorRegistry()), settings.start_timeout)
        try:
            yield ResendOffice(settings, database, chains, clock, tell=tell)
        finally:
            await chains.close()
