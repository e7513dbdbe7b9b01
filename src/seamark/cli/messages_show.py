"""`seamark messages show`: one message, whole: its place, time line, cost, cause of failure, evidence, next step."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Connection

from seamark.cli.files import ConfigOption
from seamark.cli.loop import run_until_stopped
from seamark.cli.messages_database import DatabaseOption, open_ledger
from seamark.cli.messages_find import Found, find_id, gather
from seamark.cli.messages_options import now_s
from seamark.cli.messages_story import tell_message
from seamark.cli.output import page, to_json
from seamark.core.errors import RejectedError

__all__ = ["HELP", "show"]

HELP = (
    "Show one message: stages with times, what is normal on its lane, fees, tokens, why it failed, the evidence on "
    "chain, and what to do next.\n\nThe first digits of an id are enough. Exit code 1: there is no such message."
)


def show(
    id: Annotated[str, typer.Argument(help="Message id, or its first digits.", metavar="ID")],  # noqa: A002 - as users say
    evidence: Annotated[bool, typer.Option("--evidence/--no-evidence", help="Events and steps.")] = True,
    payload: Annotated[bool, typer.Option("--payload", help="The whole payload in hex.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document: message, sightings, transitions.")
    ] = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
) -> None:
    run_until_stopped(_show(config, database, _Wish(id, evidence, payload, as_json)))


@dataclass(frozen=True, slots=True)
class _Wish:
    id: str
    evidence: bool
    payload: bool
    as_json: bool


async def _show(config: Path | None, database: str | None, wish: _Wish) -> None:
    async with open_ledger(config, database) as ledger:
        found = await ledger.database.read(partial(_find, text=wish.id))
    if wish.as_json:
        sys.stdout.write(to_json(found.detail, indent=2) + "\n")
        return
    wide = page()
    for part in tell_message(found, now_s(), evidence=wish.evidence, payload=wish.payload):
        wide.print(part)


def _find(connection: Connection, *, text: str) -> Found:
    message_id = find_id(connection, text)
    found = gather(connection, message_id) if message_id is not None else None
    if found is None:
        raise RejectedError(
            f"no message {text} is known", remedy="it may not have been seen yet: seamark messages watch waits for it"
        )
    return found
