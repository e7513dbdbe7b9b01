"""What people do about alerts, from a terminal: each action says who and why, and is kept in the history."""

from __future__ import annotations

import getpass
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Final, TypeVar

import typer
from sqlalchemy import Connection

from seamark.api.readers.alerts import StoredAlerts
from seamark.api.views import View
from seamark.cli.alerts_tables import print_table, silences_table
from seamark.cli.files import ConfigOption
from seamark.cli.loop import run_until_stopped
from seamark.cli.messages_database import DatabaseOption, open_ledger
from seamark.cli.output import console, print_json
from seamark.core.errors import RejectedError, SettingsError
from seamark.core.times import iso_time
from seamark.core.units import format_duration, parse_duration
from seamark.monitoring.alerts import store
from seamark.monitoring.alerts.model import Matcher

__all__ = [
    "ACK_HELP",
    "FORGET_HELP",
    "SILENCE_HELP",
    "WhoOption",
    "ack",
    "forget",
    "silence",
    "silences",
    "sources",
    "unsilence",
    "who_acts",
]

ACK_HELP = (
    "Say that somebody has these alerts: no repeats, no escalation, until they resolve or get worse.\n\n"
    "--undo gives them back."
)
SILENCE_HELP = (
    "Do not tell of alerts that match all of the matchers, open now or later, for a while.\n\n"
    "A matcher is kind=…, group=…, subject=…, severity=… or label.NAME=…, with * and ? for anything and != for not: "
    "seamark alerts silence 'kind=message_*' label.source=besu --for 2h --why 'upgrade of besu'"
)
FORGET_HELP = "Drop a producer that will not come back, and resolve what it alone reported (seamark alerts sources)."
_MS: Final = 1000
T = TypeVar("T")

WhoOption = Annotated[str | None, typer.Option("--who", help="Who does it. Default: the user of this machine.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def who_acts(given: str | None) -> str:
    """The given name, else the operating system's.

    Raises:
        SettingsError: Neither is there.
    """
    if given and given.strip():
        return given.strip()
    try:
        return getpass.getuser()
    except (OSError, KeyError) as error:
        raise SettingsError("--who", "this user has no name", remedy="say who you are") from error


def ack(
    alerts: Annotated[list[int], typer.Argument(help="Their numbers.", metavar="ALERT...", min=1)],
    why: Annotated[str, typer.Option("--why", help="What is being done about it.")] = "",
    span: Annotated[str | None, typer.Option("--for", help="For how long at most, such as 2h.")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Nobody has them after all.")] = False,
    who: WhoOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
) -> None:
    now_ms, person = _now_ms(), who_acts(who)
    until_ms = None if span is None else now_ms + _span_ms(span)

    def work(connection: Connection) -> None:
        if undo:
            store.unacknowledge(connection, alerts, person, why, now_ms)
        else:
            store.acknowledge(connection, alerts, person, why, now_ms, until_ms=until_ms)

    _write(config, database, work)
    if as_json:
        _print_views(config, database, lambda desk: _found(desk, alerts))
        return
    several = f"alert{'' if len(alerts) == 1 else 's'} {', '.join(map(str, alerts))}"
    console.print(f"{'nobody' if undo else person} has {several}", markup=False)


def silence(
    matchers: Annotated[list[str], typer.Argument(help="What to silence.", metavar="MATCHER...")],
    span: Annotated[str, typer.Option("--for", help="For how long, such as 2h.")],
    why: Annotated[str, typer.Option("--why", help="Why; kept in the history.")],
    who: WhoOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
) -> None:
    now_ms, parsed, person = _now_ms(), [_matcher(text) for text in matchers], who_acts(who)
    until_ms = now_ms + _span_ms(span)
    made = _write(
        config,
        database,
        lambda connection: store.add_silence(connection, parsed, person, why, now_ms, until_ms=until_ms),
    )
    if as_json:
        _print_silence(config, database, made.id)
        return
    span_text = format_duration((until_ms - now_ms) / _MS)
    console.print(f"silence {made.id} for {span_text}; to end it: seamark alerts unsilence {made.id}", markup=False)


def unsilence(
    silence_id: Annotated[int, typer.Argument(help="Its number.", metavar="SILENCE", min=1)],
    who: WhoOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
) -> None:
    now_ms, person = _now_ms(), who_acts(who)
    _write(config, database, lambda connection: store.end_silence(connection, silence_id, person, now_ms))
    if as_json:
        _print_silence(config, database, silence_id)
        return
    console.print(f"silence {silence_id} is over", markup=False)


def silences(
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
) -> None:
    run_until_stopped(_silences(config, database, everything=everything, as_json=as_json))


async def _silences(config: Path | None, database: str | None, *, everything: bool, as_json: bool) -> None:
    async with open_ledger(config, database) as ledger:
        found = await StoredAlerts(ledger.database).silences(ended=everything)
    if as_json:
        print_json([item.model_dump(mode="json") for item in found])
    elif found:
        print_table(silences_table(found))
    else:
        console.print("no silences", markup=False)


def sources(as_json: JsonOption = False, config: ConfigOption = None, database: DatabaseOption = None) -> None:
    found = _run(config, database, partial(store.list_sources), write=False)
    now_ms = _now_ms()
    if as_json:
        print_json(
            [
                {"source": item.name, "reported_at": iso_time(item.reported_ms), "findings": item.findings}
                for item in found
            ]
        )
        return
    for item in found:
        ago = format_duration(max(now_ms - item.reported_ms, 0) / _MS)
        console.print(f"{item.name}: {_findings(item.findings)}, {ago} ago", markup=False)
    if not found:
        console.print("nobody has reported yet", markup=False)


def forget(
    source: Annotated[str, typer.Argument(help="Its name, as seamark alerts sources shows it.")],
    why: Annotated[str, typer.Option("--why", help="Why; kept in the history.")],
    who: WhoOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
) -> None:
    now_ms, person = _now_ms(), who_acts(who)
    try:
        dropped = _write(config, database, lambda c: store.forget_source(c, source, person, now_ms, why=why))
    except LookupError:
        raise RejectedError(
            f"nobody called {source!r} has reported", remedy="seamark alerts sources shows who has"
        ) from None
    if as_json:
        print_json({"source": source, "findings": dropped})
        return
    console.print(f"{source} is forgotten, with {_findings(dropped)}", markup=False)


def _findings(count: int) -> str:
    return f"{count} finding{'' if count == 1 else 's'}"


async def _found(desk: StoredAlerts, alerts: Sequence[int]) -> list[View]:
    return [found for number in alerts if (found := await desk.find(number)) is not None]


def _print_silence(config: Path | None, database: str | None, silence_id: int) -> None:
    async def read(desk: StoredAlerts) -> list[View]:
        return [item for item in await desk.silences(ended=True) if item.id == silence_id]

    _print_views(config, database, read, single=True)


def _print_views(
    config: Path | None,
    database: str | None,
    read: Callable[[StoredAlerts], Awaitable[list[View]]],
    *,
    single: bool = False,
) -> None:
    """What was changed, as the API gives it."""

    async def run() -> None:
        async with open_ledger(config, database) as ledger:
            views = [item.model_dump(mode="json") for item in await read(StoredAlerts(ledger.database))]
        print_json(views[0] if single else views)

    run_until_stopped(run())


def _matcher(text: str) -> Matcher:
    try:
        return Matcher.parse(text)
    except ValueError as error:
        problem, _, remedy = str(error).partition("; ")
        raise SettingsError("MATCHER", problem, remedy=remedy) from None


def _span_ms(text: str) -> int:
    try:
        return round(parse_duration(text) * _MS)
    except ValueError as error:
        problem, _, remedy = str(error).partition("; ")
        raise SettingsError("--for", problem, remedy=remedy) from None


def _now_ms() -> int:
    return round(time.time() * _MS)


def _write(config: Path | None, database: str | None, work: Callable[[Connection], T]) -> T:
    return _run(config, database, work, write=True)


def _run(config: Path | None, database: str | None, work: Callable[[Connection], T], *, write: bool) -> T:
    results: list[T] = []

    async def run() -> None:
        async with open_ledger(config, database) as ledger:
            results.append(await (ledger.database.write(work) if write else ledger.database.read(work)))

    run_until_stopped(run())
    if not results:
        raise typer.Exit(130)  # stopped by a signal, as shells have it
    return results[0]
