"""Operations on sender contracts, joined to what they run on: chains, keys, the journal, the ledger of messages.

    refill    record -> transfer LINK
    pause, resume
    change    record -> pause -> each change -> read back -> resume -> a test message -> watch it land
                                 `---------------- on failure: each change taken back, resume

Everything is written down before it is sent, with who and why, and every transaction goes through the journal: the same
command after a crash goes on where the last one was.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Final

from prometheus_client import CollectorRegistry
from sqlalchemy import Connection

from seamark.app.chains import Chains
from seamark.app.guarded import Guarded, GuardedDesk
from seamark.app.operations_desk import Place, Tell
from seamark.app.recovery import Author
from seamark.app.sending import Delivery
from seamark.core.errors import RejectedError, SettingsError
from seamark.core.ids import Address
from seamark.core.times import DAY_MS
from seamark.core.units import from_base_units, to_base_units
from seamark.evm import artifacts
from seamark.evm.abi import Abi
from seamark.evm.address import to_checksum
from seamark.evm.contract import Contract
from seamark.evm.metrics import RpcMetrics
from seamark.oracle.administration import store
from seamark.oracle.administration.model import Change, SenderState
from seamark.oracle.administration.store import Operation
from seamark.runtime.clock import Clock
from seamark.runtime.http import make_session
from seamark.settings import Settings
from seamark.storage.database import Database

__all__ = ["Guarded", "OperationsOffice", "Place", "open_operations"]

LINK_DECIMALS: Final = 18
_TOKEN: Final = Abi.parse(
    "function transfer(address to, uint256 amount) returns (bool)",
    "function balanceOf(address account) view returns (uint256)",
)
_ROUTER: Final = Abi.parse(
    "function typeAndVersion() view returns (string)",
    "function isChainSupported(uint64 chainSelector) view returns (bool)",
)


class OperationsOffice(GuardedDesk):
    """What commands ask."""

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
        unended = await self.unended(place)
        if unended is None or unended.kind != "refill":  # else it is counted already
            await self._database.read(lambda c: self._check_day(c, place, amount))
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
        operation = await self._begin(
            "refill", place, author, amount=base, check=lambda c: self._check_day(c, place, amount)
        )
        if int(operation.amount) != base:
            begun = _text(from_base_units(int(operation.amount), LINK_DECIMALS))
            raise RejectedError(
                f"a refill of {begun} LINK was begun and has not ended",
                remedy="finish it first: give the same command with that amount",
            )
        data = _TOKEN.encode_call("transfer", place.address, base)
        return await self._once(operation, place, await self.signer(), link, data, timeout_s)

    def _check_day(self, connection: Connection, place: Place, amount: Decimal) -> None:
        """Raises `SettingsError` where the day's ceiling would be passed."""
        limit = self._settings.operations.refill.per_day
        since = round(self._clock.now() * 1000) - DAY_MS
        spent = store.spent_since(connection, place.chain_id, since)
        total = from_base_units(spent, LINK_DECIMALS) + amount
        if total > limit:
            raise SettingsError(
                "--amount",
                f"with it {_text(total)} LINK would be sent on {place.item.name} within 24 hours, above"
                f" operations.refill.per_day ({limit})",
                remedy="send less, wait, or raise the ceiling",
            )

    # ---- pause and resume -------------------------------------------------------------------------------------------

    async def switch(
        self, place: Place, kind: str, function: str, author: Author, *, timeout_s: float
    ) -> tuple[Operation, Delivery]:
        """`pauseSending`, `unpauseSending`, `pause` or `unpause`."""
        data = artifacts.load("OracleWithCCIP").abi.encode_call(function)
        signer = await self.signer()
        await self._try(place, signer, data, "PAUSER_ROLE")
        operation = await self._begin(kind, place, author)
        return await self._once(operation, place, signer, place.address, data, timeout_s)

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
        return await self._once(operation, place, admin, place.address, data, timeout_s)


def _text(amount: Decimal) -> str:
    return f"{amount.normalize():f}"


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
