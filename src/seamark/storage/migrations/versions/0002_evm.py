"""Cursors, unfinalized blocks, the transaction journal."""

import sqlalchemy as sa
from alembic import op

from seamark.storage.schema import AUTO_ID

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_log_positions()
    _create_transaction_journal()


def _create_log_positions() -> None:
    op.create_table(
        "evm_cursor",
        sa.Column("stream", sa.Text, primary_key=True),
        sa.Column("chain_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("finalized", sa.BigInteger, nullable=False),
        sa.Column("wanted", sa.Text, nullable=False),
        sa.Column("rescans", sa.Text, nullable=False),
    )
    op.create_table(
        "evm_block",
        sa.Column("stream", sa.Text, primary_key=True),
        sa.Column("chain_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("parent_hash", sa.Text, nullable=False),
        sa.Column("timestamp", sa.BigInteger, nullable=False),
        sa.Column("logs", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
    )


def _create_transaction_journal() -> None:
    op.create_table(
        "evm_transaction",
        sa.Column("id", AUTO_ID, primary_key=True, autoincrement=True),
        sa.Column("chain_id", sa.BigInteger, nullable=False),
        sa.Column("signer", sa.Text, nullable=False),
        sa.Column("nonce", sa.BigInteger, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("recipient", sa.Text),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("gas", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("is_current", sa.Boolean, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_ms", sa.BigInteger, nullable=False),
        sa.Column("receipt", sa.Text),
        sqlite_autoincrement=True,
    )
    of_signer = ["chain_id", "signer"]
    for name, column, condition in (("nonce", "nonce", "is_current"), ("key", "key", "state <> 'foreign'")):
        op.create_index(
            f"uq_evm_transaction_{name}",
            "evm_transaction",
            [*of_signer, column],
            unique=True,
            sqlite_where=sa.text(condition),
            postgresql_where=sa.text(condition),
        )
    op.create_index("ix_evm_transaction_state", "evm_transaction", [*of_signer, "state", "nonce"])
    op.create_table(
        "evm_attempt",
        sa.Column(
            "transaction_id",
            AUTO_ID,
            sa.ForeignKey("evm_transaction.id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("raw", sa.Text, nullable=False),
        sa.Column("cap", sa.Text, nullable=False),
        sa.Column("tip", sa.Text, nullable=False),
        sa.Column("legacy", sa.Boolean, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("head", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_evm_attempt_hash", "evm_attempt", ["hash"])
    op.create_table(
        "evm_signer",
        sa.Column("chain_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("signer", sa.Text, primary_key=True),
        sa.Column("genesis", sa.Text, nullable=False),
    )
