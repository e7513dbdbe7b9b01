"""Finalized history in ranges, resuming, and filters that grow."""

from __future__ import annotations

from contextlib import aclosing
from functools import partial

import pytest

from seamark.core.errors import TemporaryError
from seamark.evm.logs import LogStream
from seamark.evm.ports import Block, Finalized
from seamark.evm.types import LogFilter
from tests.support.fake_chain import Event, FakeChain, FakeReader, View, address, topic
from tests.support.log_consumer import Crash
from tests.support.script_clock import Idle, ScriptClock
from tests.unit.evm.logs.conftest import World


def long_history(world: World, blocks: int = 300, *, every: int = 7) -> None:
    world.chain.mine(*[[Event()] if number % every == 0 else [] for number in range(blocks)])
    world.chain.finalize(5)


async def test_history_tells_only_blocks_with_logs_and_ends_each_range_with_finality(world: World) -> None:
    long_history(world)
    table = await world.follow()
    early = [block for block in table.blocks if block.ref.number <= 260]
    assert early
    assert all(block.logs for block in early)
    assert all(isinstance(batch.events[-1], Finalized) for batch in table.batches[:5])
    await world.assert_whole()


async def test_ranges_grow_where_logs_are_rare_and_shrink_where_they_are_many(world: World) -> None:
    world.chain.empty(200)
    world.chain.mine(*[[Event()] * 10 for _ in range(100)])
    world.chain.finalize(0)
    await world.follow(first_range=4, max_range=64, max_batch_logs=100, prefetch=1)
    spans = [last - first + 1 for first, last in world.reader.ranges]
    assert spans[:5] == [4, 8, 16, 32, 64]
    assert 10 in spans
    await world.assert_whole()


async def test_batches_end_after_the_block_that_reaches_the_limit(world: World) -> None:
    world.chain.mine(*[[Event()] * 4 for _ in range(30)])
    world.chain.finalize(0)
    table = await world.follow(max_batch_logs=10, first_range=30)
    sizes = [sum(len(event.logs) for event in batch.events if isinstance(event, Block)) for batch in table.batches]
    assert max(sizes) == 12
    assert sum(sizes) == 120
    await world.assert_whole()


async def test_timestamps_come_from_headers_where_logs_have_none(world: World) -> None:
    world.chain = FakeChain(log_timestamps=False)
    world.reader = FakeReader(world.chain)
    long_history(world)
    table = await world.follow()
    for block in table.blocks:
        assert block.ref == world.chain.path[block.ref.number].header.ref
    await world.assert_whole()


async def test_no_header_is_read_for_blocks_whose_logs_carry_the_time(world: World) -> None:
    long_history(world, 200, every=2)
    await world.follow(head_range=20, max_batch_logs=10_000)
    assert world.reader.asked["headers"] < 30


async def test_the_next_range_is_read_while_the_consumer_stores_one(world: World) -> None:
    long_history(world)
    async with aclosing(world.stream(prefetch=3).batches()) as batches:
        batch = await anext(batches)
        await world.table.take(batch)
        asked = len(world.reader.ranges)
    assert 1 < asked <= 4


async def test_leaving_early_gives_up_what_is_being_read(world: World) -> None:
    long_history(world)
    async with aclosing(world.stream().batches()) as batches:
        await world.table.take(await anext(batches))
    await world.follow()
    await world.assert_whole()


async def test_start_block_leaves_out_what_came_before(world: World) -> None:
    long_history(world, every=1)
    table = await world.follow(start_block=100)
    assert min(block.ref.number for block in table.blocks) == 100
    assert world.reader.ranges[0][0] == 100


async def test_a_start_block_above_finality_starts_where_reorgs_can_still_be_seen(world: World) -> None:
    world.chain.mine(10)
    world.chain.finalize(4)
    await world.follow(lambda: world.chain.reorg(4, [Event()], [], [], [], []), start_block=9)
    assert world.seen.reorgs == [4]


async def test_a_start_block_in_the_future_waits(world: World) -> None:
    world.chain.mine(10)
    world.chain.finalize(0)
    table = await world.follow(lambda: world.chain.mine(15), start_block=20)
    assert min(block.ref.number for block in table.blocks) == 11


async def test_every_restart_continues_behind_the_last_commit(world: World) -> None:
    long_history(world)
    for fate in ("before", "after", "before", "after"):
        fates = iter([None, fate])
        world.table.crash = partial(next, fates, None)
        with pytest.raises(Crash):
            await world.table.run(world.stream(), until=lambda: False)
    world.table.crash = lambda: None
    await world.follow()
    told = [block.ref.number for block in world.table.blocks]
    assert len(told) == len(set(told)), "nothing committed is told twice"
    await world.assert_whole()


async def test_a_long_pause_is_caught_up_in_ranges_after_the_open_blocks_are_settled(world: World) -> None:
    world.chain.mine(10)
    await world.follow()
    long_history(world)
    world.reader.ranges.clear()
    await world.follow()
    assert any(last - first > 8 for first, last in world.reader.ranges)
    await world.assert_whole()


async def test_a_reorg_during_a_long_pause_is_told_before_history_goes_on(world: World) -> None:
    world.chain.mine(10)
    await world.follow()
    world.chain.reorg(4, [Event()], [])
    long_history(world)
    await world.follow()
    assert world.seen.reorgs == [4]
    await world.assert_whole()


async def test_a_dead_fork_neither_adds_nor_hides_logs_of_history(world: World) -> None:
    """A node that stopped on an orphaned fork answers ranges below its head without an error."""
    world.chain.mine(20)
    dead = world.chain.view
    world.chain.reorg(10, *[[Event(), Event()] for _ in range(10)])
    long_history(world)
    views = [dead if number % 3 == 0 else None for number in range(60)]
    world.reader.look = lambda: (views.pop() if views else None) or world.chain.view
    await world.follow(rest=80, longest_pause_s=1.0)
    assert world.seen.errors
    await world.assert_whole()


async def test_an_error_in_a_range_read_ahead_is_retried(world: World) -> None:
    long_history(world)

    def fail_once(first: int, _last: int) -> None:
        if first == 40 and not world.seen.errors:
            world.reader.failures.append(TemporaryError("no"))

    world.reader.on_logs = fail_once
    await world.follow(first_range=10, max_range=10)
    assert world.seen.errors
    await world.assert_whole()


# ---- filters that grow ----------------------------------------------------------------------------------------------


def two_contracts(world: World, *, finalized: int) -> None:
    world.chain.mine(*[[Event(), Event(address=2)] if number % 3 == 0 else [] for number in range(60)])
    world.chain.finalize(world.chain.head - finalized)


async def grow_while_running(world: World, stream: LogStream, addition: LogFilter, from_block: int) -> None:
    """Extend after the first batch, as a consumer does that finds a new contract."""
    world.wanted = LogFilter(world.wanted.addresses + addition.addresses, world.wanted.topics)

    async def consume() -> None:
        async with aclosing(stream.batches()) as batches:
            first = True
            async for batch in batches:
                await world.table.take(batch)
                if first:
                    stream.extend(addition, from_block)
                first = False

    with pytest.raises(Idle):
        await consume()


@pytest.mark.parametrize("finalized", [0, 30, 60])
@pytest.mark.parametrize("span", [3, 1000])
async def test_extend_reads_passed_blocks_for_the_new_address_alone(world: World, finalized: int, span: int) -> None:
    two_contracts(world, finalized=finalized)
    stream = world.stream(ScriptClock(rest=10), first_range=span, max_batch_logs=10, head_range=1000)
    await grow_while_running(world, stream, LogFilter((address(2),), (topic(1),)), 0)
    await world.assert_whole()
    assert stream.wanted.addresses == (address(1), address(2))


async def test_extend_from_a_block_leaves_out_what_came_before(world: World) -> None:
    two_contracts(world, finalized=60)
    stream = world.stream(ScriptClock(rest=10), first_range=1000, max_range=1000)
    await grow_while_running(world, stream, LogFilter((address(2),), (topic(1),)), 30)
    late = [log.block_number for block in world.table.blocks for log in block.logs if log.address == address(2)]
    assert late
    assert min(late) >= 30


async def test_a_bigger_filter_at_restart_reads_history_for_what_is_new(world: World) -> None:
    two_contracts(world, finalized=40)
    await world.follow()
    world.reader.ranges.clear()
    world.wanted = LogFilter((address(1), address(2)), (topic(1),))
    before = len(world.table.blocks)
    table = await world.follow(rest=10)
    assert {log.address for block in table.blocks[before:] for log in block.logs} == {address(2)}
    await world.assert_whole()


async def test_new_topics_of_old_addresses_are_read_too(world: World) -> None:
    world.chain.mine(*[[Event(), Event(topic=2), Event(address=2, topic=2)] for _ in range(40)])
    world.chain.finalize(10)
    await world.follow()
    world.wanted = LogFilter((address(1), address(2)), (topic(1), topic(2)))
    await world.follow(rest=10)
    await world.assert_whole()


async def test_a_crash_in_the_middle_of_a_rescan_resumes_there(world: World) -> None:
    two_contracts(world, finalized=50)
    await world.follow()
    world.wanted = LogFilter((address(1), address(2)), (topic(1),))
    fates = [None, None, "after"]
    world.table.crash = lambda: fates.pop(0) if fates else None
    with pytest.raises(Crash):
        await world.table.run(world.stream(max_range=10), until=lambda: False)
    world.table.crash = lambda: None
    world.reader.ranges.clear()
    await world.follow(rest=10, max_range=10)
    assert min(first for first, _ in world.reader.ranges) >= 10
    await world.assert_whole()


async def test_finality_is_told_again_after_passed_blocks(world: World) -> None:
    two_contracts(world, finalized=50)
    await world.follow()
    world.wanted = LogFilter((address(1), address(2)), (topic(1),))
    table = await world.follow(rest=10)
    old = [batch for batch in table.batches if any(isinstance(e, Block) and e.logs for e in batch.events)][-1]
    assert isinstance(old.events[-1], Finalized)
    assert old.events[-1].ref.number == 50


async def test_a_smaller_filter_at_restart_forgets_nothing(world: World) -> None:
    two_contracts(world, finalized=30)
    both = LogFilter((address(1), address(2)), (topic(1),))
    world.wanted = both
    await world.follow()
    world.wanted = LogFilter((address(1),), (topic(1),))
    await world.follow(lambda: world.chain.mine([Event(address=2)]))
    world.wanted = both
    await world.assert_whole()


async def test_a_reorg_during_a_rescan_of_open_blocks_leaves_nothing_out(world: World) -> None:
    two_contracts(world, finalized=10)
    await world.follow()
    world.wanted = LogFilter((address(1), address(2)), (topic(1),))
    world.chain.reorg(20, *[[Event(address=2), Event()] for _ in range(25)])
    await world.follow(rest=10)
    assert world.seen.reorgs == [20]
    await world.assert_whole()


async def test_a_node_behind_the_history_that_is_read_again_is_waited_for(world: World) -> None:
    two_contracts(world, finalized=50)
    await world.follow()
    world.wanted = LogFilter((address(1), address(2)), (topic(1),))
    late = View(world.chain.path[:20], 3)
    world.reader.look = lambda: late
    await world.follow(lambda: setattr(world.reader, "look", lambda: world.chain.view), rest=10)
    assert world.seen.errors
    await world.assert_whole()
