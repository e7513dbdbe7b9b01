"""The rows of a generated ledger, written by SQL that both engines understand, and their indexes after them.

Lanes, senders and receivers are as uneven as real ones: of 100 lanes the first ten carry a third; three senders and
three receivers have 5 % each, 300 have 0.05 % each and 200,000 the rest; two messages of a thousand have failed. What
a message is like in one respect says nothing about the others, so each combination is there.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, Index, Table, inspect, text
from sqlalchemy.schema import CreateIndex

from seamark.messages.judgement.store import tables as _judgement  # noqa: F401 - declares an index of messages
from seamark.messages.store import tables

__all__ = ["GENESIS", "LANES", "SECONDS_PER_MESSAGE", "fill", "is_filled", "renew"]

LANES, SENDERS, BUSY_SENDERS = 100, 200_000, 300
GENESIS, SECONDS_PER_MESSAGE = 1_600_000_000, 3
COMMITTED_TOGETHER = 1000  # messages of all lanes; a lane has about ten of them, which one root holds
_FILLED = (tables.message, tables.sighting, tables.block, tables.commit)
_PRIME = 2_147_483_647
_MIXERS = (
    1_583_458_089,
    784_588_716,
    1_132_489_760,
    1_965_367_363,
    627_093_561,
    1_392_738_241,
    971_276_083,
    1_810_327_411,
    1_219_088_123,
    466_920_839,
)


def is_filled(connection: Connection) -> bool:
    return (
        connection.execute(tables.message.select().with_only_columns(tables.message.c.no).limit(1)).first() is not None
    )


def fill(connection: Connection, messages: int) -> None:
    """Rows first, then the indexes: ten times faster than one message at a time."""
    for table in _FILLED:
        for index in table.indexes:
            connection.execute(text(f"DROP INDEX IF EXISTS {index.name}"))
    sql = _Sql(connection.dialect.name == "postgresql")
    if sql.postgres:  # a table that is emptied by the same transaction needs no log
        connection.execute(text(f"TRUNCATE {', '.join(table.name for table in _FILLED)}"))
    for statement in (_messages(sql, messages), _blocks(sql, messages), *_sightings(sql, messages), _commits(sql)):
        connection.execute(text(statement))
    renew(connection)
    _lanes(connection)


def renew(connection: Connection) -> bool:
    """Bring a kept ledger up to the tables that are declared now; whether there was anything to do."""
    done = [change for table in _FILLED for change in _changes(connection, table)]
    for change in done:
        connection.execute(text(change) if isinstance(change, str) else CreateIndex(change))
    return bool(done)


def _changes(connection: Connection, table: Table) -> Iterator[str | Index]:
    known = inspect(connection)
    columns = {item["name"] for item in known.get_columns(table.name)}
    for column in table.columns:
        if column.name not in columns:  # one that may be null, or the ledger must be made anew
            kind = column.type.compile(connection.dialect)
            yield f"ALTER TABLE {table.name} ADD COLUMN {column.name} {kind}"
    there = {item["name"]: item["column_names"] for item in known.get_indexes(table.name)}
    wanted = {str(index.name): index for index in table.indexes}
    as_declared = {name: [column.name for column in index.columns] for name, index in wanted.items()}
    yield from (f"DROP INDEX {name}" for name, columns in there.items() if as_declared.get(str(name)) != columns)
    yield from (index for name, index in wanted.items() if there.get(name) != as_declared[name])


class _Sql:
    """The few words in which the engines differ. Numbers stay below 2**63, so both compute the same."""

    def __init__(self, postgres: bool) -> None:
        self.postgres = postgres

    def numbers(self, last: int) -> str:
        if self.postgres:  # the arithmetic needs 64 bits
            return f"generate_series(1::bigint, {last}::bigint) AS numbers(n)"
        rows = f"WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < {last}) SELECT n FROM r"
        return f"({rows}) AS numbers"

    def word(self, number: str, salt: int) -> str:
        """Eight hexadecimal digits that look random."""
        mixed = f"(({number}) * {2_654_435_761 + salt * 40_504} % 4294967296)"
        return f"lpad(to_hex({mixed}::bigint), 8, '0')" if self.postgres else f"printf('%08x', {mixed})"

    def hash(self, number: str, salt: int) -> str:
        """66 characters; the same ones for the same number on PostgreSQL alone, so ask once and copy."""
        if self.postgres:
            return f"'0x' || md5(({number}) || ' {salt}') || md5('{salt} ' || ({number}))"
        return "'0x' || lower(hex(randomblob(32)))"

    def plain_hash(self, number: str) -> str:
        """66 characters, the same ones for the same number."""
        return "'0x" + "c" * 56 + f"' || {self.word(number, 3)}"

    def account(self, number: str, salt: int) -> str:
        return "'0x" + "0" * 24 + "' || " + " || ".join(self.word(number, salt * 8 + part) for part in range(2))

    def yes(self, condition: str) -> str:
        return f"({condition})" if self.postgres else f"CASE WHEN {condition} THEN 1 ELSE 0 END"


def _spread(number: str, salt: int, size: int) -> str:
    return f"(({number}) * {_MIXERS[salt]} % {_PRIME} % {size})"


def _stage(  # noqa: PLR0917 - one for each stage
    messages: int, failed: str, executed: str, recovered: str, retracted: str, committed: str, sent: str
) -> str:
    odd = _spread("n", 1, 1000)
    return (
        f"CASE WHEN n > {messages - messages // 1000} THEN {sent} WHEN {odd} < 2 THEN {failed} "
        f"WHEN {odd} < 5 THEN {recovered} WHEN {odd} = 5 THEN {retracted} WHEN {odd} = 6 THEN {committed} "
        f"ELSE {executed} END"
    )


def _account(sql: _Sql, salt: int) -> str:
    share, one_of_all, one_of_busy = (
        _spread("n", salt + more, size) for more, size in ((0, 100), (1, SENDERS), (1, BUSY_SENDERS))
    )
    return (
        f"CASE WHEN {share} < 15 THEN {sql.account(f'{share} % 3', salt)} "
        f"WHEN {share} < 30 THEN {sql.account(f'1000 + {one_of_busy}', salt)} "
        f"ELSE {sql.account(f'10000 + {one_of_all}', salt)} END"
    )


def _messages(sql: _Sql, messages: int) -> str:
    lane = f"1 + {_spread('n', 2, 1000)} * {_spread('n', 2, 1000)} / 10000"
    when = f"{GENESIS} + n * {SECONDS_PER_MESSAGE}"
    stage = _stage(messages, "'failed'", "'executed'", "'recovered'", "'retracted'", "'committed'", "'sent'")
    why = f"CASE WHEN {_spread('n', 7, 10)} = 0 THEN 'rate_limited' ELSE 'receiver_reverted' END"
    columns = {
        "no": "n",
        "id": sql.hash("n", 1),
        "lane_id": lane,
        "version": "'1.6.0'",
        "sequence": "n",
        "facts": _stage(messages, "15", "23", "87", "32", "7", "1"),
        "counted": "0",
        "stage": stage,
        "time": when,
        "sender": _account(sql, 3),
        "receiver": _account(sql, 5),
        "size": "224",
        "fee_token": f"'0x{'ee' * 20}'",
        "fee_amount": "'10000000000000000'",
        "fee_juels": "'10000000000000000'",
        "nonce": f"CASE WHEN {_spread('n', 6, 10)} = 0 THEN n END",
        "source_chain": lane,
        "sent_block": "n / 10",
        "sent_tx": sql.hash("n", 2),
        "sent_time": when,
        "pending_block": f"CASE WHEN n > {messages - messages // 1000} THEN n / 10 END",
        "finalized_time": f"{when} + 900",
        "committed_tx": sql.plain_hash(f"(n / {COMMITTED_TOGETHER} * {LANES} + {lane})"),
        "committed_time": f"{when} + 950",
        "executed_tx": sql.hash("n", 4),
        "executed_time": f"{when} + 1000",
        "attempts": "1",
        "steps": "4",
        "reason": _stage(messages, why, *["''"] * 5),
        "error": "''",
        "callback": sql.yes(f"{_spread('n', 8, 100)} > 9"),
        "manual": sql.yes(f"{_spread('n', 1, 1000)} BETWEEN 2 AND 3"),
        "conflicting": sql.yes(f"{_spread('n', 9, 100_000)} = 0"),
    }
    return (
        f"INSERT INTO message ({', '.join(columns)}) SELECT {', '.join(columns.values())} FROM {sql.numbers(messages)}"
    )


def _blocks(sql: _Sql, messages: int) -> str:
    chosen = f"n, 'ccip', 1, n, {sql.hash('n', 5)}, {GENESIS} + n * 30"
    return (
        f"INSERT INTO message_block (no, protocol, chain_id, number, hash, time) SELECT {chosen} "
        f"FROM {sql.numbers(2 * (messages // 10 + 1))}"
    )


def _sightings(sql: _Sql, messages: int) -> Iterator[str]:
    """A send of each message, and a run of each that ran; bodies are short, which no list looks at."""
    for salt, first, body in ((2, 1, '{"type":"sent"}'), (4, messages // 10 + 2, '{"type":"executed"}')):
        place = f"((no / 10 + {first}) << 32) + ((no % 10) << 12)"
        where = "executed_tx IS NOT NULL" if salt == 4 else "TRUE"
        yield (
            "INSERT INTO message_sighting (place, live, message_no, lane_id, tx, version, sequence, body) "
            f"SELECT {place}, {sql.yes('TRUE')}, no, lane_id, {'executed_tx' if salt == 4 else 'sent_tx'}, version, "
            f"sequence, '{body}' FROM message WHERE {where}"
        ).replace('\'{"type":', '\'{"type"\\:')


def _commits(sql: _Sql) -> str:
    """A root for each lane and each thousand messages."""
    root = f"no / {COMMITTED_TOGETHER}"
    return (
        "INSERT INTO message_commit (chain_id, block_number, block_hash, log_index, part, live, lane_id, first, last, "
        "tx, time, version, root, body) SELECT lane_id, " + root + ", min(committed_tx), 0, 0, "
        f"{sql.yes('TRUE')}, lane_id, min(no), max(no), min(committed_tx), max(committed_time), '1.6.0', "
        f'min(committed_tx), \'{{"type"\\:"committed"}}\' FROM message GROUP BY lane_id, {root}'
    )


def _lanes(connection: Connection) -> None:
    connection.execute(
        tables.lane.insert(),
        [
            {
                "id": number,
                "protocol": "ccip",
                "source": str(number % 10),
                "channel": f"0x{number:040x}",
                "destination": str(10 + number // 10),
                "version": "1.5.0" if number > 60 else "1.6.0",
                "source_name": f"chain {number % 10}",
                "destination_name": f"chain {10 + number // 10}",
                "source_chain": number,
                "destination_chain": number + 1000,
                "source_watched": True,
                "destination_watched": True,
                "widest_commit": COMMITTED_TOGETHER,
            }
            for number in range(1, LANES + 1)
        ],
    )
    for kind, name in (("stage", "stage"), ("reason", "reason")):
        where = " WHERE reason <> ''" if kind == "reason" else ""
        connection.execute(
            text(
                f"INSERT INTO message_tally (lane_id, kind, name, messages) "
                f"SELECT lane_id, '{kind}', {name}, count(*) FROM message{where} GROUP BY lane_id, {name}"
            )
        )
