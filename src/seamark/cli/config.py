"""`seamark config`: settings, checked before they are used."""

from __future__ import annotations

import json
import os
from typing import Annotated, Any

import typer

from seamark.app import SERVICES, open_application
from seamark.cli.files import ConfigOption, find_file
from seamark.cli.loop import run_until_stopped
from seamark.cli.output import EXIT_SETTINGS, console, print_problems
from seamark.core.errors import SettingsError
from seamark.runtime.logs import configure_logs
from seamark.runtime.settings import SettingsProblems
from seamark.settings import Settings, load

__all__ = ["app"]

app = typer.Typer(help="Check and show settings.", no_args_is_help=True)

OnlineOption = Annotated[
    bool,
    typer.Option(help="Also ask the nodes: chain ids, contracts, permissions. Publishes nothing, stores nothing."),
]


@app.command()
def check(config: ConfigOption = None, online: OnlineOption = False) -> None:
    """Check a settings file; every mistake is shown with its line and remedy. Exit code 2 if there is one."""
    file = find_file(config)
    if file is None:
        raise SettingsError("--config", "there is no seamark.yaml here", remedy="name a file with --config")
    try:
        settings = load(file, os.environ)
    except SettingsProblems as error:
        print_problems(error)
        raise typer.Exit(EXIT_SETTINGS) from None
    if online:
        run_until_stopped(_check_online(settings))
    console.print(f"{file}: ok ({_summary(settings)}{', nodes asked' if online else ''})", markup=False)


@app.command()
def show(config: ConfigOption = None) -> None:
    """Print the settings in force as JSON, defaults filled in, secrets blotted out."""
    file = find_file(config)
    settings = load(file, os.environ) if file else Settings()
    console.print_json(json.dumps(_shown(settings)))


def _shown(settings: Settings) -> dict[str, Any]:
    values: dict[str, Any] = settings.model_dump(mode="json")
    values["database"] = _without_password(settings.database)
    return values


def _without_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    return f"{head.partition('://')[0]}://***@{tail}" if at else url


def _summary(settings: Settings) -> str:
    counts = {
        "chain": len(settings.chains),
        "feed": len(settings.oracle.feeds),
        "watched feed": len(settings.oracle.watch),
        "CCIP chain": len(settings.ccip.chains),
    }
    return ", ".join(f"{number} {name}{'' if number == 1 else 's'}" for name, number in counts.items())


async def _check_online(settings: Settings) -> None:
    """Open what the settings name, on an empty database of its own, and run nothing."""
    configure_logs(level="error")
    wanted = set(SERVICES) - {"api"}
    if not settings.oracle.feeds and not settings.oracle.watch:
        wanted.discard("oracle")
    if not settings.ccip.chains:
        wanted.discard("ccip-monitor")
    free = {"port": 0}
    apart = settings.with_changes(database="sqlite://", api=free, metrics=free, health=free)
    async with open_application(apart, wanted):
        pass
