"""`seamark interop`: executing messages and their verdicts, messages about to expire, incidents.

The commands read the database of the settings, beside running services or without any; `close` alone changes it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.table import Table
from rich.text import Text
from sqlalchemy import Connection

from seamark.cli.alerts_actions import WhoOption, who_acts
from seamark.cli.alerts_tables import print_table
from seamark.cli.files import ConfigOption
from seamark.cli.loop import run_until_stopped
from seamark.cli.messages_database import DatabaseOption, open_ledger
from seamark.cli.output import EXIT_FAILED, console, print_json
from seamark.core.errors import SettingsError
from seamark.core.times import iso_time, with_times
from seamark.messages.protocols.op_interop.model import Status
from seamark.messages.protocols.op_interop.network import interop_chains, interop_network
from seamark.messages.protocols.op_interop.store import (
    Incident,
    Job,
    VerdictView,
    close_incident,
    find_job,
    history,
    list_incidents,
    list_jobs,
)
from seamark.messages.protocols.op_interop.views import Unrelayed, expiring
from seamark.settings import Settings

__all__ = ["app"]

MAX_ROWS: Final = 1000
_MS: Final = 1000

app = typer.Typer(help="OP Stack interop: executing messages, what expires, incidents.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=MAX_ROWS, help="How many at most.")]


@app.command("list")
def list_(
    status: Annotated[list[Status] | None, typer.Option("--status", help="With this verdict; may be repeated.")] = None,
    executing: Annotated[int | None, typer.Option("--executing", help="Chain id of the executing chain.")] = None,
    initiating: Annotated[int | None, typer.Option("--initiating", help="Chain id that they name.")] = None,
    retracted: Annotated[bool, typer.Option("--retracted", help="Those whose block left the chain.")] = False,
    limit: LimitOption = 100,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
) -> None:
    """List executing messages with their verdicts, newest first."""

    def read(connection: Connection) -> list[Job]:
        return list_jobs(
            connection,
            statuses=status or (),
            exec_chain=executing,
            init_chain=initiating,
            live=not retracted,
            limit=limit,
        )

    async def work() -> None:
        async with open_ledger(config, database) as ledger:
            jobs = await ledger.database.read(read)
        if as_json:
            print_json([_plain_job(item) for item in jobs])
        else:
            _print(_jobs_table(jobs), "no executing messages")

    run_until_stopped(work())


@app.command("show")
def show(
    key: Annotated[str, typer.Argument(help="chain:block hash:log index, as `list` shows it.", metavar="MESSAGE")],
    as_json: JsonOption = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
) -> None:
    """Show one executing message and all that was ever thought of it."""

    def read(connection: Connection) -> tuple[Job | None, list[VerdictView]]:
        return find_job(connection, key), history(connection, key)

    async def work() -> None:
        async with open_ledger(config, database) as ledger:
            job, steps = await ledger.database.read(read)
        if job is None:
            console.print(Text(f"no executing message {key}"))
            raise typer.Exit(EXIT_FAILED)
        if as_json:
            print_json({**_plain_job(job), "history": with_times(msgspec.to_builtins(steps))})
            return
        for name, value in _plain_job(job).items():
            console.print(Text(f"{name:22} {value}"))
        for item in steps:
            reason = f" {item.rule}: {item.detail}" if item.rule else ""
            console.print(Text(f"{_moment(item.at_ms / _MS)}  {item.step}{reason}"))

    run_until_stopped(work())


@app.command("expiring")
def expiring_(
    as_json: JsonOption = False,
    limit: LimitOption = 100,
    config: ConfigOption = None,
    database: DatabaseOption = None,
) -> None:
    """List messages that nobody relayed and whose time runs out, or has run out; exit code 1 if there are any."""

    async def work() -> None:
        now = time.time()
        async with open_ledger(config, database) as ledger:
            window = _window(ledger.settings)
            before = int(now - ledger.settings.interop.expiring_share * window)
            found = await ledger.database.read(lambda c: expiring(c, window_s=window, before=before, limit=limit))
        if as_json:
            print_json([_plain_unrelayed(item, now) for item in found])
        else:
            _print(_expiring_table(found, now), "nothing expires: every message that is old enough was relayed")
        if found:
            raise typer.Exit(EXIT_FAILED)

    run_until_stopped(work())


@app.command("incidents")
def incidents(as_json: JsonOption = False, config: ConfigOption = None, database: DatabaseOption = None) -> None:
    """List incidents: from the first invalid message until somebody closed it."""

    async def work() -> None:
        async with open_ledger(config, database) as ledger:
            found = await ledger.database.read(list_incidents)
        if as_json:
            print_json([_plain_incident(item) for item in found])
        else:
            _print(_incidents_table(found), "no incidents")

    run_until_stopped(work())


@app.command("close")
def close(
    why: Annotated[str, typer.Option("--why", help="Why it is over.")],
    who: WhoOption = None,
    config: ConfigOption = None,
    database: DatabaseOption = None,
) -> None:
    """Close the open incident. Its messages open no other one; the failsafe of an endpoint stays as it is."""
    name = who_acts(who)
    if not why.strip():
        raise SettingsError("--why", "is empty", remedy="say why it is over")
    run_until_stopped(_close(config, database, name, why))


async def _close(config: Path | None, database: str | None, who: str, why: str) -> None:
    now_ms = int(time.time() * _MS)
    async with open_ledger(config, database) as ledger:
        closed = await ledger.database.write(lambda c: close_incident(c, who, why, now_ms=now_ms))
    if closed is None:
        console.print("no incident is open")
        raise typer.Exit(EXIT_FAILED)
    console.print(Text(f"incident {closed.id} closed by {who}: {closed.jobs} messages, {closed.reason}"))


def _window(settings: Settings) -> int:
    return interop_network(settings.interop, interop_chains(settings.interop, settings.chains)).window_s


def _plain_job(item: Job) -> dict[str, Any]:
    here, told = item.message, item.message.identifier
    return {
        "message": item.key,
        "status": item.status.value,
        "rule": item.rule.value,
        "detail": item.detail,
        "executing_chain_id": str(here.chain_id),
        "executing_block": here.block.number,
        "executing_tx": here.transaction,
        "executing_level": item.exec_level.name.lower(),
        "initiating_chain_id": str(told.chain_id),
        "initiating_block": str(told.block_number),
        "initiating_log": told.log_index,
        "initiating_time": _told_time(told.timestamp),
        "initiating_level": item.init_level.name.lower(),
        "origin": told.origin,
        "payload_hash": here.payload,
        "declared": item.declared,
        "stale": item.stale,
        "retracted": item.retracted,
        "settled": item.settled,
    }


def _told_time(timestamp: int) -> str:
    """What the identifier says, which may be anything: a number that is no time stays a number."""
    told = with_times({"time": timestamp})["time"]
    return str(told)


def _plain_unrelayed(item: Unrelayed, now: float) -> dict[str, Any]:
    times: dict[str, Any] = with_times(msgspec.to_builtins(item), ("first_sent", "last_sent", "expires"))
    return {**times, "expired": item.expired(now)}


def _plain_incident(item: Incident) -> dict[str, Any]:
    calls = {endpoint: iso_time(at_ms) for endpoint, at_ms in item.calls.items()}
    return {**with_times(msgspec.to_builtins(item)), "calls": calls}


def _jobs_table(jobs: Sequence[Job]) -> Table:
    table = _table("message", "verdict", "rule", "from", "block", "level", "detail")
    for item in jobs:
        status = f"{item.status.value} (stale)" if item.stale else item.status.value
        told = item.message.identifier
        level = item.exec_level.name.lower()
        table.add_row(
            item.key, status, item.rule.value, str(told.chain_id), str(told.block_number), level, Text(item.detail)
        )
    return table


def _expiring_table(found: Sequence[Unrelayed], now: float) -> Table:
    table = _table("message", "from", "to", "sent (UTC)", "sends", "expires (UTC)", "")
    for item in found:
        state = "expired: resend it" if item.expired(now) else "relay or resend it"
        table.add_row(
            item.message_id,
            item.source,
            item.destination,
            _moment(item.first_sent),
            str(item.sends),
            _moment(item.expires),
            state,
        )
    return table


def _incidents_table(found: Sequence[Incident]) -> Table:
    table = _table("incident", "opened (UTC)", "messages", "stopped", "closed (UTC)", "by", "reason")
    for item in found:
        closed = "" if item.closed_ms is None else _moment(item.closed_ms / _MS)
        stopped = ", ".join(sorted(item.calls))
        reason = f"{item.reason}; {item.why}" if item.why else item.reason
        table.add_row(
            str(item.id), _moment(item.opened_ms / _MS), str(item.jobs), stopped, closed, item.closed_by, Text(reason)
        )
    return table


def _print(table: Table, nothing: str) -> None:
    if table.row_count:
        print_table(table)
    else:
        console.print(nothing, markup=False)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
