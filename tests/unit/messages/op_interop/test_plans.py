"""Work follows what changed: every search of jobs is a range of an index, whatever the number of jobs."""

from __future__ import annotations

from typing import Any

from sqlalchemy import event

from seamark.core.ids import BlockRef, ChainId, Hash32
from seamark.messages.protocols.op_interop.model import Level, Status, Verdict
from seamark.messages.protocols.op_interop.settings import InteropSettings
from seamark.messages.protocols.op_interop.store import (
    Decision,
    JobBook,
    list_jobs,
    ranges,
    read_due,
)
from seamark.messages.protocols.op_interop.watch import present_findings
from tests.support.interop import Bed, executing, initiating


async def test_no_statement_reads_the_whole_table() -> None:
    bed = Bed(901, 902)
    log = bed[901].mine(initiating())
    bed[902].mine(executing(log))
    connection = bed.database.connection
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        seen.append((statement, parameters[0] if many else parameters))

    event.listen(connection, "before_cursor_execute", note)
    await bed.tell(902)
    (job,) = read_due(connection, [901], others=False, limit=10)
    book = JobBook(connection, bed.network, now_ms=1)
    book.decide([Decision(key=job.key, touches=job.touches, verdict=Verdict(Status.VALID, block_hash="0x01"))])
    book.raise_level(ChainId(901), Level.SAFE, 5)
    book.raise_level(ChainId(902), Level.FINALIZED, 5)
    book.advance(ChainId(901), 9)
    book.retract(ChainId(902), BlockRef(0, Hash32("0x"), Hash32("0x"), 0))
    book.close()
    read_due(connection, [901], others=True, limit=10)
    present_findings(connection, bed.network, InteropSettings(), now=2_000_000_000)
    ranges(connection, [901, 902])
    list_jobs(connection, statuses=[Status.INVALID])
    event.remove(connection, "before_cursor_execute", note)

    plans = [
        (step[3], statement)
        for statement, parameters in seen
        if "interop_job" in statement and not statement.startswith("INSERT")
        for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        if "interop_job" in step[3]
    ]
    assert len(plans) > 15
    assert [(plan, statement) for plan, statement in plans if "INDEX" not in plan] == []
