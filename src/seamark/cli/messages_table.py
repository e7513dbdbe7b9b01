"""Messages as a table: fitted to a terminal for people, complete and uncut where the output goes to a pipe. Pure.

In a terminal the time is an age and an id its first ten characters (`show` takes those); in a pipe the time is ISO 8601
and the id whole, so that a script may cut columns, though `--json` is what scripts should read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from seamark.cli.messages_amounts import LINK_DECIMALS, Tokens, amount_text
from seamark.core.units import format_duration
from seamark.messages.model import Stage
from seamark.messages.store import MessageView

__all__ = ["STYLES", "iso", "messages_table", "note_of", "plain_rows", "short", "shown_stage", "stage_text"]

SHORT_ID: Final = 10
GUTTER: Final = 2
WIDE: Final = 110  # columns from which fee and protocol fit too
STYLES: Final[Mapping[str, str]] = {
    "executed": "green",
    "recovered": "green",
    "failed": "red",
    "retracted": "yellow",
}
_ON_ITS_WAY: Final = "cyan"


def iso(at: float) -> str:
    """UTC to the second."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def short(text: str, length: int = SHORT_ID) -> str:
    return text if len(text) <= length + 1 else f"{text[:length]}…"


def stage_text(stage: str) -> str:
    return f"[{STYLES.get(stage, _ON_ITS_WAY)}]{stage}[/]"


def shown_stage(message: MessageView) -> str:
    """The stage in the word of its protocol: where nothing is committed, "committed" means verified."""
    return "verified" if message.verified and message.stage == Stage.COMMITTED else message.stage


@dataclass(frozen=True, slots=True)
class _Column:
    """A heading, what a row shows for people, and what it shows in a pipe."""

    title: str
    look: Callable[[MessageView, int, Tokens], str]
    plain: Callable[[MessageView, int, Tokens], str]
    right: bool = False
    wide: bool = False
    elastic: bool = False


def _age(message: MessageView, now: int, _: Tokens) -> str:
    return format_duration(max(now - message.time, 0))


def _took(message: MessageView, now: int, _: Tokens) -> str:
    if message.seconds.total is not None:
        return format_duration(message.seconds.total)
    open_ = message.stage in (Stage.SENT, Stage.FINALIZED, Stage.COMMITTED)
    return f"[dim]{format_duration(max(now - message.time, 0))}…[/]" if open_ else "-"


def _plain_took(message: MessageView, *_: object) -> str:
    return "-" if message.seconds.total is None else str(message.seconds.total)


def _fee(message: MessageView, _: int, tokens: Tokens) -> str:
    if not message.fee_token:
        return "-"
    if message.fee_juels is not None and not tokens.knows(message.source_chain, message.fee_token):
        return f"~{amount_text(int(message.fee_juels), LINK_DECIMALS, 'LINK')}"
    return tokens.text(message.source_chain, message.fee_token, message.fee_amount)


def note_of(message: MessageView) -> str:
    """What is remarkable about it, in a few words; "" is the calm case."""
    notes = []
    if message.stage == Stage.FAILED:
        notes.append(message.error or message.reason)
    if message.stage in ("executed", "recovered"):
        if message.attempts > 1:
            notes.append(f"at attempt {message.attempts}")
        if message.manual:
            notes.append("by hand")
        if message.callback is False and message.size:
            notes.append("receiver's code did not run")
        if message.retracted:
            notes.append("its send left the chain")
    if message.by_hand and message.stage in (Stage.SENT, Stage.FINALIZED, Stage.COMMITTED):
        notes.append("waits for a hand")
    if message.conflicting:
        notes.append("conflicting facts")
    if not message.destination_watched:
        notes.append("destination not watched")
    return ", ".join(notes)


_COLUMNS: Final = (
    _Column("id", lambda m, *_: f"[bold]{m.id[:SHORT_ID]}[/]", lambda m, *_: m.id),
    _Column("age", _age, lambda m, *_: iso(m.time), right=True),
    _Column(
        "protocol",
        lambda m, *_: f"[dim]{m.protocol} {m.version}[/]",
        lambda m, *_: f"{m.protocol}/{m.version}",
        wide=True,
    ),
    _Column(
        "lane",
        lambda m, *_: f"{escape(m.source_name)} → {escape(m.destination_name)}",
        lambda m, *_: f"{m.source_name}->{m.destination_name}",
    ),
    _Column("number", lambda m, *_: str(m.sequence), lambda m, *_: str(m.sequence), right=True),
    _Column("stage", lambda m, *_: stage_text(shown_stage(m)), lambda m, *_: m.stage),
    _Column("took", _took, _plain_took, right=True),
    _Column("fee", _fee, _fee, right=True, wide=True),
    _Column("note", lambda m, *_: f"[dim]{escape(note_of(m))}[/]", lambda m, *_: note_of(m), elastic=True),
)


_GIVE_WAY: Final = ("note", "took", "number", "age")


def messages_table(messages: Sequence[MessageView], now: int, tokens: Tokens, width: int) -> Table:
    """For a terminal of this many columns: notes get shorter, columns give way, lanes are cut; ids never."""
    columns = [column for column in _COLUMNS if width >= WIDE or not column.wide]
    looks = {
        column.title: [Text.from_markup(column.look(message, now, tokens)) for message in messages]
        for column in columns
    }
    needed = {title: max([len(title), *(cell.cell_len for cell in cells)]) for title, cells in looks.items()}
    for title in _GIVE_WAY:
        if sum(len(c.title) if c.elastic else needed[c.title] for c in columns) + GUTTER * (len(columns) - 1) > width:
            columns = [column for column in columns if column.title != title]
    sizes = {column.title: len(column.title) if column.elastic else needed[column.title] for column in columns}
    left = width - sum(sizes.values()) - GUTTER * (len(columns) - 1)
    for title in ("note", "lane"):  # what is left over, or what lacks
        if title in sizes and (left < 0 or sizes[title] < needed[title]):
            change = min(left, needed[title] - sizes[title])
            sizes[title], left = max(sizes[title] + change, len(title)), left - change
    table = Table(box=None, pad_edge=False, padding=(0, GUTTER, 0, 0), header_style="dim")
    for column in columns:
        justify: Literal["left", "right"] = "right" if column.right else "left"
        size = sizes[column.title]
        table.add_column(column.title, justify=justify, no_wrap=True, overflow="ellipsis", width=size)
    for index in range(len(messages)):
        table.add_row(*(looks[column.title][index] for column in columns))
    return table


def plain_rows(messages: Sequence[MessageView], now: int, tokens: Tokens) -> list[str]:
    """Lines of equal columns for a pipe, a heading first."""
    rows = [tuple("sent" if column.title == "age" else column.title for column in _COLUMNS)]
    rows += [tuple(column.plain(message, now, tokens) for column in _COLUMNS) for message in messages]
    widths = [max(len(row[index]) for row in rows) for index in range(len(_COLUMNS))]
    return ["  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip() for row in rows]
