"""Executing messages of OP Stack interop and their verdicts."""

import sqlalchemy as sa
from alembic import op

from seamark.storage.schema import AUTO_ID

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_OPEN = "settled IS {no} AND retracted IS {no}"


def upgrade() -> None:
    _jobs()
    _partial_indices()
    _beside()


def _jobs() -> None:
    op.create_table(
        "interop_job",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("exec_chain", sa.BigInteger, nullable=False),
        sa.Column("exec_block", sa.BigInteger, nullable=False),
        sa.Column("exec_hash", sa.Text, nullable=False),
        sa.Column("exec_time", sa.BigInteger, nullable=False),
        sa.Column("exec_tx", sa.Text, nullable=False),
        sa.Column("exec_log", sa.Integer, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("init_chain", sa.Text, nullable=False),
        sa.Column("init_block", sa.BigInteger, nullable=False),
        sa.Column("named_block", sa.Text, nullable=False),
        sa.Column("named_time", sa.Text, nullable=False),
        sa.Column("named_log", sa.BigInteger, nullable=False),
        sa.Column("same_time", sa.Boolean, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("boundary", sa.Boolean, nullable=False),
        sa.Column("init_hash", sa.Text, nullable=False),
        sa.Column("exec_level", sa.SmallInteger, nullable=False),
        sa.Column("init_level", sa.SmallInteger, nullable=False),
        sa.Column("declared", sa.Boolean),
        sa.Column("stale", sa.Boolean, nullable=False),
        sa.Column("due", sa.Boolean, nullable=False),
        sa.Column("touches", sa.Integer, nullable=False),
        sa.Column("retracted", sa.Boolean, nullable=False),
        sa.Column("settled", sa.Boolean, nullable=False),
        sa.Column("was_valid", sa.Boolean, nullable=False),
        sa.Column("was_bad", sa.Boolean, nullable=False),
        sa.Column("incident", sa.BigInteger),
        sa.Column("seen_ms", sa.BigInteger, nullable=False),
        sa.Column("decided_ms", sa.BigInteger),
        sa.Column("looked_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_interop_job_exec", "interop_job", ["exec_chain", "exec_block"])
    op.create_index("ix_interop_job_init", "interop_job", ["init_chain", "init_block"])
    op.create_index("ix_interop_job_status", "interop_job", ["status", "seen_ms"])
    op.create_index("ix_interop_job_seen", "interop_job", ["seen_ms"])
    op.create_index("ix_interop_job_exec_status", "interop_job", ["exec_chain", "status", "seen_ms"])
    op.create_index("ix_interop_job_init_status", "interop_job", ["init_chain", "status", "seen_ms"])


def _partial_indices() -> None:
    for name, columns, where in (
        ("due", ["init_chain", "looked_ms"], "due IS {yes}"),
        ("time", ["exec_time"], "same_time IS {yes}"),
        ("open_exec", ["exec_chain", "exec_block"], _OPEN),
        ("open_init", ["init_chain", "init_block"], _OPEN),
        ("flipped", ["seen_ms"], "was_valid IS {yes} AND was_bad IS {yes}"),
        ("boundary", ["seen_ms"], "boundary IS {yes}"),
        ("undeclared", ["seen_ms"], "declared IS {no}"),
        ("stale", ["seen_ms"], "stale IS {yes}"),
    ):
        op.create_index(
            f"ix_interop_job_{name}",
            "interop_job",
            columns,
            sqlite_where=sa.text(where.format(yes="1", no="0")),
            postgresql_where=sa.text(where.format(yes="true", no="false")),
        )


def _beside() -> None:
    op.create_table(
        "interop_verdict",
        sa.Column("id", AUTO_ID, primary_key=True, autoincrement=True),
        sa.Column("job", sa.Text, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("init_hash", sa.Text, nullable=False),
    )
    op.create_index("ix_interop_verdict_job", "interop_verdict", ["job"])
    op.create_table(
        "interop_bad_log",
        sa.Column("chain_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("block_hash", sa.Text, primary_key=True),
        sa.Column("log_index", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("block_number", sa.BigInteger, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("tx", sa.Text, nullable=False),
        sa.Column("problem", sa.Text, nullable=False),
        sa.Column("retracted", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("seen_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "interop_height",
        sa.Column("chain_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("scanned", sa.BigInteger, nullable=False),
        sa.Column("safe", sa.BigInteger, nullable=False),
        sa.Column("finalized", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "interop_tally",
        sa.Column("exec_chain", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("init_chain", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("jobs", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "interop_replay",
        sa.Column("endpoint", sa.Text, primary_key=True),
        sa.Column("job", sa.Text, primary_key=True),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("said", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_interop_replay_job", "interop_replay", ["job"])
    op.create_table(
        "interop_replay_place",
        sa.Column("endpoint", sa.Text, primary_key=True),
        sa.Column("upto", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "interop_incident",
        sa.Column("id", AUTO_ID, primary_key=True, autoincrement=True),
        sa.Column("opened_ms", sa.BigInteger, nullable=False),
        sa.Column("job", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("jobs", sa.Integer, nullable=False),
        sa.Column("calls", sa.Text, nullable=False),
        sa.Column("closed_ms", sa.BigInteger),
        sa.Column("closed_by", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
    )
