"""What is asked of jobs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, case, func, select, true

from seamark.messages.protocols.op_interop.model import BAD, Level, Rule, Status
from seamark.messages.protocols.op_interop.store.heights import read_heights
from seamark.messages.protocols.op_interop.store.rows import ELSEWHERE, Job, to_job
from seamark.messages.protocols.op_interop.store.tables import bad_log, job, tally, verdict

__all__ = [
    "BadLogView",
    "BlockRanges",
    "Group",
    "OddCounts",
    "TallyRow",
    "Undecided",
    "VerdictView",
    "bad_logs",
    "find_job",
    "history",
    "list_jobs",
    "odd_counts",
    "odd_groups",
    "ranges",
    "read_due",
    "read_tallies",
    "undecided",
]

_LIVE = job.c.retracted.is_(False)
_OPEN = _LIVE & job.c.settled.is_(False)


class TallyRow(NamedTuple):
    exec_chain: int
    init_chain: str
    kind: str
    jobs: int


class VerdictView(msgspec.Struct, frozen=True):
    """One line of a job's history."""

    at_ms: int
    step: str
    rule: str
    detail: str
    init_hash: str


class BadLogView(msgspec.Struct, frozen=True):
    chain_id: int
    block_number: int
    tx: str
    log_index: int
    problem: str


class BlockRanges(NamedTuple):
    """Lowest and highest block with open jobs; None where there is none."""

    executing: dict[int, tuple[int, int]]
    initiating: dict[int, tuple[int, int]]


class Group(NamedTuple):
    """Jobs that are wrong in the same way: their number, the first time, and some of them."""

    exec_chain: int
    init_chain: str
    status: Status
    rule: Rule
    exec_level: Level
    jobs: int
    since_ms: int
    examples: tuple[Job, ...]


def read_due(connection: Connection, chains: Collection[int], *, others: bool, limit: int) -> list[Job]:
    """Jobs to look at that point to one of `chains`; those that waited longest first.

    With `others`: those that were executed on one of them and point elsewhere, where nobody else looks: a chain that
    another process reads on the same database is that process's.
    """
    names = [str(chain_id) for chain_id in chains]
    place: ColumnElement[bool] = job.c.init_chain.in_(names)
    if others:
        read = {*names, *map(str, read_heights(connection))}
        place = job.c.exec_chain.in_(chains) & job.c.init_chain.not_in(sorted(read))
    query = select(job).where(job.c.due.is_(True), place).order_by(job.c.looked_ms).limit(limit)
    return [to_job(row) for row in connection.execute(query)]


def read_tallies(connection: Connection) -> list[TallyRow]:
    return [TallyRow(*row) for row in connection.execute(select(tally))]


def find_job(connection: Connection, key: str) -> Job | None:
    row = connection.execute(select(job).where(job.c.key == key)).first()
    return None if row is None else to_job(row)


def history(connection: Connection, key: str) -> list[VerdictView]:
    """All that was ever thought of a job, oldest first."""
    query = select(verdict).where(verdict.c.job == key).order_by(verdict.c.id)
    return [VerdictView(row.at_ms, row.step, row.rule, row.detail, row.init_hash) for row in connection.execute(query)]


def list_jobs(
    connection: Connection,
    *,
    statuses: Collection[Status] = (),
    exec_chain: int | None = None,
    init_chain: int | None = None,
    live: bool | None = True,
    limit: int = 100,
) -> list[Job]:
    """Newest first. `live` False: only those of orphaned blocks; None: all."""
    query = select(job).order_by(job.c.seen_ms.desc(), job.c.key).limit(limit)
    if statuses:
        query = query.where(job.c.status.in_([status.value for status in statuses]))
    if exec_chain is not None:
        query = query.where(job.c.exec_chain == exec_chain)
    if init_chain is not None:
        query = query.where(job.c.init_chain == str(init_chain))
    if live is not None:
        query = query.where(job.c.retracted.is_(not live))
    return [to_job(row) for row in connection.execute(query)]


def ranges(connection: Connection, chains: Collection[int]) -> BlockRanges:
    """By two ends of an index each."""

    def ends(chain: Any, block: Any, value: Any) -> tuple[int, int] | None:
        low, high = (
            connection.execute(select(end(block)).where(chain == value, _OPEN)).scalar() for end in (func.min, func.max)
        )
        return None if low is None or high is None else (low, high)

    executing = {item: ends(job.c.exec_chain, job.c.exec_block, item) for item in chains}
    initiating = {item: ends(job.c.init_chain, job.c.init_block, str(item)) for item in chains}
    return BlockRanges(
        {key: value for key, value in executing.items() if value},
        {key: value for key, value in initiating.items() if value},
    )


class Undecided(NamedTuple):
    """Jobs without a confirmed verdict, and why."""

    exec_chain: int
    init_chain: str
    rule: Rule
    stale: bool
    jobs: int
    oldest_ms: int


class OddCounts(NamedTuple):
    """Open jobs by executing chain: verdict turned round; executed in the very last second; not in the access list."""

    flipped: dict[int, int]
    boundary: dict[int, int]
    undeclared: dict[int, int]


_EXAMPLES = 3


def _of(column: Any, chains: Collection[int] | None) -> ColumnElement[bool]:
    """Only those of some chains; None: all."""
    return true() if chains is None else column.in_(chains)


def odd_groups(connection: Connection, chains: Collection[int] | None = None) -> list[Group]:
    """What is wrong now: bad jobs, those whose verdict flipped, those executed in the last second, stale ones.

    `chains`: those executed there; None: everywhere.

    Group.status and rule say which; UNKNOWN jobs are in `undecided`.
    """
    # Whoever writes a log chooses the chain that it names: chains outside the set are one group.
    initiating = case((job.c.rule == Rule.UNKNOWN_CHAIN.value, ELSEWHERE), else_=job.c.init_chain)
    columns = (job.c.exec_chain, initiating, job.c.status, job.c.rule, job.c.exec_level)
    odd = _LIVE & job.c.status.in_([status.value for status in BAD]) & _of(job.c.exec_chain, chains)
    query = select(*columns, func.count(), func.min(job.c.seen_ms)).where(odd).group_by(*columns).order_by(*columns)
    found = []
    for *key, count, since in connection.execute(query).all():
        same = [column == value for column, value in zip(columns, key, strict=True)]
        some = select(job).where(odd, *same).order_by(job.c.seen_ms.desc()).limit(_EXAMPLES)
        examples = tuple(map(to_job, connection.execute(some)))
        chain, init, status, rule, level = key
        found.append(Group(chain, init, Status(status), Rule(rule), Level(level), count, since, examples))
    return found


def undecided(connection: Connection, *, before_ms: int, chains: Collection[int] | None = None) -> list[Undecided]:
    """Jobs without a verdict, or with one that nobody could confirm, seen before a time."""
    here = _of(job.c.exec_chain, chains)
    columns = (job.c.exec_chain, job.c.init_chain, job.c.rule, job.c.stale)
    found: list[Any] = []
    for wanted in (
        job.c.status == Status.UNKNOWN.value,
        job.c.stale.is_(True) & (job.c.status != Status.UNKNOWN.value),
    ):
        query = select(*columns, func.count(), func.min(job.c.seen_ms)).where(
            wanted, _LIVE, here, job.c.seen_ms < before_ms
        )
        found += connection.execute(query.group_by(*columns).order_by(*columns)).all()
    return [
        Undecided(chain, init, Rule(rule), stale, count, oldest) for chain, init, rule, stale, count, oldest in found
    ]


def odd_counts(connection: Connection, chains: Collection[int] | None = None) -> OddCounts:
    """Of jobs that are not valid for good."""
    here = _of(job.c.exec_chain, chains)

    def count(*where: Any) -> dict[int, int]:
        query = select(job.c.exec_chain, func.count()).where(_LIVE, here, *where).group_by(job.c.exec_chain)
        return {row[0]: row[1] for row in connection.execute(query)}

    return OddCounts(
        flipped=count(job.c.was_valid.is_(True), job.c.was_bad.is_(True), _OPEN),
        boundary=count(job.c.boundary.is_(True), _OPEN),
        undeclared=count(job.c.declared.is_(False), _OPEN),
    )


def bad_logs(connection: Connection, *, chains: Collection[int] | None = None, limit: int = 100) -> list[BadLogView]:
    """Logs of the inbox that are no executing messages, newest first."""
    here = _of(bad_log.c.chain_id, chains)
    query = select(bad_log).where(bad_log.c.retracted.is_(False), here).order_by(bad_log.c.seen_ms.desc()).limit(limit)
    return [
        BadLogView(row.chain_id, row.block_number, row.tx, row.log_index, row.problem)
        for row in connection.execute(query)
    ]
