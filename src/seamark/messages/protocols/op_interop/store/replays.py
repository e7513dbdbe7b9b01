"""What interop filters were asked of executing messages, and where they think otherwise.

The verdicts told are a log with growing numbers: each filter has a place in it, and every verdict behind that place
becomes one question. An answer that agrees is forgotten; one that differs stays, and counts as long as its message is
live and the verdict is the one that was compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection, and_, delete, func, select, update

from seamark.messages.protocols.op_interop.model import BAD, TERMINAL, Status
from seamark.messages.protocols.op_interop.store.rows import Job, to_job
from seamark.messages.protocols.op_interop.store.tables import job, replay, replay_place, verdict
from seamark.storage.bulk import chunks, insert_new, upsert

__all__ = ["Divergence", "Question", "divergences", "next_questions", "save_answer", "take_up"]

TAKEN_AT_ONCE: Final = 500
_BAD: Final = [status.value for status in BAD]
_TERMINAL: Final = [status.value for status in TERMINAL]


class Question(NamedTuple):
    """`status` is the monitor's own verdict."""

    job: Job
    status: Status


class Divergence(NamedTuple):
    """Messages of one pair of chains on which a filter differs in the same way; `text`: its words about one of them."""

    endpoint: str
    exec_chain: int
    init_chain: str
    status: str
    said: str
    text: str
    jobs: int
    since_ms: int


def take_up(connection: Connection, endpoint: str, chains: Sequence[int], *, now_ms: int) -> int:
    """Make questions of the verdicts told since the last time; how many. A filter that is new begins with the next."""
    place = connection.execute(select(replay_place.c.upto).where(replay_place.c.endpoint == endpoint)).scalar()
    if place is None:
        newest = connection.execute(select(func.coalesce(func.max(verdict.c.id), 0))).scalar_one()
        upsert(connection, replay_place, [{"endpoint": endpoint, "upto": newest}])
        return 0
    query = select(verdict.c.id, verdict.c.job, verdict.c.step).where(verdict.c.id > place).order_by(verdict.c.id)
    told = connection.execute(query.limit(TAKEN_AT_ONCE)).all()
    if not told:
        return 0
    newest_step = {row.job: row.step for row in told if row.step in _TERMINAL}
    own: set[str] = set()
    for some in chunks(sorted(newest_step)):
        own.update(
            connection.execute(select(job.c.key).where(job.c.key.in_(some), job.c.exec_chain.in_(chains))).scalars()
        )
    for some in chunks(sorted(own)):
        connection.execute(delete(replay).where(replay.c.endpoint == endpoint, replay.c.job.in_(some)))
    rows = [
        {"endpoint": endpoint, "job": key, "status": newest_step[key], "said": "", "text": "", "at_ms": now_ms}
        for key in sorted(own)
    ]
    insert_new(connection, replay, rows)
    upsert(connection, replay_place, [{"endpoint": endpoint, "upto": told[-1].id}])
    return len(told)


def next_questions(connection: Connection, endpoint: str, *, limit: int) -> list[Question]:
    """Those that wait longest and still have the verdict that was told; others are dropped."""
    live = and_(job.c.key == replay.c.job, job.c.retracted.is_(False), job.c.status == replay.c.status)
    gone = select(job.c.key).where(live).exists()
    connection.execute(delete(replay).where(replay.c.endpoint == endpoint, replay.c.said == "", ~gone))
    query = (
        select(job, replay.c.status.label("told"))
        .join(replay, live)
        .where(replay.c.endpoint == endpoint, replay.c.said == "")
        .order_by(replay.c.at_ms)
        .limit(limit)
    )
    return [Question(to_job(row), Status(row.told)) for row in connection.execute(query)]


def save_answer(connection: Connection, endpoint: str, key: str, said: str, text: str, *, now_ms: int) -> None:
    """`said` "": no verdict yet, ask again after the others; "agrees": forget it; else what it said."""
    row = (replay.c.endpoint == endpoint, replay.c.job == key)
    if said == "agrees":
        connection.execute(delete(replay).where(*row))
    else:
        connection.execute(update(replay).where(*row).values(said=said, text=text, at_ms=now_ms))


def divergences(connection: Connection, chains: Sequence[int]) -> list[Divergence]:
    """What filters say otherwise of live messages that are not valid for good."""
    columns = (replay.c.endpoint, job.c.exec_chain, job.c.init_chain, replay.c.status, replay.c.said)
    query = (
        select(*columns, func.max(replay.c.text), func.count(), func.min(replay.c.at_ms))
        .join(job, and_(job.c.key == replay.c.job, job.c.status == replay.c.status))
        .where(
            replay.c.said != "",
            job.c.retracted.is_(False),
            job.c.settled.is_(False) | job.c.status.in_(_BAD),
            job.c.exec_chain.in_(chains),
        )
        .group_by(*columns)
        .order_by(*columns)
    )
    return [Divergence(*row) for row in connection.execute(query)]
