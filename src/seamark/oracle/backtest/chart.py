"""A replay as one HTML file: figures, and the price on chain drawn over the market's. No script, nothing loaded. Pure.

Long recordings are thinned to `WIDTH` columns that keep each column's lowest, highest and last price, so that no spike
is lost. Every text comes in through `escape`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from html import escape
from typing import Final

from seamark.core.times import iso_seconds
from seamark.core.units import Ppb, format_duration, format_ratio
from seamark.oracle.backtest.replay import Figures, Point, Update

__all__ = ["to_html"]

WIDTH: Final = 960
HEIGHT: Final = 300
ERRORS: Final = 120
MARGIN: Final = 70
GRID: Final = 4
_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1d2530;--dim:#667;--line:#c9d0d8;--market:#8a97a6;
--chain:#0b6bcb;--bad:#b3261e;--bg:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--dim:#9aa6b2;--line:#38424d;--market:#7b8794;
--chain:#6cb4ff;--bad:#ff8a80;--bg:#12171d}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--bg);max-width:1080px;
margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}
th,td{padding:.3rem .8rem .3rem 0;text-align:right;border-bottom:1px solid var(--line)}
th:first-child,td:first-child{text-align:left}svg{width:100%;height:auto}text{fill:var(--dim);font-size:12px}
.grid{stroke:var(--line)}.market{stroke:var(--market);fill:none}.chain{stroke:var(--chain);fill:none;stroke-width:1.5}
b{font-weight:600;margin-left:1rem}.of-market{color:var(--market)}.of-chain{color:var(--chain)}.of-error{color:var(--bad)}
.error{stroke:var(--bad);fill:none}figcaption,.dim{color:var(--dim)}
"""
_LEGEND: Final = (
    '<b class="of-market">market</b><b class="of-chain">on chain</b><b class="of-error">error</b>'  # as the lines below
)


def to_html(
    title: str, runs: Sequence[tuple[str, Figures]], columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> str:
    """A whole page.

    Args:
        title: What was replayed.
        runs: A caption and the figures of each run; each is drawn.
        columns: The table's head.
        rows: Its rows, as texts.
    """
    return "\n".join(_page(title, runs, columns, rows)) + "\n"


def _page(
    title: str, runs: Sequence[tuple[str, Figures]], columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> Iterator[str]:
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>"
    first = runs[0][1]
    span = f"{iso_seconds(first.start)} to {iso_seconds(first.end)}, {first.ticks:,} ticks"
    yield f'<p class="dim">{escape(span)}</p>'
    yield "<table><thead><tr>" + "".join(f"<th>{escape(name)}</th>" for name in columns) + "</tr></thead><tbody>"
    for row in rows:
        yield "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
    yield "</tbody></table>"
    for caption, figures in runs:
        yield f"<figure><figcaption>{escape(caption)}{_LEGEND}</figcaption>{draw(figures)}</figure>"
    yield "</body></html>"


def draw(figures: Figures) -> str:
    """Prices above, the error below, as one SVG."""
    points = thin(figures.points, WIDTH)
    if not points:
        return '<p class="dim">no price in the whole recording</p>'
    prices = [point.reference for point in points] + [update.price for update in figures.updates]
    low, high = min(prices), max(prices)
    worst = max((point.error or 0 for point in points), default=0)
    label = f"price on chain and market, worst error {format_ratio(figures.worst_error)}"
    total = HEIGHT + ERRORS + 60
    parts = [f'<svg viewBox="0 0 {WIDTH + MARGIN} {total}" role="img" aria-label="{escape(label)}">']
    parts.extend(_grid(low, high, worst, figures))
    parts.append(_line("market", [(_x(p.time, figures), _y(p.reference, low, high)) for p in points]))
    parts.append(_line("chain", list(_steps(figures.updates, figures, low, high))))
    errors = [(_x(p.time, figures), _error_y(p.error, worst)) for p in points if p.error is not None]
    parts.append(_line("error", errors))
    parts.append("</svg>")
    return "".join(parts)


def thin(points: Sequence[Point], columns: int) -> list[Point]:
    """At most four points per column: the lowest, the highest, the largest error and the last, in their order."""
    if len(points) <= 4 * columns:
        return list(points)
    kept: list[Point] = []
    size = -(-len(points) // columns)
    for start in range(0, len(points), size):
        part = points[start : start + size]
        chosen = {
            part.index(min(part, key=lambda point: point.reference)),
            part.index(max(part, key=lambda point: point.reference)),
            part.index(max(part, key=lambda point: point.error or 0)),
            len(part) - 1,
        }
        kept.extend(part[index] for index in sorted(chosen))
    return kept


def _grid(low: Decimal, high: Decimal, worst: int, figures: Figures) -> Iterator[str]:
    for step in range(GRID + 1):
        price = low + (high - low) * step / GRID
        y = _y(price, low, high)
        yield f'<line class="grid" x1="0" x2="{WIDTH}" y1="{y}" y2="{y}"/>'
        yield f'<text x="{WIDTH + 6}" y="{y}">{price:.6g}</text>'
    base = HEIGHT + ERRORS + 30
    yield f'<line class="grid" x1="0" x2="{WIDTH}" y1="{base}" y2="{base}"/>'
    yield f'<text x="{WIDTH + 6}" y="{HEIGHT + 40}">{escape(format_ratio(Ppb(worst // 10_000 * 10_000)))}</text>'
    yield f'<text x="{WIDTH + 6}" y="{base}">error</text>'
    yield f'<text x="0" y="{base + 20}">{iso_seconds(figures.start)[:16]}</text>'
    yield f'<text x="{WIDTH}" y="{base + 20}" text-anchor="end">{iso_seconds(figures.end)[:16]}</text>'
    span = format_duration(figures.end - figures.start)
    yield f'<text x="{WIDTH // 2}" y="{base + 20}" text-anchor="middle">{escape(span)}</text>'


def _steps(updates: Sequence[Update], figures: Figures, low: Decimal, high: Decimal) -> Iterator[tuple[str, str]]:
    """A round's price holds until the next."""
    before: str | None = None
    for update in updates:
        x, y = _x(update.time, figures), _y(update.price, low, high)
        if before is not None:
            yield x, before
        yield x, y
        before = y
    if before is not None:
        yield f"{WIDTH}.0", before


def _line(kind: str, points: Sequence[tuple[str, str]]) -> str:
    return f'<polyline class="{kind}" points="{" ".join(f"{x},{y}" for x, y in points)}"/>'


def _x(time: float, figures: Figures) -> str:
    span = figures.end - figures.start
    return f"{WIDTH * (time - figures.start) / span if span else WIDTH / 2:.1f}"


def _y(price: Decimal, low: Decimal, high: Decimal) -> str:
    part = float((price - low) / (high - low)) if high > low else 0.5
    return f"{10 + (HEIGHT - 20) * (1 - part):.1f}"


def _error_y(error: Ppb, worst: int) -> str:
    return f"{HEIGHT + 30 + ERRORS * (1 - error / worst if worst else 1):.1f}"
