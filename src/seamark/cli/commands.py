"""All commands. Each is thin: read settings, open the application, show what happens, exit with a code."""

from __future__ import annotations

from typing import Annotated, Final

import typer

import seamark
from seamark.cli.lazy import Lazy, lazy_group
from seamark.cli.output import console, print_error
from seamark.core.errors import SeamarkError

__all__ = ["COMMANDS", "app", "run_command"]

COMMANDS: Final = (
    Lazy(
        "demo",
        "seamark.cli.demo",
        "Run the main job on this machine: chains, CCIP, venues, publisher, monitor, API and page.",
    ),
    Lazy(
        "run",
        "seamark.cli.run",
        "Run services until stopped: oracle, ccip-monitor, interop-monitor, hyperlane-monitor, api, or several in one "
        "process.",
    ),
    Lazy("devnet", "seamark.cli.devnet", "Two local chains with the published CCIP contracts, and price venues."),
    Lazy(
        "messages",
        "seamark.cli.messages",
        "Look at cross-chain messages: where they are, how long that took, and why one failed.",
    ),
    Lazy("alerts", "seamark.cli.alerts", "What is wrong now, who has it, who was told."),
    Lazy("interop", "seamark.cli.interop", "OP Stack interop: executing messages, what expires, incidents."),
    Lazy("oracle", "seamark.cli.oracle", "Look at feeds across chains."),
    Lazy("ccip", "seamark.cli.ccip", "CCIP on the configured chains."),
    Lazy("config", "seamark.cli.config", "Check and show settings."),
)

app = typer.Typer(
    name="seamark",
    cls=lazy_group(COMMANDS),
    help="Publish prices on chain, carry them across chains, and see every message land.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        console.print(f"seamark {seamark.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def run_command() -> int:
    """Run what the arguments say; the exit code. Errors of ours are shown as one line."""
    try:
        app()
    except SeamarkError as error:
        return print_error(error)
    except SystemExit as end:  # how the command line library reports every other end
        return end.code if isinstance(end.code, int) else 0
    return 0
