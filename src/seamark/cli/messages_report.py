"""`seamark messages report`: a period in figures, for people (table, Markdown, HTML) and for programs (JSON)."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy import Connection

import seamark
from seamark.cli.files import ConfigOption
from seamark.cli.loop import run_until_stopped
from seamark.cli.messages_database import DatabaseOption, Ledger, open_ledger
from seamark.cli.messages_filters import find_chain, parse_moment
from seamark.cli.messages_options import now_s
from seamark.cli.output import aside, console, to_json
from seamark.core.errors import SettingsError
from seamark.core.units import format_duration
from seamark.messages.reports.builder import Question, build_report
from seamark.messages.reports.model import Period, Report
from seamark.messages.reports.render.document import document_of
from seamark.messages.reports.render.html import to_html
from seamark.messages.reports.render.markdown import to_markdown
from seamark.messages.reports.render.terminal import to_terminal
from seamark.messages.reports.rules import period_of
from seamark.messages.reports.store import PAYLOADS_AT_MOST, chain_ends, scope_lanes
from seamark.oracle.payload import read_price_update

__all__ = ["HELP", "Format", "report"]

HELP = (
    "Report on a period: volume, success, latency, outliers, fees, errors and causes, access, formats, replays, "
    "savings, against the period before.\n\n"
    "Without --from and --to it is the last full day, seven days or month in UTC. Today so far: --from 2026-11-21. "
    "The last hours: --from 6h."
)
SLOW_S: Final = 1.0  # what takes longer shows its progress
PIPE_WIDTH: Final = 160
_ENDINGS: Final = {".md": "markdown", ".json": "json", ".html": "html", ".htm": "html", ".txt": "table"}


class Format(StrEnum):
    """How it is written."""

    TABLE = "table"
    MARKDOWN = "markdown"
    JSON = "json"
    HTML = "html"


@dataclass(frozen=True, slots=True)
class _Wish:
    period: Period
    lane: str | None
    form: Format
    out: Path | None
    compare: bool
    payloads: int
    now: int


def report(
    daily: Annotated[bool, typer.Option("--daily", help="The last full day (the default).")] = False,
    weekly: Annotated[bool, typer.Option("--weekly", help="The last seven full days.")] = False,
    monthly: Annotated[bool, typer.Option("--monthly", help="The last full month.")] = False,
    start: Annotated[str | None, typer.Option("--from", help="Begin here: 6h (ago), 2026-11-20, ISO 8601.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="End here, exclusive. Default with --from: now.")] = None,
    lane: Annotated[
        str | None, typer.Option(help="One lane or chain: 'A->B', 'A->' or '->B', by name, selector or chain id.")
    ] = None,
    form: Annotated[
        Format | None, typer.Option("--format", "-f", help="Default: by the ending of --out, else a table.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write it here instead of printing it.")] = None,
    compare: Annotated[bool, typer.Option("--compare/--no-compare", help="With the period before.")] = True,
    payloads: Annotated[
        int, typer.Option("--payloads", min=0, help="Compare so many of the newest payloads for replays.")
    ] = PAYLOADS_AT_MOST,
    as_json: Annotated[bool, typer.Option("--json", help="As --format json.")] = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
) -> None:
    now = now_s()
    period = _period({"daily": daily, "weekly": weekly, "monthly": monthly}, start, end, now)
    wish = _Wish(period, lane, Format.JSON if as_json else _format(form, out), out, compare, payloads, now)
    run_until_stopped(_report(config, database, wish))


def _period(chosen: dict[str, bool], start: str | None, end: str | None, now: int) -> Period:
    names = [name for name, wanted in chosen.items() if wanted] or ["daily"]
    if len(names) > 1:
        raise SettingsError(f"--{names[1]}", f"contradicts --{names[0]}", remedy="choose one")
    first, last = parse_moment("--from", start, now), parse_moment("--to", end, now)
    name = names[0] if any(chosen.values()) or (first is None and last is None) else "custom"
    try:
        return period_of(name, now, first, last)
    except ValueError as error:
        raise SettingsError("--from", str(error), remedy="choose an earlier start, or a later --to") from None


def _format(form: Format | None, out: Path | None) -> Format:
    if form is not None:
        return form
    if out is None:
        return Format.TABLE
    if out.suffix.lower() not in _ENDINGS:
        raise SettingsError("--format", f"does not follow from {out}", remedy=f"one of {', '.join(Format)}")
    return Format(_ENDINGS[out.suffix.lower()])


async def _report(config: Path | None, database: str | None, wish: _Wish) -> None:
    async with open_ledger(config, database) as ledger:
        with _progress() as told:
            built = await ledger.database.read(partial(_build, ledger=ledger, wish=wish, told=told))
    _write(built, wish)


def _build(connection: Connection, *, ledger: Ledger, wish: _Wish, told: Callable[[str, float], None]) -> Report:
    lanes, name = _lanes(connection, ledger, wish.lane)
    question = Question(
        period=wish.period,
        now=wish.now,
        lanes=lanes,
        lanes_chosen=name,
        identify=_round,
        told=told,
        compare=wish.compare,
        payloads=wish.payloads,
    )
    return build_report(connection, question)


def _round(payload: str) -> str | None:
    update = read_price_update(payload)
    return None if update is None else f"{update.feed_id} {update.round}"


def _lanes(connection: Connection, ledger: Ledger, text: str | None) -> tuple[tuple[int, ...] | None, str]:
    """Numbers of the lanes that are meant, and their name."""
    if text is None:
        return None, ""
    source, arrow, destination = text.replace("→", "->").partition("->")
    if not arrow:
        raise SettingsError(
            "--lane", f"{text[:60]!r} names no lane", remedy="write 'source->destination', or one side alone"
        )
    ends, chains = chain_ends(connection), ledger.settings.chains
    here = find_chain("--lane", source.strip() or None, ends, chains)
    there = find_chain("--lane", destination.strip() or None, ends, chains)
    found = tuple(
        lane_id
        for lane_id, lane in scope_lanes(connection).items()
        if here in (None, lane.names.source) and there in (None, lane.names.destination)
    )
    if not found:
        raise SettingsError(
            "--lane", f"there is no lane {text[:60]!r}", remedy="seamark messages list shows those there are"
        )
    return found, f"{here or 'any chain'} → {there or 'any chain'}"


# ---- output ---------------------------------------------------------------------------------------------------------


def _write(built: Report, wish: _Wish) -> None:
    if wish.form is Format.TABLE and wish.out is None and console.is_terminal:
        for part in to_terminal(document_of(built), built):
            console.print(part)
        return
    text = _text(built, wish.form)
    if wish.out is None:
        sys.stdout.write(text)
        return
    try:
        wish.out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            "--out", f"cannot write {wish.out}: {error.strerror}", remedy="choose another file"
        ) from error
    aside(f"{wish.out}: {built.totals.sent:,} messages, {wish.form}")


def _text(built: Report, form: Format) -> str:
    document = document_of(built)
    match form:
        case Format.JSON:
            return _json(built) + "\n"
        case Format.MARKDOWN:
            return to_markdown(document)
        case Format.HTML:
            return to_html(document, built, seamark.__version__)
        case Format.TABLE:
            plain = Console(width=PIPE_WIDTH, highlight=False, no_color=True, force_terminal=False)
            with plain.capture() as captured:
                for part in to_terminal(document, built):
                    plain.print(part)
            return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def _json(built: Report) -> str:
    plain = msgspec.to_builtins(built)
    for name in ("peak_hour", "peak_day"):
        if plain[name] is not None:
            start, count = plain[name]
            plain[name] = {"start": start, "sent": count}
    return to_json(plain, seconds=("made", "start", "end", "data_from"), indent=2)


@contextmanager
def _progress() -> Iterator[Callable[[str, float], None]]:
    """A bar on standard error, once it takes longer than a moment; without a terminal, a line per step."""
    target = Console(stderr=True, highlight=False)
    started = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    progress = Progress(*columns, console=target, transient=True)
    task = progress.add_task("reading", total=1.0)
    shown = False

    def told(what: str, share: float) -> None:
        nonlocal shown
        progress.update(task, description=what, completed=share)
        if not shown and time.monotonic() - started > SLOW_S:
            shown = True
            if target.is_terminal:
                progress.start()
        if shown and not target.is_terminal:
            aside(f"{what} ({share:.0%}, {format_duration(time.monotonic() - started)})")

    try:
        yield told
    finally:
        if shown and target.is_terminal:
            progress.stop()
