"""Feeds as last seen, publications, and what nodes of the reporting network must not forget."""

import sqlalchemy as sa
from alembic import op

from seamark.storage.schema import AUTO_ID

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_feed()
    _create_publication()
    _create_reporting()


def _create_feed() -> None:
    op.create_table(
        "oracle_feed",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("chain_id", sa.BigInteger, primary_key=True),
        sa.Column("address", sa.Text, primary_key=True),
        sa.Column("chain", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("heartbeat_ms", sa.BigInteger),
        sa.Column("deviation_ppb", sa.BigInteger),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("decimals", sa.Integer, nullable=False),
        sa.Column("round", sa.Text, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("paused", sa.Boolean, nullable=False),
        sa.Column("block_number", sa.BigInteger, nullable=False),
        sa.Column("seen_at_ms", sa.BigInteger, nullable=False),
    )


def _create_publication() -> None:
    op.create_table(
        "oracle_publication",
        sa.Column("id", AUTO_ID, primary_key=True, autoincrement=True),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("feed", sa.Text, nullable=False),
        sa.Column("chain", sa.Text, nullable=False),
        sa.Column("chain_id", sa.BigInteger, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("round", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("counted", sa.SmallInteger, nullable=False),
        sa.Column("closed", sa.Boolean, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("answer", sa.Text),
        sa.Column("decimals", sa.Integer, nullable=False),
        sa.Column("observed_at", sa.BigInteger),
        sa.Column("planned_at_ms", sa.BigInteger, nullable=False),
        sa.Column("quotes", sa.Text, nullable=False),
        sa.Column("transaction_hash", sa.Text),
        sa.Column("block_number", sa.BigInteger),
        sa.Column("block_time", sa.BigInteger),
        sa.Column("fee", sa.Text),
        sa.Column("mined_at_ms", sa.BigInteger),
        sa.UniqueConstraint("key", name="uq_oracle_publication_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_oracle_publication_feed_id", "oracle_publication", ["feed", "id"])
    op.create_index("ix_oracle_publication_state_id", "oracle_publication", ["state", "id"])
    op.create_index(
        "ix_oracle_publication_open",
        "oracle_publication",
        ["id"],
        sqlite_where=sa.text("closed = 0"),
        postgresql_where=sa.text("NOT closed"),
    )


def _create_reporting() -> None:
    op.create_table(
        "oracle_reporting",
        sa.Column("contract", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("node", sa.Integer, primary_key=True),
        sa.Column("life", sa.BigInteger, nullable=False),
        sa.Column("saved", sa.LargeBinary),
    )
    op.create_table(
        "oracle_reporting_pending",
        sa.Column("contract", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("node", sa.Integer, primary_key=True),
        sa.Column("epoch", sa.BigInteger, primary_key=True),
        sa.Column("round", sa.Integer, primary_key=True),
        sa.Column("report", sa.LargeBinary, nullable=False),
    )
