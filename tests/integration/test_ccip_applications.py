"""Our own contracts beside CCIP's: roles, configuration, pauses and sends that failed, on the published contracts."""

# ruff: noqa: F811 - tests take the imported fixture as an argument

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from seamark.core.ids import Address
from seamark.devnet.accounts import Role, account
from seamark.devnet.artifacts import ccip_artifact
from seamark.devnet.node_client import Tx
from seamark.evm import artifacts
from seamark.evm.crypto import keccak256
from seamark.messages.model import NoticeKind
from seamark.messages.protocols.ccip import CcipChain, CcipProtocol
from seamark.messages.protocols.ccip.checks.rules import judge_failed_sends
from seamark.messages.reports.access import rights_of
from seamark.messages.store import NoticeView, list_notices
from tests.support.monitor import RunningMonitor, start_trackers
from tests.support.world import World, world  # noqa: F401 - a fixture

pytestmark = pytest.mark.integration

SENDER = artifacts.load("OracleWithCCIP").abi
PAUSER = keccak256(b"PAUSER_ROLE")


@asynccontextmanager
async def watched(world: World, folder: Path) -> AsyncIterator[RunningMonitor]:
    feed = world.feed()
    ends = [
        (world.home, world.home_node, "home", feed.aggregator),
        (world.remote, world.remote_node, "remote", feed.receiver),
    ]
    protocol = CcipProtocol(
        [
            CcipChain(chain.chain_id, chain.selector, name, chain.router, 0, "ccip.chains[0]", (ours,))
            for chain, _, name, ours in ends
        ]
    )
    async with start_trackers(folder, protocol, {chain.chain_id: node.url for chain, node, _, _ in ends}) as running:
        yield running


async def told(running: RunningMonitor, kind: NoticeKind, at_least: int) -> list[NoticeView]:
    found: list[NoticeView] = []

    async def enough() -> bool:
        nonlocal found
        found = await running.database.read(lambda c: list_notices(c, kinds=(kind,), limit=500))
        return len(found) >= at_least

    await running.until(enough)
    return found


async def notices(running: RunningMonitor) -> list[NoticeView]:
    kinds = (NoticeKind.ROLE_CHANGED, NoticeKind.CONFIGURED)
    return await running.database.read(lambda c: list_notices(c, kinds=kinds, limit=500))


async def test_who_may_do_what(world: World, tmp_path: Path) -> None:
    feed, operator = world.feed(), account(Role.OPERATOR).address
    admin = world.wallet(Role.HOME_DEPLOYER)
    await admin.run([Tx(feed.aggregator, SENDER.encode_call("revokeRole", PAUSER, operator))], abi=SENDER)
    async with watched(world, tmp_path) as running:
        rights: set[tuple[str, str, str]] = set()

        async def revoked_too() -> bool:
            nonlocal rights
            found = await notices(running)
            rights = {(item.contract, item.right, item.account) for item in rights_of(found)}
            is_there = {feed.aggregator, feed.receiver} <= {contract for contract, _, _ in rights}
            return is_there and any(item.details["event"] == "RoleRevoked" for item in found)

        await running.until(revoked_too)
        assert (feed.aggregator, "OPERATOR_ROLE", operator) in rights
        assert (feed.aggregator, "PAUSER_ROLE", operator) not in rights  # revoked
        assert (feed.receiver, "PAUSER_ROLE", operator) in rights
        assert (feed.receiver, f"sends to it from chain {world.home.selector}", feed.aggregator) in rights
        assert (feed.aggregator, f"is sent to on chain {world.remote.selector}", feed.receiver) in rights
        assert {right for contract, right, _ in rights if contract == feed.aggregator} >= {
            "DEFAULT_ADMIN_ROLE",
            "PUBLISHER_ROLE",
        }


async def test_pauses(world: World, tmp_path: Path) -> None:
    operator = world.wallet(Role.OPERATOR)
    async with watched(world, tmp_path) as running:
        calls = ("pauseSending", "unpauseSending", "pause")
        await operator.run([Tx(world.feed().aggregator, SENDER.encode_call(name)) for name in calls], abi=SENDER)
        paused = await told(running, NoticeKind.PAUSED, 2)
        assert [item.subject for item in paused] == ["feed", "sending"]
        assert [item.subject for item in await told(running, NoticeKind.UNPAUSED, 1)] == ["sending"]


async def test_a_send_that_the_router_refused(world: World, tmp_path: Path) -> None:
    """No log of CCIP's tells of it."""
    feed = world.feed()
    await _take_link_away(world, feed.aggregator)
    async with watched(world, tmp_path) as running:
        await world.submit(60_000 * 10**8, observed_at=int(time.time()))
        (failed,) = await told(running, NoticeKind.SEND_FAILED, 1)
        assert (failed.contract, failed.subject) == (feed.aggregator, str(world.remote.selector))
        assert failed.details["reason"] == "no_funds"
        names = {str(world.home.chain_id): "home", str(world.remote.selector): "remote"}
        (finding,) = judge_failed_sends([failed], names)
        assert (finding.kind, finding.group, finding.count) == ("send_failed", "home → remote", 1)
        assert finding.labels["reason"] == "no_funds"


async def _take_link_away(world: World, sender: Address) -> None:
    erc20 = ccip_artifact("v1_5_1", "factory_burn_mint_erc20").abi
    held: Any = await world.home_node.read(world.home.link, erc20.function("balanceOf"), sender)
    admin = world.wallet(Role.HOME_DEPLOYER)
    data = SENDER.encode_call("withdrawToken", world.home.link, admin.address, held)
    await admin.run([Tx(sender, data)], abi=SENDER)
