"""All commands. Each is thin: read settings, open the application, show what happens, exit with a code."""

from __future__ import annotations

from typing import Annotated

import typer

import seamark
from seamark.cli import alerts, ccip, config, demo, devnet, interop, messages, oracle, run
from seamark.cli.output import console, print_error
from seamark.core.errors import SeamarkError

__all__ = ["app", "run_command"]

app = typer.Typer(
    name="seamark",
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


app.command("demo", help=demo.HELP)(demo.demo)
app.command("run", help=run.HELP)(run.run)
app.add_typer(devnet.app, name="devnet")
app.add_typer(messages.app, name="messages")
app.add_typer(alerts.app, name="alerts")
app.add_typer(interop.app, name="interop")
app.add_typer(oracle.app, name="oracle")
app.add_typer(ccip.app, name="ccip")
app.add_typer(config.app, name="config")


def run_command() -> int:
    """Run what the arguments say; the exit code. Errors of ours are shown as one line."""
    try:
        app()
    except SeamarkError as error:
        return print_error(error)
    except SystemExit as end:  # how the command line library reports every other end
        return end.code if isinstance(end.code, int) else 0
    return 0
