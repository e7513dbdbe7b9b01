"""`seamark alerts`: what is wrong now, who has it, who was told.

The commands read and change the database of the settings, beside running services or without any; `test` alone sends.
Who does something is a given name, else the user of the operating system.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from seamark.api.ports import AlertFilter
from seamark.api.readers.alerts import StoredAlerts
from seamark.cli import alerts_actions, alerts_send
from seamark.cli.alerts_tables import alert_text, alerts_table, history_table, print_table
from seamark.cli.files import ConfigOption
from seamark.cli.loop import run_until_stopped
from seamark.cli.messages_database import DatabaseOption, open_ledger
from seamark.cli.output import EXIT_FAILED, console, print_json
from seamark.core.errors import RejectedError
from seamark.core.findings import Severity

__all__ = ["app"]

MAX_ROWS: Final = 1000
WIDE: Final = 120  # columns of a terminal that shows groups too; titles name the lane or chain

app = typer.Typer(help="What is wrong now, who has it, who was told.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON, as the API gives it.")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=MAX_ROWS, help="How many at most.")]


@app.command("list")
def list_(
    everything: Annotated[bool, typer.Option("--all", help="Also those that are resolved.")] = False,
    severity: Annotated[
        list[Severity] | None, typer.Option("--severity", help="Of these severities; may be repeated.")
    ] = None,
    kind: Annotated[str, typer.Option("--kind", help="Of this kind; * and ? stand for anything.")] = "",
    group: Annotated[str, typer.Option("--group", help="Of this group; * and ? stand for anything.")] = "",
    check: Annotated[
        bool, typer.Option("--check", help="Exit code 1 if a critical alert is open; for cron and probes.")
    ] = False,
    limit: LimitOption = 200,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
) -> None:
    """List open alerts, newest first."""
    wanted = AlertFilter(None if everything else True, tuple(item.value for item in severity or ()), kind, group)
    run_until_stopped(_list(config, database, wanted, limit=limit, check=check, as_json=as_json))


async def _list(
    config: Path | None, database: str | None, wanted: AlertFilter, *, limit: int, check: bool, as_json: bool
) -> None:
    async with open_ledger(config, database) as ledger:
        desk = StoredAlerts(ledger.database)
        page = await desk.search(wanted, None, limit)
        worst = await desk.search(AlertFilter(True, (Severity.CRITICAL.value,)), None, 1) if check else None
    if as_json:
        print_json([item.model_dump(mode="json") for item in page.items])
    elif page.items:
        print_table(alerts_table(page.items, groups=not console.is_terminal or console.width >= WIDE))
        if page.next is not None:
            console.print(f"more than {limit}: raise --limit", markup=False)
    else:
        console.print("no alerts" if wanted.is_open is None else "no open alerts", markup=False)
    if worst is not None and worst.items:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def show(
    alert: Annotated[int, typer.Argument(help="Its number.", min=1)],
    as_json: JsonOption = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
) -> None:
    """Show one alert, what was done about it, and who was told."""
    run_until_stopped(_show(config, database, alert, as_json=as_json))


async def _show(config: Path | None, database: str | None, alert: int, *, as_json: bool) -> None:
    async with open_ledger(config, database) as ledger:
        found = await StoredAlerts(ledger.database).find(alert)
        runbook = ledger.settings.alerts.runbook
    if found is None:
        raise RejectedError(f"there is no alert {alert}", remedy="seamark alerts list --all shows them")
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        console.print(alert_text(found, runbook), markup=False)


@app.command()
def history(
    limit: LimitOption = 50,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
) -> None:
    """What was done about alerts and by whom, newest first."""
    run_until_stopped(_history(config, database, limit=limit, as_json=as_json))


async def _history(config: Path | None, database: str | None, *, limit: int, as_json: bool) -> None:
    async with open_ledger(config, database) as ledger:
        entries = await StoredAlerts(ledger.database).history(None, limit)
    if as_json:
        print_json([entry.model_dump(mode="json") for entry in entries])
    elif entries:
        print_table(history_table(entries))
    else:
        console.print("nothing was done yet", markup=False)


# After these: help lists commands in this order.
app.command("ack", help=alerts_actions.ACK_HELP)(alerts_actions.ack)
app.command("silence", help=alerts_actions.SILENCE_HELP)(alerts_actions.silence)
app.command("unsilence", help="End a silence before its time.")(alerts_actions.unsilence)
app.command("silences", help="List silences.")(alerts_actions.silences)
app.command("sources", help="Who reports findings, and when last.")(alerts_actions.sources)
app.command("forget", help=alerts_actions.FORGET_HELP)(alerts_actions.forget)
app.command("test", help=alerts_send.HELP)(alerts_send.send_test)
