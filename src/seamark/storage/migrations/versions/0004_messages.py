"""Messages, sightings, commits, revocations, notices, transitions, lanes."""

import sqlalchemy as sa
from alembic import op

from seamark.storage.schema import AUTO_ID

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _lanes_and_chains()
    _messages()
    _facts()
    _side_facts()


def _lanes_and_chains() -> None:
    op.create_table(
        "message_lane",
        sa.Column("id", AUTO_ID, primary_key=True, autoincrement=True),
        sa.Column("protocol", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("destination", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("source_name", sa.Text, nullable=False),
        sa.Column("destination_name", sa.Text, nullable=False),
        sa.Column("source_chain", sa.BigInteger),
        sa.Column("destination_chain", sa.BigInteger),
        sa.Column("source_watched", sa.Boolean, nullable=False),
        sa.Column("destination_watched", sa.Boolean, nullable=False),
        sa.Column("widest_commit", sa.BigInteger, nullable=False),
    )
    op.create_index(
        "uq_message_lane_key", "message_lane", ["protocol", "source", "channel", "destination"], unique=True
    )
    op.create_table(
        "message_chain",
        sa.Column("protocol", sa.Text, primary_key=True),
        sa.Column("chain_id", sa.BigInteger, primary_key=True),
        sa.Column("started", sa.BigInteger, nullable=False),
        sa.Column("finalized", sa.BigInteger, nullable=False),
        sa.Column("scanned", sa.BigInteger, nullable=False),
        sa.Column("scanned_time", sa.BigInteger, nullable=False),
        sa.Column("reorgs", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "message_contract",
        sa.Column("protocol", sa.Text, primary_key=True),
        sa.Column("chain_id", sa.BigInteger, primary_key=True),
        sa.Column("address", sa.Text, primary_key=True),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
    )
    op.create_table(
        "message_number",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("next", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "message_tally",
        sa.Column("lane_id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("messages", sa.BigInteger, nullable=False),
    )


def _messages() -> None:
    op.create_table(
        "message_block",
        sa.Column("no", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
        sa.Column("protocol", sa.Text, nullable=False),
        sa.Column("chain_id", sa.BigInteger, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
    )
    op.create_index("uq_message_block", "message_block", ["protocol", "chain_id", "number", "hash"], unique=True)
    op.create_table(
        "message",
        sa.Column("no", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("lane_id", sa.Integer, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("facts", sa.SmallInteger, nullable=False),
        sa.Column("counted", sa.SmallInteger, nullable=False),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("receiver", sa.Text, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("fee_token", sa.Text, nullable=False),
        sa.Column("fee_amount", sa.Text, nullable=False),
        sa.Column("fee_juels", sa.Text),
        sa.Column("nonce", sa.BigInteger),
        sa.Column("by_hand", sa.Boolean),
        sa.Column("source_chain", sa.BigInteger),
        sa.Column("sent_block", sa.BigInteger),
        sa.Column("sent_tx", sa.Text),
        sa.Column("sent_time", sa.BigInteger),
        sa.Column("pending_block", sa.BigInteger),
        sa.Column("finalized_time", sa.BigInteger),
        sa.Column("committed_tx", sa.Text),
        sa.Column("committed_time", sa.BigInteger),
        sa.Column("executed_tx", sa.Text),
        sa.Column("executed_time", sa.BigInteger),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("steps", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("callback", sa.Boolean),
        sa.Column("manual", sa.Boolean),
        sa.Column("conflicting", sa.Boolean, nullable=False),
    )
    op.create_index("uq_message_id", "message", ["id"], unique=True)
    op.create_index("ix_message_time", "message", ["time", "no"])
    op.create_index("ix_message_lane", "message", ["lane_id", "stage", "time", "no"])
    op.create_index("ix_message_sender", "message", ["sender", "lane_id", "time", "no"])
    op.create_index("ix_message_receiver", "message", ["receiver", "lane_id", "time", "no"])
    op.create_index("ix_message_lane_sequence", "message", ["lane_id", "sequence"])
    _partial("ix_message_nonce", "nonce IS NOT NULL", ["lane_id", "sender", "nonce"])
    _partial("ix_message_by_hand", "by_hand = true", ["lane_id", "stage", "time"])
    _partial("ix_message_pending", "pending_block IS NOT NULL", ["source_chain", "pending_block"])
    _partial(
        "ix_message_reason",
        "reason <> ''",
        ["reason", "lane_id", "time", "no", "sender", "receiver", "callback", "manual", "conflicting"],
    )
    _partial("ix_message_no_callback", "callback = false", ["time", "no"])
    _partial("ix_message_manual", "manual = true", ["time", "no", "lane_id", "stage", "sender", "receiver"])
    _partial("ix_message_conflicting", "conflicting = true", ["time", "no"])


def _partial(name: str, where: str, columns: list[str]) -> None:
    plain = where.replace("false", "0").replace("true", "1")  # as SQLite writes truth values
    op.create_index(name, "message", columns, sqlite_where=sa.text(plain), postgresql_where=sa.text(where))


def _facts() -> None:
    op.create_table(
        "message_sighting",
        sa.Column("place", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
        sa.Column("live", sa.Boolean, nullable=False),
        sa.Column("message_no", sa.BigInteger, nullable=False),
        sa.Column("lane_id", sa.Integer, nullable=False),
        sa.Column("tx", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("ix_message_sighting_message", "message_sighting", ["message_no"])
    op.create_index("ix_message_sighting_tx", "message_sighting", ["tx"])
    op.create_table(
        "message_commit",
        sa.Column("chain_id", sa.BigInteger, primary_key=True),
        sa.Column("block_number", sa.BigInteger, primary_key=True),
        sa.Column("block_hash", sa.Text, primary_key=True),
        sa.Column("log_index", sa.Integer, primary_key=True),
        sa.Column("part", sa.SmallInteger, primary_key=True),
        sa.Column("live", sa.Boolean, nullable=False),
        sa.Column("lane_id", sa.Integer, nullable=False),
        sa.Column("first", sa.BigInteger, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.Column("tx", sa.Text, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("root", sa.Text),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("ix_message_commit_lane", "message_commit", ["lane_id", "first"])
    op.create_index("ix_message_commit_tx", "message_commit", ["tx"])
    op.create_index("ix_message_commit_root", "message_commit", ["root"])
    op.create_table(
        "message_transition",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text, nullable=False),
        sa.Column("time", sa.BigInteger),
        sa.Column("seen_ms", sa.BigInteger, nullable=False),
        sa.Column("chain_id", sa.BigInteger),
        sa.Column("block_number", sa.BigInteger),
        sa.Column("block_hash", sa.Text),
        sa.Column("log_index", sa.Integer),
    )


def _side_facts() -> None:
    op.create_table(
        "message_revocation",
        sa.Column("protocol", sa.Text, primary_key=True),
        sa.Column("chain_id", sa.BigInteger, primary_key=True),
        sa.Column("block_number", sa.BigInteger, primary_key=True),
        sa.Column("block_hash", sa.Text, primary_key=True),
        sa.Column("log_index", sa.Integer, primary_key=True),
        sa.Column("part", sa.SmallInteger, primary_key=True),
        sa.Column("live", sa.Boolean, nullable=False),
        sa.Column("root", sa.Text, nullable=False),
        sa.Column("tx", sa.Text, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("ix_message_revocation_root", "message_revocation", ["root"])
    op.create_table(
        "message_verification",
        sa.Column(
            "message_no", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False
        ),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("seen_ms", sa.BigInteger, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
    )
    op.create_table(
        "message_notice",
        sa.Column("protocol", sa.Text, primary_key=True),
        sa.Column("chain_id", sa.BigInteger, primary_key=True),
        sa.Column("block_number", sa.BigInteger, primary_key=True),
        sa.Column("block_hash", sa.Text, primary_key=True),
        sa.Column("log_index", sa.Integer, primary_key=True),
        sa.Column("part", sa.SmallInteger, primary_key=True),
        sa.Column("live", sa.Boolean, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("contract", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("tx", sa.Text, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
    )
    op.create_index("ix_message_notice_kind", "message_notice", ["protocol", "kind", "time"])
    op.create_index("ix_message_notice_subject", "message_notice", ["subject"])
