"""Puts a report together from the store's aggregates: one consistent snapshot, one pass per question.

A pass over a million messages takes a second or so; whoever waits hears which one is running.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection

from seamark.messages.model import Stage
from seamark.messages.reports import access, rules, store
from seamark.messages.reports.model import (
    SPANS,
    Bucket,
    Comparison,
    Cost,
    ErrorKind,
    Formats,
    LaneReport,
    Outlier,
    Period,
    Replays,
    Report,
    SizeAnomaly,
    Suggestion,
    Totals,
)
from seamark.messages.store.lanes import Lane

__all__ = ["Question", "build_report"]

OUTLIERS: Final = 10
ERRORS: Final = 20
EXAMPLES: Final = 3
PARTIES: Final = 10
TWICE: Final = 20
SIZES: Final = 12
HABITS: Final = 5
STEPS: Final = 9

Distributions = Mapping[int, Counter[int]]


def _no_update(_payload: str) -> str | None:
    return None


def _silent(_what: str, _share: float) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Question:
    """What to report on.

    Args:
        lanes: Numbers of the lanes; None: all.
        lanes_chosen: The same in words, for the title.
        identify: What a payload is a round of; None for what is no price update.
        payloads: How many of the newest payloads to compare with each other.
        told: Hears what is being counted, and how much of all is done (0 to 1).
    """

    period: Period
    now: int
    lanes: tuple[int, ...] | None = None
    lanes_chosen: str = ""
    identify: Callable[[str], str | None] = _no_update
    told: Callable[[str, float], None] = _silent
    compare: bool = True
    payloads: int = store.PAYLOADS_AT_MOST


@dataclass(slots=True)
class _Work:
    """What passes share."""

    connection: Connection
    question: Question
    scope: store.Scope
    lanes: dict[int, Lane]
    done: int = 0
    spans: dict[str, Distributions] = field(default_factory=dict)
    usual: Distributions = field(default_factory=dict)

    def begin(self, what: str) -> None:
        self.question.told(what, self.done / STEPS)
        self.done += 1

    def name(self, lane_id: int) -> str:
        names = self.lanes[lane_id].names
        return f"{names.source} → {names.destination}"

    def matures(self, lane_id: int) -> int:
        return rules.matures_after(self.usual.get(lane_id, {}))


def build_report(connection: Connection, question: Question) -> Report:
    """Read everything; inside one read of the database."""
    scope = store.Scope(question.period, question.lanes)
    work = _Work(connection, question, scope, store.scope_lanes(connection))
    work.begin("latencies")
    work.spans = {name: store.latencies(connection, scope, name) for name in SPANS}
    work.begin("the period before")
    earlier = store.latencies(connection, scope.before, "total") if question.compare else {}
    totals = work.spans["total"]
    work.usual = {lane: rules.merged((totals.get(lane, {}), earlier.get(lane, {}))) for lane in {*totals, *earlier}}
    work.begin("stages")
    by_lane = _totals(work, scope)
    lanes = tuple(_lane(work, lane_id, by_lane[lane_id]) for lane_id in sorted(by_lane, key=work.name))
    work.begin("fees")
    fees = store.sum_fees(connection, scope, question.period.bucket_s)
    fees_before = store.sum_fees(connection, scope.before, question.period.length) if question.compare else []
    work.begin("throughput")
    hours = store.count_steps(connection, scope, rules.HOUR_S)
    buckets = _buckets(work, fees, hours)
    work.begin("outliers and errors")
    more, outliers = _outliers(work)
    errors = _errors(work)
    work.begin("who")
    senders_in_all, senders = store.parties(connection, scope, "sender", PARTIES)
    receivers_in_all, receivers = store.parties(connection, scope, "receiver", PARTIES)
    changes = access.list_changes(connection, scope)
    work.begin("payloads")
    sizes = store.count_sizes(connection, scope)
    formats, suggestions = _formats(work, sizes), _suggestions(work, fees, sizes)
    whole = _sum(by_lane.values())
    replays = _replays(work, whole)
    report = Report(
        made=question.now,
        period=question.period,
        lanes_chosen=question.lanes_chosen,
        totals=whole,
        success_rate=whole.success_rate,
        latencies=_latencies(work, None),
        fees_juels=str(sum(row.juels for row in fees)),
        before=_before(work, earlier, fees_before) if question.compare else None,
        lanes=lanes,
        buckets=buckets,
        hours=_by_hour(hours),
        peak_hour=_peak(hours, rules.HOUR_S),
        peak_day=_peak(hours, rules.DAY_S),
        outliers=outliers,
        outliers_more=more,
        costs=_costs(work, fees, fees_before),
        errors=errors,
        access=changes.shown,
        access_more=changes.more,
        contracts=tuple(store.access_contracts(connection)),
        senders=tuple(senders),
        receivers=tuple(receivers),
        senders_in_all=senders_in_all,
        receivers_in_all=receivers_in_all,
        formats=formats,
        replays=replays,
        suggestions=suggestions,
        data_from=store.data_from(connection),
    )
    question.told("done", 1.0)
    return report


# ---- totals and lanes -----------------------------------------------------------------------------------------------


def _totals(work: _Work, scope: store.Scope) -> dict[int, Totals]:
    """By lane."""
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    for row in store.count_stages(work.connection, scope):
        count = counts[row.lane_id]
        count["sent"] += row.messages
        count[_kind(row.stage)] += row.messages
        count["by_hand"] += row.by_hand
        count["no_callback"] += row.no_callback
        count["retried"] += row.retried
    for lane_id, count in counts.items():
        count["succeeded"] = count["delivered"]
        count["matured"] = count["delivered"] + count["failed"] + count["open"]
        if not work.lanes[lane_id].names.destination_watched:
            count["matured"] = count["succeeded"] = 0  # what becomes of its messages is not seen
    longest = max((work.matures(lane_id) for lane_id in counts), default=0)
    if scope.period.end > work.question.now - longest:
        for lane_id, stage, time, messages in store.recent_stages(work.connection, scope, work.question.now - longest):
            if time <= work.question.now - work.matures(lane_id) or not counts[lane_id]["matured"]:
                continue
            kind = _kind(stage)
            counts[lane_id]["matured"] -= messages * (kind != "retracted")
            counts[lane_id]["succeeded"] -= messages * (kind == "delivered")
    return {lane_id: Totals(**count) for lane_id, count in counts.items()}


def _kind(stage: str) -> str:
    if stage in store.DELIVERED:
        return "delivered"
    return "open" if stage in store.OPEN else stage


def _sum(parts: Iterable[Totals]) -> Totals:
    whole: Counter[str] = Counter()
    for part in parts:
        whole.update({name: getattr(part, name) for name in part.__struct_fields__})
    return Totals(**whole)


def _latencies(work: _Work, lane_id: int | None) -> dict[str, Any]:
    """By span; of all lanes where none is given."""
    found = {}
    for name, lanes in work.spans.items():
        counts = rules.merged(lanes.values()) if lane_id is None else lanes.get(lane_id, Counter())
        if (latency := rules.latency_of(counts)) is not None:
            found[name] = latency
    return found


def _lane(work: _Work, lane_id: int, totals: Totals) -> LaneReport:
    lane = work.lanes[lane_id]
    return LaneReport(
        protocol=lane.key.protocol,
        version=lane.version,
        source=lane.names.source,
        destination=lane.names.destination,
        channel=lane.key.channel,
        destination_watched=lane.names.destination_watched,
        totals=totals,
        success_rate=totals.success_rate,
        latencies=_latencies(work, lane_id),
        matures_after=work.matures(lane_id),
    )


def _before(work: _Work, earlier: Distributions, fees: Sequence[store.FeeRow]) -> Comparison | None:
    scope = work.scope.before
    totals = _sum(_totals(work, scope).values())
    if not totals.sent:
        return None
    latency = rules.latency_of(rules.merged(earlier.values()))
    return Comparison(
        sent=totals.sent,
        success_rate=totals.success_rate,
        average=latency.average if latency else None,
        p50=latency.p50 if latency else None,
        p95=latency.p95 if latency else None,
        p99=latency.p99 if latency else None,
        fees_juels=str(sum(row.juels for row in fees)),
    )


# ---- time -----------------------------------------------------------------------------------------------------------


def _buckets(work: _Work, fees: Sequence[store.FeeRow], hours: Sequence[tuple[int, str, int]]) -> tuple[Bucket, ...]:
    """Every step of the period, also empty ones."""
    period = work.question.period
    step_s = period.bucket_s
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    whole_hours = step_s % rules.HOUR_S == 0
    steps = hours if whole_hours else store.count_steps(work.connection, work.scope, step_s)
    for start, stage, messages in steps:
        counts[start // step_s * step_s][_kind(stage)] += messages
    spent = store.latencies_by_step(work.connection, work.scope, step_s)
    juels: Counter[int] = Counter()
    for row in fees:
        juels[row.step] += row.juels
    first = period.start // step_s * step_s
    return tuple(
        Bucket(
            start=start,
            sent=sum(counts[start].values()),
            delivered=counts[start]["delivered"],
            failed=counts[start]["failed"],
            open=counts[start]["open"],
            p50=rules.percentile(spent.get(start, {}), 0.5),
            p95=rules.percentile(spent.get(start, {}), 0.95),
            fees_juels=str(juels[start]),
        )
        for start in range(first, period.end, step_s)
    )


def _by_hour(hours: Sequence[tuple[int, str, int]]) -> tuple[int, ...]:
    """Messages by the hour of the day in UTC, 24 numbers."""
    found: Counter[int] = Counter()
    for start, _, messages in hours:
        found[start % rules.DAY_S // rules.HOUR_S] += messages
    return tuple(found[hour] for hour in range(24))


def _peak(hours: Sequence[tuple[int, str, int]], step_s: int) -> tuple[int, int] | None:
    """Start of the busiest hour or day, and its messages; the first of equals."""
    found: Counter[int] = Counter()
    for start, _, messages in hours:
        found[start // step_s * step_s] += messages
    return max(found.items(), key=lambda item: (item[1], -item[0]), default=None)


# ---- what is unusual ------------------------------------------------------------------------------------------------


def _outliers(work: _Work) -> tuple[int, tuple[Outlier, ...]]:
    """The worst, and how many more there are: deliveries far out for their lane, and messages overdue now."""
    bounds = {lane: bound for lane, counts in work.usual.items() if (bound := rules.bound_of(counts)) is not None}
    slow, late = store.slowest(work.connection, work.scope, bounds, OUTLIERS)
    now = work.question.now
    watched = [lane for lane, item in work.lanes.items() if item.names.destination_watched]
    if work.scope.lanes is not None:
        watched = [lane for lane in watched if lane in work.scope.lanes]
    due = {lane: now - work.matures(lane) for lane in watched}
    overdue, stuck = store.oldest_open(work.connection, work.scope, due, OUTLIERS)
    found = [_outlier(work, row, now - row.time, work.matures(row.lane_id)) for row in stuck]
    found += [_outlier(work, row, row.seconds, bounds[row.lane_id]) for row in late]
    return max(slow + overdue - OUTLIERS, 0), tuple(found[:OUTLIERS])


def _outlier(work: _Work, row: Any, seconds: int, bound: int) -> Outlier:
    names = work.lanes[row.lane_id].names
    return Outlier(
        id=row.id,
        source=names.source,
        destination=names.destination,
        sequence=row.sequence,
        stage=row.stage,
        seconds=seconds,
        bound=bound,
        sent=row.time,
    )


def _errors(work: _Work) -> tuple[ErrorKind, ...]:
    found = []
    for row in store.count_failures(work.connection, work.scope, ERRORS):
        condition = {"stage": Stage.FAILED.value, "reason": row.reason, "error": row.error}
        ids = store.examples(work.connection, work.scope, condition, EXAMPLES)
        found.append(ErrorKind(reason=row.reason, cause=row.error, messages=row.messages, examples=ids))
    return tuple(found)


def _formats(work: _Work, rows: Sequence[store.SizeRow]) -> Formats:
    by_lane: dict[int, Counter[int]] = defaultdict(Counter)
    for row in rows:
        by_lane[row.lane_id][row.size] += row.messages
    odd: list[tuple[int, int, int, int]] = []  # lane, size, usual, messages
    for lane_id, counts in by_lane.items():
        usual, sizes = rules.unusual_sizes(counts)
        odd += [(lane_id, size, usual, counts[size]) for size in sizes]
    odd.sort(key=lambda item: (-item[1], item[0]))  # the largest first: those that cost
    contracts = store.access_contracts(work.connection)
    return Formats(
        sizes=tuple(_size(work, *item) for item in odd[:SIZES]),
        sizes_more=max(len(odd) - SIZES, 0),
        conflicting=store.examples(work.connection, work.scope, {"conflicting": True}, TWICE),
        unsupported=tuple(item for item in contracts if item.role == "unsupported"),
        malformed_ever=store.malformed_ever(work.connection),
    )


def _size(work: _Work, lane_id: int, size: int, usual: int, messages: int) -> SizeAnomaly:
    names = work.lanes[lane_id].names
    ids = store.examples(work.connection, work.scope, {"lane_id": lane_id, "size": size}, EXAMPLES)
    return SizeAnomaly(
        source=names.source,
        destination=names.destination,
        size=size,
        usual=usual,
        messages=messages,
        examples=ids,
    )


def _replays(work: _Work, whole: Totals) -> Replays:
    compared = min(whole.sent, work.question.payloads)

    def told(read: int) -> None:
        work.question.told(f"payloads: {read:,} of {compared:,}", (STEPS - 1 + min(read / max(compared, 1), 1)) / STEPS)

    found = store.payloads(
        work.connection,
        work.scope,
        work.question.identify,
        told=told,
        newest=work.question.payloads,
        limit=TWICE,
    )
    return Replays(
        checked=whole.sent,
        attempts=whole.retried,
        twice=store.delivered_twice(work.connection, work.scope, TWICE),
        updates=found.updates,
        same_payload=found.same,
        largest=found.largest,
        payloads_known=found.known,
    )


# ---- fees -----------------------------------------------------------------------------------------------------------


def _costs(work: _Work, fees: Sequence[store.FeeRow], before: Sequence[store.FeeRow]) -> tuple[Cost, ...]:
    """By the chain where they were paid, and token; the dearest first."""
    names = store.token_names(work.connection)
    now_sums, earlier = _by_token(work, fees), _by_token(work, before)
    found = []
    for (chain_id, chain, token), (messages, amount, juels) in now_sums.items():
        symbol, decimals = names.get((chain_id, token), (None, None))
        known = earlier.get((chain_id, chain, token))
        average = amount / messages
        found.append(
            Cost(
                chain=chain,
                token=token,
                symbol=symbol,
                decimals=decimals,
                messages=messages,
                total=str(amount),
                average=str(amount // messages),
                juels=str(juels),
                average_juels=str(juels // messages),
                change=rules.change_of(average, known[1] / known[0]) if known else None,
            )
        )
    return tuple(sorted(found, key=lambda item: (-int(item.juels), -item.messages)))


def _by_token(work: _Work, fees: Sequence[store.FeeRow]) -> dict[tuple[int, str, str], tuple[int, int, int]]:
    sums: dict[tuple[int, str, str], tuple[int, int, int]] = {}
    for row in fees:
        names = work.lanes[row.lane_id].names
        key = (names.source_chain or 0, names.source, row.token)
        messages, amount, juels = sums.get(key, (0, 0, 0))
        sums[key] = messages + row.messages, amount + row.amount, juels + row.juels
    return sums


def _suggestions(work: _Work, fees: Sequence[store.FeeRow], sizes: Sequence[store.SizeRow]) -> tuple[Suggestion, ...]:
    paying: Collection[int] = {row.lane_id for row in fees}
    habits = [
        rules.Habit(work.name(row.lane_id), row.sender, row.messages, row.spans)
        for row in store.habits(
            work.connection, work.scope, least=rules.ENOUGH, window_s=rules.BATCH_WINDOW_S, limit=HABITS
        )
        if row.lane_id in paying
    ]
    shapes = _shapes(work, sizes)
    names = store.token_names(work.connection)
    paid: dict[tuple[int, str], tuple[int, int]] = {}
    for row in fees:
        messages, juels = paid.get((row.lane_id, row.token), (0, 0))
        paid[row.lane_id, row.token] = messages + row.messages, juels + row.juels
    prices = [
        rules.TokenPrice(
            work.name(lane),
            names.get((work.lanes[lane].names.source_chain or 0, token), (token, 0))[0],
            messages,
            juels // messages,
        )
        for (lane, token), (messages, juels) in paid.items()
        if juels
    ]
    return (*rules.suggest_batches(habits), *rules.suggest_payloads(shapes), *rules.suggest_tokens(prices))


def _shapes(work: _Work, rows: Sequence[store.SizeRow]) -> list[rules.FeeShape]:
    """Sums by lane; a size's fees stand for the messages that tell one."""
    sums: dict[int, list[float]] = defaultdict(lambda: [0.0] * 6)
    for row in rows:
        parts = (
            row.priced,
            row.size * row.priced,
            row.fees,
            row.size**2 * row.priced,
            row.size * row.fees,
            row.squares,
        )
        sums[row.lane_id] = [known + part for known, part in zip(sums[row.lane_id], parts, strict=True)]
    return [rules.FeeShape(work.name(lane), int(n), *rest) for lane, (n, *rest) in sums.items()]
