"""Charts as inline SVG: text and shapes alone, coloured by the page's own styles, readable without colour or script.

Each drawing says in words what it shows (`<title>`, `<desc>`), and each bar and point tells its figures to whoever
rests on it. Coordinates are in a fixed box that the page scales.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Final

from seamark.core.units import format_duration
from seamark.messages.reports.model import Bucket, LaneReport, Period

__all__ = ["bars", "hours", "lanes", "lines", "nice_ticks", "outcome", "time_ticks"]

WIDTH, HEIGHT = 880, 240
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 12, 30
PLOT_W, PLOT_H = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
TICKS: Final = 4
LABELS: Final = 8  # at most so many words below a chart
LANE_ROW: Final = 34
LANE_NAME: Final = 230
LANES: Final = 12
GAP: Final = 0.22  # of the room of a bar
DAY_S: Final = 86_400
TIME_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, DAY_S)


@dataclass(frozen=True, slots=True)
class Layer:
    """One part of a stacked bar."""

    style: str
    name: str
    value: Callable[[Bucket], float]


STACK: Final = (
    Layer("ok", "delivered", lambda bucket: bucket.delivered),
    Layer("open", "on their way", lambda bucket: bucket.open),
    Layer("bad", "failed", lambda bucket: bucket.failed),
)


def bars(
    period: Period,
    buckets: Sequence[Bucket],
    *,
    title: str,
    layers: Sequence[Layer] = STACK,
    tell: Callable[[float], str] = lambda value: f"{value:,.0f}",
) -> str:
    """Stacked bars over time."""
    highest = max((sum(layer.value(bucket) for layer in layers) for bucket in buckets), default=0)
    ticks = nice_ticks(highest)
    scale = PLOT_H / ticks[-1]
    step = PLOT_W / max(len(buckets), 1)
    shapes = []
    for index, bucket in enumerate(buckets):
        base = float(TOP + PLOT_H)
        told = ", ".join(f"{tell(layer.value(bucket))} {layer.name}".strip() for layer in layers if layer.value(bucket))
        parts = []
        for layer in layers:
            height = layer.value(bucket) * scale
            if height > 0:
                base -= height
                left = LEFT + index * step + step * GAP / 2
                parts.append(
                    f'<rect class="{layer.style}" x="{left:.1f}" y="{base:.1f}" width="{step * (1 - GAP):.1f}" '
                    f'height="{height:.1f}"/>'
                )
        if parts:
            shapes.append(f"<g><title>{_moment(period, bucket.start)}: {escape(told)}</title>{''.join(parts)}</g>")
    return _frame(title, _bars_words(buckets, layers, tell), [*_grid(ticks, tell), *shapes, *_times(period, buckets)])


def _bars_words(buckets: Sequence[Bucket], layers: Sequence[Layer], tell: Callable[[float], str]) -> str:
    sums = ((layer, sum(layer.value(bucket) for bucket in buckets)) for layer in layers)
    return f"{len(buckets)} steps of time; in all " + ", ".join(
        f"{tell(value)} {layer.name}".strip() for layer, value in sums
    )


def lines(period: Period, buckets: Sequence[Bucket], *, title: str) -> str:
    """Half within, and 95 % within, over time; steps without a delivery are left out."""
    highest = max((bucket.p95 or 0 for bucket in buckets), default=0)
    ticks = time_ticks(highest)
    step = PLOT_W / max(len(buckets), 1)

    def place(index: int, value: int) -> tuple[float, float]:
        return LEFT + (index + 0.5) * step, TOP + PLOT_H - value * PLOT_H / ticks[-1]

    shapes = []
    for style, name in (("p95", "95 % within"), ("p50", "half within")):
        known = ((index, bucket, getattr(bucket, style)) for index, bucket in enumerate(buckets))
        points = [(index, bucket, value) for index, bucket, value in known if value is not None]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(index, value) for index, _, value in points))
        shapes.append(f'<polyline class="{style}" points="{path}"/>')
        for index, bucket, value in points:
            x, y = place(index, value)
            told = f"{_moment(period, bucket.start)}: {name} {format_duration(value)}"
            shapes.append(f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{told}</title></circle>')
    words = f"between {_least(buckets)} and {format_duration(highest)}"
    return _frame(title, words, [*_grid(ticks, _time), *shapes, *_times(period, buckets)])


def _least(buckets: Sequence[Bucket]) -> str:
    return format_duration(min((bucket.p50 for bucket in buckets if bucket.p50 is not None), default=0))


def hours(counts: Sequence[int], *, title: str) -> str:
    """Messages by hour of the day."""
    ticks = nice_ticks(max(counts, default=0))
    step = PLOT_W / len(counts)
    shapes = []
    for hour, messages in enumerate(counts):
        height = messages * PLOT_H / ticks[-1]
        left = LEFT + hour * step + step * GAP / 2
        shapes.append(
            f'<rect class="ok" x="{left:.1f}" y="{TOP + PLOT_H - height:.1f}" width="{step * (1 - GAP):.1f}" '
            f'height="{height:.1f}"><title>{hour:02d}:00 UTC: {messages:,}</title></rect>'
        )
        if hour % 3 == 0:
            shapes.append(_below(LEFT + (hour + 0.5) * step, f"{hour:02d}"))
    peak = max(range(len(counts)), key=lambda hour: counts[hour])
    words = f"most at {peak:02d}:00 UTC, {counts[peak]:,}"
    return _frame(title, words, [*_grid(ticks, lambda value: f"{value:,.0f}"), *shapes])


def lanes(reports: Sequence[LaneReport], names: Sequence[str], *, title: str) -> str:
    """How long deliveries take, a line per lane: from half within over 95 % to 99 % within."""
    known = [
        (name, lane.latencies["total"]) for name, lane in zip(names, reports, strict=True) if "total" in lane.latencies
    ]
    known = sorted(known, key=lambda item: -item[1].count)[:LANES]
    ticks = time_ticks(max((latency.p99 for _, latency in known), default=0))
    height = TOP + LANE_ROW * len(known) + BOTTOM
    room = WIDTH - LANE_NAME - RIGHT - 24
    shapes = []
    for tick in ticks:
        x = LANE_NAME + tick / ticks[-1] * room
        shapes.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{height - BOTTOM}"/>')
        shapes.append(_below(x, _time(tick), height - 10))
    for index, (name, latency) in enumerate(known):
        y = TOP + LANE_ROW * (index + 0.5)
        p50, p95, p99 = (LANE_NAME + value / ticks[-1] * room for value in (latency.p50, latency.p95, latency.p99))
        told = ", ".join(
            f"{share} within {format_duration(value)}"
            for share, value in (("half", latency.p50), ("95 %", latency.p95), ("99 %", latency.p99))
        )
        shapes.append(
            f"<g><title>{escape(name)}: {told}</title>"
            f'<text class="name" x="{LANE_NAME - 12}" y="{y + 4:.1f}" text-anchor="end">{escape(_cut(name))}</text>'
            f'<line class="range thin" x1="{p95:.1f}" x2="{p99:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<line class="range" x1="{p50:.1f}" x2="{p95:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<circle class="p50" cx="{p50:.1f}" cy="{y:.1f}" r="6"/>'
            f'<circle class="p95" cx="{p95:.1f}" cy="{y:.1f}" r="5"/>'
            f'<line class="p99" x1="{p99:.1f}" x2="{p99:.1f}" y1="{y - 7:.1f}" y2="{y + 7:.1f}"/></g>'
        )
    words = "; ".join(f"{name}: half within {format_duration(latency.p50)}" for name, latency in known)
    return _frame(title, words, shapes, height)


def outcome(delivered: int, waiting: int, failed: int) -> str:
    """What became of the messages, as one bar."""
    whole = max(delivered + waiting + failed, 1)
    at, shapes = 0.0, []
    for style, name, value in (
        ("ok", "delivered", delivered),
        ("open", "on their way", waiting),
        ("bad", "failed", failed),
    ):
        wide = value / whole * WIDTH
        if value:
            shown = max(wide, 2.0)  # one failure in a million is seen
            shapes.append(
                f'<rect class="{style}" x="{min(at, WIDTH - shown):.1f}" y="0" width="{shown:.1f}" height="14">'
                f"<title>{value:,} {name}</title></rect>"
            )
        at += wide
    words = f"{delivered:,} delivered, {waiting:,} on their way, {failed:,} failed"
    return _frame("What became of the messages", words, shapes, 14)


# ---- parts ----------------------------------------------------------------------------------------------------------


def nice_ticks(highest: float) -> list[float]:
    """Round numbers from 0 to at or above the highest value, about four steps; never empty.

    Whole numbers where values are large; 1, 2, 2.5 and 5 times a power of ten otherwise.
    """
    if highest <= 0:
        return [0, 1]
    power = 1.0
    while power * 10 <= highest / TICKS:
        power *= 10
    while power > highest / TICKS:
        power /= 10
    size = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor * TICKS >= highest * 0.999999)
    if highest > TICKS:
        size = max(round(size), 1) if size >= 1 else size
    return [size * index for index in range(TICKS + 2) if size * (index - 1) < highest * 0.999999]


def time_ticks(highest: float) -> list[float]:
    """As `nice_ticks`, for seconds: steps that clocks have."""
    if highest <= 0:
        return [0, 1]
    size = next((step for step in TIME_STEPS if step * TICKS >= highest), None)
    if size is None:
        return [days * DAY_S for days in nice_ticks(highest / DAY_S)]
    return [float(size * index) for index in range(TICKS + 1) if size * (index - 1) < highest]


def _time(seconds: float) -> str:
    return format_duration(seconds) if seconds else "0"


def _frame(title: str, words: str, shapes: Sequence[str], height: int = HEIGHT) -> str:
    key = "".join(part for part in title.lower() if part.isalnum())
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="{key}-t {key}-d">'
        f'<title id="{key}-t">{escape(title)}</title><desc id="{key}-d">{escape(words)}</desc>'
        f"{''.join(shapes)}</svg>"
    )


def _grid(ticks: Sequence[float], tell: Callable[[float], str]) -> Iterator[str]:
    for tick in ticks:
        y = TOP + PLOT_H - tick * PLOT_H / ticks[-1]
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(tell(tick))}</text>'


def _times(period: Period, buckets: Sequence[Bucket]) -> Iterator[str]:
    step = PLOT_W / max(len(buckets), 1)
    every = max(1, -(-len(buckets) // LABELS))
    for index in range(0, len(buckets), every):
        yield _below(LEFT + (index + 0.5) * step, _label(period, buckets[index].start))


def _below(x: float, text: str, y: float = HEIGHT - 10) -> str:
    return f'<text class="tick" x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{escape(text)}</text>'


def _label(period: Period, start: int) -> str:
    moment = datetime.fromtimestamp(start, UTC)
    if period.bucket_s >= DAY_S:
        return f"{moment:%b} {moment.day}"
    return f"{moment:%H:%M}" if period.length <= 2 * DAY_S else f"{moment:%b} {moment.day} {moment:%H}h"


def _moment(period: Period, start: int) -> str:
    moment = datetime.fromtimestamp(start, UTC)
    return f"{moment:%Y-%m-%d}" if period.bucket_s >= DAY_S else f"{moment:%Y-%m-%d %H:%M}"


def _cut(name: str, longest: int = 34) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"
