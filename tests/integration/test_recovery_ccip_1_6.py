"""Manual execution on the published CCIP 1.6 contracts: who may, what it takes, what comes of it."""

# ruff: noqa: F811 - tests take the imported fixture as an argument

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from seamark.core.errors import RejectedError
from seamark.core.ids import Address, ChainId
from seamark.devnet.accounts import Role
from seamark.devnet.artifacts import ccip_artifact
from seamark.devnet.ccip.contracts import NO_ADDRESS, open_draft
from seamark.devnet.ccip.faults import Fault, FaultKind
from seamark.devnet.ccip.model import ExecutionState
from seamark.devnet.ccip.ramp_messages import CCIP_SEND, extra_args_v2
from seamark.devnet.node_client import Tx
from seamark.evm.contract import Contract as Reader
from seamark.messages.protocols.ccip.recoverers import ccip_recovery
from seamark.messages.protocols.ccip.recovery import GAS_ESTIMATION_SENDER
from seamark.messages.protocols.ccip.v1_6.recovery import RAMPS, leaf_hash
from seamark.messages.recovery import Answer, Gas, Place
from seamark.messages.recovery.service import RecoveryDesk
from tests.support.recovery import AS_IT_IS, Bench, Forgetful, bench, world  # noqa: F401 - fixtures
from tests.support.world import DEAD

pytestmark = pytest.mark.integration


async def test_a_failed_message_whose_receiver_was_repaired_is_recovered(bench: Bench) -> None:
    (message,) = await bench.failed()
    broken = await bench.examine(message)
    assert broken.verdict.answer is Answer.READY
    assert broken.trial is not None
    assert broken.trial.succeeds is False
    assert broken.trial.reason == "receiver_reverted"
    assert not broken.worthwhile
    assert "Repair the receiver" in broken.advice

    await bench.world.set_receiver_reverts(bench.lane, False)
    mended = await bench.examine(message)
    assert mended.worthwhile
    assert mended.trial is not None
    assert mended.trial.callback is True
    assert "What made it fail before is gone" in mended.advice

    assert await bench.recover(message) is ExecutionState.SUCCESS
    await bench.monitor.stages({message.message_id: "recovered"})
    done = await bench.examine(message)
    assert done.verdict.answer is Answer.DONE
    assert done.trial is None


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
async def test_each_message_of_a_root_can_be_proven(bench: Bench, count: int) -> None:
    messages = await bench.failed(count=count)
    await bench.world.set_receiver_reverts(bench.lane, False)
    for message in messages:
        assert await bench.recover(message) is ExecutionState.SUCCESS


async def test_several_messages_go_into_one_report_and_several_roots_into_one_call(bench: Bench) -> None:
    first = await bench.failed(count=5)
    second = await bench.failed(count=3)
    await bench.world.set_receiver_reverts(bench.lane, False)
    chosen = [first[0], first[1], first[3], *second]
    cases = [await bench.desk.case(message.message_id) for message in chosen]
    examined = await bench.desk.examine_all(cases, AS_IT_IS)
    assert all(item.worthwhile for item in examined)
    (prepared,) = await bench.desk.prepare(examined, AS_IT_IS)
    assert len(prepared.call.roots) == 2
    assert prepared.call.messages == tuple(message.message_id for message in chosen)
    await bench.send(prepared)
    states = [await bench.lane.state(message) for message in [*first, *second]]
    expected = [ExecutionState.SUCCESS] * 8
    expected[2] = expected[4] = ExecutionState.FAILURE
    assert states == expected


async def test_the_leaf_is_what_the_contracts_compute(bench: Bench) -> None:
    hasher = Reader(
        bench.monitor.readers[bench.world.remote.chain_id],
        bench.world.remote.message_hasher,
        ccip_artifact("v1_6_0", "message_hasher").abi,
    )
    ramp = bytes(12) + bytes.fromhex(bench.world.home.onramp[2:])
    reader = bench.monitor.readers[bench.world.home.chain_id]
    sent = [
        *await bench.untouched(count=2, data=b"", gas_limit=0),
        *await bench.untouched(data=bytes(range(256)) * 40, gas_limit=2_999_999, out_of_order=False),
    ]
    for message in sent:
        case = await bench.desk.case(message.message_id)
        receipt = await reader.receipt(message.transaction_hash)
        assert receipt is not None
        (log,) = [log for log in receipt.logs if log.topics[0] == RAMPS.sent.topic0]
        read = RAMPS.read(log, case.lane)
        assert read is not None
        assert read.leaf == await hasher.read("hash", read.struct, ramp)


async def test_an_untouched_message_is_for_the_network_alone_until_the_threshold(bench: Bench) -> None:
    (message,) = await bench.untouched()
    early = await bench.examine(message)
    assert early.verdict.answer is Answer.TOO_EARLY
    assert "1h" in early.verdict.text
    await bench.later()
    assert (await bench.examine(message)).worthwhile
    assert await bench.recover(message) is ExecutionState.SUCCESS


async def test_a_plain_estimate_falls_into_the_gas_trap_and_ours_does_not(bench: Bench) -> None:
    trapped, safe = await bench.untouched(count=2)
    await bench.later()
    prepared = await bench.prepare(trapped)
    chain = bench.monitor.readers[bench.world.remote.chain_id]
    anybody = bench.world.wallet(Role.USER, remote=True).address
    naive = await chain.estimate_gas(sender=anybody, to=prepared.call.to, data=prepared.call.data)
    assert prepared.estimate is not None
    assert naive < prepared.estimate <= prepared.gas
    wallet = bench.world.wallet(Role.USER, remote=True)
    await wallet.run([Tx(prepared.call.to, prepared.call.data, gas=naive, label="trap")])
    assert await bench.lane.state(trapped) is ExecutionState.FAILURE  # the transaction itself went through
    assert await bench.recover(safe) is ExecutionState.SUCCESS
    assert await bench.recover(trapped) is ExecutionState.SUCCESS
    assert prepared.call.estimate_as == GAS_ESTIMATION_SENDER


async def test_a_message_that_ran_out_of_gas_is_told_how_much_would_help(bench: Bench) -> None:
    messages = await bench.world.send(bench.lane, data=b"\xab" * 200, gas_limit=1_000)
    await bench.world.deliver(bench.lane)
    (message,) = messages
    await bench.told("failed", message)
    found = await bench.examine(message)
    assert found.trial is not None
    assert found.trial.reason == "receiver_out_of_gas"
    helpful = found.trial.helpful_gas_limit
    assert helpful is not None
    assert f"--gas-limit {helpful}" in found.advice
    more = Gas(receiver=helpful)
    assert (await bench.examine(message, more)).worthwhile
    assert await bench.recover(message, more) is ExecutionState.SUCCESS


async def test_a_lower_gas_limit_is_refused_before_the_contract_does(bench: Bench) -> None:
    (message,) = await bench.failed()
    await bench.world.set_receiver_reverts(bench.lane, False)
    with pytest.raises(RejectedError, match="below the sender's 200000"):
        await bench.prepare(message, Gas(receiver=10))


async def test_a_receiver_without_code_would_be_a_success_without_a_call(bench: Bench) -> None:
    (message,) = await bench.untouched(receiver=DEAD)
    await bench.later()
    found = await bench.examine(message)
    assert found.trial is not None
    assert found.trial.callback is False
    assert "no code would be run" in found.advice


async def test_a_blocked_queue_names_its_head_and_goes_in_order_as_a_batch(bench: Bench) -> None:
    ordered = await bench.untouched(count=3, out_of_order=False)
    await bench.later()
    last = await bench.examine(ordered[2])
    assert last.verdict.answer is Answer.NONCE_BLOCKED
    assert ordered[0].message_id in last.verdict.remedy

    cases = await bench.desk.cases(sender=ordered[0].sender)
    examined = await bench.desk.examine_all(list(reversed(cases)), AS_IT_IS)
    assert [item.verdict.allowed for item in examined] == [False, False, True]
    examined = await bench.desk.examine_all(cases, AS_IT_IS)
    assert all(item.worthwhile for item in examined)
    (prepared,) = await bench.desk.prepare(examined, AS_IT_IS)
    await bench.send(prepared)
    assert [await bench.lane.state(message) for message in ordered] == [ExecutionState.SUCCESS] * 3


async def test_not_committed_and_cursed_are_told_apart(bench: Bench) -> None:
    (sent,) = await bench.world.send(bench.lane)
    await bench.monitor.stages({sent.message_id: "sent"})
    assert (await bench.examine(sent)).verdict.answer is Answer.NOT_COMMITTED

    (message,) = await bench.failed()
    await bench.world.set_receiver_reverts(bench.lane, False)
    subject = bench.world.home.selector.to_bytes(16, "big")
    risk = ccip_artifact("v1_6_0", "rmn_remote").abi
    owner = bench.world.wallet(Role.REMOTE_DEPLOYER, remote=True)
    remote = bench.world.remote
    await owner.run([Tx(remote.rmn_remote, risk.encode_call("curse(bytes16)", subject))])
    cursed = await bench.examine(message)
    assert cursed.verdict.answer is Answer.CURSED
    assert "home is cursed" in cursed.verdict.text
    await owner.run([Tx(remote.rmn_remote, risk.encode_call("uncurse(bytes16)", subject))])
    assert await bench.recover(message) is ExecutionState.SUCCESS


async def test_siblings_that_the_ledger_does_not_know_are_read_from_the_source(bench: Bench) -> None:
    messages = await bench.failed(count=5)
    await bench.world.set_receiver_reverts(bench.lane, False)
    case = await bench.desk.case(messages[2].message_id)
    alone = _with(case, siblings={})
    found = await bench.desk.examine(alone, AS_IT_IS)
    assert found.worthwhile
    (prepared,) = await bench.desk.prepare([found], AS_IT_IS)
    await bench.send(prepared)
    assert await bench.lane.state(messages[2]) is ExecutionState.SUCCESS


async def test_a_commit_that_the_ledger_has_not_seen_is_found(bench: Bench) -> None:
    await bench.untouched()
    (message,) = await bench.failed()
    await bench.failed()
    await bench.world.set_receiver_reverts(bench.lane, False)
    case = _with(await bench.desk.case(message.message_id), root=None, siblings={})
    found = await bench.desk.examine(case, AS_IT_IS)
    assert found.worthwhile
    (prepared,) = await bench.desk.prepare([found], AS_IT_IS)
    await bench.send(prepared)
    assert await bench.lane.state(message) is ExecutionState.SUCCESS


async def test_a_wrong_id_and_an_unknown_generation_are_told(bench: Bench) -> None:
    with pytest.raises(RejectedError, match="knows no message"):
        await bench.desk.case("0x" + "12" * 32)
    with pytest.raises(RejectedError, match="no message id"):
        await bench.desk.case("0x12")
    (message,) = await bench.failed()
    case = await bench.desk.case(message.message_id[:20])
    assert case.id == message.message_id
    with pytest.raises(RejectedError, match=r"CCIP 9\.9\.0"):
        await bench.new_desk().examine(_with(case, version="9.9.0"), AS_IT_IS)
    with pytest.raises(RejectedError, match="no OffRamp is known"):
        await bench.new_desk().examine(_with(case, contracts=()), AS_IT_IS)
    elsewhere = _with(case, destination_chain=ChainId(99), destination_name="nowhere")
    with pytest.raises(RejectedError, match="nowhere"):
        await bench.new_desk().examine(elsewhere, AS_IT_IS)


async def test_a_source_that_lost_its_logs_is_told_with_a_remedy(bench: Bench) -> None:
    (message,) = await bench.failed()
    await bench.world.set_receiver_reverts(bench.lane, False)
    case = await bench.desk.case(message.message_id)
    gone = _with(case, sent=Place(1, message.transaction_hash), siblings={})
    recoverer = ccip_recovery().recoverer(gone, bench.monitor.readers)
    standing = await recoverer.standing(gone)
    with pytest.raises(RejectedError, match="no log of the sends #1") as caught:
        await recoverer.trial(gone, standing, AS_IT_IS)
    assert "keeps old logs" in caught.value.remedy


async def test_what_the_source_has_lost_the_ledger_has_kept(bench: Bench) -> None:
    messages = await bench.failed(count=3, out_of_order=False, data=bytes(range(200)))
    await bench.world.set_receiver_reverts(bench.lane, False)
    home = bench.world.home.chain_id
    chains: Any = bench.monitor.readers | {home: Forgetful(bench.monitor.readers[home])}
    bench.desk = RecoveryDesk(database=bench.monitor.database, protocols=[ccip_recovery()], chains=chains)
    assert await bench.recover(messages[1]) is ExecutionState.SUCCESS


async def test_a_root_that_is_not_of_the_sends_is_refused(bench: Bench) -> None:
    (message,) = await bench.failed()
    case = await bench.desk.case(message.message_id)
    assert case.root is not None
    recoverer = ccip_recovery().recoverer(case, bench.monitor.readers)
    standing = await recoverer.standing(case)
    forged = _with(case, root=replace(case.root, root="0x" + "55" * 32))
    with pytest.raises(RejectedError, match="was committed on remote"):
        await recoverer.trial(forged, standing, AS_IT_IS)


async def test_a_failure_by_the_network_for_lack_of_gas_is_recovered(bench: Bench) -> None:
    bench.world.faults.add(Fault(FaultKind.FAIL, times=1))
    (message,) = await bench.world.send(bench.lane)
    await bench.world.deliver(bench.lane)
    await bench.told("failed", message)
    found = await bench.examine(message)
    assert found.worthwhile
    assert found.case.reason == "not_enough_gas"
    assert await bench.recover(message) is ExecutionState.SUCCESS


async def test_the_leaf_of_a_message_with_tokens(bench: Bench) -> None:
    hasher = Reader(
        bench.monitor.readers[bench.world.remote.chain_id],
        bench.world.remote.message_hasher,
        ccip_artifact("v1_6_0", "message_hasher").abi,
    )
    (message,) = await bench.untouched()
    header, sender, data, receiver, gas_limit, _ = message.for_offramp()
    token = (bytes(12) + b"\x11" * 20, DEAD, 90_000, b"extra", 10**24)
    struct = ((bytes.fromhex(header[0][2:]), *header[1:]), sender, data, receiver, gas_limit, (token, token))
    ramp = bench.world.home.onramp
    assert leaf_hash(struct, ramp) == await hasher.read("hash", struct, bytes(12) + bytes.fromhex(ramp[2:]))


@dataclass(frozen=True)
class Tokens:
    """A token with a pool on each chain, connected."""

    here: dict[str, Address]
    there: dict[str, Address]


async def connect_tokens(bench: Bench) -> Tokens:
    """Deploy a burn-and-mint token with its pool on both chains, as an issuer does."""
    world = bench.world
    erc20, pool = ccip_artifact("v1_5_1", "factory_burn_mint_erc20"), ccip_artifact("v1_5_1", "burn_mint_token_pool")
    registry = ccip_artifact("v1_5_0", "token_admin_registry")
    made: list[dict[str, Address]] = []
    sides = [(world.home, world.home_node, Role.HOME_DEPLOYER), (world.remote, world.remote_node, Role.REMOTE_DEPLOYER)]
    for chain, node, role in sides:
        draft = await open_draft(node, role)
        admin = draft.wallet.address
        token = draft.deploy(erc20, "Test", "TEST", 18, 0, 10**24, admin)
        at = draft.deploy(pool, token, 18, [], chain.arm_proxy, chain.router)
        draft.call(erc20, token, "grantMintAndBurnRoles", at)
        draft.call(registry, chain.token_admin_registry, "proposeAdministrator", token, admin)
        draft.call(registry, chain.token_admin_registry, "acceptAdminRole", token)
        draft.call(registry, chain.token_admin_registry, "setPool", token, at)
        await draft.send()
        made.append({"token": token, "pool": at})
    for mine, peer, (_, node, role), (other, _, _) in zip(made, made[::-1], sides, sides[::-1], strict=True):
        draft = await open_draft(node, role)
        update = (other.selector, [_word(peer["pool"])], _word(peer["token"]), (False, 0, 0), (False, 0, 0))
        draft.call(pool, mine["pool"], "applyChainUpdates", [], [update])
        await draft.send()
    return Tokens(made[0], made[1])


async def test_a_pool_without_room_is_explained_and_recovered_with_more_gas(bench: Bench) -> None:
    world, tokens = bench.world, await connect_tokens(bench)
    pool = ccip_artifact("v1_5_1", "burn_mint_token_pool").abi
    owner = world.wallet(Role.REMOTE_DEPLOYER, remote=True)

    async def limit(inbound: tuple[bool, int, int]) -> None:
        data = pool.encode_call("setChainRateLimiterConfig", world.home.selector, (False, 0, 0), inbound)
        await owner.run([Tx(tokens.there["pool"], data)])

    await limit((True, 10, 1))
    amount = 25
    token = ccip_artifact("v1_5_1", "factory_burn_mint_erc20").abi
    router = ccip_artifact("latest", "router").abi
    sender = world.wallet(Role.HOME_DEPLOYER)
    await sender.run([Tx(tokens.here["token"], token.encode_call("approve", world.home.router, amount))])
    receiver = world.remote.test_receiver
    amounts = [(tokens.here["token"], amount)]
    request: tuple[Any, ...] = (_word(receiver), b"hello", amounts, NO_ADDRESS, extra_args_v2(200_000))
    fee = await world.home_node.read(world.home.router, router.function("getFee"), world.remote.selector, request)
    call = CCIP_SEND.encode(world.remote.selector, request)
    (receipt,) = await sender.run([Tx(world.home.router, call, fee)], abi=router)
    (message,) = world.sends(receipt, bench.lane)
    await world.deliver(bench.lane)
    await bench.told("failed", message)

    found = await bench.examine(message)
    assert found.trial is not None
    assert found.trial.reason == "token_rate_limited"
    assert "rate limit is used up" in found.advice
    with pytest.raises(RejectedError, match="--token-gas 1 is below the sender's 90000"):
        await bench.prepare(message, Gas(tokens=1))
    await limit((False, 0, 0))
    # The source has lost the send by now: the ledger has kept what the pools said to each other.
    chains: Any = bench.monitor.readers | {world.home.chain_id: Forgetful(bench.monitor.readers[world.home.chain_id])}
    bench.desk = RecoveryDesk(database=bench.monitor.database, protocols=[ccip_recovery()], chains=chains)
    assert await bench.recover(message, Gas(tokens=400_000)) is ExecutionState.SUCCESS
    balance = await world.remote_node.read(
        tokens.there["token"], token.function("balanceOf"), world.remote.test_receiver
    )
    assert balance == amount


def _word(address: str) -> bytes:
    return bytes(12) + bytes.fromhex(address[2:])


def _with(case: Any, **changes: Any) -> Any:
    return replace(case, **changes)
