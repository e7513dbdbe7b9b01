"""The oracle network's role on real CCIP contracts and real anvil nodes."""

from __future__ import annotations

import asyncio

import pytest

from seamark.devnet.accounts import DON_SIGNERS, Role
from seamark.devnet.artifacts import ccip_artifact
from seamark.devnet.ccip.contracts import GAS_USD, LINK_USD, devnet_prices
from seamark.devnet.ccip.faults import Fault, FaultKind
from seamark.devnet.ccip.lane import Finality, Lane
from seamark.devnet.ccip.model import ExecutionState
from seamark.devnet.ccip.ramp_messages import CCIP_MESSAGE_SENT, leaf_hash
from seamark.devnet.node_client import CallFailed
from seamark.evm import artifacts
from seamark.evm.abi import compile_encoder, parse_params
from seamark.evm.signers import RawKeySigner
from seamark.runtime.clock import SystemClock
from tests.support.clock import FakeClock
from tests.support.world import DEAD, World, start_world, world  # noqa: F401 - a fixture

pytestmark = pytest.mark.integration

SUCCESS, FAILURE, UNTOUCHED = ExecutionState.SUCCESS, ExecutionState.FAILURE, ExecutionState.UNTOUCHED
OFFRAMP = ccip_artifact("v1_6_0", "offramp").abi
encode_address = compile_encoder(parse_params("address"))


async def states(lane, messages):
    return [await lane.state(message) for message in messages]


def sequences(executions):
    return [execution.message.sequence for execution in executions]


def lane_afresh(world: World, lane: Lane) -> Lane:  # noqa: F811
    """What a restarted process has: the same lane, with nothing in its memory."""
    reverse = lane is world.inbound
    return Lane(
        lane.source,
        lane.dest,
        source_node=world.devnet.nodes[int(reverse)],
        committer=world.devnet.wallet(Role.COMMITTER, remote=not reverse),
        executor=world.devnet.wallet(Role.EXECUTOR, remote=not reverse),
        signers=[RawKeySigner.from_hex(key) for key in DON_SIGNERS],
        faults=world.faults,
        clock=SystemClock(),
        finality=Finality(),
    )


# ---- the contracts ---------------------------------------------------------------------------------------------------


async def test_the_published_contracts_run_on_both_chains(world: World):  # noqa: F811
    versions = {
        "router": "Router 1.2.0",
        "onramp": "OnRamp 1.6.0",
        "offramp": "OffRamp 1.6.0",
        "fee_quoter": "FeeQuoter 1.6.0",
        "nonce_manager": "NonceManager 1.6.0",
        "rmn_remote": "RMNRemote 1.6.0",
        "arm_proxy": "ARMProxy 1.0.0",
        "token_admin_registry": "TokenAdminRegistry 1.5.0",
    }
    say = ccip_artifact("v1_6_0", "onramp").abi.function("typeAndVersion")
    for node, chain in ((world.home_node, world.home), (world.remote_node, world.remote)):
        for name, version in versions.items():
            assert await node.read(getattr(chain, name), say) == version
    assert world.home.router != world.remote.router, "equal addresses would hide mistakes of the chain"


async def test_lanes_are_found_from_the_router_alone(world: World):  # noqa: F811
    router = ccip_artifact("latest", "router").abi
    for node, chain, peer in (
        (world.home_node, world.home, world.remote),
        (world.remote_node, world.remote, world.home),
    ):
        assert await node.read(chain.router, router.function("getOnRamp"), peer.selector) == chain.onramp
        assert await node.read(chain.router, router.function("getOffRamps")) == ((peer.selector, chain.offramp),)
        assert await node.read(chain.router, router.function("isChainSupported"), peer.selector) is True


def test_what_is_written_here_of_the_contracts_agrees_with_their_abi():
    assert ccip_artifact("v1_6_0", "onramp").abi.event("CCIPMessageSent").topic0 == CCIP_MESSAGE_SENT.topic0
    from seamark.devnet.ccip import reports  # noqa: PLC0415 - its private functions are the subject

    for function in (reports._COMMIT, reports._EXECUTE, reports._EXECUTE_BY_HAND):
        assert OFFRAMP.function(function.name).selector == function.selector


async def test_leaves_are_what_the_message_hasher_says(world: World):  # noqa: F811
    hasher = ccip_artifact("v1_6_0", "message_hasher").abi.function("hash")
    messages = await world.send(world.outbound, data=b"", out_of_order=False)
    messages += await world.send(world.outbound, data=bytes(range(256)), gas_limit=1, receiver=DEAD)
    messages += await world.send(world.inbound, data=b"x" * 31, gas_limit=3_000_000)
    for message in messages:
        lane = world.outbound if message.lane == world.outbound.id else world.inbound
        node = world.remote_node if lane is world.outbound else world.home_node
        onramp = encode_address([lane.source.onramp])
        said = await node.read(lane.dest.message_hasher, hasher, message.for_offramp(), onramp)
        assert leaf_hash(message, lane.source.onramp) == said


# ---- delivery --------------------------------------------------------------------------------------------------------


async def test_a_message_goes_each_way(world: World):  # noqa: F811
    for lane in (world.outbound, world.inbound):
        (message,) = await world.send(lane, in_link=lane is world.inbound)
        assert await lane.state(message) is UNTOUCHED
        (execution,) = await world.deliver(lane)
        assert execution.message == message
        assert execution.state is SUCCESS
        assert await lane.state(message) is SUCCESS
        assert lane.waiting == 0


async def test_nothing_is_committed_before_the_source_is_final(world: World):  # noqa: F811
    await world.send(world.outbound)
    assert await world.commit(world.outbound) == ()
    await world.devnet.anvils[0].mine()
    assert await world.commit(world.outbound) == ()
    await world.devnet.anvils[0].mine()
    assert len(await world.commit(world.outbound)) == 1


async def test_finality_by_depth(tmp_path):
    async with start_world(tmp_path, finality_depth=5) as world:  # noqa: F811
        await world.send(world.outbound)
        await world.devnet.anvils[0].mine(4)
        assert await world.commit(world.outbound) == ()
        await world.devnet.anvils[0].mine()
        assert len(await world.commit(world.outbound)) == 1


async def test_many_messages_go_under_few_roots_and_in_few_transactions(world: World):  # noqa: F811
    sent = await world.send(world.outbound, count=300)
    await world.finalize(world.outbound)
    assert len(await world.commit(world.outbound)) == 256
    assert len(await world.commit(world.outbound)) == 44
    done = await world.execute(world.outbound)
    assert sorted(sequences(done)) == [message.sequence for message in sent]
    assert {execution.state for execution in done} == {SUCCESS}
    assert len({execution.transaction for execution in done}) < 20


async def test_roots_as_small_as_one_likes_and_executions_bit_by_bit(world: World):  # noqa: F811
    sent = await world.send(world.outbound, count=5)
    await world.finalize(world.outbound)
    assert [message.sequence for message in await world.commit(world.outbound, at_most=2)] == [1, 2]
    assert await states(world.outbound, sent) == [UNTOUCHED] * 5
    assert [message.sequence for message in await world.commit(world.outbound)] == [3, 4, 5]
    assert sequences(await world.execute(world.outbound, at_most=1)) == [1]
    assert sequences(await world.execute(world.outbound, at_most=3)) == [2, 3, 4]
    assert sequences(await world.execute(world.outbound)) == [5]
    assert await world.execute(world.outbound) == []


async def test_ordered_messages_arrive_in_order(world: World):  # noqa: F811
    sent = await world.send(world.outbound, count=4, out_of_order=False)
    assert [message.nonce for message in sent] == [1, 2, 3, 4]
    done = await world.deliver(world.outbound)
    assert [(execution.message.nonce, execution.state) for execution in done] == [(n, SUCCESS) for n in (1, 2, 3, 4)]


async def test_a_plain_account_receives_in_silence(world: World):  # noqa: F811
    await world.send(world.outbound, receiver=DEAD)
    (execution,) = await world.deliver(world.outbound)
    assert execution.state is SUCCESS


async def test_prices_travel_with_reports(world: World):  # noqa: F811
    quoter = ccip_artifact("v1_6_0", "fee_quoter").abi
    before = await world.remote_node.read(world.remote.fee_quoter, quoter.function("getTokenPrice"), world.remote.link)
    await world.devnet.anvils[1].request("evm_increaseTime", 100)
    prices = devnet_prices(world.remote, world.home.selector)
    await world.send(world.outbound)
    await world.finalize(world.outbound)
    assert len(await world.commit(world.outbound, prices=prices)) == 1
    assert await world.commit(world.outbound) == ()
    assert await world.commit(world.outbound, prices=prices) == ()
    after = await world.remote_node.read(world.remote.fee_quoter, quoter.function("getTokenPrice"), world.remote.link)
    gas = await world.remote_node.read(
        world.remote.fee_quoter, quoter.function("getDestinationChainGasPrice"), world.home.selector
    )
    assert after.value == before.value == LINK_USD
    assert after.timestamp > before.timestamp
    assert gas.value == GAS_USD


# ---- failures --------------------------------------------------------------------------------------------------------


async def test_a_receiver_that_reverts_fails_and_can_be_executed_by_hand_once_it_is_mended(world: World):  # noqa: F811
    lane, user = world.outbound, world.wallet(Role.USER, remote=True)
    await world.set_receiver_reverts(lane, True)
    (message,) = await world.send(lane)
    (execution,) = await world.deliver(lane)
    assert execution.state is FAILURE
    assert await world.execute(lane) == [], "the network tries once"
    with pytest.raises(CallFailed, match="manuallyExecute failed"):
        await lane.execute_by_hand(message, user)
    await world.set_receiver_reverts(lane, False)
    assert await lane.execute_by_hand(message, user) is SUCCESS
    assert await lane.execute_by_hand(message, user) is SUCCESS, "the OffRamp skips what is done"


async def test_a_message_with_too_little_gas_needs_more_by_hand(world: World):  # noqa: F811
    lane, user = world.outbound, world.wallet(Role.USER, remote=True)
    (message,) = await world.send(lane, gas_limit=1_000)
    (execution,) = await world.deliver(lane)
    assert execution.state is FAILURE
    with pytest.raises(CallFailed):
        await lane.execute_by_hand(message, user)
    assert await lane.execute_by_hand(message, user, gas_limit=300_000) is SUCCESS


async def test_nobody_executes_by_hand_what_the_network_may_still_do(world: World):  # noqa: F811
    lane, user = world.outbound, world.wallet(Role.USER, remote=True)
    (message,) = await world.send(lane)
    await world.finalize(lane)
    await world.commit(lane)
    with pytest.raises(CallFailed, match="ManualExecutionNotYetEnabled"):
        await lane.execute_by_hand(message, user)
    await world.devnet.anvils[1].request("evm_increaseTime", 3601)
    assert await lane.execute_by_hand(message, user) is SUCCESS
    assert await world.execute(lane) == []
    assert lane.waiting == 0


async def test_a_message_that_is_not_committed_cannot_be_executed(world: World):  # noqa: F811
    (message,) = await world.send(world.outbound)
    with pytest.raises(Exception, match="is not committed"):
        await world.outbound.execute_by_hand(message, world.wallet(remote=True))


# ---- faults on request -----------------------------------------------------------------------------------------------


async def test_a_failure_on_request_hits_one_message_of_a_batch(world: World):  # noqa: F811
    sent = await world.send(world.outbound, count=5)
    world.faults.add(Fault(FaultKind.FAIL, message_id=sent[2].message_id))
    done = {execution.message.sequence: execution.state for execution in await world.deliver(world.outbound)}
    assert done == {1: SUCCESS, 2: SUCCESS, 3: FAILURE, 4: SUCCESS, 5: SUCCESS}
    user = world.wallet(Role.USER, remote=True)
    assert await world.outbound.execute_by_hand(sent[2], user) is SUCCESS


async def test_the_next_message_fails_whatever_it_carries(world: World):  # noqa: F811
    world.faults.add(Fault(FaultKind.FAIL, times=1))
    await world.send(world.outbound, data=b"z" * 5_000, gas_limit=1_000_000)
    await world.send(world.outbound, data=b"")
    assert [execution.state for execution in await world.deliver(world.outbound)] == [FAILURE, SUCCESS]


async def test_a_price_that_fails_to_arrive_can_be_brought_by_hand(world: World):  # noqa: F811
    world.faults.add(Fault(FaultKind.FAIL, receiver=world.feed().receiver))
    (message,) = world.sends(await world.submit(64_000 * 10**8), world.outbound)
    (execution,) = await world.deliver(world.outbound)
    assert execution.state is FAILURE
    assert await world.outbound.execute_by_hand(message, world.wallet(remote=True)) is SUCCESS
    assert (await world.remote_answer())[1] == 64_000 * 10**8


async def test_a_message_that_is_never_executed_waits_alone(world: World):  # noqa: F811
    sent = await world.send(world.outbound, count=6)
    for message in (sent[0], sent[3]):
        world.faults.add(Fault(FaultKind.NEVER_EXECUTE, message_id=message.message_id))
    assert sequences(await world.deliver(world.outbound)) == [2, 3, 5, 6]
    assert await world.execute(world.outbound) == []
    assert world.outbound.waiting == 2
    world.faults.clear()
    assert sequences(await world.execute(world.outbound)) == [1, 4]


async def test_a_message_that_is_never_committed_holds_up_its_lane_only(world: World):  # noqa: F811
    sent = await world.send(world.outbound, count=3)
    world.faults.add(Fault(FaultKind.NEVER_COMMIT, message_id=sent[1].message_id))
    await world.send(world.inbound)
    assert sequences(await world.deliver(world.outbound)) == [1]
    assert await world.commit(world.outbound) == ()
    assert sequences(await world.deliver(world.inbound)) == [1]
    world.faults.clear()
    assert sequences(await world.deliver(world.outbound)) == [2, 3]


async def test_delays_are_measured_from_finality_and_from_the_commit(tmp_path):
    clock = FakeClock()
    async with start_world(tmp_path, clock=clock) as world:  # noqa: F811
        world.faults.add(Fault(FaultKind.DELAY_COMMIT, seconds=30, every=1))
        world.faults.add(Fault(FaultKind.DELAY_EXECUTE, seconds=60, every=1))
        await world.send(world.outbound)
        await world.finalize(world.outbound)
        assert await world.commit(world.outbound) == ()
        clock.advance(29)
        assert await world.commit(world.outbound) == ()
        clock.advance(1)
        assert len(await world.commit(world.outbound)) == 1
        clock.advance(59)
        assert await world.execute(world.outbound) == []
        clock.advance(1)
        assert len(await world.execute(world.outbound)) == 1


# ---- restarts and reorgs ---------------------------------------------------------------------------------------------


async def test_a_restarted_lane_goes_on_where_it_was_and_does_nothing_twice(world: World):  # noqa: F811
    sent = await world.send(world.outbound, count=6)
    await world.finalize(world.outbound)
    await world.commit(world.outbound, at_most=4)
    await world.execute(world.outbound, at_most=2)
    await world.set_receiver_reverts(world.outbound, True)
    await world.execute(world.outbound, at_most=1)
    await world.set_receiver_reverts(world.outbound, False)
    restarted = lane_afresh(world, world.outbound)
    await restarted.scan()
    assert restarted.waiting == 3
    assert [message.sequence for message in await restarted.commit()] == [5, 6]
    assert sequences(await restarted.execute()) == [4, 5, 6]
    assert await states(restarted, sent) == [SUCCESS, SUCCESS, FAILURE, SUCCESS, SUCCESS, SUCCESS]
    again = lane_afresh(world, world.outbound)
    assert await again.scan() == 6
    assert (await again.commit(), await again.execute(), again.waiting) == ((), [], 0)


async def test_two_networks_at_once_do_not_execute_twice(world: World):  # noqa: F811
    await world.send(world.outbound, count=3)
    await world.finalize(world.outbound)
    await world.commit(world.outbound)
    other = lane_afresh(world, world.outbound)
    await other.scan()
    assert len(await world.outbound.execute()) == 3
    assert await other.execute() == [], "the OffRamp skips what is done"
    assert other.waiting == 0


async def test_a_send_that_a_reorg_removed_is_not_committed(world: World):  # noqa: F811
    (first,) = await world.send(world.outbound, data=b"lost")
    await world.devnet.anvils[0].request("anvil_reorg", 1, [])
    (second,) = await world.send(world.outbound, data=b"kept")
    assert (first.sequence, second.sequence) == (1, 1)
    (execution,) = await world.deliver(world.outbound)
    assert execution.message.message_id == second.message_id


@pytest.mark.parametrize(("later", "depth"), [(0, 1), (0, 2), (5, 6), (5, 7)])
async def test_commits_and_executions_that_a_reorg_removed_are_made_again(world: World, later, depth):  # noqa: F811
    sent = await world.send(world.outbound, count=2)
    await world.deliver(world.outbound)
    if later:
        await world.devnet.anvils[1].mine(later)
        await world.outbound.scan()
    await world.devnet.anvils[1].request("anvil_reorg", depth, [])
    assert await states(world.outbound, sent) == [UNTOUCHED, UNTOUCHED]
    await world.commit(world.outbound)
    await world.execute(world.outbound)
    assert await states(world.outbound, sent) == [SUCCESS, SUCCESS]
    assert world.outbound.waiting == 0


async def test_a_source_that_went_back_below_what_was_final_is_read_anew(world: World):  # noqa: F811
    await world.send(world.outbound, data=b"lost")
    await world.finalize(world.outbound)
    await world.outbound.scan()
    await world.devnet.anvils[0].request("anvil_rollback", 3)
    (kept,) = await world.send(world.outbound, data=b"kept")
    await world.outbound.scan()
    (execution,) = await world.deliver(world.outbound)
    assert execution.message.message_id == kept.message_id


# ---- prices ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("symbol", "currency"), [("BTC/USD", "link"), ("ETH/USD", "native")])
async def test_a_price_goes_to_the_remote_chain_for_either_currency(world: World, symbol, currency):  # noqa: F811
    feed = world.feed(symbol)
    assert feed.fee_currency == currency
    receipt = await world.submit(123 * 10**8, symbol)
    (message,) = world.sends(receipt, world.outbound)
    assert (message.sender, message.receiver, message.nonce) == (feed.aggregator, feed.receiver, 0)
    (execution,) = await world.deliver(world.outbound)
    assert execution.state is SUCCESS
    round_id, answer, *_ = await world.remote_answer(symbol)
    assert (round_id, answer) == (1, 123 * 10**8)


async def test_feeds_carry_their_names_roles_and_funds(world: World):  # noqa: F811
    abi = artifacts.load("OracleWithCCIP").abi
    for feed in world.deployment.feeds:
        assert "0x" + (await world.home_node.read(feed.aggregator, abi.function("feedId"))).hex() == feed.feed_id
        assert await world.home_node.read(feed.aggregator, abi.function("description")) == feed.symbol.replace(
            "/", " / "
        )
        assert await world.home_node.read(feed.aggregator, abi.function("decimals")) == feed.decimals
        runway = await world.home_node.read(feed.aggregator, abi.function("feeRunway"), world.remote.selector)
        assert runway > 100_000, "enough for days of demonstration"


# ---- the network as a service ----------------------------------------------------------------------------------------


async def test_the_network_keeps_both_lanes_moving(world: World):  # noqa: F811
    told: list[tuple[str, str, int]] = []
    network = world.devnet.network
    network._on_event = lambda lane, what, count: told.append((str(lane.id), what, count))
    world.faults.add(Fault(FaultKind.FAIL, lane=world.inbound.id))
    task = asyncio.create_task(network.run())
    try:
        out, back = await world.send(world.outbound), await world.send(world.inbound)
        await world.finalize(world.outbound)
        await world.finalize(world.inbound)
        async with asyncio.timeout(60):
            while len(told) < 4:  # noqa: ASYNC110 - the contracts set no event
                await asyncio.sleep(0.05)
        assert await states(world.outbound, out) == [SUCCESS]
        assert await states(world.inbound, back) == [FAILURE]
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    outbound, inbound = str(world.outbound.id), str(world.inbound.id)
    assert sorted(told) == sorted(
        [(outbound, "committed", 1), (outbound, "executed", 1), (inbound, "committed", 1), (inbound, "failed", 1)]
    )


async def test_the_network_survives_a_node_that_does_not_answer(world: World):  # noqa: F811
    network = world.devnet.network
    url, world.home_node.url = world.home_node.url, "http://127.0.0.1:1"
    task = asyncio.create_task(network.run())
    try:
        await asyncio.sleep(0.1)
        assert not task.done()
        world.home_node.url = url
        messages = await world.send(world.outbound)
        await world.finalize(world.outbound)
        async with asyncio.timeout(60):
            while await states(world.outbound, messages) != [SUCCESS]:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.05)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_prices_are_renewed_when_they_are_old(tmp_path):
    clock = FakeClock()
    async with start_world(tmp_path, clock=clock, prices_every=600.0) as world:  # noqa: F811
        quoter = ccip_artifact("v1_6_0", "fee_quoter").abi.function("getTokenPrice")

        async def priced_at() -> int:
            price = await world.remote_node.read(world.remote.fee_quoter, quoter, world.remote.link)
            return int(price.timestamp)

        network, before = world.devnet.network, await priced_at()
        await world.devnet.anvils[1].request("evm_increaseTime", 50)
        await network.step(world.outbound)
        clock.advance(599)
        await network.step(world.outbound)
        assert await priced_at() == before
        clock.advance(1)
        await network.step(world.outbound)
        assert await priced_at() > before
