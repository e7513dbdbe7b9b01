"""`seamark messages watch`: one message to its end, or every step of those that match, as it happens.

It follows the event log, so it sees what any process stores, in the order of the commits, and nothing twice. Exit codes
with an ID: 0 delivered, 1 failed or retracted, 3 `--timeout` passed.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.markup import escape
from sqlalchemy import Connection

from seamark.cli.files import ConfigOption
from seamark.cli.loop import run_until_stopped
from seamark.cli.messages_database import DatabaseOption, Ledger, open_ledger
from seamark.cli.messages_find import WHOLE_ID, find_id
from seamark.cli.messages_options import (
    Choice,
    DestinationOption,
    FailedOption,
    FeedOption,
    ProtocolOption,
    ReceiverOption,
    SenderOption,
    SourceOption,
    StageOption,
    VersionOption,
    now_s,
    to_filter,
)
from seamark.cli.messages_table import stage_text
from seamark.cli.output import EXIT_FAILED, EXIT_TIMEOUT, aside, console, to_json
from seamark.cli.story import tell
from seamark.core.errors import SettingsError
from seamark.core.units import format_duration, parse_duration
from seamark.messages.model import Stage
from seamark.messages.store import MessageFilter, MessageView, find_message
from seamark.storage.events import Event, last_event_id, read_events

__all__ = ["HELP", "EventFollower", "matches", "watch"]

HELP = (
    "Follow messages live: one ID to its end, or all that match.\n\n"
    "--json prints one event per line. With an ID the exit code is 0 once it is delivered, 1 if it failed, 3 if "
    "--timeout passed. An ID that is not known yet is waited for."
)
LOOK_EVERY_S: Final = 0.5
TOPIC: Final = "message."
_ENDS: Final = {Stage.EXECUTED.value: 0, "recovered": 0, Stage.FAILED.value: EXIT_FAILED}


@dataclass(frozen=True, slots=True)
class _Wish:
    id: str | None
    choice: Choice
    timeout_s: float | None
    as_json: bool


def watch(
    id: Annotated[str | None, typer.Argument(help="Message id, or its first digits.", metavar="[ID]")] = None,  # noqa: A002
    source: SourceOption = None,
    destination: DestinationOption = None,
    stage: StageOption = None,
    failed: FailedOption = False,
    feed: FeedOption = None,
    sender: SenderOption = None,
    receiver: ReceiverOption = None,
    protocol: ProtocolOption = None,
    version: VersionOption = None,
    timeout: Annotated[str | None, typer.Option(help="Give up after so long: 90s, 10m. Exit code 3.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line and event.")] = False,
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
        sender=sender,
        receiver=receiver,
        feed=feed,
    )
    wish = _Wish(id, choice, _timeout(timeout), as_json)
    code: list[int] = []
    run_until_stopped(_watch(config, database, wish, code.append))
    raise typer.Exit(code[0] if code else 0)


def _timeout(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise SettingsError("--timeout", str(error)) from None


async def _watch(config: Path | None, database: str | None, wish: _Wish, end: Callable[[int], None]) -> None:
    async with open_ledger(config, database) as ledger:
        try:
            end(await (_watch_one(ledger, wish) if wish.id else _watch_all(ledger, wish)))
        except TimeoutError:
            aside(f"no end within {format_duration(wish.timeout_s or 0)}")
            end(EXIT_TIMEOUT)


# ---- following ------------------------------------------------------------------------------------------------------


class EventFollower:
    """Events of messages from a place in the event log on."""

    def __init__(
        self, ledger: Ledger, after: int, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._ledger = ledger
        self._after = after
        self._sleep = sleep

    async def next(self) -> list[Event]:
        """The next ones; waits until there are any."""
        while True:
            found = await self._ledger.database.read(partial(read_events, after=self._after, topics=(TOPIC,)))
            if found:
                self._after = found[-1].id
                return found
            await self._sleep(LOOK_EVERY_S)


async def _watch_all(ledger: Ledger, wish: _Wish) -> int:
    def begin(connection: Connection) -> tuple[MessageFilter, int]:
        return to_filter(connection, ledger, wish.choice, now_s()), last_event_id(connection)

    wanted, after = await ledger.database.read(begin)
    follower = EventFollower(ledger, after)
    if not wish.as_json:
        aside("watching; Ctrl-C ends it")
    async with asyncio.timeout(wish.timeout_s):
        while True:
            for event in await follower.next():
                if matches(event.payload, wanted):
                    _print(event, as_json=wish.as_json)


async def _watch_one(ledger: Ledger, wish: _Wish) -> int:
    assert wish.id is not None
    wanted = wish.id.strip().lower()

    def begin(connection: Connection) -> tuple[str | None, MessageView | None, int]:
        found = find_id(connection, wanted)
        detail = find_message(connection, found) if found else None
        return found, detail.message if detail else None, last_event_id(connection)

    known, message, after = await ledger.database.read(begin)
    if message is not None:
        _print_state(message, as_json=wish.as_json)
        if message.stage in _ENDS:
            return _ENDS[message.stage]
    elif not wish.as_json:
        aside("not seen yet; waiting for it")
    async with asyncio.timeout(wish.timeout_s):  # from here on: where it stands is told in any case
        return await _follow_one(EventFollower(ledger, after), wanted, known, as_json=wish.as_json)


async def _follow_one(follower: EventFollower, wanted: str, known: str | None, *, as_json: bool) -> int:
    stage = ""
    while True:
        for event in await follower.next():
            if not (event.key == known or (known is None and event.key.startswith(wanted))):
                continue
            known = event.key
            _print(event, as_json=as_json)
            stage = event.payload["stage"]
        if stage in _ENDS:  # of one unit of work each event tells the last stage: first all of them are printed
            return _ENDS[stage]


def matches(payload: Mapping[str, Any], wanted: MessageFilter) -> bool:
    """Whether an event's message is one of those asked for; the parts of a filter that `watch` offers."""
    plain = (
        (wanted.protocol, ("protocol",)),
        (wanted.version, ("version",)),
        (wanted.source, ("source", "source_name")),
        (wanted.destination, ("destination", "destination_name")),
        (wanted.sender, ("sender",)),
        (wanted.receiver, ("receiver",)),
    )
    if any(value is not None and value not in [payload.get(name) for name in names] for value, names in plain):
        return False
    return not wanted.stage or payload.get("stage") in wanted.stage


# ---- printing -------------------------------------------------------------------------------------------------------


def _print(event: Event, *, as_json: bool) -> None:
    if as_json:
        told = {"event": event.topic, "event_id": event.id, "at_ms": event.at_ms, **event.payload}
        sys.stdout.write(to_json(told) + "\n")
        sys.stdout.flush()
        return
    line = tell(event)
    if line is not None:
        console.print(line)


def _print_state(message: MessageView, *, as_json: bool) -> None:
    if as_json:
        told = {"event": "message.now", "at_ms": time.time_ns() // 1_000_000, **msgspec.to_builtins(message)}
        sys.stdout.write(to_json(told) + "\n")
        sys.stdout.flush()
        return
    lane = f"{escape(message.source_name)} → {escape(message.destination_name)} #{message.sequence}"
    age = format_duration(max(now_s() - message.time, 0))
    console.print(f"{message.id[:WHOLE_ID]} {lane} {stage_text(message.stage)} [dim](sent {age} ago)[/]")
