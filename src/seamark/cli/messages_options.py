"""The options by which messages are chosen, the same for `list` and `watch`."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Annotated, Final

import msgspec
import typer
from sqlalchemy import Connection

from seamark.cli.messages_database import Ledger
from seamark.cli.messages_filters import find_chain, parse_moment, parse_stages
from seamark.core.errors import SettingsError
from seamark.messages.model import Stage
from seamark.messages.reports.store import chain_ends
from seamark.messages.store import Flag, MessageFilter
from seamark.oracle.model import Role
from seamark.oracle.store import list_feeds

__all__ = [
    "Choice",
    "DestinationOption",
    "FailedOption",
    "FeedOption",
    "FlagOption",
    "IdOption",
    "JsonOption",
    "ProtocolOption",
    "ReceiverOption",
    "SenderOption",
    "SinceOption",
    "SourceOption",
    "StageOption",
    "TxOption",
    "UntilOption",
    "VersionOption",
    "now_s",
    "to_filter",
]

CHOOSE: Final = "Which messages"

ProtocolOption = Annotated[str | None, typer.Option("--protocol", help="ccip, hyperlane, …", rich_help_panel=CHOOSE)]
VersionOption = Annotated[
    str | None, typer.Option("--lane-version", help="Of the lane, such as 1.6.0.", rich_help_panel=CHOOSE)
]
SourceOption = Annotated[
    str | None,
    typer.Option("--source", "-s", help="Source chain: name, selector or chain id.", rich_help_panel=CHOOSE),
]
DestinationOption = Annotated[
    str | None,
    typer.Option("--destination", "-d", help="Destination chain, named in the same ways.", rich_help_panel=CHOOSE),
]
StageOption = Annotated[
    list[str] | None,
    typer.Option(
        "--stage", help="Where it is now; repeat, or join with commas. open: on its way.", rich_help_panel=CHOOSE
    ),
]
FailedOption = Annotated[bool, typer.Option("--failed", help="As --stage failed.", rich_help_panel=CHOOSE)]
FlagOption = Annotated[
    list[Flag] | None, typer.Option("--flag", help="What else is true of it.", rich_help_panel=CHOOSE)
]
SenderOption = Annotated[str | None, typer.Option("--sender", help="Who sent it.", rich_help_panel=CHOOSE)]
ReceiverOption = Annotated[str | None, typer.Option("--receiver", help="Who gets it.", rich_help_panel=CHOOSE)]
TxOption = Annotated[
    str | None, typer.Option("--tx", help="A transaction of any of its stages.", rich_help_panel=CHOOSE)
]
IdOption = Annotated[str | None, typer.Option("--id", help="Its id or the beginning of it.", rich_help_panel=CHOOSE)]
FeedOption = Annotated[
    str | None, typer.Option("--feed", help="The oracle feed that it carries.", rich_help_panel=CHOOSE)
]
SinceOption = Annotated[
    str | None,
    typer.Option("--since", help="Sent at this time or later: 2h (ago), 2026-11-20, ISO 8601.", rich_help_panel=CHOOSE),
]
UntilOption = Annotated[str | None, typer.Option("--until", help="Sent before this time.", rich_help_panel=CHOOSE)]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object per line.")]


def now_s() -> int:
    return int(time.time())


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What was typed."""

    protocol: str | None = None
    version: str | None = None
    source: str | None = None
    destination: str | None = None
    stages: list[str] = field(default_factory=list)
    failed: bool = False
    flags: list[Flag] = field(default_factory=list)
    sender: str | None = None
    receiver: str | None = None
    tx: str | None = None
    id: str | None = None
    feed: str | None = None
    since: str | None = None
    until: str | None = None


def to_filter(connection: Connection, ledger: Ledger, choice: Choice, now: int) -> MessageFilter:
    """The store's filter; chains and feeds are looked up.

    Raises:
        SettingsError: An option says nothing that there is.
    """
    ends, chains = chain_ends(connection), ledger.settings.chains
    since = parse_moment("--since", choice.since, now)
    until = parse_moment("--until", choice.until, now)
    if since is not None and until is not None and since >= until:
        raise SettingsError("--until", "is not after --since", remedy="swap them")
    stages = parse_stages([*choice.stages, *(["failed"] if choice.failed else [])])
    wanted = MessageFilter(
        protocol=choice.protocol,
        version=choice.version,
        source=find_chain("--source", choice.source, ends, chains),
        destination=find_chain("--destination", choice.destination, ends, chains),
        stage=stages,
        flags=choice.flags,
        sender=_hex("--sender", choice.sender),
        receiver=_hex("--receiver", choice.receiver),
        tx=_hex("--tx", choice.tx),
        id=_hex("--id", choice.id),
        since=since,
        until=until,
    )
    return wanted if choice.feed is None else _of_feed(connection, wanted, choice.feed)


def _hex(option: str, text: str | None) -> str | None:
    if text is None:
        return None
    wanted = text.strip().lower()
    if not wanted.startswith("0x") or not all(digit in "0123456789abcdef" for digit in wanted[2:]):
        raise SettingsError(option, f"{text[:80]!r} is not hexadecimal", remedy="it begins with 0x")
    return wanted


def _of_feed(connection: Connection, wanted: MessageFilter, name: str) -> MessageFilter:
    feeds = {row.ref.name: row for row in list_feeds(connection) if row.ref.role is Role.SOURCE}
    match = {known.casefold(): known for known in feeds}.get(name.strip().casefold())
    if match is None:
        known = ", ".join(sorted(feeds)) or "none"
        raise SettingsError("--feed", f"no feed is called {name[:60]!r}", remedy=f"known: {known}")
    return msgspec.structs.replace(wanted, sender=feeds[match].ref.address)


OPEN: Final = (Stage.SENT, Stage.FINALIZED, Stage.COMMITTED)
