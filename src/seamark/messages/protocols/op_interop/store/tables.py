"""Tables of executing messages.

`interop_job` is what is thought now, `interop_verdict` how that came about. Numbers of an identifier may exceed what a
database holds, because whoever writes to the inbox chooses them: they are text, and `init_block` is the one that is
searched by, cut off at 2**63-1, where no chain ever gets.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    false,
)

from seamark.storage.schema import AUTO_ID, metadata

__all__ = ["bad_log", "height", "incident", "job", "replay", "replay_place", "tally", "verdict"]

job: Final = Table(
    "interop_job",
    metadata,
    Column("key", Text, primary_key=True),  # chain:block hash:log index
    Column("exec_chain", BigInteger, nullable=False),
    Column("exec_block", BigInteger, nullable=False),
    Column("exec_hash", Text, nullable=False),
    Column("exec_time", BigInteger, nullable=False),
    Column("exec_tx", Text, nullable=False),
    Column("exec_log", Integer, nullable=False),
    Column("payload", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("init_chain", Text, nullable=False),
    Column("init_block", BigInteger, nullable=False),
    Column("named_block", Text, nullable=False),
    Column("named_time", Text, nullable=False),
    Column("named_log", BigInteger, nullable=False),
    Column("same_time", Boolean, nullable=False),
    Column("status", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("boundary", Boolean, nullable=False),
    Column("init_hash", Text, nullable=False),
    Column("exec_level", SmallInteger, nullable=False),
    Column("init_level", SmallInteger, nullable=False),
    Column("declared", Boolean),
    Column("stale", Boolean, nullable=False),
    Column("due", Boolean, nullable=False),
    Column("touches", Integer, nullable=False),
    Column("retracted", Boolean, nullable=False),
    Column("settled", Boolean, nullable=False),
    Column("was_valid", Boolean, nullable=False),
    Column("was_bad", Boolean, nullable=False),
    Column("incident", BigInteger),
    Column("seen_ms", BigInteger, nullable=False),
    Column("decided_ms", BigInteger),
    Column("looked_ms", BigInteger, nullable=False),
    Index("ix_interop_job_exec", "exec_chain", "exec_block"),
    Index("ix_interop_job_init", "init_chain", "init_block"),
    Index("ix_interop_job_status", "status", "seen_ms"),
    Index("ix_interop_job_seen", "seen_ms"),
    Index("ix_interop_job_exec_status", "exec_chain", "status", "seen_ms"),
    Index("ix_interop_job_init_status", "init_chain", "status", "seen_ms"),
)


def _partial(name: str, *columns: Column[Any], where: ColumnElement[bool]) -> None:
    # Written with IS, as the queries are: SQLite uses a partial index only for the very words of its condition.
    Index(f"ix_interop_job_{name}", *columns, sqlite_where=where, postgresql_where=where)


_OPEN: Final = job.c.settled.is_(False) & job.c.retracted.is_(False)
_partial("due", job.c.init_chain, job.c.looked_ms, where=job.c.due.is_(True))
_partial("time", job.c.exec_time, where=job.c.same_time.is_(True))
_partial("open_exec", job.c.exec_chain, job.c.exec_block, where=_OPEN)
_partial("open_init", job.c.init_chain, job.c.init_block, where=_OPEN)
_partial("flipped", job.c.seen_ms, where=job.c.was_valid.is_(True) & job.c.was_bad.is_(True))
_partial("boundary", job.c.seen_ms, where=job.c.boundary.is_(True))
_partial("undeclared", job.c.seen_ms, where=job.c.declared.is_(False))
_partial("stale", job.c.seen_ms, where=job.c.stale.is_(True))

verdict: Final = Table(
    "interop_verdict",
    metadata,
    Column("id", AUTO_ID, primary_key=True, autoincrement=True),
    Column("job", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("step", Text, nullable=False),  # a status, "retracted" or "returned"
    Column("rule", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("init_hash", Text, nullable=False),
    Index("ix_interop_verdict_job", "job"),
)

bad_log: Final = Table(
    "interop_bad_log",
    metadata,
    Column("chain_id", BigInteger, primary_key=True, autoincrement=False),
    Column("block_hash", Text, primary_key=True),
    Column("log_index", Integer, primary_key=True, autoincrement=False),
    Column("block_number", BigInteger, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("tx", Text, nullable=False),
    Column("problem", Text, nullable=False),
    Column("retracted", Boolean, nullable=False, server_default=false()),
    Column("seen_ms", BigInteger, nullable=False),
)

height: Final = Table(
    "interop_height",
    metadata,
    Column("chain_id", BigInteger, primary_key=True, autoincrement=False),
    Column("scanned", BigInteger, nullable=False),
    Column("safe", BigInteger, nullable=False),
    Column("finalized", BigInteger, nullable=False),
)

tally: Final = Table(
    "interop_tally",
    metadata,
    Column("exec_chain", BigInteger, primary_key=True, autoincrement=False),
    Column("init_chain", Text, primary_key=True),  # a member's chain id, or "unknown"
    Column("kind", Text, primary_key=True),
    Column("jobs", BigInteger, nullable=False),
)

replay: Final = Table(
    "interop_replay",
    metadata,
    Column("endpoint", Text, primary_key=True),
    Column("job", Text, primary_key=True),
    Column("status", Text, nullable=False),  # our verdict, that is compared
    Column("said", Text, nullable=False),  # "": not asked yet, or no verdict yet
    Column("text", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Index("ix_interop_replay_job", "job"),
)

replay_place: Final = Table(
    "interop_replay_place",
    metadata,
    Column("endpoint", Text, primary_key=True),
    Column("upto", BigInteger, nullable=False),  # verdicts that were taken up
)

incident: Final = Table(
    "interop_incident",
    metadata,
    Column("id", AUTO_ID, primary_key=True, autoincrement=True),
    Column("opened_ms", BigInteger, nullable=False),
    Column("job", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("jobs", Integer, nullable=False),
    Column("calls", Text, nullable=False),  # JSON: endpoint -> milliseconds of the call that worked
    Column("closed_ms", BigInteger),
    Column("closed_by", Text, nullable=False),
    Column("why", Text, nullable=False),
)
