"""The tables of message tracking.

Sightings and commits are the ground truth; message rows are what the sightings add up to, kept for fast lists. Facts
are keyed by block and log, so that a chain's logs are appended in order and an orphaned block is found at once.
`live` is false for what an orphaned block told: kept, because a retracted message says so, and because a block may
become canonical again.

Each index costs every log that is stored, so there are few, and each serves several filters (see `lists`): messages are
looked up lane by lane and stage by stage, those of a sender or receiver lane by lane, and what is found is merged by
(time, no), with which these indexes end. Only one of them holds the stage, which changes with each step.

No foreign keys: only the ledger writes here, parents first and in one unit of work, nothing is deleted, and checking
them costs a fifth of the time to store a log.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, SmallInteger, Table, Text, text

from seamark.storage.schema import AUTO_ID, metadata

__all__ = [
    "STEP_BITS",
    "block",
    "chain",
    "commit",
    "contract",
    "lane",
    "message",
    "notice",
    "number",
    "revocation",
    "sighting",
    "tally",
    "transition",
    "verification",
]


def _partial(name: str, where: str, *columns: str) -> Index:
    # SQLite uses a partial index for a query that has the very same words, and it writes truth values as numbers.
    plain = where.replace("false", "0").replace("true", "1")
    return Index(name, *columns, sqlite_where=text(plain), postgresql_where=text(where))


lane = Table(
    "message_lane",
    metadata,
    Column("id", AUTO_ID, primary_key=True, autoincrement=True),
    Column("protocol", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("source_name", Text, nullable=False),
    Column("destination_name", Text, nullable=False),
    Column("source_chain", BigInteger),
    Column("destination_chain", BigInteger),
    Column("source_watched", Boolean, nullable=False),
    Column("destination_watched", Boolean, nullable=False),
    # Longest range ever committed at once: no commit that holds sequence s can begin below s - widest_commit.
    Column("widest_commit", BigInteger, nullable=False),
    Index("uq_message_lane_key", "protocol", "source", "channel", "destination", unique=True),
)

block = Table(
    "message_block",
    metadata,
    Column("no", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("protocol", Text, nullable=False),
    Column("chain_id", BigInteger, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
    Index("uq_message_block", "protocol", "chain_id", "number", "hash", unique=True),
)
"""Blocks that hold sightings."""

message = Table(
    "message",
    metadata,
    Column("no", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False),
    Column("lane_id", Integer, nullable=False),
    Column("version", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("facts", SmallInteger, nullable=False),
    Column("counted", SmallInteger, nullable=False),
    Column("stage", Text, nullable=False),
    Column("time", BigInteger, nullable=False),  # seconds: sent, else the first that was seen of it
    Column("sender", Text, nullable=False),
    Column("receiver", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("fee_token", Text, nullable=False),
    Column("fee_amount", Text, nullable=False),
    Column("fee_juels", Text),
    Column("nonce", BigInteger),  # the sender's count of an ordered message
    Column("by_hand", Boolean),  # true: nobody executes it by himself; else null
    Column("source_chain", BigInteger),
    Column("sent_block", BigInteger),
    Column("sent_tx", Text),
    Column("sent_time", BigInteger),
    Column("pending_block", BigInteger),  # sent_block while that block is not final
    Column("finalized_time", BigInteger),
    Column("committed_tx", Text),  # none though there is a time: verified off chain
    Column("committed_time", BigInteger),
    Column("executed_tx", Text),  # of the first success, else of the last failure
    Column("executed_time", BigInteger),
    Column("attempts", Integer, nullable=False),
    Column("steps", Integer, nullable=False),  # transitions written so far
    Column("reason", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("callback", Boolean),
    Column("manual", Boolean),
    Column("conflicting", Boolean, nullable=False),
    Index("uq_message_id", "id", unique=True),
    Index("ix_message_time", "time", "no"),
    Index("ix_message_lane", "lane_id", "stage", "time", "no"),
    Index("ix_message_sender", "sender", "lane_id", "time", "no"),
    Index("ix_message_receiver", "receiver", "lane_id", "time", "no"),
    Index("ix_message_lane_sequence", "lane_id", "sequence"),
    _partial("ix_message_nonce", "nonce IS NOT NULL", "lane_id", "sender", "nonce"),
    _partial("ix_message_by_hand", "by_hand = true", "lane_id", "stage", "time"),
    _partial("ix_message_pending", "pending_block IS NOT NULL", "source_chain", "pending_block"),
    # Accounts and flags are there to be checked without a look at the message: both indexes are small.
    _partial(
        "ix_message_reason",
        "reason <> ''",
        *("reason", "lane_id", "time", "no", "sender", "receiver", "callback", "manual", "conflicting"),
    ),
    _partial("ix_message_no_callback", "callback = false", "time", "no"),
    _partial("ix_message_manual", "manual = true", "time", "no", "lane_id", "stage", "sender", "receiver"),
    _partial("ix_message_conflicting", "conflicting = true", "time", "no"),
)

sighting = Table(
    "message_sighting",
    metadata,
    # Block number, log index and part in one integer (`blocks.place_of`).
    Column("place", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("live", Boolean, nullable=False),
    Column("message_no", BigInteger, nullable=False),
    Column("lane_id", Integer, nullable=False),
    Column("tx", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("body", Text, nullable=False),  # JSON of `Sent` or `Executed`
    Index("ix_message_sighting_message", "message_no"),
    Index("ix_message_sighting_tx", "tx"),
)

commit = Table(
    "message_commit",
    metadata,
    Column("chain_id", BigInteger, primary_key=True),
    Column("block_number", BigInteger, primary_key=True),
    Column("block_hash", Text, primary_key=True),
    Column("log_index", Integer, primary_key=True),
    Column("part", SmallInteger, primary_key=True),
    Column("live", Boolean, nullable=False),
    Column("lane_id", Integer, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("tx", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("version", Text, nullable=False),
    Column("root", Text),  # what a revocation can take back
    Column("body", Text, nullable=False),  # JSON of `Committed`
    Index("ix_message_commit_lane", "lane_id", "first"),
    Index("ix_message_commit_tx", "tx"),
    Index("ix_message_commit_root", "root"),
)

revocation = Table(
    "message_revocation",
    metadata,
    Column("protocol", Text, primary_key=True),
    Column("chain_id", BigInteger, primary_key=True),
    Column("block_number", BigInteger, primary_key=True),
    Column("block_hash", Text, primary_key=True),
    Column("log_index", Integer, primary_key=True),
    Column("part", SmallInteger, primary_key=True),
    Column("live", Boolean, nullable=False),
    Column("root", Text, nullable=False),
    Column("tx", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("version", Text, nullable=False),
    Column("body", Text, nullable=False),  # JSON of `Revoked`
    Index("ix_message_revocation_root", "root"),
)
"""Commits taken back: rare. A commit does not count while a live revocation of its root stands behind it."""

verification = Table(
    "message_verification",
    metadata,
    Column("message_no", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("time", BigInteger, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),
    Column("details", Text, nullable=False),  # JSON
)
"""What verifiers said off chain. No block holds it, so it is never taken back."""

notice = Table(
    "message_notice",
    metadata,
    Column("protocol", Text, primary_key=True),
    Column("chain_id", BigInteger, primary_key=True),
    Column("block_number", BigInteger, primary_key=True),
    Column("block_hash", Text, primary_key=True),
    Column("log_index", Integer, primary_key=True),
    Column("part", SmallInteger, primary_key=True),
    Column("live", Boolean, nullable=False),
    Column("kind", Text, nullable=False),
    Column("contract", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("tx", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("details", Text, nullable=False),  # JSON
    Index("ix_message_notice_kind", "protocol", "kind", "time"),
    Index("ix_message_notice_subject", "subject"),
)

transition = Table(
    "message_transition",
    metadata,
    # The message's number and the step's, in one integer (`STEP_BITS`).
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("step", Text, nullable=False),
    Column("before", Text),
    Column("after", Text, nullable=False),
    Column("time", BigInteger),
    Column("seen_ms", BigInteger, nullable=False),
    # The log that showed it. The hash is stored for steps back only: otherwise the live sighting there holds it.
    Column("chain_id", BigInteger),
    Column("block_number", BigInteger),
    Column("block_hash", Text),
    Column("log_index", Integer),
)

STEP_BITS = 16
"""A message's steps are numbered from 0 below its own number; the log of one that has taken 65,536 ends there."""

tally = Table(
    "message_tally",
    metadata,
    Column("lane_id", Integer, primary_key=True),
    Column("kind", Text, primary_key=True),  # "stage" or "reason" (of failed ones)
    Column("name", Text, primary_key=True),
    Column("messages", BigInteger, nullable=False),
)
"""How many messages are in each stage now, kept with every change so that nobody has to count ten million rows."""

chain = Table(
    "message_chain",
    metadata,
    Column("protocol", Text, primary_key=True),
    Column("chain_id", BigInteger, primary_key=True),
    Column("started", BigInteger, nullable=False),  # the first block that was ever asked for
    Column("finalized", BigInteger, nullable=False),
    Column("scanned", BigInteger, nullable=False),
    Column("scanned_time", BigInteger, nullable=False),
    Column("reorgs", BigInteger, nullable=False),
)

contract = Table(
    "message_contract",
    metadata,
    Column("protocol", Text, primary_key=True),
    Column("chain_id", BigInteger, primary_key=True),
    Column("address", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("details", Text, nullable=False),  # JSON: what the protocol wants to remember of it
)

number = Table(
    "message_number",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("next", BigInteger, nullable=False),
)
"""One row: the next `message.no`. Locking it makes the trackers of several chains take turns on PostgreSQL; each of
them folds rows that another may have just changed."""
