"""The chains of one process: opened by name, checked before anything relies on them, one sender per chain at most."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from seamark.core.errors import SettingsError, TemporaryError
from seamark.core.ids import ChainId
from seamark.evm.metrics import RpcMetrics, TransactionMetrics
from seamark.evm.ports import Signer
from seamark.evm.rpc import Chain
from seamark.evm.rpc.errors import WrongChain
from seamark.evm.settings import ChainSettings, SignerSettings
from seamark.evm.signers import SignerSource, open_signer
from seamark.evm.transactions import Sender, SenderSettings
from seamark.evm.transactions.fees import FeePolicy
from seamark.evm.transactions.rules import Patience
from seamark.runtime.clock import Clock
from seamark.runtime.health import Health
from seamark.storage.database import Database

__all__ = ["Chains", "OpenChain"]

START_TIMEOUT_S: Final = 15.0  # a node that is being restarted comes back; one that is not there is told soon
RETRY_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class OpenChain:
    """A chain with its settings."""

    name: str
    settings: ChainSettings
    chain: Chain

    async def health(self) -> Health:
        """Does any endpoint answer?"""
        header = await self.chain.header("latest")
        return Health.down("no newest block") if header is None else Health.ok(f"block {header.number}")


@dataclass(slots=True)
class Chains:
    """Opens chains once and closes them all."""

    settings: Mapping[str, ChainSettings]
    session: aiohttp.ClientSession
    clock: Clock
    rpc_metrics: RpcMetrics
    names: Mapping[str, str] = field(default_factory=dict)
    """What the user calls a setting, where it is not its dotted path (environment variables)."""

    opened: dict[str, OpenChain] = field(default_factory=dict)

    async def open(self, wanted: Iterable[str]) -> None:
        """Open and check side by side.

        Raises:
            SettingsError: A node does not answer or serves another chain; names the setting.
        """
        new = [name for name in dict.fromkeys(wanted) if name not in self.opened]
        for name in new:
            item = self.settings[name]
            observer = self.rpc_metrics.of(name)
            chain = Chain(ChainId(item.chain_id), item.rpc, session=self.session, clock=self.clock, observer=observer)
            self.opened[name] = OpenChain(name, item, chain)
        await asyncio.gather(*(self._check(self.opened[name]) for name in new))

    async def close(self) -> None:
        for item in self.opened.values():
            await item.chain.close()

    def by_id(self) -> dict[ChainId, Chain]:
        return {item.chain.chain_id: item.chain for item in self.opened.values()}

    async def _check(self, item: OpenChain) -> None:
        setting = self._called(f"chains.{item.name}.rpc")
        give_up = self.clock.monotonic() + START_TIMEOUT_S
        while True:
            try:
                await item.chain.header("latest")
            except WrongChain as error:
                raise SettingsError(setting, error.problem, remedy=error.remedy) from error
            except TemporaryError as error:
                if self.clock.monotonic() > give_up:
                    remedy = "check that the node runs and the address is right"
                    raise SettingsError(setting, f"no endpoint answers ({error.message})", remedy=remedy) from error
                await self.clock.sleep(RETRY_S)
            else:
                return

    def _called(self, setting: str) -> str:
        return self.names.get(setting, setting)


async def open_settings_signer(settings: SignerSettings, setting: str) -> Signer:
    """From settings to a signer.

    Raises:
        SettingsError: Never shows the key.
    """
    key = settings.private_key
    source = SignerSource(
        private_key=None if key is None else key.get_secret_value(),
        private_key_env=settings.private_key_env,
        private_key_file=settings.private_key_file,
        keystore=settings.keystore,
        password_file=settings.password_file,
        setting=setting,
    )
    return await open_signer(source)


def make_sender(
    item: OpenChain, signer: Signer, *, database: Database, clock: Clock, metrics: TransactionMetrics
) -> Sender:
    """The one sender of a signer on a chain."""
    fees, finality = item.settings.fees, item.settings.finality
    return Sender(
        chain=item.chain,
        signer=signer,
        database=database,
        clock=clock,
        settings=SenderSettings(
            fees=FeePolicy(ceiling=fees.max_gas_price, min_tip=fees.min_tip),
            patience=Patience(bump_ms=int(fees.bump_after * 1000)),
            confirmations=max(fees.confirmations, 1),
            final_tag=finality.tag,
            poll_s=item.settings.poll_interval,
        ),
        observer=metrics.of(item.name),
    )
