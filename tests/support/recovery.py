"""A CCIP 1.6 world with a monitor and a recovery desk, for tests.

from tests.support.recovery import Bench, bench  # noqa: F401 - a fixture; needs `world` too
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from seamark.devnet.accounts import Role
from seamark.devnet.artifacts import ccip_artifact
from seamark.devnet.ccip.model import ExecutionState
from seamark.devnet.node_client import Tx
from seamark.messages.protocols.ccip.recoverers import ccip_recovery
from seamark.messages.recovery import Gas
from seamark.messages.recovery.service import Examination, Prepared, RecoveryDesk
from tests.support.monitor import RunningMonitor, Watched, start_monitor
from tests.support.world import World, world

__all__ = ["AS_IT_IS", "MANUAL_AFTER_S", "Bench", "Forgetful", "bench", "world"]

MANUAL_AFTER_S = 3600  # the devnet's threshold
AS_IT_IS = Gas()


class Forgetful:
    """A source whose nodes keep no old logs."""

    def __init__(self, chain: Any) -> None:
        self._chain = chain

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chain, name)

    async def logs(self, *_: Any, **__: Any) -> list[Any]:
        return []


class Bench:
    """A world with a monitor and a recovery desk."""

    def __init__(self, world: World, monitor: RunningMonitor) -> None:
        self.world, self.monitor = world, monitor
        self.lane = world.outbound
        self.desk = self.new_desk()

    def new_desk(self) -> RecoveryDesk:
        return RecoveryDesk(database=self.monitor.database, protocols=[ccip_recovery()], chains=self.monitor.readers)

    async def told(self, stage: str, *messages: Any) -> None:
        """Wait until the ledger has both ends of the messages."""

        async def both() -> bool:
            known = {view.id: view for view in await self.monitor.messages() if view.sent_tx}
            return all(item.message_id in known and known[item.message_id].stage == stage for item in messages)

        await self.monitor.until(both)

    async def examine(self, message: Any, gas: Gas = AS_IT_IS) -> Examination:
        return await self.desk.examine(await self.desk.case(message.message_id), gas)

    async def prepare(self, message: Any, gas: Gas = AS_IT_IS) -> Prepared:
        (prepared,) = await self.desk.prepare([await self.examine(message, gas)], gas)
        return prepared

    async def send(self, prepared: Prepared) -> Any:
        """As anybody: a plain account, with the gas that was worked out."""
        artifact = ccip_artifact("v1_6_0", "offramp")
        wallet = self.world.wallet(Role.USER, remote=True)
        tx = Tx(prepared.call.to, prepared.call.data, gas=prepared.gas, label="recover")
        (receipt,) = await wallet.run([tx], abi=artifact.abi)
        return receipt

    async def recover(self, message: Any, gas: Gas = AS_IT_IS) -> ExecutionState:
        await self.send(await self.prepare(message, gas))
        return await self.lane.state(message)

    async def failed(self, *, count: int = 1, **options: Any) -> list[Any]:
        """Messages whose receiver reverts, executed by the network; then the receiver is repaired."""
        await self.world.set_receiver_reverts(self.lane, True)
        messages = await self.world.send(self.lane, count=count, **options)
        await self.world.deliver(self.lane)
        await self.told("failed", *messages)
        return messages

    async def untouched(self, *, count: int = 1, **options: Any) -> list[Any]:
        """Messages under one root that the network does not execute."""
        messages = await self.world.send(self.lane, count=count, **options)
        await self.world.finalize(self.lane)
        await self.world.commit(self.lane)
        await self.told("committed", *messages)
        return messages

    async def later(self, seconds: int = MANUAL_AFTER_S + 1) -> None:
        """The destination's clock moves on."""
        node = self.world.remote_node
        await node.request("evm_increaseTime", seconds)
        await node.request("evm_mine")


@pytest.fixture
async def bench(world: World, tmp_path: Path) -> AsyncIterator[Bench]:
    chains = [
        Watched(chain.chain_id, chain.selector, name, chain.router, node.url)
        for chain, name, node in (
            (world.home, "home", world.home_node),
            (world.remote, "remote", world.remote_node),
        )
    ]
    async with start_monitor(tmp_path, chains) as monitor:
        yield Bench(world, monitor)
