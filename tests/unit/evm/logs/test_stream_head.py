"""Following the head: new blocks, lagging nodes, reorgs, lost logs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from seamark.core.errors import TemporaryError
from seamark.core.ids import Hash32
from seamark.evm.logs import ChainMismatchError, Doubt, PositionMovedError, UnsavedBatchError
from seamark.evm.types import BlockHeader, Log, LogFilter
from tests.support.fake_chain import Event, FakeReader, View
from tests.support.script_clock import Idle, ScriptClock
from tests.unit.evm.logs.conftest import World


async def test_every_block_at_the_head_is_told_in_order_also_empty_ones(world: World) -> None:
    world.chain.mine([Event()], [], [Event(), Event(topic=2), Event()])
    table = await world.follow(lambda: world.chain.mine([Event()]))
    assert [block.ref.number for block in table.blocks if block.ref.number] == [1, 2, 3, 4]
    assert [len(block.logs) for block in table.blocks if block.ref.number] == [1, 0, 2, 1]
    await world.assert_whole()


async def test_nothing_new_makes_no_batch(world: World) -> None:
    world.chain.mine(3)
    await world.follow()
    before = len(world.table.batches)
    await world.follow(rest=10)
    assert len(world.table.batches) == before


async def test_head_is_told_with_the_batch(world: World) -> None:
    world.chain.mine(5)
    table = await world.follow()
    assert {batch.head for batch in table.batches} == {5}
    assert table.batches[0].chain_id == 1


async def test_a_reorg_names_exactly_the_orphaned_blocks_newest_first(world: World) -> None:
    world.chain.mine(6)
    old = [block.header.ref for block in world.chain.path]
    table = await world.follow(lambda: world.chain.reorg(3, [Event()], [], [Event(), Event()], []))
    (reorg,) = table.reorgs
    assert reorg.ancestor == old[3]
    assert list(reorg.orphaned) == [old[6], old[5], old[4]]
    assert world.seen.reorgs == [3]
    await world.assert_whole()


async def test_reorg_and_the_new_blocks_come_in_one_batch(world: World) -> None:
    world.chain.mine(6)
    table = await world.follow(lambda: world.chain.reorg(2, [Event()], [Event()], [Event()]))
    (batch,) = [batch for batch in table.batches if set(batch.events) & set(table.reorgs)]
    assert [type(event).__name__ for event in batch.events] == ["Reorg", "Block", "Block", "Block"]


async def test_a_log_mined_again_on_another_fork_moves_to_its_new_block(world: World) -> None:
    world.chain.mine([Event(transaction="same")])
    await world.follow(lambda: world.chain.reorg(1, [], [Event(transaction="same")]))
    await world.assert_whole()
    assert len(await world.table.rows()) == 1


async def test_a_reorg_to_the_same_height_is_seen(world: World) -> None:
    world.chain.mine(4)
    await world.follow(lambda: world.chain.reorg(2, [Event()], []))
    assert world.seen.reorgs == [2]
    await world.assert_whole()


async def test_a_reorg_to_a_shorter_chain_is_believed_after_more_reads(world: World) -> None:
    world.chain.mine(6)
    await world.follow(lambda: world.chain.reorg(3, [Event(), Event()]))
    assert world.chain.head == 4
    assert world.seen.reorgs == [3]
    await world.assert_whole()


async def test_a_chain_rolled_back_is_followed_once_it_grows_differently(world: World) -> None:
    world.chain.mine(6)
    nothing = []
    await world.follow(
        lambda: world.chain.rollback(3),
        lambda: nothing.append(len(world.table.reorgs)),
        lambda: world.chain.mine([Event()]),
    )
    assert nothing == [0], "a lower head alone is a node that is behind"
    assert world.seen.reorgs == [3]
    await world.assert_whole()


async def test_a_reorg_while_nobody_looked_is_told_after_the_restart(world: World) -> None:
    world.chain.mine(8)
    await world.follow()
    orphaned = [block.header.ref for block in world.chain.path[4:]]
    world.chain.reorg(5, [], [Event()], [Event()], [], [], [Event()])
    table = await world.follow()
    assert [list(reorg.orphaned) for reorg in table.reorgs] == [orphaned[::-1]]
    await world.assert_whole()


async def test_a_node_that_is_behind_retracts_nothing(world: World) -> None:
    world.chain.mine(10)
    late = View(world.chain.path[:5], 0)
    await world.follow(
        lambda: setattr(world.reader, "look", lambda: late),
        lambda: setattr(world.reader, "look", lambda: world.chain.view),
        lambda: world.chain.mine([Event()]),
    )
    assert world.table.reorgs == []
    await world.assert_whole()


async def test_a_node_behind_finality_on_a_dead_fork_is_ignored(world: World) -> None:
    world.chain.mine(10)
    dead = world.chain.view
    world.chain.reorg(3, [Event()], [], [], [], [Event()])
    world.chain.mine(20)
    world.chain.finalize(2)
    await world.follow()
    world.reader.look = lambda: dead
    await world.follow()
    assert world.table.reorgs == []
    await world.assert_whole()


async def test_one_of_two_nodes_on_another_fork_is_not_enough(world: World) -> None:
    """The second look must agree with the first."""
    world.chain.mine(6)
    await world.follow()
    ours = world.chain.view
    world.chain.reorg(2, [], [])
    theirs, world.chain.path = world.chain.view, ours.path
    answers = [theirs] * 3 + [ours] * 1000  # the poll (2) and the walk back; then the confirmation
    world.reader.look = lambda: answers.pop(0)
    await world.follow()
    assert world.table.reorgs == []
    assert any("disagree" in str(error) for error in world.seen.errors)


async def test_a_reorg_between_headers_and_logs_is_never_mixed(world: World) -> None:
    world.chain.mine(3)
    await world.follow()
    world.chain.mine([Event()])
    moves = [lambda: world.chain.reorg(2, [Event(), Event()], [Event()], [Event()])]
    world.reader.on_logs = lambda _first, _last: moves.pop()() if moves else None
    await world.follow()
    assert world.seen.errors
    await world.assert_whole()


async def test_failures_are_counted_and_waited_for(world: World) -> None:
    world.chain.mine(2)
    world.reader.failures = [TemporaryError("down"), TemporaryError("down"), TemporaryError("slow", retry_after=7)]
    await world.follow(rest=8)
    assert str(world.seen.errors[0]) == "down"
    await world.assert_whole()


async def test_pauses_after_failures_grow_to_a_limit_and_honour_the_node(world: World) -> None:
    clock = ScriptClock(rest=7)
    world.reader.failures = [TemporaryError("x", retry_after=50.0 if n == 3 else None) for n in range(20)]
    world.reader.has_tag = False
    stream = world.stream(clock, finality_tag=None, longest_pause_s=5.0, poll_interval_s=1.0)
    with pytest.raises(Idle):
        await world.table.run(stream, until=lambda: False)
    assert clock.slept == [1, 2, 4, 50, 5, 5, 5]


async def test_logs_that_a_node_hides_at_first_are_asked_for_again(world: World) -> None:
    world.chain.mine([Event()], [Event(), Event()])
    for block in world.chain.path[1:]:
        world.reader.omit[block.header.hash] = 1
    await world.follow()
    assert world.seen.doubts == [(Doubt.MISSING_LOGS, 2)]
    await world.assert_whole()


async def test_a_witness_is_asked_when_the_first_reader_hides_logs(world: World) -> None:
    world.chain.mine([Event()])
    world.reader.omit[world.chain.path[1].header.hash] = 1000
    await world.follow(witness=FakeReader(world.chain))
    await world.assert_whole()


class Partial(FakeReader):
    """Leaves out the first log of each answer, and says nothing of it."""

    async def logs(self, wanted: LogFilter, first: int, last: int, *, end: Hash32 | None = None) -> list[Log]:
        return (await super().logs(wanted, first, last, end=end))[1:]


async def test_what_a_node_hides_of_a_block_is_found_by_the_witness_before_it_is_final(world: World) -> None:
    """Not seen at the head: the block shows some of its logs."""
    world.chain.mine([Event(), Event()])
    world.reader = Partial(world.chain)
    await world.follow(lambda: world.chain.finalize(0), witness=FakeReader(world.chain))
    assert world.seen.healed == 1
    await world.assert_whole()


async def test_a_witness_that_hides_logs_or_fails_does_no_harm(world: World) -> None:
    world.chain.mine([Event()], [Event()])
    witness = FakeReader(world.chain)
    witness.omit[world.chain.path[1].header.hash] = 1000
    witness.failures = [TemporaryError("out of order")]
    world.reader.omit[world.chain.path[2].header.hash] = 1  # so that the witness is asked at the head too
    await world.follow(lambda: world.chain.finalize(1), lambda: world.chain.finalize(0), witness=witness)
    assert witness.failures == []
    assert (Doubt.SHORT_ANSWER, 1) not in world.seen.doubts
    assert world.table.finalized[-1].number == 2
    await world.assert_whole()


async def test_a_bloom_that_promises_by_chance_is_counted_and_accepted(world: World) -> None:
    world.chain.mine([Event(address=1, topic=2), Event(address=2, topic=1)])  # both bits, but never in one log
    table = await world.follow()
    assert world.seen.doubts == [(Doubt.FALSE_BLOOM, 1)]
    assert [block.ref.number for block in table.blocks if block.ref.number] == [1]


async def test_logs_lost_at_the_head_are_told_when_the_block_is_final(world: World) -> None:
    world.chain.mine([Event()], [Event(), Event()], [])
    lost = world.chain.path[2].header.hash
    world.reader.omit[lost] = 2  # the first answer and the second one
    before: list[int] = []

    def finalize() -> None:
        before.append(len([block for block in world.table.blocks if block.logs]))
        world.chain.finalize(0)

    table = await world.follow(finalize, suspect_tries=1)
    assert before == [1]
    assert world.seen.healed == 2
    assert [block.ref.number for block in table.blocks if block.ref.number] == [1, 2, 3, 2]
    await world.assert_whole()


async def test_a_node_that_loses_logs_later_retracts_nothing(world: World) -> None:
    world.chain.mine([Event()], [Event()])

    def finalize() -> None:
        world.reader.omit[world.chain.path[1].header.hash] = 1000
        world.chain.finalize(0)

    await world.follow(finalize)
    assert (Doubt.SHORT_ANSWER, 1) in world.seen.doubts
    assert world.table.finalized[-1].number == 2
    await world.assert_whole()


async def test_finalized_comes_once_per_advance_and_never_goes_back(world: World) -> None:
    world.chain.mine(10)

    def older() -> None:
        world.chain.finalized = 3

    await world.follow(lambda: world.chain.finalize(5), older, lambda: world.chain.finalize(2))
    numbers = [ref.number for ref in world.table.finalized if ref.number]
    assert numbers == [5, 8]
    assert world.table.finalized[-1] == world.chain.path[8].header.ref


@pytest.mark.parametrize("depth", [0, 3])
async def test_depth_counts_as_final_where_the_node_has_no_tag(world: World, depth: int) -> None:
    world.reader.has_tag = False
    world.chain.mine(10)
    table = await world.follow(lambda: world.chain.mine(1), finality_depth=depth)
    assert table.finalized[-1].number == 11 - depth
    await world.assert_whole()


@pytest.mark.parametrize("tag", ["finalized", None])
async def test_blocks_that_come_faster_than_finality_is_asked_for_become_final_together(
    world: World, tag: str | None
) -> None:
    """One look a second, a block each, finality every 3 s."""
    world.chain.mine(5)

    def step() -> None:
        world.chain.mine([Event()])
        world.chain.finalize(2)

    world.chain.finalize(2)
    options = {"finality_tag": tag, "finality_depth": 2, "finality_interval_s": 3, "poll_interval_s": 1}
    table = await world.follow(*[step] * 9, rest=8, **options)
    assert [ref.number for ref in table.finalized if ref.number > 3] == [6, 9, 12]
    await world.assert_whole()


async def test_headers_whose_ends_are_known_are_not_read_again(world: World) -> None:
    """The tail and the newest block are at hand: only what is between them is asked for."""
    world.chain.mine(5)
    read: list[list[int]] = []
    headers = world.reader.headers

    async def noted(numbers: Sequence[int]) -> list[BlockHeader | None]:
        read.append(list(numbers))
        return await headers(numbers)

    await world.follow()
    world.reader.headers = noted  # type: ignore[method-assign]
    await world.follow(lambda: world.chain.mine([Event()], [], []), lambda: world.chain.mine(1), finality_depth=64)
    assert read == [[6, 7]]
    await world.assert_whole()


async def test_a_reorg_below_finality_is_told_where_references_are_kept(world: World) -> None:
    world.reader.has_tag = False
    await world.follow(lambda: world.chain.mine(10), lambda: world.chain.reorg(5, *[[Event()]] * 7), finality_depth=2)
    assert world.seen.reorgs == [5]
    assert world.table.finalized[-1].number == 10
    await world.assert_whole()


async def test_a_reorg_below_the_kept_references_stops_and_names_the_setting(world: World) -> None:
    world.reader.has_tag = False
    world.chain.mine(10)
    await world.follow(finality_depth=2, kept_finalized=1)
    world.chain.reorg(8, *[[Event()]] * 12)
    with pytest.raises(ChainMismatchError, match="finality depth"):
        await world.table.run(world.stream(finality_depth=2, kept_finalized=1), until=lambda: False)


async def test_a_consumer_that_does_not_save_is_found_out(world: World) -> None:
    world.chain.mine(3)
    with pytest.raises(UnsavedBatchError):
        async for _ in world.stream().batches():
            pass


async def test_a_save_that_was_not_committed_is_found_out(world: World) -> None:
    world.chain.mine(3)

    async def roll_back(batch: object) -> None:
        def work(connection: object) -> None:
            batch.save(connection)  # type: ignore[attr-defined]
            raise KeyError

        with pytest.raises(KeyError):
            await world.database.write(work)

    batches = world.stream().batches()
    await roll_back(await anext(batches))
    with pytest.raises(PositionMovedError):
        await anext(batches)


async def test_two_processes_on_one_stream_store_nothing_twice(world: World) -> None:
    world.chain.mine(3)
    one, other = world.stream().batches(), world.stream().batches()
    mine, theirs = await anext(one), await anext(other)
    await world.table.take(mine)
    with pytest.raises(PositionMovedError, match="only one process"):
        await world.table.take(theirs)
    await one.aclose()
    await other.aclose()
    await world.follow()
    await world.assert_whole()
