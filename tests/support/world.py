"""A ready two-chain CCIP world for tests, with every stage driven by hand.

    from tests.support.world import World, world  # noqa: F401 - a fixture

    async def test_something(world: World):
        (message,) = await world.send(world.outbound)       # home -> remote
        await world.finalize(world.outbound)
        await world.commit(world.outbound)
        await world.execute(world.outbound)

A world takes about 0.4 s to start, so each test gets its own: own chains on free ports, a block for each transaction,
nothing on disk but logs, no oracle network running in the background.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from seamark.core.ids import Address
from seamark.devnet.accounts import Role
from seamark.devnet.artifacts import ccip_artifact
from seamark.devnet.ccip.contracts import NO_ADDRESS
from seamark.devnet.ccip.lane import Lane
from seamark.devnet.ccip.model import Execution
from seamark.devnet.ccip.ramp_messages import CCIP_SEND, RampMessage, extra_args_v2, read_sent
from seamark.devnet.deployment import ChainDeployment, Deployment, FeedDeployment
from seamark.devnet.devnet import Devnet
from seamark.devnet.node_client import NodeClient, Tx, Wallet
from seamark.devnet.settings import DevnetSettings
from seamark.evm import artifacts
from seamark.evm.abi import compile_encoder, parse_params
from seamark.evm.types import Receipt
from seamark.runtime.clock import Clock

__all__ = ["World", "start_world", "test_settings", "world"]

DEAD = Address("0x000000000000000000000000000000000000dead")
_encode_address = compile_encoder(parse_params("address"))


class World:
    """A started devnet and what tests do with it."""

    def __init__(self, devnet: Devnet) -> None:
        self.devnet = devnet
        self.outbound, self.inbound = devnet.lanes
        self.faults = devnet.faults
        self._wallets: dict[tuple[Role, bool], Wallet] = {}

    @property
    def deployment(self) -> Deployment:
        return self.devnet.deployment

    @property
    def home(self) -> ChainDeployment:
        return self.devnet.deployment.home

    @property
    def remote(self) -> ChainDeployment:
        return self.devnet.deployment.remote

    @property
    def home_node(self) -> NodeClient:
        return self.devnet.nodes[0]

    @property
    def remote_node(self) -> NodeClient:
        return self.devnet.nodes[1]

    def wallet(self, role: Role = Role.USER, *, remote: bool = False) -> Wallet:
        """One sender for each account and chain."""
        key = (role, remote)
        if key not in self._wallets:
            self._wallets[key] = self.devnet.wallet(role, remote=remote)
        return self._wallets[key]

    # ---- stages -----------------------------------------------------------------------------------------------------

    async def send(
        self,
        lane: Lane,
        *,
        count: int = 1,
        receiver: Address | None = None,
        data: bytes = b"hello",
        gas_limit: int = 200_000,
        in_link: bool = False,
        out_of_order: bool = True,
    ) -> list[RampMessage]:
        """`ccipSend` from a plain account, `count` times in one go; the default receiver may be told to revert."""
        remote = lane is self.inbound
        source, wallet = lane.source, self.wallet(Role.REMOTE_DEPLOYER if remote else Role.HOME_DEPLOYER, remote=remote)
        to = _encode_address([receiver or lane.dest.test_receiver])
        extra = extra_args_v2(gas_limit, out_of_order=out_of_order)
        message: tuple[Any, ...] = (to, data, [], source.link if in_link else NO_ADDRESS, extra)
        router = ccip_artifact("latest", "router").abi
        fee = await wallet.node.read(source.router, router.function("getFee"), lane.dest.selector, message)
        txs = [
            Tx(source.router, CCIP_SEND.encode(lane.dest.selector, message), 0 if in_link else fee, label="ccipSend")
        ] * count
        if in_link:
            token = ccip_artifact("v1_5_1", "factory_burn_mint_erc20").abi
            txs.insert(0, Tx(source.link, token.encode_call("approve", source.router, fee * count)))
        receipts = await wallet.run(txs, abi=router)
        return [message for receipt in receipts for message in self.sends(receipt, lane)]

    def sends(self, receipt: Receipt, lane: Lane) -> list[RampMessage]:
        """The messages that a transaction sent on a lane."""
        logs = [entry for entry in receipt.logs if entry.address == lane.source.onramp]
        return [message for message in map(read_sent, logs) if message.lane == lane.id]

    async def finalize(self, lane: Lane) -> None:
        """Make everything sent so far final on the lane's source: two more blocks."""
        await self.devnet.anvils[int(lane is self.inbound)].mine(2)

    async def commit(self, lane: Lane, **options: Any) -> tuple[RampMessage, ...]:
        """One commit report for what is final."""
        await lane.scan()
        return await lane.commit(**options)

    async def execute(self, lane: Lane, **options: Any) -> list[Execution]:
        """Execute what is committed."""
        await lane.scan()
        return await lane.execute(**options)

    async def deliver(self, lane: Lane) -> list[Execution]:
        """All stages for what was sent."""
        await self.finalize(lane)
        await self.commit(lane)
        return await self.execute(lane)

    async def set_receiver_reverts(self, lane: Lane, reverts: bool) -> None:
        """Tell the default receiver of a lane to revert, or to stop that."""
        artifact = ccip_artifact("v1_6_0", "maybe_revert_message_receiver")
        wallet = self.wallet(Role.SECOND_PUBLISHER, remote=lane is self.outbound)
        await wallet.run([Tx(lane.dest.test_receiver, artifact.abi.encode_call("setRevert", reverts))])

    # ---- prices -----------------------------------------------------------------------------------------------------

    def feed(self, symbol: str = "BTC/USD") -> FeedDeployment:
        return self.deployment.feed(symbol)

    async def submit(self, answer: int, symbol: str = "BTC/USD", *, observed_at: int | None = None) -> Receipt:
        """Publish the next round as the publisher."""
        abi, feed = artifacts.load("OracleWithCCIP").abi, self.feed(symbol)
        latest = await self.home_node.read(feed.aggregator, abi.function("latestRound"))
        at = observed_at if observed_at is not None else int(time.time()) + latest
        data = abi.encode_call("submit", latest + 1, answer, at)
        (receipt,) = await self.wallet(Role.PUBLISHER).run([Tx(feed.aggregator, data, label="submit")], abi=abi)
        return receipt

    async def remote_answer(self, symbol: str = "BTC/USD") -> Any:
        """`latestRoundData` of the receiver."""
        abi = artifacts.load("OracleReceiver").abi
        return await self.remote_node.read(self.feed(symbol).receiver, abi.function("latestRoundData"))


def test_settings(folder: Path, **changes: Any) -> DevnetSettings:
    """Free ports, a block for each transaction."""
    plain = DevnetSettings(data=folder)
    values: dict[str, Any] = {
        "home": plain.home.model_copy(update={"port": 0}),
        "remote": plain.remote.model_copy(update={"port": 0}),
        "venues_port": 0,
        "block_time": 0,
    }
    assert set(changes) <= set(DevnetSettings.model_fields), changes
    return plain.model_copy(update=values | changes)


test_settings.__test__ = False  # type: ignore[attr-defined]  # a helper, whatever its name


@contextlib.asynccontextmanager
async def start_world(folder: Path, *, clock: Clock | None = None, **changes: Any) -> AsyncIterator[World]:
    """A world in a folder; `changes` are fields of `DevnetSettings`; `clock` is for oracle network and venues."""
    async with Devnet(test_settings(folder, **changes), clock=clock, run_network=False, persist=False) as devnet:
        yield World(devnet)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with start_world(tmp_path / "devnet") as started:
        yield started
