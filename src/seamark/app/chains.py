"""The chains of one process: opened by name, checked before anything relies on them, one sender per chain at most."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import aiohttp
import structlog

from seamark.app.patience import NoAnswerError, first_answer
from seamark.core.ids import Address, ChainId
from seamark.evm.metrics import RpcMetrics, TransactionMetrics
from seamark.evm.ports import Signer
from seamark.evm.rpc import Chain, chain_health
from seamark.evm.settings import ChainSettings, SignerSettings
from seamark.evm.signers import open_guarded
from seamark.evm.transactions import Sender, SenderSettings
from seamark.evm.transactions.dry import DrySender
from seamark.evm.transactions.fees import FeePolicy
from seamark.evm.transactions.rules import Patience
from seamark.runtime.clock import Clock
from seamark.runtime.health import Health
from seamark.storage.database import Database

__all__ = ["Chains", "OpenChain"]

log = structlog.get_logger("seamark.app")


@dataclass(frozen=True, slots=True)
class OpenChain:
    """A chain with its settings."""

    name: str
    settings: ChainSettings
    chain: Chain

    async def health(self) -> Health:
        """Does any endpoint answer, and is each of them of use?"""
        return await chain_health(self.chain)


@dataclass(slots=True)
class Chains:
    """Opens chains once and closes them all."""

    settings: Mapping[str, ChainSettings]
    session: aiohttp.ClientSession
    clock: Clock
    rpc_metrics: RpcMetrics
    start_timeout_s: float
    """How long `open` waits for a node."""

    opened: dict[str, OpenChain] = field(default_factory=dict)

    silent: set[ChainId] = field(default_factory=set)
    """Opened all the same, though no node of theirs answered at the start."""

    async def open(self, wanted: Iterable[str], *, needed: Collection[str] | None = None) -> None:
        """Open and check side by side.

        Args:
            wanted: Names in the settings.
            needed: Those without which there is nothing to start; None: all. Others may be silent for now, as long as
                any chain answers: an outage of one chain must not hide what happens on the others.

        Raises:
            SettingsError: A node does not answer or serves another chain; names the setting.
        """
        names = self.add(wanted)
        found = await asyncio.gather(*(self._check(self.opened[name]) for name in names))
        silent = {name: error for name, error in zip(names, found, strict=True) if error is not None}
        for name, error in silent.items():
            if needed is None or name in needed or len(silent) == len(names):
                raise error
        for name, error in silent.items():
            self.silent.add(self.opened[name].chain.chain_id)
            log.error("starting without this chain; it is read as soon as a node answers", chain=name, error=str(error))

    def add(self, wanted: Iterable[str]) -> list[str]:
        """Open without asking a node; the names that are new."""
        new = [name for name in dict.fromkeys(wanted) if name not in self.opened]
        for name in new:
            item = self.settings[name]
            observer = self.rpc_metrics.of(name)
            chain = Chain(ChainId(item.chain_id), item.rpc, session=self.session, clock=self.clock, observer=observer)
            self.opened[name] = OpenChain(name, item, chain)
        return new

    async def forget(self, name: str) -> None:
        """Close one again."""
        item = self.opened.pop(name, None)
        if item is not None:
            await item.chain.close()

    async def close(self) -> None:
        for item in self.opened.values():
            await item.chain.close()

    def by_id(self) -> dict[ChainId, Chain]:
        return {item.chain.chain_id: item.chain for item in self.opened.values()}

    async def _check(self, item: OpenChain) -> NoAnswerError | None:
        try:
            await first_answer(
                lambda: item.chain.header("latest"),
                clock=self.clock,
                limit_s=self.start_timeout_s,
                setting=f"chains.{item.name}.rpc",
            )
        except NoAnswerError as error:
            return error
        return None


async def open_settings_signer(
    settings: SignerSettings,
    setting: str,
    *,
    session: aiohttp.ClientSession,
    clock: Clock,
    database: Database,
    patience_s: float = 0.0,
) -> Signer:
    """From settings to a signer with its policy in front.

    Args:
        settings: Where the key is.
        setting: How errors name it.
        session: To ask a service that holds the key.
        clock: For the policy's limits, tokens, and waiting.
        database: Holds the journal, by which a limit per day is kept.
        patience_s: How long to wait for a service that does not answer yet.

    Raises:
        SettingsError: The key cannot be used; never shows it.
    """
    return await open_guarded(settings, setting, session=session, clock=clock, database=database, patience_s=patience_s)


def make_sender(
    item: OpenChain, signer: Signer, *, database: Database, clock: Clock, metrics: TransactionMetrics
) -> Sender:
    """The one sender of a signer on a chain."""
    return Sender(
        chain=item.chain,
        signer=signer,
        database=database,
        clock=clock,
        settings=_sender_settings(item.settings),
        observer=metrics.of(item.name),
    )


def make_dry_sender(item: OpenChain, address: Address, *, clock: Clock) -> DrySender:
    """One that sends nothing, for an account whose key is not needed."""
    return DrySender(chain=item.chain, address=address, clock=clock, settings=_sender_settings(item.settings))


def _sender_settings(settings: ChainSettings) -> SenderSettings:
    fees, finality = settings.fees, settings.finality
    return SenderSettings(
        fees=FeePolicy(ceiling=fees.max_gas_price, min_tip=fees.min_tip, legacy=fees.legacy),
        patience=Patience(bump_ms=int(fees.bump_after * 1000), replace_ms=int(fees.bump_after * 1000)),
        confirmations=max(fees.confirmations, finality.depth + 1),  # where the node knows no tag
        final_tag=finality.tag,
        poll_s=settings.poll_interval,
        spend_per_day=fees.spend_per_day,
    )
