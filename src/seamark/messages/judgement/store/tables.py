"""Tables of judging: what was found out about lanes, kept so that no process has to find it again; and an index of the
rare messages that judging looks for.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, text

from seamark.messages.store import tables
from seamark.storage.schema import metadata

__all__ = ["ODD", "profile", "sequence"]

ODD = "(callback = false OR manual = true OR conflicting = true OR (facts & 48) = 48)"
"""Executed without a callback, by hand, in contradiction, or though retracted (Fact.EXECUTED | Fact.RETRACTED). Index
and query must say it in the same words."""

profile = Table(
    "judgement_profile",
    metadata,
    Column("lane_id", Integer, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),  # JSON of `LaneProfile`
)

sequence = Table(
    "judgement_sequence",
    metadata,
    Column("lane_id", Integer, primary_key=True, autoincrement=False),
    Column("first", BigInteger, nullable=False),
    Column("upto", BigInteger, nullable=False),
    Column("gaps", Text, nullable=False),  # JSON: [[first, last], …]
)

Index(
    "ix_message_odd",
    tables.message.c.lane_id,
    tables.message.c.time,
    tables.message.c.no,
    sqlite_where=text(ODD),
    postgresql_where=text(ODD),
)
