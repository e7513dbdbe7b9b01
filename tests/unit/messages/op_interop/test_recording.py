"""Executing messages are stored with the batch in which they stand: all of it or nothing, and the tracker's own too."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from sqlalchemy import Connection

from seamark.core.ids import Address, ChainId, Hash32
from seamark.evm.ports import Finalized, LogBatch
from seamark.evm.types import LogFilter
from seamark.messages.protocols.op_interop import InteropChain, InteropProtocol
from seamark.messages.protocols.op_interop.model import Status
from seamark.messages.protocols.op_interop.recording import JobStream, Recorded
from seamark.messages.protocols.op_interop.store import JobChanges, list_jobs, read_heights
from seamark.messages.store import ChainView, read_chains, save_progress
from seamark.messages.tracker import apply, decode
from tests.support.interop import Batch, Bed, executing, initiating


class Stream:
    """Batches, one after the other."""

    def __init__(self, *batches: LogBatch) -> None:
        self.waiting = list(batches)
        self.extended: list[int] = []

    def extend(self, addition: LogFilter, from_block: int) -> None:
        self.extended.append(from_block)

    async def batches(self) -> AsyncGenerator[LogBatch, None]:
        for batch in self.waiting:
            yield batch


def one_batch(bed: Bed) -> Batch:
    bed[902].mine(executing(bed[901].mine(initiating())))
    return Batch(ChainId(902), list(bed[902].blocks), 1)


async def test_the_trackers_unit_of_work_stores_jobs_too() -> None:
    bed = Bed(901, 902)
    protocol = InteropProtocol([InteropChain(ChainId(901), "a"), InteropChain(ChainId(902), "b")])
    view = ChainView("interop", 902, 0, -1, -1, 0, 0)
    recorded = Recorded(one_batch(bed), bed.network, bed.now_ms)

    def work(connection: Connection) -> None:
        save_progress(connection, view)
        decoded = decode(recorded, protocol.watch(ChainId(902), ()), view)
        apply(connection, decoded, protocol, now_ms=bed.now_ms)

    await bed.database.write(work)
    assert bed.status() is Status.UNKNOWN
    assert [item.scanned for item in read_chains(bed.database.connection, "interop")] == [1]


async def test_a_unit_of_work_that_fails_stores_neither() -> None:
    bed = Bed(901, 902)

    class Breaks(Batch):
        def save(self, connection: object) -> None:
            raise OSError("disk full")

    batch = one_batch(bed)
    recorded = Recorded(Breaks(batch.chain_id, batch.events, 1), bed.network, bed.now_ms)
    with pytest.raises(OSError, match="disk full"):
        await bed.database.write(recorded.save)
    assert bed.jobs() == []


async def test_a_unit_of_work_that_runs_twice_counts_once() -> None:
    bed = Bed(901, 902)
    recorded = Recorded(one_batch(bed), bed.network, bed.now_ms)

    def work(connection: Connection) -> None:
        recorded.save(connection)
        connection.rollback()
        recorded.save(connection)

    await bed.database.write(work)
    assert recorded.changes is not None
    assert sum(recorded.changes.totals.values()) == 1


async def test_metrics_hear_of_a_batch_once_it_is_stored() -> None:
    bed = Bed(901, 902)
    heard: list[JobChanges] = []
    empty = Batch(ChainId(902), [], 1)
    stream = JobStream(Stream(one_batch(bed), empty), bed.network, now=bed.clock.now, followed=heard.append)
    counts = []
    async for batch in stream.batches():
        counts.append(len(heard))
        await bed.database.write(batch.save)
    assert counts == [0, 1], "after the next one is asked for, so the first is committed"
    assert len(heard) == 2


async def test_a_batch_that_nobody_saved_is_not_heard_of() -> None:
    bed = Bed(901, 902)
    heard: list[JobChanges] = []
    stream = JobStream(Stream(one_batch(bed)), bed.network, now=bed.clock.now, followed=heard.append)
    async for _ in stream.batches():
        pass
    assert heard == []


def test_the_stream_grows_through_it() -> None:
    inner = Stream()
    stream: Any = JobStream(inner, Bed(901).network, now=lambda: 0.0, followed=lambda _: None)
    stream.extend(LogFilter((Address("0x" + "01" * 20),), (Hash32("0x" + "02" * 32),)), 7)
    assert inner.extended == [7]


async def test_heights_follow_the_batch() -> None:
    bed = Bed(901, 902)
    bed[902].mine(count=5)
    blocks = bed[902].blocks
    await bed.save(Batch(ChainId(902), [*blocks[:4], Finalized(blocks[2].ref)], 5))
    height = read_heights(bed.database.connection)[902]
    assert (height.scanned, height.finalized) == (3, 2)
    await bed.save(Batch(ChainId(902), [Finalized(blocks[5].ref)], 5))
    assert read_heights(bed.database.connection)[902].scanned == 5, "history without logs is told as final alone"


async def test_a_chain_that_breaks_its_promise_takes_settled_jobs_with_it() -> None:
    bed = Bed(901, 902)
    bed[902].mine(executing(bed[901].mine(initiating()), log_index=5))
    await bed.finalize()
    assert bed.job().settled
    bed[902].rollback(1)
    bed[902].mine(), bed[902].mine()
    await bed.follow()
    (gone,) = bed.jobs(live=False)
    assert bed.steps(gone) == ["invalid", "retracted"]
    assert read_heights(bed.database.connection)[902].finalized == 0


async def test_jobs_are_listed_by_what_they_are() -> None:
    bed = Bed(901, 902, 903)
    one, other = bed[901].mine(initiating()), bed[903].mine(initiating())
    bed[902].mine(executing(one), executing(other, log_index=3))
    await bed.follow()
    connection = bed.database.connection
    assert len(list_jobs(connection, init_chain=901)) == 1
    assert len(list_jobs(connection, statuses=[Status.INVALID], exec_chain=902)) == 1
    assert list_jobs(connection, exec_chain=901) == []
    assert len(list_jobs(connection, limit=1)) == 1
