"""A report for a terminal. Pure: parts for a rich console, in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.console import RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from seamark.messages.reports.model import Report
from seamark.messages.reports.render.document import Document, Sheet, Tile

__all__ = ["to_terminal"]

_TONES: Final = {"good": "green", "bad": "red", "plain": "bold"}
_BARS: Final = " ▁▂▃▄▅▆▇█"
_INDENT: Final = (0, 0, 0, 2)
SHORT_ID: Final = 10
SHORT_HEX: Final = 20  # a longer hex text is cut


def to_terminal(document: Document, report: Report) -> Iterator[RenderableType]:
    """Headline, figures, a line of bars, and the sections."""
    yield f"[bold]{escape(document.title)}[/]  [dim]{escape(document.subtitle)}[/]\n"
    yield Padding(_tiles(document.tiles), _INDENT, expand=False)
    if report.totals.sent:
        yield f"\n  [cyan]{_bars([bucket.sent for bucket in report.buckets])}[/] [dim]sent over time[/]"
    for section in document.sections:
        yield f"\n[bold]{escape(section.title)}[/]"
        for sentence in section.sentences:
            # A console that leaves wrapping to the terminal cuts what stands in a margin.
            yield Padding(Text(sentence, overflow="fold", no_wrap=False), _INDENT, expand=False)
        for sheet in section.sheets:
            if section.key == "throughput":
                continue  # the bars show it
            yield Padding(_sheet(sheet), (1 if section.sentences or sheet.caption else 0, 0, 0, 2), expand=False)


def _tiles(tiles: tuple[Tile, ...]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for tile in tiles:
        table.add_row(
            f"[dim]{escape(tile.title)}[/]",
            f"[{_TONES[tile.tone]}]{escape(tile.value)}[/]",
            f"[dim]{escape(tile.note)}[/]",
        )
    return table


def _bars(values: list[int]) -> str:
    highest = max(values) or 1
    return "".join(_BARS[-(-value * (len(_BARS) - 1) // highest)] for value in values)


def _sheet(sheet: Sheet) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", title_justify="left")
    if sheet.caption:
        table.title, table.title_style = sheet.caption, "dim"
    for column in sheet.columns:
        table.add_column(column.title, justify="right" if column.kind == "number" else "left", overflow="fold")
    for row in sheet.rows:
        cells = zip(row, sheet.columns, strict=True)
        table.add_row(*(Text(_short(text) if column.kind == "id" else text) for text, column in cells))
    return table


def _short(text: str) -> str:
    """Hashes by their first digits, which `show` takes; accounts whole."""
    return " ".join(part[:SHORT_ID] if len(part) > 2 + 40 else part for part in text.split())
