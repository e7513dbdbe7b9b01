"""Manual execution on the published CCIP 1.5 and 1.2 contracts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from seamark.core.errors import RejectedError
from seamark.devnet.accounts import Role
from seamark.devnet.ccip.model import ExecutionState
from seamark.devnet.ccip.ramp_messages import extra_args_v2
from seamark.devnet.node_client import Tx
from seamark.messages.protocols.ccip.recoverers import ccip_recovery
from seamark.messages.recovery import Answer, Gas
from seamark.messages.recovery.service import Examination, Prepared, RecoveryDesk
from tests.support.ccip_v1_5 import Bed, extra_args_v1, start_bed
from tests.support.monitor import RunningMonitor, Watched, start_monitor
from tests.support.recovery import Forgetful

pytestmark = pytest.mark.integration

MANUAL_AFTER_S = 3600
AS_IT_IS = Gas()
BOTH = ["1.5", "1.2"]
DEAD = "0x000000000000000000000000000000000000dead"


class Bench:
    """A bed with a monitor and a recovery desk."""

    def __init__(self, bed: Bed, monitor: RunningMonitor) -> None:
        self.bed, self.monitor = bed, monitor
        self.lane = bed.outbound
        self.desk = RecoveryDesk(database=monitor.database, protocols=[ccip_recovery()], chains=monitor.readers)

    async def told(self, stage: str, *messages: Any) -> None:
        """Wait until the ledger has both ends of the messages."""

        async def both() -> bool:
            known = {view.id: view for view in await self.monitor.messages() if view.sent_tx}
            return all(item.message_id in known and known[item.message_id].stage == stage for item in messages)

        await self.monitor.until(both)

    async def examine(self, message: Any, gas: Gas = AS_IT_IS) -> Examination:
        return await self.desk.examine(await self.desk.case(message.message_id), gas)

    async def prepare(self, *messages: Any, gas: Gas = AS_IT_IS) -> list[Prepared]:
        cases = [await self.desk.case(message.message_id) for message in messages]
        return await self.desk.prepare(await self.desk.examine_all(cases, gas), gas)

    async def send(self, prepared: Prepared) -> None:
        """As anybody, with the gas that was worked out."""
        abi = self.lane.artifact("evm_2_evm_offramp").abi
        tx = Tx(prepared.call.to, prepared.call.data, gas=prepared.gas, label="recover")
        await self.lane.dest.wallet(Role.USER).run([tx], abi=abi)

    async def recover(self, *messages: Any, gas: Gas = AS_IT_IS) -> list[ExecutionState]:
        for prepared in await self.prepare(*messages, gas=gas):
            await self.send(prepared)
        return [await self.bed.state(self.lane, message) for message in messages]

    async def failed(self, *, count: int = 1, **options: Any) -> list[Any]:
        """Messages whose receiver reverts, under one root, executed by the network."""
        await self.bed.set_receiver_reverts(self.lane, True)
        messages = await self.bed.send(self.lane, count=count, **options)
        assert set(await self.bed.deliver(self.lane)) == {ExecutionState.FAILURE}
        await self.told("failed", *messages)
        return messages

    async def untouched(self, *, count: int = 1, **options: Any) -> list[Any]:
        messages = await self.bed.send(self.lane, count=count, **options)
        await self.bed.finalize(self.lane)
        await self.bed.commit(self.lane)
        await self.told("committed", *messages)
        return messages

    async def later(self, seconds: int = MANUAL_AFTER_S + 1) -> None:
        node = self.lane.dest.node
        await node.request("evm_increaseTime", seconds)
        await node.request("evm_mine")


@pytest.fixture(params=BOTH)
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    async with start_bed(request.param) as bed:
        sides = [bed.home, bed.remote]
        chains = [Watched(side.chain_id, side.selector, side.name, side.router, side.url) for side in sides]
        async with start_monitor(tmp_path, chains) as monitor:
            yield Bench(bed, monitor)


async def test_a_failed_message_whose_receiver_was_repaired_is_recovered(bench: Bench) -> None:
    (message,) = await bench.failed()
    broken = await bench.examine(message)
    assert broken.verdict.answer is Answer.READY
    assert broken.trial is not None
    assert broken.trial.succeeds is False
    assert broken.trial.reason == "receiver_reverted"

    await bench.bed.set_receiver_reverts(bench.lane, False)
    assert (await bench.examine(message)).worthwhile
    assert await bench.recover(message) == [ExecutionState.SUCCESS]
    await bench.monitor.stages({message.message_id: "recovered"})
    assert (await bench.examine(message)).verdict.answer is Answer.DONE


async def test_each_message_of_a_root_can_be_proven(bench: Bench) -> None:
    for count in (2, 3, 5, 8):
        messages = await bench.failed(count=count)
        await bench.bed.set_receiver_reverts(bench.lane, False)
        some, rest = messages[::2], messages[1::2]
        assert set(await bench.recover(*some)) == {ExecutionState.SUCCESS}
        for message in rest:
            assert await bench.recover(message) == [ExecutionState.SUCCESS]


async def test_roots_go_into_calls_of_their_own(bench: Bench) -> None:
    messages = [*await bench.failed(count=2), *await bench.failed()]
    await bench.bed.set_receiver_reverts(bench.lane, False)
    prepared = await bench.prepare(*messages)
    assert [len(item.call.messages) for item in prepared] == [2, 1]
    for item in prepared:
        await bench.send(item)
    states = [await bench.bed.state(bench.lane, message) for message in messages]
    assert states == [ExecutionState.SUCCESS] * 3


async def test_an_untouched_message_waits_for_the_threshold(bench: Bench) -> None:
    (message,) = await bench.untouched()
    assert (await bench.examine(message)).verdict.answer is Answer.TOO_EARLY
    await bench.later()
    assert await bench.recover(message) == [ExecutionState.SUCCESS]


async def test_a_blocked_queue_goes_in_order(bench: Bench) -> None:
    ordered = await bench.untouched(count=3, extra=extra_args_v1())
    await bench.later()
    blocked = await bench.examine(ordered[1])
    assert blocked.verdict.answer is Answer.NONCE_BLOCKED
    assert ordered[0].message_id in blocked.verdict.remedy
    assert await bench.recover(*ordered) == [ExecutionState.SUCCESS] * 3


async def test_out_of_gas_is_told_how_much_would_help(bench: Bench) -> None:
    (message,) = await bench.bed.send(bench.lane, data=b"\xab" * 200, gas_limit=1_000)
    assert await bench.bed.deliver(bench.lane) == [ExecutionState.FAILURE]
    await bench.told("failed", message)
    found = await bench.examine(message)
    assert found.trial is not None
    helpful = found.trial.helpful_gas_limit
    assert helpful is not None
    assert await bench.recover(message, gas=Gas(receiver=helpful)) == [ExecutionState.SUCCESS]


@pytest.mark.parametrize("bench", ["1.5"], indirect=True)  # ramps of 1.2 bring pools of their own
async def test_a_pool_without_room_is_explained_and_recovered_later(bench: Bench) -> None:
    await bench.bed.limit_pool(bench.lane, 10)
    (message,) = await bench.bed.send(bench.lane, tokens=[(bench.lane.source.token, 20)])
    assert await bench.bed.deliver(bench.lane) == [ExecutionState.FAILURE]
    await bench.told("failed", message)
    found = await bench.examine(message)
    assert found.trial is not None
    assert found.trial.reason == "token_rate_limited"
    assert "rate limit" in found.advice
    with pytest.raises(RejectedError, match="below the sender's"):
        await bench.prepare(message, gas=Gas(tokens=1))

    await bench.bed.limit_pool(bench.lane, 0)
    assert await bench.recover(message, gas=Gas(tokens=300_000)) == [ExecutionState.SUCCESS]


async def test_what_stands_in_the_way_is_named(bench: Bench) -> None:
    (message,) = await bench.failed()
    await bench.bed.set_receiver_reverts(bench.lane, False)
    bed, lane = bench.bed, bench.lane

    everything = None
    await bed.curse(lane.dest, everything)
    cursed = await bench.examine(message)
    assert cursed.verdict.answer is Answer.CURSED
    assert "Everything is cursed" in cursed.verdict.text
    await bed.uncurse(lane.dest, everything)

    await bed.pause(lane)
    paused = await bench.examine(message)
    assert paused.verdict.answer is Answer.REFUSED
    assert "paused" in paused.verdict.text
    await bed.pause(lane, False)

    await bed.remove_off_ramp(lane)
    removed = await bench.examine(message)
    assert removed.verdict.answer is Answer.REFUSED
    assert "no longer takes messages" in removed.verdict.text


async def test_a_root_without_a_blessing_cannot_be_executed_yet(bench: Bench) -> None:
    (message,) = await bench.bed.send(bench.lane)
    await bench.bed.finalize(bench.lane)
    root = await bench.bed.commit(bench.lane, bless=False)
    await bench.told("committed", message)
    await bench.later()
    found = await bench.examine(message)
    assert found.verdict.answer is Answer.REFUSED
    assert root.hex() in found.verdict.text
    await bench.bed.bless(bench.lane, root)
    assert await bench.recover(message) == [ExecutionState.SUCCESS]


async def test_a_curse_of_one_source(bench: Bench) -> None:
    (message,) = await bench.failed()
    await bench.bed.set_receiver_reverts(bench.lane, False)
    await bench.bed.curse(bench.lane.dest, bench.lane.source.selector)
    found = await bench.examine(message)
    if bench.lane.version == "1.2":  # knows nothing of single chains, and executes
        assert found.worthwhile
        return
    assert found.verdict.answer is Answer.CURSED
    assert "home is cursed" in found.verdict.text


@pytest.mark.parametrize("bench", ["1.5"], indirect=True)  # 1.2 has no unordered messages
async def test_unordered_and_codeless(bench: Bench) -> None:
    (message,) = await bench.untouched(extra=extra_args_v2(200_000, out_of_order=True), receiver=DEAD)
    await bench.later()
    found = await bench.examine(message)
    assert found.standing.next_nonce is None
    assert found.trial is not None
    assert found.trial.callback is False


async def test_a_commit_that_the_ledger_has_not_seen_is_found(bench: Bench) -> None:
    from dataclasses import replace  # noqa: PLC0415

    (message,) = await bench.failed()
    await bench.failed()
    await bench.bed.set_receiver_reverts(bench.lane, False)
    case = replace(await bench.desk.case(message.message_id), root=None, siblings={})
    found = await bench.desk.examine(case, AS_IT_IS)
    assert found.worthwhile
    (prepared,) = await bench.desk.prepare([found], AS_IT_IS)
    await bench.send(prepared)
    assert await bench.bed.state(bench.lane, message) is ExecutionState.SUCCESS


async def test_what_the_source_has_lost_the_ledger_has_kept(bench: Bench) -> None:
    tokens = [(bench.lane.source.token, 20)] if bench.lane.version == "1.5" else []
    messages = [*await bench.failed(count=2), *await bench.failed(tokens=tokens)]
    await bench.bed.set_receiver_reverts(bench.lane, False)
    home = bench.lane.source.chain_id
    chains: Any = bench.monitor.readers | {home: Forgetful(bench.monitor.readers[home])}
    bench.desk = RecoveryDesk(database=bench.monitor.database, protocols=[ccip_recovery()], chains=chains)
    assert await bench.recover(messages[1], messages[2]) == [ExecutionState.SUCCESS] * 2
