"""`seamark messages list`: messages that match, newest first, a page or all of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from sqlalchemy import Connection

from seamark.cli.files import ConfigOption
from seamark.cli.loop import run_until_stopped
from seamark.cli.messages_amounts import Tokens
from seamark.cli.messages_database import DatabaseOption, Ledger, open_ledger
from seamark.cli.messages_late import late_ranges
from seamark.cli.messages_options import (
    Choice,
    DestinationOption,
    FailedOption,
    FeedOption,
    FlagOption,
    IdOption,
    JsonOption,
    ProtocolOption,
    ReceiverOption,
    SenderOption,
    SinceOption,
    SourceOption,
    StageOption,
    TxOption,
    UntilOption,
    VersionOption,
    now_s,
    to_filter,
)
from seamark.cli.messages_table import messages_table, plain_rows
from seamark.cli.output import aside, console, to_json
from seamark.messages.reports.store import token_names
from seamark.messages.store import MessageFilter, MessagePage, MessageView, list_messages

__all__ = ["HELP", "list_"]

HELP = (
    "List messages, newest first.\n\n"
    "In a terminal the table fits it; in a pipe ids are whole and times ISO 8601. --json prints one object per line: "
    "what the ledger knows of the message, times in UTC as ISO 8601, spans in seconds."
)
PAGE: Final = 500  # of `--all`


@dataclass(frozen=True, slots=True)
class _Wish:
    choice: Choice
    late: bool
    limit: int
    cursor: str | None
    everything: bool
    as_json: bool


def list_(
    source: SourceOption = None,
    destination: DestinationOption = None,
    stage: StageOption = None,
    failed: FailedOption = False,
    late: Annotated[
        bool,
        typer.Option(
            "--late", help="On its way for longer than is normal on its lane.", rich_help_panel="Which messages"
        ),
    ] = False,
    feed: FeedOption = None,
    sender: SenderOption = None,
    receiver: ReceiverOption = None,
    tx: TxOption = None,
    id: IdOption = None,  # noqa: A002 - the name of the option
    since: SinceOption = None,
    until: UntilOption = None,
    protocol: ProtocolOption = None,
    version: VersionOption = None,
    flag: FlagOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=PAGE, help="How many at most.")] = 30,
    cursor: Annotated[str | None, typer.Option(help="Go on where a page ended.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that match, however many.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
) -> None:
    choice = Choice(
        protocol=protocol,
        version=version,
        source=source,
        destination=destination,
        stages=stage or [],
        failed=failed,
        flags=flag or [],
        sender=sender,
        receiver=receiver,
        tx=tx,
        id=id,
        feed=feed,
        since=since,
        until=until,
    )
    wish = _Wish(choice, late, limit, cursor, everything, as_json)
    run_until_stopped(_list(config, database, wish))


async def _list(config: Path | None, database: str | None, wish: _Wish) -> None:
    async with open_ledger(config, database) as ledger:
        now = now_s()
        wanted, tokens = await ledger.database.read(partial(_prepare, ledger=ledger, wish=wish, now=now))
        cursor, shown = wish.cursor, 0
        while True:
            page = await ledger.database.read(partial(_page, wanted=wanted, wish=wish, cursor=cursor))
            _show(page.messages, now, tokens, as_json=wish.as_json, first=shown == 0)
            shown, cursor = shown + len(page.messages), page.next
            if cursor is None or not wish.everything:
                break
    if cursor is not None:
        aside(f"more: --cursor {cursor}, or --all")
    elif not shown:
        aside("no message matches")


def _prepare(connection: Connection, *, ledger: Ledger, wish: _Wish, now: int) -> tuple[MessageFilter, Tokens]:
    wanted = to_filter(connection, ledger, wish.choice, now)
    if wish.late:
        wanted = msgspec.structs.replace(wanted, late=late_ranges(connection, now))
    return wanted, Tokens(token_names(connection))


def _page(connection: Connection, *, wanted: MessageFilter, wish: _Wish, cursor: str | None) -> MessagePage:
    return list_messages(connection, wanted, limit=PAGE if wish.everything else wish.limit, cursor=cursor)


def _show(messages: Sequence[MessageView], now: int, tokens: Tokens, *, as_json: bool, first: bool) -> None:
    if as_json:
        for message in messages:
            sys.stdout.write(to_json(message) + "\n")
    elif not messages:
        return
    elif console.is_terminal:
        console.print(messages_table(messages, now, tokens, console.width), soft_wrap=False)
    else:
        rows = plain_rows(messages, now, tokens)
        sys.stdout.write("\n".join(rows if first else rows[1:]) + "\n")
