"""Findings, alerts, silences and notifications."""

import sqlalchemy as sa
from alembic import op

from seamark.storage.schema import AUTO_ID

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_finding()
    _create_alert()
    _create_silence()
    _create_notification()


def _create_finding() -> None:
    op.create_table(
        "finding_source",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("reported_ms", sa.BigInteger, nullable=False),
        sa.Column("every_ms", sa.BigInteger),
        sa.Column("findings", sa.Integer, nullable=False),
        sa.Column("producer", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
    )
    op.create_table(
        "finding",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("grp", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("remedy", sa.Text, nullable=False),
        sa.Column("since", sa.BigInteger),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("seen_ms", sa.BigInteger, nullable=False),
        sa.Column("waiting", sa.Boolean, nullable=False),
    )
    op.create_index("ix_finding_kind_subject", "finding", ["kind", "subject"])


def _create_alert() -> None:
    op.create_table(
        "alert",
        sa.Column("id", AUTO_ID, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("grp", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("remedy", sa.Text, nullable=False),
        sa.Column("since", sa.BigInteger),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("opened_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_ms", sa.BigInteger, nullable=False),
        sa.Column("resolved_ms", sa.BigInteger),
        sa.Column("absent_ms", sa.BigInteger),
        sa.Column("returns", sa.Integer, nullable=False),
        sa.Column("stale", sa.Boolean, nullable=False),
        sa.Column("folded_under", sa.BigInteger),
        sa.Column("ack_who", sa.Text),
        sa.Column("ack_why", sa.Text),
        sa.Column("ack_ms", sa.BigInteger),
        sa.Column("ack_until_ms", sa.BigInteger),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_alert_kind_subject_id", "alert", ["kind", "subject", "id"])
    op.create_index("ix_alert_resolved_ms", "alert", ["resolved_ms"])
    op.create_index(
        "uq_alert_open",
        "alert",
        ["kind", "subject"],
        unique=True,
        sqlite_where=sa.text("resolved_ms IS NULL"),
        postgresql_where=sa.text("resolved_ms IS NULL"),
    )
    op.create_table(
        "alert_history",
        sa.Column("id", AUTO_ID, primary_key=True, autoincrement=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("alert_id", sa.BigInteger),
        sa.Column("silence_id", sa.BigInteger),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_alert_history_alert_id_id", "alert_history", ["alert_id", "id"])
    op.create_index("ix_alert_history_at_ms", "alert_history", ["at_ms"])


def _create_silence() -> None:
    op.create_table(
        "silence",
        sa.Column("id", AUTO_ID, primary_key=True, autoincrement=True),
        sa.Column("matchers", sa.Text, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("until_ms", sa.BigInteger, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("ended_ms", sa.BigInteger),
        sa.Column("ended_by", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_silence_until_ms", "silence", ["until_ms"])


def _create_notification() -> None:
    op.create_table(
        "notification",
        sa.Column("id", AUTO_ID, primary_key=True, autoincrement=True),
        sa.Column("receiver", sa.Text, nullable=False),
        sa.Column("grp", sa.Text, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("notice", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("next_ms", sa.BigInteger),
        sa.Column("ended_ms", sa.BigInteger),
        sa.Column("error", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_notification_next_ms", "notification", ["next_ms"])
    op.create_index("ix_notification_grp_id", "notification", ["grp", "id"])
    op.create_index("ix_notification_ended_ms", "notification", ["ended_ms"])
    op.create_table(
        "notified",
        sa.Column("receiver", sa.Text, primary_key=True),
        sa.Column("grp", sa.Text, primary_key=True),
        sa.Column("incident", sa.Text, nullable=False),
        sa.Column("alerts", sa.Text, nullable=False),
        sa.Column("opened_ms", sa.BigInteger, nullable=False),
        sa.Column("last_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "lease",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("until_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "leader",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
        sa.Column("duration_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "fence",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("raised_ms", sa.BigInteger, nullable=False),
    )
