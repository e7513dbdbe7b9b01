"""`seamark devnet reporting`: a whole reporting network on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from seamark.cli.folders import make_folder
from seamark.cli.loop import run_until_stopped
from seamark.core.errors import SettingsError
from seamark.devnet.reporting import Fault
from seamark.oracle.reporting.codec import MAX_ORACLES, MIN_ORACLES
from seamark.runtime.logs import configure_logs

__all__ = ["HELP", "check_size", "parse_fault", "reporting"]

HELP: Final = (
    "Run a whole reporting network (OCR2) on this machine: a chain, a contract for each feed, venues, and N nodes as "
    "processes of their own, with keys, certificates, settings and databases in a folder.\n\n"
    "It shows where each node is until Ctrl-C, which stops all of them. A network of N nodes bears (N - 1) / 3 faulty "
    "ones; --faulty makes some: 1:lie (prices 10 % too high), 1:silent (never starts), 1:frozen (stopped by a signal), "
    "1:crash (killed every 20 seconds)."
)
FEEDS: Final = ("BTC/USD", "ETH/USD", "LINK/USD")  # what the simulated market has


def check_size(nodes: int) -> None:
    """Raises `SettingsError`: so many nodes cannot be a network."""
    if nodes < MIN_ORACLES:
        raise SettingsError(
            "--nodes",
            f"{nodes} nodes bear no faulty one: a network needs more than three times as many as may fail",
            remedy=f"take {MIN_ORACLES} at least",
        )
    if nodes > MAX_ORACLES:
        raise SettingsError("--nodes", f"{nodes} nodes do not fit into a report", remedy=f"take {MAX_ORACLES} at most")


def parse_fault(text: str, nodes: int) -> dict[int, Fault]:
    """From "2:lie": the last two nodes lie.

    Raises:
        SettingsError: Another form, an unknown kind, or more faulty nodes than there are.
    """
    count, _, kind = text.partition(":")
    if not count.isascii() or not count.isdigit() or kind not in set(Fault):
        raise SettingsError("--faulty", f"{text!r} is no fault", remedy=f"write 1:KIND with one of {', '.join(Fault)}")
    if not 0 < int(count) <= nodes:
        raise SettingsError("--faulty", f"{count} of {nodes} nodes cannot be faulty", remedy=f"write 1 to {nodes}")
    return {nodes - 1 - index: Fault(kind) for index in range(int(count))}


def reporting(
    nodes: Annotated[int, typer.Option(help="4 to 31.")] = 4,
    feeds: Annotated[int, typer.Option(min=1, max=len(FEEDS), help=f"The first of {', '.join(FEEDS)}.")] = 1,
    faulty: Annotated[str | None, typer.Option(help="K:lie, K:silent, K:frozen or K:crash.", metavar="K:KIND")] = None,
    data: Annotated[
        Path, typer.Option(help="Folder for the nodes' files; those of an earlier network are replaced.")
    ] = Path(".seamark/reporting"),
    seed: Annotated[int, typer.Option(help="Of the simulated market.")] = 1,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port of the chain; 0 picks a free one.")] = 0,
    seconds: Annotated[float | None, typer.Option(min=0, help="Stop by itself after so long.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a second, on lines of their own.")] = False,
) -> None:
    check_size(nodes)
    faults = parse_fault(faulty, nodes) if faulty is not None else {}
    configure_logs(level="error")
    make_folder(data)
    # gRPC takes a while, and no other command of the devnet needs it.
    from seamark.cli.devnet_reporting_run import Wish, run_network  # noqa: PLC0415

    run_until_stopped(run_network(Wish(data, nodes, FEEDS[:feeds], faults, seed, port, as_json, seconds)))
