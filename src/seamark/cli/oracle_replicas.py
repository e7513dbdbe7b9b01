"""`seamark oracle replicas`: who leads, of several publishers for the same feeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.markup import escape
from rich.table import Table

from seamark.cli.files import ConfigOption
from seamark.cli.loop import run_until_stopped
from seamark.cli.messages_database import DatabaseOption, open_ledger
from seamark.cli.output import aside, page, print_json
from seamark.core.times import iso_time
from seamark.storage.fencing import Fence, list_fences

__all__ = ["HELP", "replicas"]

HELP: Final = (
    "Show who leads, of several publishers for the same feeds: each lease with its last leader, its term, and since "
    "when.\n\nIt reads the database; whether the leader still lives is in /health of each replica."
)


def replicas(
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
) -> None:
    run_until_stopped(_replicas(config, database, as_json=as_json))


async def _replicas(config: Path | None, database: str | None, *, as_json: bool) -> None:
    async with open_ledger(config, database) as ledger:
        fences = await ledger.database.read(list_fences)
    if as_json:
        print_json([_as_json(fence) for fence in fences])
        return
    if not fences:
        aside("no publisher has led here: oracle.replicas is not set, or none was started yet")
        return
    page().print(_table(fences))


def _as_json(fence: Fence) -> dict[str, object]:
    return {"lease": fence.name, "leader": fence.holder, "term": fence.token, "since": iso_time(fence.raised_ms)}


def _table(fences: Sequence[Fence]) -> Table:
    table = Table("lease", "leader", "term", "since", box=None, pad_edge=False, header_style="bold")
    for fence in fences:
        table.add_row(escape(fence.name), escape(fence.holder), str(fence.token), iso_time(fence.raised_ms))
    return table
