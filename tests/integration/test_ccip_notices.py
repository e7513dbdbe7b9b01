"""What the published CCIP 1.6 contracts tell beside messages, through the real tracker: curses, skips, retries,
configuration, roles, and which token a pool is of.
"""

# ruff: noqa: F811 - tests take the imported fixture as an argument

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from seamark.core.ids import Address
from seamark.devnet.accounts import Role
from seamark.devnet.artifacts import ccip_artifact
from seamark.devnet.ccip.lane import Lane
from seamark.devnet.ccip.ramp_messages import RampMessage, leaf_hash
from seamark.devnet.ccip.reports import execute_call
from seamark.devnet.node_client import Tx
from seamark.evm.merkle import prove
from seamark.messages.model import NoticeKind
from seamark.messages.store import list_notices, open_curses
from tests.support.ccip_v1_5 import beside
from tests.support.monitor import RunningMonitor, Watched, start_monitor
from tests.support.world import World, world  # noqa: F401 - a fixture

pytestmark = pytest.mark.integration

GLOBAL = bytes.fromhex("01000000000000000000000000000001")
SOMEBODY = Address("0x" + "5e" * 20)


class Watching:
    """A world and its monitor."""

    def __init__(self, world: World, running: RunningMonitor) -> None:
        self.world = world
        self.running = running

    async def notices(self, kind: NoticeKind, *, count: int = 1) -> list[Any]:
        """The notices of a kind, oldest first, once there are so many."""

        async def read() -> list[Any]:
            found = await self.running.database.read(lambda c: list_notices(c, kinds=[kind], limit=1000))
            return found[::-1]

        async def enough() -> bool:
            return len(await read()) >= count

        await self.running.until(enough)
        return await read()

    async def told(self, kind: NoticeKind, contract: Address, event: str, subject: str = "", **values: Any) -> None:
        """Wait for a notice of a contract's event with (at least) these values."""

        async def there() -> bool:
            found = await self.running.database.read(lambda c: list_notices(c, kinds=[kind], limit=1000))
            return any(
                (item.contract, item.subject, item.details["event"]) == (contract, subject, event)
                and values.items() <= item.details["values"].items()
                for item in found
            )

        await self.running.until(there)

    async def call(self, artifact: tuple[str, str], to: Address, function: str, *arguments: Any, remote: bool) -> None:
        """An administrative call by the deployer of a chain."""
        role = Role.REMOTE_DEPLOYER if remote else Role.HOME_DEPLOYER
        abi = ccip_artifact(*artifact).abi
        await self.world.wallet(role, remote=remote).run([Tx(to, abi.encode_call(function, *arguments))], abi=abi)

    async def curse(self, function: str, subject: bytes, *, remote: bool = True) -> None:
        rmn = (self.world.remote if remote else self.world.home).rmn_remote
        await self.call(("v1_6_0", "rmn_remote"), rmn, f"{function}(bytes16)", subject, remote=remote)


@pytest.fixture
async def watching(world: World, tmp_path: Path) -> AsyncIterator[Watching]:
    sides = [
        Watched(chain.chain_id, chain.selector, chain.name, chain.router, node.url)
        for chain, node in ((world.home, world.home_node), (world.remote, world.remote_node))
    ]
    async with start_monitor(tmp_path, sides) as running:
        yield Watching(world, running)


async def execute_only(world: World, lane: Lane, root: Sequence[RampMessage], message: RampMessage) -> None:
    """The network executes one message of a root."""
    leaves = [leaf_hash(item, lane.source.onramp) for item in root]
    data = execute_call(2**40 + world.remote_node._id, [message], prove(leaves, [root.index(message)]))
    abi = ccip_artifact("v1_6_0", "offramp").abi
    await world.wallet(Role.EXECUTOR, remote=True).run([Tx(lane.dest.offramp, data, label="execute")], abi=abi)


async def test_a_cursed_lane_and_a_cursed_chain(watching: Watching) -> None:
    world, running = watching.world, watching.running
    home = world.home.selector.to_bytes(16)
    root = await world.send(world.outbound, count=1)
    await world.finalize(world.outbound)
    await world.commit(world.outbound)
    await watching.curse("curse", home)
    await execute_only(world, world.outbound, root, root[0])
    (skipped,) = await watching.notices(NoticeKind.EXECUTION_SKIPPED)
    assert (skipped.contract, skipped.subject) == (world.remote.offramp, str(world.home.selector))
    await watching.curse("curse", GLOBAL)
    cursed = await watching.notices(NoticeKind.CURSED, count=2)
    assert [item.subject for item in cursed] == [str(world.home.selector), "*"]
    assert {item.contract for item in cursed} == {world.remote.rmn_remote}
    open_now = await running.database.read(lambda c: open_curses(c, "ccip"))
    assert set(open_now) == {(world.remote.chain_id, str(world.home.selector)), (world.remote.chain_id, "*")}

    await watching.curse("uncurse", GLOBAL)
    await watching.curse("uncurse", home)
    await watching.notices(NoticeKind.UNCURSED, count=2)
    assert await running.database.read(lambda c: open_curses(c, "ccip")) == {}
    await world.execute(world.outbound)
    await running.stages({root[0].message_id: "executed"})


async def test_many_subjects_in_one_curse(watching: Watching) -> None:
    world = watching.world
    subjects = [number.to_bytes(16) for number in (7, 8)]
    rmn = world.remote.rmn_remote
    await watching.call(("v1_6_0", "rmn_remote"), rmn, "curse(bytes16[])", subjects, remote=True)
    cursed = await watching.notices(NoticeKind.CURSED, count=2)
    assert {item.subject for item in cursed} == {"7", "8"}


async def test_the_proxy_gets_another_risk_contract(watching: Watching) -> None:
    """Its curses count from then on: it was found by the event."""
    world = watching.world
    artifact = ccip_artifact("v1_6_0", "rmn_remote")
    deployer = world.wallet(Role.REMOTE_DEPLOYER, remote=True)
    creation = artifact.creation(world.remote.selector, "0x" + "00" * 20)
    (receipt,) = await deployer.run([Tx(None, creation, gas=5_000_000)])
    assert receipt.contract_address
    proxy = ("v1_0_0", "rmn_proxy_contract")
    await watching.call(proxy, world.remote.arm_proxy, "setARM", receipt.contract_address, remote=True)
    await watching.told(NoticeKind.CONFIGURED, world.remote.arm_proxy, "ARMSet")
    await watching.call(("v1_6_0", "rmn_remote"), receipt.contract_address, "curse(bytes16)", GLOBAL, remote=True)
    (cursed,) = await watching.notices(NoticeKind.CURSED)
    assert (cursed.contract, cursed.subject) == (receipt.contract_address, "*")


async def test_an_ordered_message_before_its_turn(watching: Watching) -> None:
    world = watching.world
    root = await world.send(world.outbound, count=2, out_of_order=False)
    await world.finalize(world.outbound)
    await world.commit(world.outbound)
    await execute_only(world, world.outbound, root, root[1])
    (told,) = await watching.notices(NoticeKind.NONCE_SKIPPED)
    assert told.contract == world.remote.nonce_manager
    assert told.subject == root[1].sender
    assert told.details["nonce"] == "2"
    assert told.details["source"] == str(world.home.selector)


async def test_retries_of_what_failed_and_of_what_is_done(watching: Watching) -> None:
    world = watching.world
    await world.set_receiver_reverts(world.outbound, True)
    root = await world.send(world.outbound)
    await world.deliver(world.outbound)
    await execute_only(world, world.outbound, root, root[0])
    await world.set_receiver_reverts(world.outbound, False)
    await world.outbound.execute_by_hand(root[0], world.wallet(Role.SECOND_PUBLISHER, remote=True))
    await execute_only(world, world.outbound, root, root[0])
    found = await watching.notices(NoticeKind.ALREADY_ATTEMPTED, count=2)
    assert [item.details["event"] for item in found] == ["AlreadyAttempted", "SkippedAlreadyExecutedMessage"]
    assert {item.subject for item in found} == {str(world.home.selector)}
    assert found[0].details["values"]["sequenceNumber"] == "1"
    await watching.running.stages({root[0].message_id: "recovered"})


async def test_configuration_and_roles(watching: Watching) -> None:
    world, home = watching.world, watching.world.home
    dest = str(world.remote.selector)
    ramp = ("v1_6_0", "onramp")
    allow: list[Any] = [(world.remote.selector, True, [SOMEBODY], [])]
    await watching.call(ramp, home.onramp, "applyAllowlistUpdates", allow, remote=False)
    await watching.told(NoticeKind.ROLE_CHANGED, home.onramp, "AllowListSendersAdded", dest, senders=[SOMEBODY])
    forbid: list[Any] = [(world.remote.selector, True, [], [SOMEBODY])]
    await watching.call(ramp, home.onramp, "applyAllowlistUpdates", forbid, remote=False)
    await watching.told(NoticeKind.ROLE_CHANGED, home.onramp, "AllowListSendersRemoved", dest)
    lanes = [(world.remote.selector, home.router, True)]
    await watching.call(ramp, home.onramp, "applyDestChainConfigUpdates", lanes, remote=False)
    await watching.told(NoticeKind.CONFIGURED, home.onramp, "DestChainConfigSet", dest, allowlistEnabled=True)
    await watching.call(ramp, home.onramp, "transferOwnership", SOMEBODY, remote=False)
    await watching.told(NoticeKind.ROLE_CHANGED, home.onramp, "OwnershipTransferRequested", to=SOMEBODY)

    config = (home.fee_quoter, 7200, "0x" + "00" * 20)
    await watching.call(("v1_6_0", "offramp"), home.offramp, "setDynamicConfig", config, remote=False)
    values = {
        "feeQuoter": home.fee_quoter,
        "permissionLessExecutionThresholdSeconds": "7200",
        "messageInterceptor": config[2],
    }
    await watching.told(NoticeKind.CONFIGURED, home.offramp, "DynamicConfigSet", dynamicConfig=values)
    callers: tuple[Any, ...] = ([SOMEBODY], [])
    nonces = ("v1_6_0", "nonce_manager")
    await watching.call(nonces, home.nonce_manager, "applyAuthorizedCallerUpdates", callers, remote=False)
    await watching.told(NoticeKind.ROLE_CHANGED, home.nonce_manager, "AuthorizedCallerAdded", caller=SOMEBODY)
    quoter = ("v1_6_0", "fee_quoter")
    await watching.call(quoter, home.fee_quoter, "applyFeeTokensUpdates", [], [SOMEBODY], remote=False)
    await watching.told(NoticeKind.CONFIGURED, home.fee_quoter, "FeeTokenAdded", feeToken=SOMEBODY)
    await watching.call(quoter, home.fee_quoter, "applyFeeTokensUpdates", [SOMEBODY], [], remote=False)
    await watching.told(NoticeKind.CONFIGURED, home.fee_quoter, "FeeTokenRemoved", feeToken=SOMEBODY)
    await watching.told(NoticeKind.ROLE_CHANGED, home.offramp, "ConfigSet", "1")


async def test_the_token_of_a_pool(watching: Watching) -> None:
    world, running = watching.world, watching.running
    bed = await beside(world, route=False)
    home = bed.home
    abi = ccip_artifact("v1_5_1", "factory_burn_mint_erc20").abi
    router = ccip_artifact("latest", "router").abi
    message: tuple[Any, ...] = (bytes(12) + bytes.fromhex(SOMEBODY[2:]), b"", [(home.token, 5)], "0x" + "00" * 20, b"")
    fee = await world.home_node.read(home.router, router.function("getFee"), world.remote.selector, message)
    receipts = await home.admin.run(
        [
            Tx(home.token, abi.encode_call("approve", home.router, 5)),
            Tx(home.router, router.encode_call("ccipSend", world.remote.selector, message), fee),
        ],
        abi=router,
    )
    (sent,) = world.sends(receipts[1], world.outbound)
    await running.stages({sent.message_id: "sent"})
    (carried,) = (await running.message(sent.message_id)).sightings[0].body["details"]["tokens"]
    assert (carried["source_pool"], carried["amount"]) == (home.pool, "5")
    assert carried["destination_token"] == bed.remote.token
    reader = running.readers[home.chain_id]
    asked = [home.pool, home.token]
    assert await running.protocol.pool_tokens(reader, asked) == {home.pool: home.token}, "a token is no pool"
