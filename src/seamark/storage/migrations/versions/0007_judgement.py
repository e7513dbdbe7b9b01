"""What is normal for each lane, and what checks found."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ODD = "(callback = false OR manual = true OR conflicting = true OR (facts & 48) = 48)"


def upgrade() -> None:
    op.create_table(
        "judgement_profile",
        sa.Column("lane_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "judgement_sequence",
        sa.Column("lane_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("first", sa.BigInteger, nullable=False),
        sa.Column("upto", sa.BigInteger, nullable=False),
        sa.Column("gaps", sa.Text, nullable=False),
    )
    op.create_index(
        "ix_message_odd",
        "message",
        ["lane_id", "time", "no"],
        sqlite_where=sa.text(ODD),
        postgresql_where=sa.text(ODD),
    )
