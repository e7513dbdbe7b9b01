"""`seamark oracle`: where each feed's rounds stand, read from the database of the settings."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from sqlalchemy import Connection

from seamark.api.join_views import Carriage, DestinationNow, FeedJoin, JoinedRound
from seamark.api.names import ChainName, ChainNames
from seamark.api.readers.join import StoredJoin
from seamark.app.page import chain_names
from seamark.cli.files import ConfigOption
from seamark.cli.loop import run_until_stopped
from seamark.cli.messages_database import DatabaseOption, Ledger, open_ledger
from seamark.cli.messages_table import stage_text
from seamark.cli.oracle_accept import HELP as ACCEPT_HELP
from seamark.cli.oracle_accept import accept_held
from seamark.cli.oracle_backtest import HELP as BACKTEST_HELP
from seamark.cli.oracle_backtest import backtest
from seamark.cli.oracle_check import HELP as CHECK_HELP
from seamark.cli.oracle_check import check
from seamark.cli.oracle_explain import HELP as EXPLAIN_HELP
from seamark.cli.oracle_explain import explain
from seamark.cli.oracle_replicas import HELP as REPLICAS_HELP
from seamark.cli.oracle_replicas import replicas
from seamark.cli.oracle_reporting import app as reporting_app
from seamark.cli.output import aside, page
from seamark.core.errors import SettingsError
from seamark.core.ids import ChainId, Selector
from seamark.core.units import format_duration
from seamark.messages.reports.store import chain_ends
from seamark.oracle.store import list_feeds

__all__ = ["app", "tell_join"]

LANES_HELP: Final = (
    "Show each feed on its source and on every destination: round, age, price drift, the message that brought it.\n\n"
    "--rounds N also lists the newest rounds with the way of each."
)
SHORT_ID: Final = 10
WIDE: Final = 100  # columns; a feed on few chains fits whole

app = typer.Typer(help="Look at feeds across chains.", no_args_is_help=True)
app.command("accept", help=ACCEPT_HELP)(accept_held)
app.command(help=BACKTEST_HELP)(backtest)
app.command(help=CHECK_HELP)(check)
app.command(help=EXPLAIN_HELP)(explain)
app.command(help=REPLICAS_HELP)(replicas)
app.add_typer(reporting_app, name="reporting")


@app.command(help=LANES_HELP)
def lanes(
    feeds: Annotated[
        list[str] | None, typer.Argument(help="Feeds; all, where none is named.", metavar="[FEED]...")
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", "-n", min=0, max=100, help="So many rounds with their ways.")] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per line and feed, as the API's join.")
    ] = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
) -> None:
    run_until_stopped(_lanes(config, database, feeds or [], rounds, as_json=as_json))


async def _lanes(
    config: Path | None, database: str | None, wanted: Sequence[str], rounds: int, *, as_json: bool
) -> None:
    async with open_ledger(config, database) as ledger:
        names_of = await ledger.database.read(partial(_chain_names, ledger=ledger))
        reader = StoredJoin(ledger.database, names_of)
        names = _chosen(wanted, await reader.feeds())
        found = [join for name in names if (join := await reader.join(name, rounds or 1)) is not None]
    if not found:
        aside("no feed is published or watched with its source here")
    for join in found:
        if as_json:
            sys.stdout.write(join.model_dump_json() + "\n")
        else:
            wide = page()
            for part in tell_join(join, rounds, wide.width):
                wide.print(part)


def _chain_names(connection: Connection, *, ledger: Ledger) -> ChainNames:
    """The chains of the settings; of others, such as all where there is no file, as the feeds and lanes call them."""
    known = {end.chain_id: end for end in chain_ends(connection) if end.chain_id is not None}
    names = list(chain_names(ledger.settings).all)
    keys = {row.ref.chain_id: row.ref.chain for row in list_feeds(connection)}
    for chain_id in {*known, *keys} - {name.chain_id for name in names}:
        end, key = known.get(chain_id), keys.get(ChainId(chain_id), str(chain_id))
        selector = Selector(int(end.number)) if end and end.number.isdigit() else None
        names.append(ChainName(key, end.name if end else key, ChainId(chain_id), selector))
    return ChainNames(names)


def _chosen(wanted: Sequence[str], known: Sequence[str]) -> list[str]:
    by_name = {name.casefold(): name for name in known}
    for name in wanted:
        if name.casefold() not in by_name:
            raise SettingsError(
                "FEED", f"no feed is called {name[:60]!r}", remedy=f"known: {', '.join(known) or 'none'}"
            )
    return [by_name[name.casefold()] for name in wanted] or list(known)


# ---- words ----------------------------------------------------------------------------------------------------------


def tell_join(join: FeedJoin, rounds: int, width: int = WIDE) -> Iterator[RenderableType]:
    """One feed, for a console; below `WIDE` columns without the message that brought the price."""
    source = join.source
    price = source.price or "no price yet"
    where = f"round {source.round} on {escape(source.chain.label)}" if source.round else escape(source.chain.label)
    yield f"[bold]{escape(join.feed)}[/] {_trimmed(price)}  [dim]{where}{_old(source.age_seconds)}[/]"
    carried = ("carried in", "by message") if width >= WIDE else ()
    table = _table("", "round", "price", "drift", "age", *carried, "")
    for item in join.destinations:
        *figures, time, message, notes = _standing(item)
        table.add_row(f"→ {escape(item.chain.label)}", *figures, *((time, message) if carried else ()), notes)
    yield Padding(table, (0, 0, 0, 2), expand=False)
    if rounds and join.rounds:
        yield Padding(_rounds(join.rounds[:rounds]), (1, 0, 0, 2), expand=False)
    yield ""


def _standing(item: DestinationNow) -> tuple[str, ...]:
    behind = "" if not item.rounds_behind else f" [yellow](-{item.rounds_behind})[/]"
    brought = item.brought_by
    notes = []
    if item.waiting:
        notes.append(f"{item.waiting} on the way")
    if item.failed:
        notes.append(f"[red]{item.failed} failed[/]")
    if not item.watched:
        notes.append("contract not watched")
    return (
        f"{item.round or '-'}{behind}",
        _trimmed(item.price or "-"),
        f"{float(item.drift_percent):+.2f} %" if item.drift_percent is not None else "-",
        "-" if item.age_seconds is None else format_duration(item.age_seconds),
        _seconds(brought.carried_seconds) if brought else "-",
        f"[dim]{brought.message[:SHORT_ID]}[/]" if brought else "-",
        ", ".join(notes),
    )


def _rounds(rounds: Sequence[JoinedRound]) -> Table:
    table = _table("round", "price", "updated (UTC)", "message", "to", "stage", "arrived after")
    for item in rounds:
        for index, way in enumerate(item.carried):
            head = (
                (item.round, _trimmed(item.price), item.updated_at[:19].replace("T", " ")) if index == 0 else ("",) * 3
            )
            table.add_row(*head, *_way(way))
    return table


def _way(way: Carriage) -> tuple[str, ...]:
    return way.message[:SHORT_ID], escape(way.chain.label), stage_text(way.stage), _seconds(way.lag_seconds)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        right = column in ("round", "price", "drift", "age", "carried in", "arrived after")
        table.add_column(column, justify="right" if right else "left", no_wrap=bool(column))  # names and notes may wrap
    return table


def _seconds(value: float | None) -> str:
    return "-" if value is None else format_duration(value)


def _old(age: float | None) -> str:
    return "" if age is None else f", {format_duration(age)} old"


def _trimmed(price: str) -> str:
    return price.rstrip("0").rstrip(".") if "." in price else price
