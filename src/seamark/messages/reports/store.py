"""What reports ask of the ledger: aggregates over the messages sent in a period, and a few examples.

Sums and counts are made by the database; what comes back is as small as the number of lanes, hours and different
seconds, however many messages there are. Fees are text of up to 78 digits, which no database of ours adds exactly: they
are cut into limbs of a few digits, added as integers, and put together here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import BigInteger, Connection, Float, Select, and_, case, cast, exists, func, literal, select

from seamark.messages.model import Stage
from seamark.messages.reports.model import ChainEnd, Contract, Party, Period
from seamark.messages.store import tables
from seamark.messages.store.lanes import Lane, read_lanes
from seamark.storage.bulk import chunks
from seamark.storage.totals import read_totals

__all__ = [
    "DELIVERED",
    "OPEN",
    "PAYLOADS_AT_MOST",
    "FeeRow",
    "Payloads",
    "Scope",
    "SizeRow",
    "StageRow",
    "access_contracts",
    "chain_ends",
    "count_failures",
    "count_sizes",
    "count_stages",
    "count_steps",
    "data_from",
    "delivered_twice",
    "examples",
    "habits",
    "latencies",
    "latencies_by_step",
    "malformed_ever",
    "oldest_open",
    "parties",
    "payloads",
    "recent_stages",
    "recent_totals",
    "scope_lanes",
    "slowest",
    "sum_fees",
    "token_names",
]

DELIVERED: Final = ("executed", "recovered")
OPEN: Final = tuple(stage.value for stage in (Stage.SENT, Stage.FINALIZED, Stage.COMMITTED))
LIMB_DIGITS: Final = 11  # the sum over ten million messages still fits 63 bits
LIMBS: Final = 3  # 33 digits: more than any fee that somebody has paid; longer ones are left out as forged
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


class StageRow(NamedTuple):
    """Messages of a lane in a stage, and some of their traits."""

    lane_id: int
    stage: str
    messages: int
    by_hand: int
    no_callback: int
    retried: int


class FeeRow(NamedTuple):
    """Fees of a lane in a token, in base units of the token and of LINK, sent within one step of a chart."""

    lane_id: int
    token: str
    step: int
    messages: int
    amount: int
    juels: int


class SizeRow(NamedTuple):
    """Messages of a lane with a payload of some size; how many tell a fee in LINK, the fees' sum and sum of squares."""

    lane_id: int
    size: int
    messages: int
    priced: int
    fees: float
    squares: float


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


# ---- counts ---------------------------------------------------------------------------------------------------------


def _count_if(condition: Any) -> Any:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def count_stages(connection: Connection, scope: Scope) -> list[StageRow]:
    """Messages by lane and stage."""
    query = (
        select(
            _message.c.lane_id,
            _message.c.stage,
            func.count(),
            _count_if(_message.c.manual.is_(True)),
            _count_if(and_(_message.c.callback.is_(False), _message.c.stage.in_(DELIVERED))),
            _count_if(_message.c.attempts > 1),
        )
        .where(scope.where())
        .group_by(_message.c.lane_id, _message.c.stage)
    )
    return [StageRow(*(int(x) if i != 1 else x for i, x in enumerate(row))) for row in connection.execute(query)]  # type: ignore[arg-type]


def recent_stages(connection: Connection, scope: Scope, since: int) -> list[tuple[int, str, int, int]]:
    """(lane, stage, time, messages) of what was sent from `since` on: too young, perhaps, to be judged."""
    query = (
        select(_message.c.lane_id, _message.c.stage, _message.c.time, func.count())
        .where(scope.where(), _message.c.time >= since)
        .group_by(_message.c.lane_id, _message.c.stage, _message.c.time)
    )
    return [(row[0], row[1], row[2], row[3]) for row in connection.execute(query)]


def count_steps(connection: Connection, scope: Scope, step_s: int) -> list[tuple[int, str, int]]:
    """(start of the step, stage, messages)."""
    step = _message.c.time // literal(step_s, literal_execute=True)
    query = select(step, _message.c.stage, func.count()).where(scope.where()).group_by(step, _message.c.stage)
    return [(int(row[0]) * step_s, row[1], row[2]) for row in connection.execute(query)]


def count_sizes(connection: Connection, scope: Scope) -> list[SizeRow]:
    """Payload sizes by lane with their fees in LINK, of messages whose send was seen."""
    fee = cast(_message.c.fee_juels, Float) / literal(1e18)
    query = (
        select(
            _message.c.lane_id,
            _message.c.size,
            func.count(),
            func.count(_message.c.fee_juels),
            func.coalesce(func.sum(fee), 0.0),
            func.coalesce(func.sum(fee * fee), 0.0),
        )
        .where(scope.where(), _message.c.sent_tx.is_not(None))
        .group_by(_message.c.lane_id, _message.c.size)
    )
    return [SizeRow(row[0], row[1], row[2], row[3], float(row[4]), float(row[5])) for row in connection.execute(query)]


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


def latencies(connection: Connection, scope: Scope, name: str) -> dict[int, Counter[int]]:
    """Messages by lane and seconds of a span; spans that two chains' clocks make negative count as none."""
    seconds, known = _span(name)
    query = (
        select(_message.c.lane_id, seconds, func.count())
        .where(scope.where(), known)
        .group_by(_message.c.lane_id, seconds)
    )
    found: dict[int, Counter[int]] = defaultdict(Counter)
    for lane, value, messages in connection.execute(query):
        found[lane][max(value, 0)] += messages
    return found


def latencies_by_step(connection: Connection, scope: Scope, step_s: int) -> dict[int, Counter[int]]:
    """From send to delivery, by the step of a chart in which it was sent."""
    seconds, known = _span("total")
    step = _message.c.time // literal(step_s, literal_execute=True)
    query = select(step, seconds, func.count()).where(scope.where(), known).group_by(step, seconds)
    found: dict[int, Counter[int]] = defaultdict(Counter)
    for start, value, messages in connection.execute(query):
        found[int(start) * step_s][max(value, 0)] += messages
    return found


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


def slowest(connection: Connection, scope: Scope, bounds: Mapping[int, int], limit: int) -> tuple[int, list[Any]]:
    """How many deliveries took longer than their lane's bound, and the slowest of them."""
    seconds, known = _span("total")
    found: list[Any] = []
    beyond = 0
    for lane, bound in bounds.items():
        where = and_(scope.where(), _message.c.lane_id == lane, known, seconds > bound)
        beyond += connection.execute(select(func.count()).select_from(_message).where(where)).scalar_one()
        query = select(*_BRIEF, seconds.label("seconds")).where(where).order_by(seconds.desc()).limit(limit)
        found += connection.execute(query).all()
    found.sort(key=lambda row: row.seconds, reverse=True)
    return beyond, found[:limit]


def oldest_open(connection: Connection, scope: Scope, before: Mapping[int, int], limit: int) -> tuple[int, list[Any]]:
    """How many messages of each lane are on their way and were sent before a time, and the oldest of them."""
    found: list[Any] = []
    overdue = 0
    for lane, time in before.items():
        for stage in OPEN:
            where = and_(scope.where(), _message.c.lane_id == lane, _message.c.stage == stage, _message.c.time < time)
            overdue += connection.execute(select(func.count()).select_from(_message).where(where)).scalar_one()
            found += connection.execute(select(*_BRIEF).where(where).order_by(_message.c.time).limit(limit)).all()
    found.sort(key=lambda row: row.time)
    return overdue, found[:limit]


def count_failures(connection: Connection, scope: Scope, limit: int) -> list[Any]:
    """Failed deliveries by class and words (`reason`, `error`, `messages`), most first."""
    count = func.count().label("messages")
    query = (
        select(_message.c.reason, _message.c.error, count)
        .where(scope.where(), _message.c.stage == Stage.FAILED.value)
        .group_by(_message.c.reason, _message.c.error)
        .order_by(count.desc(), _message.c.error)
        .limit(limit)
    )
    return list(connection.execute(query).all())


def examples(connection: Connection, scope: Scope, condition: Mapping[str, Any], limit: int) -> tuple[str, ...]:
    """Ids of the newest messages whose columns have these values."""
    where = and_(scope.where(), *(_message.c[name] == value for name, value in condition.items()))
    query = select(_message.c.id).where(where).order_by(_message.c.time.desc(), _message.c.no.desc()).limit(limit)
    return tuple(connection.execute(query).scalars())


# ---- fees -----------------------------------------------------------------------------------------------------------


def _limbs(column: Any) -> list[Any]:
    """Sums of groups of digits, from the right."""
    padded = literal("0" * (LIMBS * LIMB_DIGITS)) + column
    length = func.length(padded)
    return [
        func.sum(cast(func.substr(padded, length - LIMB_DIGITS * (index + 1) + 1, LIMB_DIGITS), BigInteger))
        for index in range(LIMBS)
    ]


def _whole(limbs: Sequence[Any]) -> int:
    return sum(int(limb or 0) * 10 ** (LIMB_DIGITS * index) for index, limb in enumerate(limbs))


def sum_fees(connection: Connection, scope: Scope, step_s: int) -> list[FeeRow]:
    """Fees by lane, token and step of a chart; of messages whose protocol tells one."""
    step = _message.c.time // literal(step_s, literal_execute=True)
    juels = func.coalesce(_message.c.fee_juels, "0")
    sane = and_(
        _message.c.fee_token != "",
        func.length(_message.c.fee_amount) <= LIMBS * LIMB_DIGITS,
        func.length(juels) <= LIMBS * LIMB_DIGITS,
    )
    query = (
        select(
            _message.c.lane_id,
            _message.c.fee_token,
            step,
            func.count(),
            *_limbs(_message.c.fee_amount),
            *_limbs(juels),
        )
        .where(scope.where(), sane)
        .group_by(_message.c.lane_id, _message.c.fee_token, step)
    )
    return [
        FeeRow(row[0], row[1], int(row[2]) * step_s, row[3], _whole(row[4 : 4 + LIMBS]), _whole(row[4 + LIMBS :]))
        for row in connection.execute(query)
    ]


def habits(connection: Connection, scope: Scope, *, least: int, window_s: int, limit: int) -> list[Any]:
    """Senders on a lane with many messages: `lane_id`, `sender`, `messages`, and `spans` of time in which they sent."""
    count = func.count().label("messages")
    spans = func.count(func.distinct(_message.c.time // literal(window_s, literal_execute=True))).label("spans")
    query = (
        select(_message.c.lane_id, _message.c.sender, count, spans)
        .where(scope.where(), _message.c.sender != "")
        .group_by(_message.c.lane_id, _message.c.sender, _message.c.receiver)
        .having(count >= least)
        .order_by(count.desc())
        .limit(limit)
    )
    return list(connection.execute(query).all())


# ---- who ------------------------------------------------------------------------------------------------------------


def parties(connection: Connection, scope: Scope, column: str, limit: int) -> tuple[int, list[Party]]:
    """How many different senders or receivers there are, and the busiest of them, new ones first."""
    of = _message.c[column]
    count = func.count().label("messages")
    groups = select(of.label("account"), count).where(scope.where(), of != "").group_by(of)
    rows = connection.execute(groups.order_by(count.desc(), of).limit(NEW_AMONG + 1)).all()
    if len(rows) > NEW_AMONG:
        in_all = connection.execute(select(func.count()).select_from(groups.subquery())).scalar_one()
        return in_all, [Party(row.account, row.messages, None) for row in rows[:limit]]
    known = _seen_before(connection, column, [row.account for row in rows], scope.period.start)
    found = [Party(row.account, row.messages, row.account not in known) for row in rows]
    found.sort(key=lambda item: (not item.new, -item.messages, item.account))
    return len(found), found[:limit]


def _seen_before(connection: Connection, column: str, accounts: Sequence[str], start: int) -> set[str]:
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


class _Details(msgspec.Struct):
    data: str = ""


class _Sent(msgspec.Struct):
    details: _Details = msgspec.field(default_factory=_Details)


_read_sent = msgspec.json.Decoder(_Sent).decode


def _sends(connection: Connection, scope: Scope, limit: int) -> Iterator[Any]:
    """Id, stage, accounts, lane and body of the newest sends in the period."""
    newest = (
        select(
            _message.c.no, _message.c.id, _message.c.stage, _message.c.sender, _message.c.receiver, _message.c.lane_id
        )
        .add_columns(_message.c.sent_tx)
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
