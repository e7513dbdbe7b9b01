"""`seamark config`: settings, checked before they are used."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from seamark.app import CCIP_MONITOR, MONITORS, ORACLE, SERVICES, FoundSettings, open_application
from seamark.app.naming import calling
from seamark.app.signing import ask_signers
from seamark.cli.files import ConfigOption, check_services, find_file, read_settings
from seamark.cli.loop import run_until_stopped
from seamark.cli.output import EXIT_SETTINGS, console, print_json, print_problems
from seamark.core.errors import SettingsError
from seamark.evm.address import to_checksum
from seamark.runtime.clock import SystemClock
from seamark.runtime.logs import configure_logs
from seamark.runtime.settings import Problem, SettingsProblems
from seamark.settings import Settings, load

__all__ = ["app"]

app = typer.Typer(help="Check and show settings.", no_args_is_help=True)

ServicesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        help=f"Any of {', '.join(SERVICES)}; all that are configured, where none is named.", metavar="SERVICE..."
    ),
]
OnlineOption = Annotated[
    bool,
    typer.Option(
        "--online",
        help="Also ask the nodes and signers: chain ids, contracts, permissions, accounts."
        " Publishes nothing, stores nothing.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command()
def check(
    services: ServicesArgument = None,
    config: ConfigOption = None,
    online: OnlineOption = False,
    as_json: JsonOption = False,
) -> None:
    """Check settings; every mistake is shown with its line and remedy. Exit code 2 if there is one.

    Without a file, name the services whose environment variables are to be checked.
    """
    check_services(services or ())
    configure_logs(level="error")
    try:
        file = find_file(config)
        if file is None and not services:
            raise SettingsError(
                "--config", "there is no seamark.yaml here", remedy="name a file with --config, or name a service"
            )
        run_until_stopped(_check(services, file, online, as_json))
    except SettingsError as error:
        if not as_json and not isinstance(error, SettingsProblems):
            raise
        _show_problems(error, as_json)
        raise typer.Exit(EXIT_SETTINGS) from None


@app.command()
def show(config: ConfigOption = None) -> None:
    """Print the settings in force as JSON, defaults filled in, secrets blotted out."""
    file = find_file(config)
    print_json(_shown(load(file, os.environ) if file else Settings()))


async def _check(services: Collection[str] | None, file: Path | None, online: bool, as_json: bool) -> None:
    found = await read_settings(services or (), file)
    signers: dict[str, str] = {}
    if online:
        with calling(found.names):
            asked = await ask_signers(found.settings, SystemClock())
        signers = {setting: to_checksum(address) for setting, address in asked.items()}
        await _check_online(found, services or _configured(found.settings))
    counts = _counts(found.settings)
    if as_json:
        shown = {"ok": True, "source": str(file or "environment"), "online": online, "found": counts}
        print_json(shown | ({"signers": signers} if online else {}))
        return
    words = ", ".join(f"{number} {name}{'' if number == 1 else 's'}" for name, number in counts.items())
    asked_whom = ", nodes and signers asked" if signers else ", nodes asked" if online else ""
    console.print(f"{file or 'environment'}: ok ({words}{asked_whom})", markup=False)
    for setting, account in signers.items():
        console.print(f"  {setting}: {account}", markup=False)


def _show_problems(error: SettingsError, as_json: bool) -> None:
    if not as_json and isinstance(error, SettingsProblems):
        print_problems(error)
        return
    problems = error.problems if isinstance(error, SettingsProblems) else [_problem(error)]
    rows = [{"setting": p.setting, "problem": p.problem, "remedy": p.remedy, "line": p.line} for p in problems]
    print_json({"ok": False, "source": getattr(error, "source", ""), "problems": rows})


def _problem(error: SettingsError) -> Problem:
    return Problem(error.setting, error.problem, error.remedy)


def _shown(settings: Settings) -> dict[str, Any]:
    values: dict[str, Any] = settings.model_dump(mode="json")
    values["database"] = _without_secrets(settings.database)
    return values


def _without_secrets(url: str) -> str:
    """A server's host, port and database; user, password and options stay where they are."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return url
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _counts(settings: Settings) -> dict[str, int]:
    others = {
        f"{kind.section} chain": len(kind.chains(settings)) for name, kind in MONITORS.items() if name != CCIP_MONITOR
    }
    return {
        "chain": len(settings.chains),
        "feed": len(settings.oracle.feeds),
        "watched feed": len(settings.oracle.watch),
        "CCIP chain": len(settings.ccip.chains),
    } | {name: count for name, count in others.items() if count}


def _configured(settings: Settings) -> list[str]:
    oracle = [ORACLE] if settings.oracle.feeds or settings.oracle.watch else []
    return oracle + [name for name, kind in MONITORS.items() if kind.chains(settings)]


async def _check_online(found: FoundSettings, services: Collection[str]) -> None:
    """Open what the settings name, on an empty database and ports of its own, and run nothing."""
    free = {"port": 0}
    apart = found.settings.with_changes(database="sqlite://", api=free, metrics=free, health=free)
    async with open_application(apart, services, names=found.names):
        pass
