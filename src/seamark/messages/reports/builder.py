"""Puts a report together: one pass over the period, one over the period before, and a few looks by index, all in one
consistent snapshot. Whoever waits hears how far it is.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from seamark.messages.reports import access, rules, store
from seamark.messages.reports.model import (
    Bucket,
    Comparison,
    Cost,
    ErrorKind,
    Formats,
    LaneReport,
    Outlier,
    Party,
    Period,
    Replays,
    Report,
    SizeAnomaly,
    Suggestion,
    Totals,
)
from seamark.messages.reports.tally import COLUMNS, Tally
from seamark.messages.store.lanes import Lane

__all__ = ["Question", "build_report"]

OUTLIERS: Final = 10
ERRORS: Final = 20
EXAMPLES: Final = 3
PARTIES: Final = 10
TWICE: Final = 20
SIZES: Final = 12
PARTY_AT: Final = COLUMNS.index("sender") - 1  # where the two sides are among the columns
HABITS: Final = 5
CHARGED_APART: Final = "2."  # how the versions begin whose fees come in components
PASS: Final = 0.4  # of the whole, for whoever waits
LAST: Final = 0.85  # where payloads are read
TIME: Final = COLUMNS.index("time")

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
    tally: Tally = field(default_factory=lambda: Tally(rules.HOUR_S))
    usual: Distributions = field(default_factory=dict)

    def name(self, lane_id: int) -> str:
        names = self.lanes[lane_id].names
        return f"{names.source} → {names.destination}"

    def matures(self, lane_id: int) -> int:
        return rules.matures_after(self.usual.get(lane_id, {}))


def build_report(connection: Connection, question: Question) -> Report:
    """Read everything; inside one read of the database."""
    scope = store.Scope(question.period, question.lanes)
    work = _Work(connection, question, scope, store.scope_lanes(connection))
    tally = work.tally = _count(work, scope, question.period.bucket_s, "messages", 0.0)
    earlier = _count(work, scope.before, question.period.length, "the period before", 0.4) if question.compare else None
    now_totals = tally.spans["total"]
    before_totals = earlier.spans["total"] if earlier else {}
    work.usual = {
        lane: rules.merged((now_totals.get(lane, {}), before_totals.get(lane, {})))
        for lane in {*now_totals, *before_totals}
    }
    question.told("outliers and errors", 0.8)
    by_lane = _totals(work, scope, tally)
    whole = _sum(by_lane.values())
    more, outliers = _outliers(work)
    changes = access.list_changes(connection, scope)
    senders, senders_in_all = _parties(work, 1)
    receivers, receivers_in_all = _parties(work, 2)
    replays = _replays(work, whole)
    report = Report(
        made=question.now,
        period=question.period,
        lanes_chosen=question.lanes_chosen,
        totals=whole,
        success_rate=whole.success_rate,
        latencies=_latencies(work, None),
        fees_juels=_juels(tally),
        before=_before(work, earlier) if earlier else None,
        lanes=tuple(_lane(work, lane_id, by_lane[lane_id]) for lane_id in sorted(by_lane, key=work.name)),
        buckets=_buckets(work),
        hours=_by_hour(tally),
        peak_hour=_peak(tally, rules.HOUR_S),
        peak_day=_peak(tally, rules.DAY_S),
        outliers=outliers,
        outliers_more=more,
        costs=_costs(work, earlier),
        errors=_errors(work),
        access=changes.shown,
        access_more=changes.more,
        rights=access.list_rights(connection, scope),
        contracts=tuple(store.access_contracts(connection)),
        senders=senders,
        receivers=receivers,
        senders_in_all=senders_in_all,
        receivers_in_all=receivers_in_all,
        formats=_formats(work),
        replays=replays,
        suggestions=_suggestions(work),
        data_from=store.data_from(connection),
    )
    question.told("done", 1.0)
    return report


def _count(work: _Work, scope: store.Scope, bucket_s: int, what: str, share: float) -> Tally:
    """One pass; tells how far it is by the time of the newest row."""
    tally = Tally(bucket_s)
    work.question.told(what, share)
    for rows in store.read_rows(work.connection, scope):
        tally.add(rows)
        reached = (rows[-1][TIME] - scope.period.start) / scope.period.length
        work.question.told(f"{what}: {tally.messages:,}", share + PASS * reached)
    return tally


# ---- totals and lanes -----------------------------------------------------------------------------------------------


def _totals(work: _Work, scope: store.Scope, tally: Tally) -> dict[int, Totals]:
    """By lane."""
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    for (lane_id, stage), (messages, by_hand, no_callback, retried) in tally.stages.items():
        count = counts[lane_id]
        count["sent"] += messages
        count[_kind(stage)] += messages
        count["by_hand"] += by_hand
        count["no_callback"] += no_callback
        count["retried"] += retried
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
    for lane_id, time, messages in store.waiting_for_a_hand(work.connection, scope):
        if counts[lane_id]["matured"] and time <= work.question.now - work.matures(lane_id):
            counts[lane_id]["matured"] -= messages  # nobody was to execute them
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
    for name, lanes in work.tally.spans.items():
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


def _before(work: _Work, earlier: Tally) -> Comparison | None:
    if not earlier.messages:
        return None
    totals = _sum(_totals(work, work.scope.before, earlier).values())
    latency = rules.latency_of(rules.merged(earlier.spans["total"].values()))
    return Comparison(
        sent=totals.sent,
        success_rate=totals.success_rate,
        average=latency.average if latency else None,
        p50=latency.p50 if latency else None,
        p95=latency.p95 if latency else None,
        p99=latency.p99 if latency else None,
        fees_juels=_juels(earlier),
    )


def _juels(tally: Tally) -> str:
    return str(sum(juels for _, _, juels in tally.fees.values()))


# ---- time -----------------------------------------------------------------------------------------------------------


def _buckets(work: _Work) -> tuple[Bucket, ...]:
    """Every step of the period, also empty ones."""
    period, tally = work.question.period, work.tally
    step_s = period.bucket_s
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    for (start, stage), messages in tally.steps.items():
        counts[start // step_s * step_s][_kind(stage)] += messages
    juels: Counter[int] = Counter()
    for (_, _, step), sums in tally.fees.items():
        juels[step] += sums[2]
    first = period.start // step_s * step_s
    return tuple(
        Bucket(
            start=start,
            sent=sum(counts[start].values()),
            delivered=counts[start]["delivered"],
            failed=counts[start]["failed"],
            open=counts[start]["open"],
            p50=rules.percentile(tally.latency.get(start, {}), 0.5),
            p95=rules.percentile(tally.latency.get(start, {}), 0.95),
            fees_juels=str(juels[start]),
        )
        for start in range(first, period.end, step_s)
    )


def _by_hour(tally: Tally) -> tuple[int, ...]:
    """Messages by the hour of the day in UTC, 24 numbers."""
    found: Counter[int] = Counter()
    for (start, _), messages in tally.steps.items():
        found[start % rules.DAY_S // rules.HOUR_S] += messages
    return tuple(found[hour] for hour in range(24))


def _peak(tally: Tally, step_s: int) -> tuple[int, int] | None:
    """Start of the busiest hour or day, and its messages; the first of equals."""
    found: Counter[int] = Counter()
    for (start, _), messages in tally.steps.items():
        found[start // step_s * step_s] += messages
    return max(found.items(), key=lambda item: (item[1], -item[0]), default=None)


# ---- what is unusual ------------------------------------------------------------------------------------------------


def _outliers(work: _Work) -> tuple[int, tuple[Outlier, ...]]:
    """The worst, and how many more there are: deliveries far out for their lane, and messages overdue now."""
    bounds = {lane: bound for lane, counts in work.usual.items() if (bound := rules.bound_of(counts)) is not None}
    totals = work.tally.spans["total"]
    beyond = sum(
        count for lane, bound in bounds.items() for value, count in totals.get(lane, {}).items() if value > bound
    )
    worst = [
        (value, no) for lane, items in work.tally.slow.items() for value, no in items if value > bounds.get(lane, value)
    ]
    worst = sorted(worst, reverse=True)[:OUTLIERS]
    rows = store.brief(work.connection, [no for _, no in worst])
    now = work.question.now
    watched = [lane for lane, item in work.lanes.items() if item.names.destination_watched]
    if work.scope.lanes is not None:
        watched = [lane for lane in watched if lane in work.scope.lanes]
    due = {lane: now - work.matures(lane) for lane in watched}
    overdue, stuck = store.oldest_open(work.connection, work.scope, due, OUTLIERS)
    found = [_outlier(work, row, now - row.time, work.matures(row.lane_id)) for row in stuck]
    found += [_outlier(work, rows[no], value, bounds[rows[no].lane_id]) for value, no in worst]
    return max(beyond + overdue - OUTLIERS, 0), tuple(found[:OUTLIERS])


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
        sent_time=row.time,
    )


def _errors(work: _Work) -> tuple[ErrorKind, ...]:
    causes = sorted(work.tally.causes.items(), key=lambda item: (-item[1][0], item[0]))[:ERRORS]
    rows = store.brief(work.connection, [no for _, (_, newest) in causes for no in newest])
    return tuple(
        ErrorKind(reason=reason, cause=cause, messages=count, examples=tuple(rows[no].id for no in reversed(newest)))
        for (reason, cause), (count, newest) in causes
    )


def _parties(work: _Work, side: int) -> tuple[tuple[Party, ...], int]:
    """The busiest senders (1) or receivers (2), new ones first, and how many there are."""
    counts: Counter[str] = Counter()
    for key, (messages, _, _) in work.tally.pairs.items():
        counts[str(key[side])] += messages
    busiest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if len(busiest) > store.NEW_AMONG:
        return tuple(Party(account, messages, None) for account, messages in busiest[:PARTIES]), len(busiest)
    column, start = COLUMNS[PARTY_AT + side], work.question.period.start
    known = store.seen_before(work.connection, column, [account for account, _ in busiest], start)
    found = [Party(account, messages, account not in known) for account, messages in busiest]
    found.sort(key=lambda item: (not item.new, -item.messages, item.account))
    return tuple(found[:PARTIES]), len(found)


def _formats(work: _Work) -> Formats:
    by_lane: dict[int, Counter[int]] = defaultdict(Counter)
    for (lane_id, size), sums in work.tally.sizes.items():
        by_lane[lane_id][size] += int(sums[0])
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
        work.question.told(f"payloads: {read:,} of {compared:,}", LAST + (1 - LAST) * min(read / max(compared, 1), 1))

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


def _costs(work: _Work, before: Tally | None) -> tuple[Cost, ...]:
    """By the chain where they were paid, and token; the dearest first."""
    names = store.token_names(work.connection)
    now_sums, earlier = _by_token(work, work.tally), _by_token(work, before) if before else {}
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
    found.sort(key=lambda item: (-int(item.juels), -item.messages))
    parts = _parts(work)
    return tuple(cost for whole in found for cost in (whole, *_parts_of(whole, parts)))


_PartSums = dict[tuple[str, str], dict[str, tuple[int, int]]]


def _parts(work: _Work) -> _PartSums:
    """What fees are made of, by chain and token, where the protocol charges apart."""
    split = {lane for lane, _, _ in work.tally.fees if work.lanes[lane].version.startswith(CHARGED_APART)}
    sums: _PartSums = defaultdict(dict)
    for (lane, token, part), (more, paid) in store.fee_parts(work.connection, work.scope, split).items():
        parts = sums[work.lanes[lane].names.source, token]
        messages, amount = parts.get(part, (0, 0))
        parts[part] = messages + more, amount + paid
    return sums


def _parts_of(whole: Cost, parts: _PartSums) -> Iterator[Cost]:
    """The components of a sum, the dearest first. Their worth in LINK is their share of the whole's."""
    found = parts.get((whole.chain, whole.token), {})
    for part, (messages, amount) in sorted(found.items(), key=lambda item: (-item[1][1], item[0])):
        juels = int(whole.juels) * amount // max(int(whole.total), 1)
        yield msgspec.structs.replace(
            whole,
            part=part,
            messages=messages,
            total=str(amount),
            average=str(amount // messages),
            juels=str(juels),
            average_juels=str(juels // messages),
            change=None,
        )


def _by_token(work: _Work, tally: Tally) -> dict[tuple[int, str, str], tuple[int, int, int]]:
    sums: dict[tuple[int, str, str], tuple[int, int, int]] = {}
    for (lane_id, token, _), (more, paid, worth) in tally.fees.items():
        names = work.lanes[lane_id].names
        key = (names.source_chain or 0, names.source, token)
        messages, amount, juels = sums.get(key, (0, 0, 0))
        sums[key] = messages + more, amount + paid, juels + worth
    return sums


def _suggestions(work: _Work) -> tuple[Suggestion, ...]:
    fees = work.tally.fees
    paying = {lane for lane, _, _ in fees}
    busiest = sorted(work.tally.pairs.items(), key=lambda item: (-item[1][0], item[0]))[:HABITS]
    habits = [
        rules.Habit(work.name(lane), sender, messages, spans)
        for (lane, sender, _), (messages, spans, _) in busiest
        if lane in paying
    ]
    shapes = _shapes(work)
    names = store.token_names(work.connection)
    paid: dict[tuple[int, str], tuple[int, int]] = {}
    for (lane, token, _), (more, _, worth) in fees.items():
        messages, juels = paid.get((lane, token), (0, 0))
        paid[lane, token] = messages + more, juels + worth
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


def _shapes(work: _Work) -> list[rules.FeeShape]:
    """Sums by lane; a size's fees stand for the messages that tell one."""
    sums: dict[int, list[float]] = defaultdict(lambda: [0.0] * 6)
    for (lane, size), (_, priced, fees, squares) in work.tally.sizes.items():
        parts = (priced, size * priced, fees, size**2 * priced, size * fees, squares)
        sums[lane] = [known + part for known, part in zip(sums[lane], parts, strict=True)]
    return [rules.FeeShape(work.name(lane), int(n), *rest) for lane, (n, *rest) in sums.items()]
