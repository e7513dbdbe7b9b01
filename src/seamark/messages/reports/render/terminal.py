"""A report for a terminal. Pure: parts for a rich console, in order.

No word is broken: a table that does not fit leaves out the columns that another one has too, and where even that is
not enough each row becomes a few lines of names and values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from seamark.messages.reports.model import Report
from seamark.messages.reports.render.document import Column, Document, Sheet, Tile

__all__ = ["to_terminal"]

_TONES: Final = {"good": "green", "bad": "red", "plain": "bold"}
_BARS: Final = " ▁▂▃▄▅▆▇█"
_INDENT: Final = (0, 0, 0, 2)
SHORT_ID: Final = 10
GAP: Final = 2
NAME_WIDTH: Final = 14  # a row's name in fewer columns is a tower of words
_NOTHING: Final = ("", "-")
_HASH: Final = re.compile(r"0x[0-9a-fA-F]{41,}")  # an account has 40 digits


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
            yield Padding(_Sheet(sheet), (1 if section.sentences or sheet.caption else 0, 0, 0, 2), expand=False)


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


class _Sheet:
    """A table as wide as it may be; rich asks for it when the width is known."""

    def __init__(self, sheet: Sheet) -> None:
        self._caption = sheet.caption
        self._columns = sheet.columns
        self._rows = [
            [_cell(text, column) for text, column in zip(row, sheet.columns, strict=True)] for row in sheet.rows
        ]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._caption:
            yield Text(self._caption, style="dim")
        shown = self._fitting(options.max_width)
        if shown is None:
            yield from self._stacked(options.max_width)
        else:
            yield self._table(shown, options.max_width)

    def _fitting(self, width: int) -> list[int] | None:
        """Which columns are shown; None if not even the needed ones have room."""
        shown = list(range(len(self._columns)))
        spare = [index for index in shown if self._columns[index].spare]
        while sum(self._least(index) + GAP for index in shown) - GAP > width:
            if not spare:
                return None
            shown.remove(spare.pop(0))
        return shown

    def _least(self, index: int) -> int:
        """The width of the longest word; figures and times are one word."""
        column = self._columns[index]
        cells = [row[index] for row in self._rows]
        words = cells if column.kind in ("number", "time") else [word for cell in cells for word in cell.split()]
        longest = max((len(word) for word in (*column.title.split(), *words)), default=1)
        return max(longest, min(self._whole(index), NAME_WIDTH)) if index == 0 else longest

    def _whole(self, index: int) -> int:
        return max(len(text) for text in (self._columns[index].title, *(row[index] for row in self._rows)))

    def _table(self, shown: Sequence[int], width: int) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="dim")
        left = width - sum(self._least(index) + GAP for index in shown) + GAP
        for index in shown:
            column, least = self._columns[index], self._least(index)
            more = min(left, self._whole(index) - least)
            left -= more
            justify: Literal["left", "right"] = "right" if column.kind == "number" else "left"
            table.add_column(column.title, justify=justify, width=least + more, overflow="fold")
        for row in self._rows:
            table.add_row(*(Text(row[index]) for index in shown))
        return table

    def _stacked(self, width: int) -> Iterator[RenderableType]:
        for first, *others in self._rows:
            yield Text(first, style="bold", no_wrap=False, overflow="fold")
            told = zip(self._columns[1:], others, strict=True)
            pairs = [(column.title, text) for column, text in told if text not in _NOTHING]
            for line in _flow(pairs, width - GAP):
                yield Padding(line, (0, 0, 0, GAP), expand=False)


def _flow(pairs: Sequence[tuple[str, str]], width: int) -> Iterator[Text]:
    """Names and values one after the other, with a new line where the next one has no room."""
    line = _line()
    for title, value in pairs:
        pair = Text.assemble((f"{title} " if title else "", "dim"), value)
        if line and len(line) + GAP + len(pair) > width:
            yield line
            line = _line()
        line.append(" " * GAP if line else "").append_text(pair)
    if line:
        yield line


def _line() -> Text:
    return Text(no_wrap=False, overflow="fold")  # here alone a word may be longer than the line


def _cell(text: str, column: Column) -> str:
    return _short(text) if column.kind in ("id", "prose") else text


def _short(text: str) -> str:
    """Hashes by their first digits, which `show` takes; accounts whole."""
    return _HASH.sub(lambda found: found[0][:SHORT_ID], text)
