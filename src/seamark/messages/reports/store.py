"""What reports ask of the ledger: the rows of a period for one pass over them, and a few examples by index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Boolean, Connection, Integer, Select, and_, exists, func, select, true, type_coerce

from seamark.messages.model import Stage
from seamark.messages.reports.model import ChainEnd, Contract, Period
from seamark.messages.reports.tally import COLUMNS
from seamark.messages.store import tables
from seamark.messages.store.lanes import Lane, read_lanes
from seamark.storage.bulk import chunks
from seamark.storage.totals import read_totals

__all__ = [
    "DELIVERED",
    "NEW_AMONG",
    "OPEN",
    "PAYLOADS_AT_MOST",
    "Payloads",
    "Scope",
    "access_contracts",
    "brief",
    "chain_ends",
    "data_from",
    "delivered_twice",
    "examples",
    "malformed_ever",
    "oldest_open",
    "payloads",
    "read_rows",
    "recent_stages",
    "recent_totals",
    "scope_lanes",
    "seen_before",
    "token_names",
]

DELIVERED: Final = ("executed", "recovered")
OPEN: Final = tuple(stage.value for stage in (Stage.SENT, Stage.FINALIZED, Stage.COMMITTED))
TOKEN_ROLES: Final = ("fee_token", "token")
NEW_AMONG: Final = 5_000  # accounts that are looked up one by one to tell new ones; beyond, it is not told
RECENT: Final = 1_000  # deliveries that tell what is usual on a lane
PAYLOADS_AT_MOST: Final = 100_000  # the newest are compared with each other: each is a row of a kilobyte to read
_FETCH: Final = 20_000

_message, _lane, _sighting, _contract = tables.message, tables.lane, tables.sighting, tables.contract


@dataclass(frozen=True, slots=True)
class Scope:
    """Messages sent in a period on some lanes; None means all."""

    period: Period
    lanes: tuple[int, ...] | None = None

    @property
    def before(self) -> Scope:
        return Scope(self.period.before, self.lanes)

    def where(self) -> Any:
        within = and_(_message.c.time >= self.period.start, _message.c.time < self.period.end)
        return within if self.lanes is None else and_(within, _message.c.lane_id.in_(self.lanes))


class Payloads(NamedTuple):
    """What payloads tell: groups of equal ones, and updates that were delivered more than once (ids)."""

    known: int
    same: int
    largest: int
    updates: tuple[tuple[str, ...], ...]


# ---- lanes and chains -----------------------------------------------------------------------------------------------


def chain_ends(connection: Connection) -> list[ChainEnd]:
    """Every end of every lane, once."""
    found: dict[ChainEnd, None] = {}
    for lane in read_lanes(connection, select(_lane).order_by(_lane.c.source_name, _lane.c.id)):
        names = lane.names
        found[ChainEnd(lane.key.source, names.source, names.source_chain)] = None
        found[ChainEnd(lane.key.destination, names.destination, names.destination_chain)] = None
    return list(found)


def scope_lanes(connection: Connection) -> dict[int, Lane]:
    """All lanes by number."""
    return {lane.id: lane for lane in read_lanes(connection, select(_lane).order_by(_lane.c.id))}


def token_names(connection: Connection) -> dict[tuple[int, str], tuple[str, int]]:
    """(chain id, address) -> symbol and decimals of the fee tokens that a protocol has looked up."""
    found = {}
    for row in connection.execute(select(_contract).where(_contract.c.role.in_(TOKEN_ROLES))):
        details = msgspec.json.decode(row.details)
        if str(details.get("decimals", "")).isdigit() and details.get("symbol"):
            found[row.chain_id, row.address] = str(details["symbol"]), int(details["decimals"])
    return found


def access_contracts(connection: Connection, protocol: str | None = None) -> list[Contract]:
    """The contracts whose events are read, fee tokens left out."""
    query = select(_contract).where(_contract.c.role.not_in(TOKEN_ROLES))
    if protocol is not None:
        query = query.where(_contract.c.protocol == protocol)
    rows = connection.execute(query.order_by(_contract.c.chain_id, _contract.c.role, _contract.c.address))
    return [Contract(row.chain_id, row.address, row.role, row.version) for row in rows]


def data_from(connection: Connection) -> int | None:
    """Time of the oldest message."""
    value: int | None = connection.execute(select(func.min(_message.c.time))).scalar()
    return value


# ---- all of them ----------------------------------------------------------------------------------------------------


def read_rows(connection: Connection, scope: Scope) -> Iterator[Sequence[Any]]:
    """Every message of the scope in the order of time, in parts: rows of `tally.COLUMNS`."""
    columns = [_message.c[name] for name in COLUMNS]
    # Truth values as the driver has them: converting each costs more than counting it.
    plain = [type_coerce(item, Integer) if isinstance(item.type, Boolean) else item for item in columns]
    query = select(*plain).where(scope.where()).order_by(_message.c.time, _message.c.no)
    return connection.execute(query.execution_options(yield_per=_FETCH)).partitions()


def brief(connection: Connection, numbers: Sequence[int]) -> dict[int, Any]:
    """Id, lane, sequence, stage and time of messages by number."""
    found = {}
    for some in chunks(list(numbers)):
        for row in connection.execute(select(_message.c.no, *_BRIEF).where(_message.c.no.in_(some))):
            found[row.no] = row
    return found


def waiting_for_a_hand(connection: Connection, scope: Scope) -> list[tuple[int, int, int]]:
    """(lane id, time, messages) of those that nobody executes by himself and that are not executed; there are few."""
    query = (
        select(_message.c.lane_id, _message.c.time, func.count())
        .where(_message.c.by_hand == true(), _message.c.stage.in_(OPEN))
        # In words that no other index fits: theirs holds these alone.
        .where((_message.c.time + 0).between(scope.period.start, scope.period.end - 1))
        .group_by(_message.c.lane_id, _message.c.time)
    )
    if scope.lanes is not None:
        query = query.where(_message.c.lane_id.in_(scope.lanes))
    return [(lane_id, time, count) for lane_id, time, count in connection.execute(query)]


def recent_stages(connection: Connection, scope: Scope, since: int) -> list[tuple[int, str, int, int]]:
    """(lane, stage, time, messages) of what was sent from `since` on: too young, perhaps, to be judged."""
    query = (
        select(_message.c.lane_id, _message.c.stage, _message.c.time, func.count())
        .where(scope.where(), _message.c.time >= since)
        .group_by(_message.c.lane_id, _message.c.stage, _message.c.time)
    )
    return [(row[0], row[1], row[2], row[3]) for row in connection.execute(query)]


# ---- latencies ------------------------------------------------------------------------------------------------------

_ENDS: Final[Mapping[str, tuple[Any, Any]]] = {
    "finality": (_message.c.sent_time, _message.c.finalized_time),
    "commit": (_message.c.sent_time, _message.c.committed_time),
    "execution": (_message.c.committed_time, _message.c.executed_time),
    "total": (_message.c.sent_time, _message.c.executed_time),
}


def _span(name: str) -> tuple[Any, Any]:
    """The seconds of a span, and the condition that both of its ends are known."""
    start, end = _ENDS[name]
    known = and_(start.is_not(None), end.is_not(None))
    ran = name in ("execution", "total")
    return end - start, and_(known, _message.c.stage.in_(DELIVERED)) if ran else known


def recent_totals(connection: Connection, lane_id: int, name: str = "total", limit: int = RECENT) -> Counter[int]:
    """Seconds that the newest deliveries of a lane took: what is usual there now."""
    seconds, known = _span(name)
    newest = (
        select(seconds.label("seconds"))
        .where(_message.c.lane_id == lane_id, _message.c.stage == Stage.EXECUTED.value, known)
        .order_by(_message.c.time.desc(), _message.c.no.desc())
        .limit(limit)
    )
    return Counter(max(value, 0) for value in connection.execute(newest).scalars())


# ---- examples -------------------------------------------------------------------------------------------------------


_BRIEF: Final = (
    _message.c.id,
    _message.c.lane_id,
    _message.c.sequence,
    _message.c.stage,
    _message.c.time,
)


def oldest_open(connection: Connection, scope: Scope, before: Mapping[int, int], limit: int) -> tuple[int, list[Any]]:
    """How many messages of each lane are on their way and were sent before a time, and the oldest of them. What waits
    for a hand is on no way.
    """
    found: list[Any] = []
    overdue = 0
    whole = and_(scope.where(), _message.c.by_hand.is_(None))
    for lane, time in before.items():
        for stage in OPEN:
            where = and_(whole, _message.c.lane_id == lane, _message.c.stage == stage, _message.c.time < time)
            overdue += connection.execute(select(func.count()).select_from(_message).where(where)).scalar_one()
            found += connection.execute(select(*_BRIEF).where(where).order_by(_message.c.time).limit(limit)).all()
    found.sort(key=lambda row: row.time)
    return overdue, found[:limit]


def examples(connection: Connection, scope: Scope, condition: Mapping[str, Any], limit: int) -> tuple[str, ...]:
    """Ids of the newest messages whose columns have these values."""
    where = and_(scope.where(), *(_message.c[name] == value for name, value in condition.items()))
    query = select(_message.c.id).where(where).order_by(_message.c.time.desc(), _message.c.no.desc()).limit(limit)
    return tuple(connection.execute(query).scalars())


# ---- who ------------------------------------------------------------------------------------------------------------


def seen_before(connection: Connection, column: str, accounts: Sequence[str], start: int) -> set[str]:
    """Those of the accounts that a message before `start` names: one look into an index each."""
    of = _message.c[column]
    known: set[str] = set()
    for some in chunks(list(accounts)):
        names = select(of).distinct().where(of.in_(some)).subquery("names")
        earlier = exists().where(of == names.c[column], _message.c.time < start)
        known.update(connection.execute(select(names.c[column]).where(earlier)).scalars())
    return known


def malformed_ever(connection: Connection) -> int:
    """Logs that were not what their signature says, of all protocols, since the database was begun."""
    return sum(
        int(total.value)
        for total in read_totals(connection)
        if total.metric.endswith("_errors_total") and total.labels.get("class") == "malformed_log"
    )


# ---- twice ----------------------------------------------------------------------------------------------------------


def delivered_twice(connection: Connection, scope: Scope, limit: int) -> tuple[str, ...]:
    """Ids of messages with more than one successful execution on the canonical chain."""
    query = select(_message.c.no, _message.c.id).where(scope.where(), _message.c.attempts > 1)
    found: list[str] = []
    for some in chunks(connection.execute(query).all()):
        names = {row.no: row.id for row in some}
        runs: Counter[int] = Counter()
        told = select(_sighting.c.message_no, _sighting.c.body).where(
            _sighting.c.message_no.in_(list(names)), _sighting.c.live
        )
        for row in connection.execute(told):
            body = msgspec.json.decode(row.body)
            runs[row.message_no] += body["type"] == "executed" and body["succeeded"]
        found += [names[no] for no, times in runs.items() if times > 1]
    return tuple(found[:limit])


class _FeePart(msgspec.Struct):
    part: str = "unknown"
    amount: str = "0"


class _Details(msgspec.Struct):
    data: str = ""
    fees: list[_FeePart] = []


class _Sent(msgspec.Struct):
    details: _Details = msgspec.field(default_factory=_Details)


_read_sent = msgspec.json.Decoder(_Sent).decode


def _sends(connection: Connection, scope: Scope, limit: int) -> Iterator[Any]:
    """Id, stage, accounts, lane and body of the newest sends in the period."""
    newest = (
        select(
            _message.c.no, _message.c.id, _message.c.stage, _message.c.sender, _message.c.receiver, _message.c.lane_id
        )
        .add_columns(_message.c.sent_tx, _message.c.fee_token)
        .where(scope.where(), _message.c.sent_tx.is_not(None))
        .order_by(_message.c.time.desc(), _message.c.no.desc())
        .limit(limit)
        .subquery("newest")
    )
    query: Select[Any] = (
        select(newest, _sighting.c.body)
        .join(_sighting, (_sighting.c.message_no == newest.c.no) & (_sighting.c.tx == newest.c.sent_tx))
        .where(_sighting.c.live)
        .execution_options(yield_per=_FETCH)
    )
    return iter(connection.execute(query))


def fee_parts(
    connection: Connection, scope: Scope, lanes: Collection[int], newest: int = PAYLOADS_AT_MOST
) -> dict[tuple[int, str, str], tuple[int, int]]:
    """What fees are made of: messages and base units by lane, token and part ("ccv", "executor", …), over the newest
    sends of these lanes in the period.
    """
    found: dict[tuple[int, str, str], tuple[int, int]] = {}
    if not lanes:
        return found
    for row in _sends(connection, replace(scope, lanes=tuple(lanes)), newest):
        sums: Counter[str] = Counter()
        for part in _read_sent(row.body).details.fees:
            sums[part.part] += int(part.amount) if part.amount.isdecimal() else 0
        for name, amount in sums.items():
            messages, paid = found.get((row.lane_id, row.fee_token, name), (0, 0))
            found[row.lane_id, row.fee_token, name] = messages + 1, paid + amount
    return found


def payloads(
    connection: Connection,
    scope: Scope,
    identify: Callable[[str], str | None],
    *,
    told: Callable[[int], None] = lambda _: None,
    newest: int = PAYLOADS_AT_MOST,
    limit: int = 20,
) -> Payloads:
    """Compare the newest payloads with each other.

    Args:
        identify: What a payload is a round of ("feed and round"), None for what is no price update.
        told: Hears how many have been read.
        limit: Groups of updates delivered twice to name.
    """
    groups: Counter[bytes] = Counter()
    updates: dict[tuple[str, str], list[str]] = {}
    known = 0
    for row in _sends(connection, scope, newest):
        data = _read_sent(row.body).details.data
        if not data:
            continue
        known += 1
        if known % _FETCH == 0:
            told(known)
        groups[blake2b(f"{row.sender}{row.receiver}{data}".encode(), digest_size=12).digest()] += 1
        if row.stage in DELIVERED and (name := identify(data)) is not None:
            updates.setdefault((f"{row.lane_id} {row.receiver}", name), []).append(row.id)
    same = [count for count in groups.values() if count > 1]
    twice = [tuple(ids) for ids in updates.values() if len(ids) > 1]
    return Payloads(known, len(same), max(same, default=0), tuple(twice[:limit]))
