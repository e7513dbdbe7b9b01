"""Pages of executing messages, newest first.

Order is by the time at which a message was first seen, then by chain, block hash and log index (numbers, and hex of one
length: every database sorts them alike); a cursor names the last row's place in it, so rows that arrive meanwhile move
nothing. Each verdict is read for itself and the rows are merged: so the handful that
is not valid is found by its own index, however many valid ones lie around it.
"""

from __future__ import annotations

import heapq
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, or_, select, tuple_

from seamark.core.errors import RejectedError
from seamark.messages.protocols.op_interop.model import Status
from seamark.messages.protocols.op_interop.store.rows import Job, to_job
from seamark.messages.protocols.op_interop.store.tables import job

__all__ = ["JobFilter", "JobPage", "page_jobs"]

_PLACE: Final = re.compile(r"([0-9]{1,18}) ([0-9]{1,18}):(0x[0-9a-f]{64}):([0-9]{1,10})")


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which ones; an empty field does not filter. `retracted`: those whose block left the chain, else those that
    stand.
    """

    statuses: tuple[Status, ...] = ()
    exec_chain: int | None = None
    init_chain: int | None = None
    retracted: bool = False


@dataclass(frozen=True, slots=True)
class JobPage:
    """`next` is the cursor of the page behind, None at the end."""

    jobs: list[Job]
    next: str | None


class _Place(NamedTuple):
    seen_ms: int
    exec_chain: int
    exec_hash: str
    exec_log: int


def page_jobs(connection: Connection, wanted: JobFilter, *, limit: int, cursor: str | None = None) -> JobPage:
    """The next `limit` of those that match.

    Raises:
        RejectedError: A cursor that no page has given.
    """
    after = None if cursor is None else _read_cursor(cursor)
    rows = [
        [to_job(row) for row in connection.execute(_query(wanted, status, after).limit(limit + 1))]
        for status in dict.fromkeys(wanted.statuses or Status)
    ]
    found = list(heapq.merge(*rows, key=_order))
    page = found[:limit]
    return JobPage(page, _write_cursor(page[-1]) if len(found) > limit else None)


def _query(wanted: JobFilter, status: Status, after: _Place | None) -> Select[tuple[object]]:
    where: list[ColumnElement[bool]] = [job.c.status == status.value, job.c.retracted.is_(wanted.retracted)]
    if wanted.exec_chain is not None:
        where.append(job.c.exec_chain == min(wanted.exec_chain, 2**63 - 1))
    if wanted.init_chain is not None:
        where.append(job.c.init_chain == str(wanted.init_chain))
    if after is not None:
        beside = tuple_(job.c.exec_chain, job.c.exec_hash, job.c.exec_log) > tuple_(*after[1:])
        behind = or_(job.c.seen_ms < after.seen_ms, and_(job.c.seen_ms == after.seen_ms, beside))
        where += [job.c.seen_ms <= after.seen_ms, behind]  # the first is what an index can use
    return select(job).where(*where).order_by(job.c.seen_ms.desc(), job.c.exec_chain, job.c.exec_hash, job.c.exec_log)


def _order(item: Job) -> tuple[int, int, str, int]:
    message = item.message
    return -item.seen_ms, int(message.chain_id), message.block.hash, message.log_index


def _write_cursor(last: Job) -> str:
    return urlsafe_b64encode(f"{last.seen_ms} {last.key}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> _Place:
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except ValueError as error:  # of base64 or of ASCII
        raise _bad_cursor() from error
    found = _PLACE.fullmatch(text)
    if found is None:
        raise _bad_cursor()
    return _Place(int(found[1]), int(found[2]), found[3], int(found[4]))


def _bad_cursor() -> RejectedError:
    return RejectedError("the cursor is not one that a page has given", remedy="start again without it")
