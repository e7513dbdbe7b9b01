"""Checks by view calls on the published contracts of three generations."""

# ruff: noqa: F811 - tests take the imported fixture as an argument

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from seamark.core.ids import Address, ChainId, Selector
from seamark.devnet.accounts import Role
from seamark.devnet.node_client import Tx
from seamark.evm import artifacts
from seamark.evm.rpc import Chain as Reader
from seamark.messages.protocols.ccip import CcipChain, CcipProtocol
from seamark.messages.protocols.ccip.checks import (
    Chain,
    ChainCheck,
    ChecksSettings,
    SenderSettings,
    check_chain,
    judge_chain,
)
from seamark.runtime.http import make_session
from tests.support import ccip_v1_5, ccip_v2_0
from tests.support.world import World, world  # noqa: F401 - a fixture

pytestmark = pytest.mark.integration

DAY = 86_400


class Looker:
    """Checks one chain of a bed as `seamark ccip check` does."""

    def __init__(self, reader: Reader, protocol: CcipProtocol, selector: Selector, router: Address, peer: Any) -> None:
        self.reader = reader
        self.protocol = protocol
        self.selector = selector
        self.router = router
        self.peer = peer

    async def look(self, senders: Sequence[SenderSettings] = (), pools: Sequence[Address] = (), **more: Any) -> Any:
        contracts = await self.protocol.discover(self.reader, ())
        chain = Chain(
            name="home",
            chain_id=self.reader.chain_id,
            selector=self.selector,
            router=self.router,
            peers={self.peer: "remote"},
            contracts=contracts,
            counters=await self.protocol.counters(self.reader, contracts),
            senders=senders,
            pools=pools,
            **more,
        )
        return await check_chain(self.reader, chain)


@asynccontextmanager
async def looker(chain_id: int, selector: Selector, router: Address, peer: Selector, url: str) -> AsyncIterator[Looker]:
    session = make_session()
    reader = Reader(ChainId(chain_id), [url], session=session)
    ends = [
        CcipChain(ChainId(chain_id), selector, "home", router, 0, "ccip.chains[0]"),
        CcipChain(ChainId(99), peer, "remote", router, 0, "ccip.chains[1]"),
    ]
    try:
        yield Looker(reader, CcipProtocol(ends), selector, router, peer)
    finally:
        await reader.close()
        await session.close()


@asynccontextmanager
async def of_world(world: World) -> AsyncIterator[Looker]:
    home = world.home
    async with looker(home.chain_id, home.selector, home.router, world.remote.selector, world.home_node.url) as found:
        yield found


def rich(world: World) -> SenderSettings:
    """The publisher's contract, which has some LINK."""
    return SenderSettings(
        chain="home", address=world.feed().aggregator, link_warning=Decimal(1), link_critical=Decimal(0)
    )


def kinds(check: ChainCheck, senders: Sequence[SenderSettings] = (), **settings: Any) -> list[tuple[str, str]]:
    return [(item.kind, item.severity.value) for item in judge_chain(check, ChecksSettings(**settings), senders)]


async def test_a_healthy_chain_of_1_6(world: World) -> None:
    await world.send(world.outbound)
    await world.finalize(world.outbound)
    sender = rich(world)
    async with of_world(world) as home:
        check = await home.look([sender])
    (lane,) = check.lanes
    assert (lane.name, lane.version, lane.on_ramp) == ("remote", "OnRamp 1.6.0", world.home.onramp)
    assert [quote.token for quote in lane.quotes] == ["native", "LINK"]
    assert all(quote.amount and quote.amount > 0 for quote in lane.quotes)
    assert lane.last_sent == 1
    assert (check.sources[0].version, check.cursed, lane.cursed) == ("OffRamp 1.6.0", False, False)
    assert lane.gas_price_age is not None
    assert lane.gas_price_age < DAY
    assert check.senders[0].link > 0
    assert kinds(check, [sender]) == []


async def test_a_sender_that_is_paused(world: World) -> None:
    sender, abi = rich(world), artifacts.load("OracleWithCCIP").abi
    operator = world.wallet(Role.OPERATOR)
    async with of_world(world) as home:
        await operator.run([Tx(sender.address, abi.encode_call("pauseSending"))], abi=abi)
        assert kinds(await home.look([sender]), [sender]) == [("sender_paused", "warning")]
        await operator.run([Tx(sender.address, abi.encode_call("pause"))], abi=abi)
        assert (await home.look([sender])).senders[0].paused == "feed"


async def test_money_that_runs_out(world: World) -> None:
    nobody = Address("0x" + "12" * 20)
    sender = SenderSettings(chain="home", address=nobody, native_warning=Decimal(1), min_allowance=Decimal(1))
    async with of_world(world) as home:
        check = await home.look([sender])
    assert kinds(check, [sender]) == [
        ("link_balance_low", "critical"),
        ("native_balance_low", "warning"),
        ("allowance_low", "warning"),
    ]


async def test_runway(world: World) -> None:
    sender = rich(world)
    async with of_world(world) as home:
        link = (await home.look([sender])).senders[0].link
        check = await home.look([sender], burns={(sender.address, world.home.link): link / DAY})
    assert check.senders[0].runway == pytest.approx(DAY)
    assert kinds(check, [sender]) == [("runway_short", "warning")]


async def test_fee_data_that_nobody_updates() -> None:
    async with ccip_v1_5.start_bed("1.5") as bed:
        source, dest = bed.outbound.source, bed.outbound.dest
        async with looker(source.chain_id, source.selector, source.router, dest.selector, source.url) as home:
            limit = (await home.look()).lanes[0].gas_price_limit
            assert limit is not None
            await source.node.request("evm_increaseTime", limit * 9 // 10)
            await source.anvil.mine(1)
            assert dict(kinds(await home.look())) == {"fee_data_stale": "warning"}
            await source.node.request("evm_increaseTime", limit)
            await source.anvil.mine(1)
            check = await home.look()
    found = dict(kinds(check))
    assert found == {"fee_data_stale": "critical", "fee_quote_failed": "critical"}  # and that is what it means
    assert "Stale" in check.lanes[0].quotes[0].error


async def test_a_lane_without_an_on_ramp(world: World) -> None:
    home = world.home
    async with looker(home.chain_id, home.selector, home.router, Selector(77), world.home_node.url) as found:
        check = await found.look()
    assert ("lane_disabled", "warning") in kinds(check)


async def test_no_router(world: World) -> None:
    async with of_world(world) as home:
        home.protocol = _Undiscovered()  # type: ignore[assignment]
        home.router = world.home.link
        check = await home.look()
    assert kinds(check) == [("router_unavailable", "critical")]
    assert not check.unreachable


class _Undiscovered:
    async def discover(self, *_: Any) -> list[Any]:
        return []

    async def counters(self, *_: Any) -> list[Any]:
        return []


async def test_no_node(world: World) -> None:
    async with of_world(world) as home:
        home.protocol = _Undiscovered()  # type: ignore[assignment]
        await home.reader.close()
        await world.devnet.anvils[0].__aexit__(None, None, None)
        check = await home.look()
    assert check.unreachable
    assert kinds(check) == []


@pytest.mark.parametrize("version", ["1.5", "1.2"])
async def test_the_older_generations(version: str) -> None:
    async with ccip_v1_5.start_bed(version) as bed:
        source, dest = bed.outbound.source, bed.outbound.dest
        async with looker(source.chain_id, source.selector, source.router, dest.selector, source.url) as home:
            check = await home.look(pools=[source.pool])
    (lane,) = check.lanes
    assert lane.version == f"EVM2EVMOnRamp {version}.0"
    assert [quote.amount is not None for quote in lane.quotes] == [True, True]
    assert lane.gas_price_limit is not None
    assert check.prices[0].limit is not None
    assert kinds(check) == []


async def test_2_0_and_its_curse() -> None:
    async with ccip_v2_0.start_bed() as bed:
        home, remote = bed.home, bed.remote
        async with looker(home.chain_id, home.selector, home.router, remote.selector, home.url) as found:
            assert kinds(await found.look()) == []
            await bed.curse(home, remote.selector)
            lane = await found.look()
            await bed.curse(home)
            everything = await found.look()
    assert kinds(lane) == [("cursed", "critical")]
    assert kinds(everything) == [("cursed", "critical")]
    assert judge_chain(everything, ChecksSettings(), ())[0].subject == f"{home.chain_id}/*"
