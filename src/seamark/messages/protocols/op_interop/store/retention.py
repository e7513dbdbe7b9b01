"""Executing messages that are over and old leave their table: those that are valid for good, and those whose block left
the chain for good. What is not valid stays for ever, and so does what belongs to an incident.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, and_, delete, or_, select

from seamark.messages.protocols.op_interop.model import Status
from seamark.messages.protocols.op_interop.store.tables import height, job, replay, verdict
from seamark.storage.bulk import chunks

__all__ = ["trim_jobs"]

DELETED_AT_ONCE: Final = 500


def trim_jobs(connection: Connection, before_ms: int, *, limit: int = DELETED_AT_ONCE) -> int:
    """Delete some jobs seen before a time, with their history; how many. The tallies do not hold them any more."""
    final = select(height.c.finalized).where(height.c.chain_id == job.c.exec_chain).correlate(job).scalar_subquery()
    over = or_(
        and_(job.c.settled.is_(True), job.c.retracted.is_(False), job.c.status == Status.VALID.value),
        and_(job.c.retracted.is_(True), job.c.exec_block <= final),
    )
    query = select(job.c.key).where(job.c.seen_ms < before_ms, job.c.due.is_(False), job.c.incident.is_(None), over)
    keys = connection.execute(query.order_by(job.c.seen_ms).limit(limit)).scalars().all()
    for some in chunks(keys):
        for table in (verdict, replay):
            connection.execute(delete(table).where(table.c.job.in_(some)))
        connection.execute(delete(job).where(job.c.key.in_(some)))
    return len(keys)
