"""The decisions of a report: periods, percentiles, what is mature, unusual or dear. No I/O, no clock.

A distribution is a mapping of seconds (or bytes) to a count: exact, and as small as the number of different values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from seamark.messages.reports.model import Latency, Period, Suggestion

__all__ = [
    "DAY_S",
    "HOUR_S",
    "FeeShape",
    "Habit",
    "TokenPrice",
    "average_of",
    "bound_of",
    "change_of",
    "latency_of",
    "matures_after",
    "merged",
    "percentile",
    "period_of",
    "suggest_batches",
    "suggest_payloads",
    "suggest_tokens",
    "unusual_sizes",
]

HOUR_S: Final = 3600
DAY_S: Final = 86_400
_DAYS: Final = {"daily": 1, "weekly": 7, "monthly": 30}

MATURES_UNKNOWN_S: Final = 3600  # where a lane has too few deliveries to know better: Ethereum's finality four times
MATURES_LEAST_S: Final = 300  # of the fastest lanes: a node that is briefly away is no failure
MATURES_FACTOR: Final = 3  # three times what all but one in a hundred need: whoever is not there by then is stuck
ENOUGH: Final = 20  # fewer messages say nothing about a distribution's end
OUTLIER_FACTOR: Final = 3  # interquartile ranges above the upper quartile: Tukey's "far out"
OUTLIER_LEAST_S: Final = 30  # on a lane of seconds a few more seconds are no event
SIZE_FACTOR: Final = 4  # so many times the usual payload, or so many times less
BATCH_WINDOW_S: Final = 10  # sends of one sender to one receiver within ten seconds could have been one
BATCH_LEAST: Final = 1.5  # messages per such span from which it is worth the work
WORTH: Final = 0.05  # a saving below 5 % is not worth a change
CORRELATED: Final = 0.5  # share of the fees' variance that the payload's size explains, below which it is no cause


# ---- periods --------------------------------------------------------------------------------------------------------


def period_of(name: str, now: int, start: int | None = None, end: int | None = None) -> Period:
    """The period to report on: the last full one in UTC, or from `start` (to `end`, else now).

    A day is yesterday, a week the last seven full days, a month the last full calendar month.

    Raises:
        ValueError: It would end before it begins.
    """
    if start is None and end is None:
        start, end = _last_full(name, now)
    elif start is None:
        assert end is not None
        start = end - _DAYS[name] * DAY_S
    else:
        end = now if end is None else end
    if start >= end:
        raise ValueError("the period ends before it begins")
    return Period(name, start, end, _bucket(end - start))


def _last_full(name: str, now: int) -> tuple[int, int]:
    today = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if name == "monthly":
        end = today.replace(day=1)
        begin = (end - timedelta(days=1)).replace(day=1)
    else:
        end = today
        begin = end - timedelta(days=_DAYS[name])
    return int(begin.timestamp()), int(end.timestamp())


_BUCKETS: Final = ((2 * HOUR_S, 300), (6 * HOUR_S, 900), (2 * DAY_S, HOUR_S), (8 * DAY_S, 6 * HOUR_S))
"""(periods up to this long, one point of a chart for so many seconds); longer ones have a point per day."""


def _bucket(length: int) -> int:
    return next((bucket for longest, bucket in _BUCKETS if length <= longest), DAY_S)


# ---- distributions --------------------------------------------------------------------------------------------------


def percentile(counts: Mapping[int, int], share: float) -> int | None:
    """The smallest value with at least `share` of all at or below it; None of nothing."""
    total = sum(counts.values())
    if not total:
        return None
    rank, seen = share * total, 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= rank:
            return value
    raise AssertionError("unreachable")


def latency_of(counts: Mapping[int, int]) -> Latency | None:
    """The figures of a distribution; None of nothing."""
    total = sum(counts.values())
    if not total:
        return None
    p50, p95, p99 = (percentile(counts, share) or 0 for share in (0.5, 0.95, 0.99))
    return Latency(total, average_of(counts) or 0.0, p50, p95, p99, max(counts))


def average_of(counts: Mapping[int, int]) -> float | None:
    total = sum(counts.values())
    return sum(value * count for value, count in counts.items()) / total if total else None


def merged(parts: Iterable[Mapping[int, int]]) -> Counter[int]:
    """Several distributions as one."""
    whole: Counter[int] = Counter()
    for part in parts:
        whole.update(part)
    return whole


def matures_after(totals: Mapping[int, int]) -> int:
    """Seconds after which a message of a lane must have reached its end, from how long others took in all."""
    if sum(totals.values()) < ENOUGH:
        return MATURES_UNKNOWN_S
    return max(MATURES_LEAST_S, MATURES_FACTOR * (percentile(totals, 0.99) or 0))


def bound_of(totals: Mapping[int, int]) -> int | None:
    """Seconds above which a delivery is far out for its lane; None where too few are known."""
    if sum(totals.values()) < ENOUGH:
        return None
    low, high = percentile(totals, 0.25) or 0, percentile(totals, 0.75) or 0
    return high + max(OUTLIER_FACTOR * (high - low), OUTLIER_LEAST_S)


def unusual_sizes(sizes: Mapping[int, int]) -> tuple[int, list[int]]:
    """A lane's usual payload size, and the sizes far from it; none where too few messages are known."""
    usual = percentile(sizes, 0.5) or 0
    if sum(sizes.values()) < ENOUGH:
        return usual, []
    floor = max(usual, 1)
    return usual, [size for size in sorted(sizes) if size > floor * SIZE_FACTOR or size * SIZE_FACTOR < usual]


def change_of(now: float | None, before: float | None) -> float | None:
    """(now - before) / before; None where there is nothing to compare with."""
    return None if now is None or not before else (now - before) / before


# ---- what would be cheaper ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Habit:
    """How one sender uses one lane: its messages, and in how many spans of ten seconds it sent any."""

    lane: str
    sender: str
    messages: int
    spans: int


@dataclass(frozen=True, slots=True)
class FeeShape:
    """Sums over the messages of a lane with a fee in LINK's base units: x is the payload in bytes, y the fee in LINK.

    For a line through them by least squares; floats are good enough for advice.
    """

    lane: str
    n: int
    x: float
    y: float
    xx: float
    xy: float
    yy: float


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """What messages on a lane cost on average when paid in a token, normalised to LINK's base units."""

    lane: str
    token: str
    messages: int
    juels: int


def suggest_batches(habits: Iterable[Habit]) -> list[Suggestion]:
    """Senders whose messages come in bunches."""
    found = []
    for habit in habits:
        if habit.messages < ENOUGH or habit.messages < BATCH_LEAST * habit.spans:
            continue
        saved = habit.messages - habit.spans
        found.append(
            Suggestion(
                "Send several updates as one message",
                f"{habit.sender} sent {habit.messages:,} messages on {habit.lane} in only {habit.spans:,} different "
                f"spans of {BATCH_WINDOW_S} seconds. One message for each span would have been {saved:,} messages "
                f"({saved / habit.messages:.0%}) fewer, each with its own fixed fee.",
            )
        )
    return found


def suggest_payloads(shapes: Iterable[FeeShape]) -> list[Suggestion]:
    """Lanes where the payload's size is what is paid for."""
    found = []
    for shape in shapes:
        variance, together = shape.n * shape.xx - shape.x**2, shape.n * shape.xy - shape.x * shape.y
        spread = shape.n * shape.yy - shape.y**2
        if shape.n < ENOUGH or variance <= 0 or spread <= 0 or together <= 0:
            continue
        share = together / variance * shape.x / shape.y
        if together**2 / (variance * spread) < CORRELATED or share < 2 * WORTH:
            continue
        found.append(
            Suggestion(
                "Make payloads smaller",
                f"On {shape.lane} the fee grows with the payload: about {share:.0%} of all fees pay for its bytes "
                f"({shape.x / shape.n:,.0f} on average). Half the payload would save about {share / 2:.0%}.",
            )
        )
    return found


def suggest_tokens(prices: Sequence[TokenPrice]) -> list[Suggestion]:
    """Lanes where one of the tokens in use is cheaper than another."""
    found = []
    for lane in dict.fromkeys(item.lane for item in prices):
        known = sorted(
            (item for item in prices if item.lane == lane and item.messages >= ENOUGH), key=lambda item: item.juels
        )
        if len(known) > 1 and known[0].juels < known[-1].juels * (1 - WORTH):
            cheap, dear = known[0], known[-1]
            saving = 1 - cheap.juels / dear.juels
            found.append(
                Suggestion(
                    f"Pay in {cheap.token}",
                    f"On {lane} messages paid in {cheap.token} cost {saving:.0%} less than those paid in {dear.token} "
                    f"({cheap.messages:,} and {dear.messages:,} messages, fees normalised to LINK).",
                )
            )
    return found
