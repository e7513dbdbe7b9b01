"""The published CCIP 1.5.0 and 1.2.0 contracts, followed by the real tracker: every stage, failures and recoveries,
pauses, curses, revoked commits, ordered senders, and migrations from ramp to ramp and from generation to generation.
"""

# ruff: noqa: F811 - tests take the imported fixtures as arguments

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from seamark.core.ids import ChainId
from seamark.devnet.artifacts import ccip_artifact
from seamark.devnet.ccip.model import ExecutionState
from seamark.devnet.node_client import CallFailed
from seamark.messages.model import NoticeKind
from seamark.messages.store import list_notices, read_contracts
from tests.support.ccip_v1_5 import (
    Bed,
    Lane,
    Side,
    bed,  # noqa: F401 - a fixture
    beside,
    extra_args_v2,
    open_lane,
    start_bed,
)
from tests.support.monitor import RunningMonitor, Watched, start_monitor
from tests.support.world import World, world  # noqa: F401 - a fixture

pytestmark = pytest.mark.integration


def watched(*sides: Side) -> list[Watched]:
    return [Watched(side.chain_id, side.selector, side.name, side.router, side.url) for side in sides]


def ids(messages: Any) -> list[str]:
    return [message.message_id for message in messages]


async def notices(running: RunningMonitor, *kinds: NoticeKind) -> list[Any]:
    found = await running.database.read(lambda c: list_notices(c, kinds=kinds, limit=1000))
    return list(found)


async def until_notices(running: RunningMonitor, kind: NoticeKind, count: int = 1) -> list[Any]:
    async def there() -> bool:
        return len(await notices(running, kind)) >= count

    await running.until(there)
    return await notices(running, kind)


async def contracts(running: RunningMonitor, side: Side) -> dict[str, tuple[str, str]]:
    chain_id = ChainId(side.chain_id)
    found = await running.database.read(lambda c: read_contracts(c, "ccip", chain_id))
    return {item.address: (item.role, item.version) for item in found}


@pytest.fixture(params=["1.5", "1.2"])
async def old_bed(request: pytest.FixtureRequest) -> AsyncIterator[Bed]:
    async with start_bed(request.param) as started:
        yield started


class TestBothGenerations:
    async def test_the_router_alone_leads_to_every_contract(self, old_bed: Bed, tmp_path: Path) -> None:
        lane, back = old_bed.outbound, old_bed.inbound
        version = f"{lane.version}.0"
        async with start_monitor(tmp_path, watched(old_bed.home, old_bed.remote)) as running:
            await old_bed.send(lane)
            await running.until(lambda: _scanned(running, "remote"))
            assert await contracts(running, old_bed.remote) == {
                old_bed.remote.router: ("router", "1.2.0"),
                old_bed.remote.arm_proxy: ("armproxy", "1.0.0"),
                old_bed.remote.rmn: ("rmn", "1.5.0"),
                old_bed.remote.link: ("fee_token", ""),
                old_bed.remote.wrapped_native: ("fee_token", ""),
                old_bed.remote.prices: ("feequoter", "1.2.0"),
                back.on_ramp: ("onramp", version),
                lane.commit_store: ("commitstore", version),
                lane.off_ramp: ("offramp", version),
            }

    async def test_a_message_passes_all_stages(self, old_bed: Bed, tmp_path: Path) -> None:
        lane = old_bed.outbound
        async with start_monitor(tmp_path, watched(old_bed.home, old_bed.remote)) as running:
            sent = ids(await old_bed.send(lane, count=2, data=b"four"))
            await running.stages(dict.fromkeys(sent, "sent"))
            await old_bed.finalize(lane)
            await running.stages(dict.fromkeys(sent, "finalized"))
            await old_bed.commit(lane)
            await running.stages(dict.fromkeys(sent, "committed"))
            await old_bed.execute(lane)
            await running.stages(dict.fromkeys(sent, "executed"))

            detail = await running.message(sent[0])
            view = detail.message
            assert (view.sequence, view.size, view.callback, view.manual) == (1, 4, True, False)
            assert (view.source, view.destination) == (str(old_bed.home.selector), str(old_bed.remote.selector))
            assert (view.channel, view.version) == (lane.on_ramp, f"{lane.version}.0")
            assert view.receiver == old_bed.remote.receiver
            assert view.nonce == 1, "ordered"
            assert [item.step for item in detail.transitions] == ["sent", "finalized", "committed", "executed"]
            assert running.value("ccip_messages_sent_total", version=f"{lane.version}.0") == 2
            assert running.value("ccip_fees_total", fee_token="WNAT") > 0

    async def test_a_failure_is_explained_and_repaired_by_hand(self, old_bed: Bed, tmp_path: Path) -> None:
        lane = old_bed.outbound
        async with start_monitor(tmp_path, watched(old_bed.home, old_bed.remote)) as running:
            await old_bed.set_receiver_reverts(lane, True)
            (message,) = await old_bed.send(lane, in_link=True)
            assert await old_bed.deliver(lane) == [ExecutionState.FAILURE]
            await running.stages({message.message_id: "failed"})
            (view,) = await running.messages()
            assert (view.reason, view.attempts, view.manual) == ("receiver_reverted", 1, False)
            assert view.fee_token == old_bed.home.link

            await old_bed.set_receiver_reverts(lane, False)
            assert await old_bed.manually(lane, message) is ExecutionState.SUCCESS
            await running.stages({message.message_id: "recovered"})
            (view,) = await running.messages()
            assert (view.reason, view.attempts, view.manual, view.callback) == ("", 2, True, True)

    async def test_messages_of_a_root_in_parts_and_one_by_hand_after_the_wait(
        self, old_bed: Bed, tmp_path: Path
    ) -> None:
        lane = old_bed.outbound
        async with start_monitor(tmp_path, watched(old_bed.home, old_bed.remote)) as running:
            first, second, third = await old_bed.send(lane, count=3)
            await old_bed.finalize(lane)
            await old_bed.commit(lane)
            await old_bed.execute(lane, [first])
            with pytest.raises(CallFailed):
                await old_bed.manually(lane, second)
            await old_bed.remote.anvil.request("evm_increaseTime", 3601)
            assert await old_bed.manually(lane, second) is ExecutionState.SUCCESS
            await running.stages(
                {first.message_id: "executed", second.message_id: "recovered", third.message_id: "committed"}
            )

    async def test_an_ordered_message_waits_for_the_one_before_it(self, old_bed: Bed, tmp_path: Path) -> None:
        lane = old_bed.outbound
        async with start_monitor(tmp_path, watched(old_bed.home, old_bed.remote)) as running:
            first, second = await old_bed.send(lane, count=2)
            await old_bed.finalize(lane)
            await old_bed.commit(lane)
            assert await old_bed.execute(lane, [second]) == [ExecutionState.UNTOUCHED]
            (told,) = await until_notices(running, NoticeKind.NONCE_SKIPPED)
            assert told.subject == first.struct.sender
            assert (told.details["nonce"], told.details["source"]) == ("2", str(old_bed.home.selector))
            await old_bed.execute(lane, [first, second])
            await running.stages(dict.fromkeys(ids([first, second]), "executed"))

    async def test_a_paused_commit_store_tells(self, old_bed: Bed, tmp_path: Path) -> None:
        lane = old_bed.outbound
        async with start_monitor(tmp_path, watched(old_bed.home, old_bed.remote)) as running:
            await old_bed.pause(lane)
            (told,) = await until_notices(running, NoticeKind.PAUSED)
            assert (told.contract, told.subject) == (lane.commit_store, str(old_bed.home.selector))
            await old_bed.pause(lane, False)
            await until_notices(running, NoticeKind.UNPAUSED)

    async def test_a_commit_that_is_taken_back_and_made_again(self, old_bed: Bed, tmp_path: Path) -> None:
        lane = old_bed.outbound
        async with start_monitor(tmp_path, watched(old_bed.home, old_bed.remote)) as running:
            (message,) = await old_bed.send(lane)
            await old_bed.finalize(lane)
            root = await old_bed.commit(lane, bless=False)
            await running.stages({message.message_id: "committed"})
            await old_bed.remove_root(lane, root)
            await running.stages({message.message_id: "finalized"})
            assert (await running.topics(message.message_id))[-1] == "message.revoked"
            store = lane.artifact("commit_store")
            await old_bed.call(lane.dest, store, lane.commit_store, "setMinSeqNr", message.sequence)
            await old_bed.commit(lane, [message], again=True)
            await running.stages({message.message_id: "committed"})
            await old_bed.execute(lane, [message])
            await running.stages({message.message_id: "executed"})

    async def test_curses_of_the_old_risk_contract(self, old_bed: Bed, tmp_path: Path) -> None:
        side, source = old_bed.remote, old_bed.home.selector
        async with start_monitor(tmp_path, watched(old_bed.home, side)) as running:
            await old_bed.curse(side, source)
            await old_bed.curse(side)
            found = await until_notices(running, NoticeKind.CURSED, 2)
            assert {told.subject for told in found} == {str(source), "*"}
            assert {told.contract for told in found} == {side.rmn}
            await old_bed.uncurse(side, source)
            (told,) = await until_notices(running, NoticeKind.UNCURSED)
            assert told.subject == str(source)

    async def test_a_successor_ramp_takes_over_while_the_old_one_drains(self, old_bed: Bed, tmp_path: Path) -> None:
        lane = old_bed.outbound
        async with start_monitor(tmp_path, watched(old_bed.home, old_bed.remote)) as running:
            (old,) = await old_bed.send(lane, data=b"old")
            await running.stages({old.message_id: "sent"})
            successor = await open_lane(lane.source, lane.dest, lane.version, previous=lane)
            (new,) = await old_bed.send(successor, data=b"new")
            await old_bed.finalize(lane)
            await old_bed.commit(successor)
            # The sender's older message is still in flight on the previous ramp, and the new one must wait for it.
            assert await old_bed.execute(successor) == [ExecutionState.UNTOUCHED]
            found = await until_notices(running, NoticeKind.NONCE_SKIPPED)
            assert found[0].details["event"] == "SkippedSenderWithPreviousRampMessageInflight"
            await old_bed.commit(lane)
            await old_bed.execute(lane)
            await old_bed.execute(successor)
            await running.stages({old.message_id: "executed", new.message_id: "executed"})
            views = {view.id: view.channel for view in await running.messages()}
            assert views == {old.message_id: lane.on_ramp, new.message_id: successor.on_ramp}
            await old_bed.remove_off_ramp(lane)

            async def told() -> bool:
                found = await notices(running, NoticeKind.CONFIGURED)
                return "OffRampRemoved" in {item.details["event"] for item in found}

            await running.until(told)
            assert lane.off_ramp in await contracts(running, old_bed.remote), "it stays, for what is on its way"

    async def test_a_monitor_that_starts_later_finds_the_previous_ramps(self, old_bed: Bed, tmp_path: Path) -> None:
        lane = old_bed.outbound
        (old,) = await old_bed.send(lane, data=b"old")
        await open_lane(lane.source, lane.dest, lane.version, previous=lane)
        async with start_monitor(tmp_path, watched(old_bed.home, old_bed.remote)) as running:
            await old_bed.deliver(lane)
            await running.stages({old.message_id: "executed"})

    async def test_counters_by_view_calls(self, old_bed: Bed, tmp_path: Path) -> None:
        lane = old_bed.outbound
        async with start_monitor(tmp_path, watched(old_bed.home, old_bed.remote)) as running:
            messages = await old_bed.send(lane, count=3)
            await old_bed.finalize(lane)
            await old_bed.commit(lane, messages[:2])
            await old_bed.remote.anvil.mine(2)
            await running.stages({messages[1].message_id: "committed", messages[2].message_id: "finalized"})
            assert await counted(running, old_bed.home, lane) == {"sent": 3}
            assert await counted(running, old_bed.remote, lane) == {"committed": 2}


async def counted(running: RunningMonitor, side: Side, lane: Lane) -> dict[str, int]:
    """What the contracts of a side say of a lane."""
    chain_id = ChainId(side.chain_id)
    found = await running.database.read(lambda c: read_contracts(c, "ccip", chain_id))
    counters = await running.protocol.counters(running.readers[chain_id], found)
    return {item.kind: item.value for item in counters if item.lane.channel == lane.on_ramp}


async def test_a_reorg_of_the_destination_takes_facts_back_and_brings_them_again(bed: Bed, tmp_path: Path) -> None:
    lane = bed.outbound
    async with start_monitor(tmp_path, watched(bed.home, bed.remote)) as running:
        (message,) = await bed.send(lane)
        await bed.finalize(lane)
        await bed.commit(lane)
        await running.stages({message.message_id: "committed"})
        await bed.execute(lane)
        await bed.pause(lane)
        await running.stages({message.message_id: "executed"})
        await until_notices(running, NoticeKind.PAUSED)
        await bed.remote.anvil.request("anvil_reorg", 2, [])
        await running.stages({message.message_id: "committed"})
        assert await notices(running, NoticeKind.PAUSED) == [], "withdrawn with its block"
        await bed.execute(lane)
        await running.stages({message.message_id: "executed"})


class TestOnly15:
    async def test_a_retry_of_a_failure_is_told_and_no_attempt(self, bed: Bed, tmp_path: Path) -> None:
        lane = bed.outbound
        async with start_monitor(tmp_path, watched(bed.home, bed.remote)) as running:
            await bed.set_receiver_reverts(lane, True)
            (message,) = await bed.send(lane)
            await bed.deliver(lane)
            await bed.execute(lane)
            (told,) = await until_notices(running, NoticeKind.ALREADY_ATTEMPTED)
            assert told.details["values"] == {"sequenceNumber": str(message.sequence)}
            (view,) = await running.messages()
            assert (view.stage, view.attempts) == ("failed", 1)

    async def test_the_network_comes_after_somebodys_hand(self, bed: Bed, tmp_path: Path) -> None:
        lane = bed.outbound
        async with start_monitor(tmp_path, watched(bed.home, bed.remote)) as running:
            await bed.send(lane)
            await bed.deliver(lane)
            await bed.execute(lane)
            (told,) = await until_notices(running, NoticeKind.ALREADY_ATTEMPTED)
            assert told.details["event"] == "SkippedAlreadyExecutedMessage"

    async def test_out_of_order_by_extra_args(self, bed: Bed, tmp_path: Path) -> None:
        lane = bed.outbound
        async with start_monitor(tmp_path, watched(bed.home, bed.remote)) as running:
            first, second = await bed.send(lane, count=2, extra=extra_args_v2(200_000))
            assert (first.nonce, second.nonce) == (0, 0)
            await bed.finalize(lane)
            await bed.commit(lane)
            assert await bed.execute(lane, [second]) == [ExecutionState.SUCCESS]
            await running.stages({first.message_id: "committed", second.message_id: "executed"})
            assert {view.nonce for view in await running.messages()} == {None}

    async def test_tokens_and_a_pool_that_is_full(self, bed: Bed, tmp_path: Path) -> None:
        lane = bed.outbound
        async with start_monitor(tmp_path, watched(bed.home, bed.remote)) as running:
            await bed.limit_pool(lane, 4)
            (message,) = await bed.send(lane, tokens=[(bed.home.token, 5)])
            await running.stages({message.message_id: "sent"})
            assert await bed.deliver(lane) == [ExecutionState.FAILURE]
            await running.stages({message.message_id: "failed"})
            (view,) = await running.messages()
            assert view.reason == "token_rate_limited"
            detail = await running.message(message.message_id)
            (sent, *_) = detail.sightings
            assert sent.body["details"]["tokens"] == [{"source_token": bed.home.token, "amount": "5"}]
            await bed.limit_pool(lane, 0)
            assert await bed.manually(lane, message) is ExecutionState.SUCCESS
            await running.stages({message.message_id: "recovered"})


class TestBeside16:
    async def test_a_lane_moves_from_1_6_to_1_5_and_both_deliver(self, world: World, tmp_path: Path) -> None:
        """The same destination through ramps of two generations; the new ones come while the monitor watches."""
        sides = [
            Watched(chain.chain_id, chain.selector, chain.name, chain.router, node.url)
            for chain, node in ((world.home, world.home_node), (world.remote, world.remote_node))
        ]
        async with start_monitor(tmp_path, sides) as running:
            (new,) = await world.send(world.outbound)
            await running.stages({new.message_id: "sent"})
            bed = await beside(world)
            (old,) = await bed.send(bed.outbound)
            await running.stages({old.message_id: "sent"})
            await world.deliver(world.outbound)
            await bed.deliver(bed.outbound)
            await running.stages({new.message_id: "executed", old.message_id: "executed"})
            views = {view.id: (view.version, view.channel) for view in await running.messages()}
            assert views == {
                new.message_id: ("1.6.0", world.home.onramp),
                old.message_id: ("1.5.0", bed.outbound.on_ramp),
            }
            found = await contracts(running, bed.remote)
            assert found[bed.remote.rmn_remote] == ("rmn", "1.6.0"), "the proxy was told of another risk contract"
            counters = await running.protocol.counters(
                running.readers[world.home.chain_id],
                await running.database.read(lambda c: read_contracts(c, "ccip", world.home.chain_id)),
            )
            sent = {item.lane.channel: item.value for item in counters if item.kind == "sent"}
            assert sent == {world.home.onramp: 1, bed.outbound.on_ramp: 1}

    async def test_a_monitor_that_comes_after_the_move_to_1_6_sees_the_old_ramp_drain(
        self, world: World, tmp_path: Path
    ) -> None:
        """Nothing but the NonceManager still names the OnRamp of 1.5."""
        bed = await beside(world)
        lane = bed.outbound
        (old,) = await bed.send(lane)
        router, nonces = ccip_artifact("latest", "router"), ccip_artifact("v1_6_0", "nonce_manager")
        ramps = [(world.remote.selector, world.home.onramp)]
        await bed.call(bed.home, router, world.home.router, "applyRampUpdates", ramps, [], [])
        previous = [(world.remote.selector, False, (lane.on_ramp, "0x" + "00" * 20))]
        await bed.call(bed.home, nonces, world.home.nonce_manager, "applyPreviousRampsUpdates", previous)
        (new,) = await world.send(world.outbound)
        async with start_monitor(tmp_path, watched(bed.home, bed.remote)) as running:
            await bed.deliver(lane)
            await running.stages({old.message_id: "executed"})
            detail = await running.message(old.message_id)
            assert detail.message.sent_time is not None
            await world.deliver(world.outbound)
            await running.stages({new.message_id: "executed"})


async def _scanned(running: RunningMonitor, chain: str) -> bool:
    return running.value("ccip_chain_scanned_block", chain=chain) > 0
