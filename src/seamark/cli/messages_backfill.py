"""`seamark messages backfill`: blocks before a monitor's start, read into the same ledger; resumable at any moment."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from seamark.app.history import choose_chain, open_backfill
from seamark.cli.files import ConfigOption, read_settings
from seamark.cli.loop import run_until_stopped
from seamark.cli.messages_database import DatabaseOption, open_ledger
from seamark.cli.output import aside, console
from seamark.core.units import format_duration
from seamark.messages.history import Progress as Reached
from seamark.messages.history import Span
from seamark.runtime.logs import configure_logs

__all__ = ["HELP", "backfill"]

HELP = (
    "Read the blocks from --from up to where the monitor of a chain began, beside it or while none runs.\n\n"
    "Ctrl-C, a crash or a kill loses nothing: the same command goes on. Nothing is stored twice. The metrics of a "
    "running monitor include what was read here after its next start."
)
LINE_EVERY_S: Final = 5.0  # of progress, where no terminal draws a bar


def backfill(
    start: Annotated[int, typer.Option("--from", min=0, help="The first block to read.")],
    chain: Annotated[str | None, typer.Argument(help="Key, label or id of the chain.", metavar="[CHAIN]")] = None,
    protocol: Annotated[str | None, typer.Option("--protocol", help="Where several watch the chain: ccip, …")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
) -> None:
    configure_logs(level="error")
    run_until_stopped(_backfill(config, database, start, chain, protocol, as_json=as_json))


async def _backfill(
    config: Path | None, database: str | None, start: int, chain: str | None, protocol: str | None, *, as_json: bool
) -> None:
    async with open_ledger(config, database) as ledger:
        found = await read_settings(("ccip-monitor",), ledger.file)
        name, wanted = choose_chain(found.settings, chain, protocol)
        async with open_backfill(found.settings, ledger.database, name, wanted) as job:
            span = await job.plan(start)
            began = time.monotonic()
            with _progress(span, name) as told:
                end = await job.run(span, told)
    _print(end, name, time.monotonic() - began, as_json=as_json)


def _print(end: Reached, chain: str, seconds: float, *, as_json: bool) -> None:
    span = end.span
    if as_json:
        told = {
            "chain": chain,
            "first": span.first,
            "last": span.last,
            "blocks": span.blocks,
            "messages_sent": end.messages,
            "logs": end.logs,
            "seconds": round(seconds, 3),
        }
        sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
    elif not span.blocks:
        console.print(
            f"{chain}: block {span.first:,} is read already; the monitor began with block {span.last + 1:,}",
            markup=False,
        )
    else:
        blocks = f"blocks {span.first:,} to {span.last:,} are" if span.blocks > 1 else f"block {span.first:,} is"
        console.print(
            f"{chain}: {blocks} read, {end.logs:,} events, {end.messages:,} sends new ({format_duration(seconds)})",
            markup=False,
        )


@contextmanager
def _progress(span: Span, chain: str) -> Iterator[Callable[[Reached], None]]:
    """A bar with rate and time left; without a terminal a line now and then. Tells how to go on if it ends early."""
    target = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("blocks {task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=target, transient=True, disable=not target.is_terminal or not span.blocks)
    task = bar.add_task(chain, total=span.blocks, rate="")
    began, last_line, first = time.monotonic(), time.monotonic(), -1
    reached = Reached(span, span.first - 1, 0, 0)

    def told(now: Reached) -> None:
        nonlocal last_line, first, reached
        reached = now
        first = now.done if first < 0 else first
        rate = (now.done - first) / max(time.monotonic() - began, 0.001)
        words = f"{chain} (again, for contracts found on the way)" if now.passes > 1 else chain
        bar.update(task, completed=now.done, description=words, rate=f"{rate:,.0f}/s, {now.messages:,} sends")
        if not target.is_terminal and time.monotonic() - last_line > LINE_EVERY_S:
            last_line = time.monotonic()
            left = (span.blocks - now.done) / rate if rate > 0 else 0
            aside(f"{chain}: block {now.block:,} of {span.last:,}, {rate:,.0f} blocks/s, {format_duration(left)} left")

    try:
        with bar:
            yield told
    except BaseException:
        if reached.block >= span.first:
            aside(f"{chain}: stored up to block {reached.block:,}; the same command goes on from there")
        raise
