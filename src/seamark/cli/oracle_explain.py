"""`seamark oracle explain`: why a feed's answer is what it is, source by source."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.markup import escape
from rich.table import Table
from sqlalchemy import Connection

from seamark.cli.files import ConfigOption, read_settings
from seamark.cli.loop import run_until_stopped
from seamark.cli.messages_database import DatabaseOption, find_settings, open_ledger
from seamark.cli.oracle_check import check_as_json, tell_feed
from seamark.cli.output import page, print_json
from seamark.core.errors import SettingsError
from seamark.core.times import iso_seconds
from seamark.core.units import Ppb, format_duration, format_ratio
from seamark.oracle.explain import Account, VoteLine, account_of
from seamark.oracle.model import Publication, PublicationState
from seamark.oracle.store import list_feeds, list_publications
from seamark.runtime.clock import SystemClock

__all__ = ["HELP", "explain", "find_account"]

HELP: Final = (
    "Tell why the last answer of a feed is what it is: each source's price, age, weight, distance from the answer, and "
    "why one was not used.\n\nIt reads what the publisher stored with the round; --round tells of an earlier one.\n\n"
    "--live asks the sources and the contract now, and tells what would be published."
)
_PUBLISHED: Final = (PublicationState.MINED, PublicationState.FINAL)
_PERCENT_STEP: Final = 1_000  # ppb: distances are shown to a ten-thousandth of a percent


def explain(
    feed: Annotated[str, typer.Argument(help="The feed's name, such as ETH/USD.", metavar="FEED")],
    round_id: Annotated[int | None, typer.Option("--round", min=1, help="Of this round; default: the newest.")] = None,
    chain: Annotated[str | None, typer.Option(help="Of this chain, where the feed is published on several.")] = None,
    live: Annotated[bool, typer.Option("--live", help="Ask now, instead of telling what was published.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
) -> None:
    if live:
        if round_id is not None or database is not None:
            raise SettingsError("--live", "asks now and reads no database", remedy="leave --round and --database out")
        run_until_stopped(_explain_now(config, feed, as_json=as_json))
        return
    run_until_stopped(_explain(config, database, feed, chain, round_id, as_json=as_json))


async def _explain_now(config: Path | None, feed: str, *, as_json: bool) -> None:
    from seamark.app.survey import survey_feeds  # noqa: PLC0415 - chains and venues: not for what is only read

    settings = (await read_settings(["oracle"], find_settings(config))).settings
    (found, *_) = await survey_feeds(settings, [feed], SystemClock())
    if as_json:
        print_json(check_as_json(found))
    else:
        tell_feed(found)


async def _explain(
    config: Path | None, database: str | None, feed: str, chain: str | None, round_id: int | None, *, as_json: bool
) -> None:
    async with open_ledger(config, database) as ledger:
        account = await ledger.database.read(partial(find_account, feed=feed, chain=chain, round_id=round_id))
    if as_json:
        print_json(_as_json(account))
    else:
        _show(account)


def find_account(connection: Connection, *, feed: str, chain: str | None, round_id: int | None) -> Account:
    """The newest publication of a feed, or of one round, explained.

    Raises:
        SettingsError: There is no such feed, or nothing of it was published by this publisher.
    """
    rows = [row for row in list_feeds(connection) if chain is None or row.ref.chain == chain]
    row = next((row for row in rows if row.ref.name.casefold() == feed.casefold()), None)
    if row is None:
        known = ", ".join(sorted({item.ref.name for item in rows})) or "none"
        raise SettingsError("FEED", f"no feed is called {feed[:60]!r} here", remedy=f"known: {known}")
    ref = row.ref
    found = list_publications(
        connection, feed=ref.name, chain_id=_only(chain, ref.chain_id), round_id=round_id, limit=50
    )
    publication = _chosen(found)
    if publication is None:
        wanted = "nothing" if round_id is None else f"no round {round_id}"
        raise SettingsError("FEED", f"{wanted} of {ref.name} was published from here", remedy="start a publisher")
    earlier = list_publications(
        connection,
        feed=ref.name,
        chain_id=publication.feed.chain_id,
        round_id=publication.round - 1,
        states=_PUBLISHED,
        limit=50,
    )
    before = next((one for one in earlier if one.feed.address == publication.feed.address), None)
    return account_of(publication, before, threshold=row.deviation, heartbeat=row.heartbeat)


def _only(chain: str | None, chain_id: int) -> int | None:
    return None if chain is None else chain_id


def _chosen(found: Sequence[Publication]) -> Publication | None:
    """The newest that is on chain; else the newest attempt."""
    return next((one for one in found if one.state in _PUBLISHED), found[0] if found else None)


# ---- what is shown --------------------------------------------------------------------------------------------------


def _show(account: Account) -> None:
    out = page()
    price = "unknown" if account.price is None else _plain(f"{account.price:f}")
    out.print(
        f"[bold]{escape(account.feed)}[/] {price}  "
        f"[dim]round {account.round} on {escape(account.chain)}, {account.state}[/]"
    )
    out.print(f"  {account.reason}: {escape(account.why)}")
    out.print(f"  [dim]decided {iso_seconds(account.planned_at)}, transaction {account.transaction or 'not sent'}[/]")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("source", "venue", "price", "from the answer", "age", "weight", ""):
        table.add_column(name, justify="left" if name in ("source", "venue", "") else "right")
    for vote in account.votes:
        table.add_row(*_row(vote), style=None if vote.used else "dim")
    out.print(table)
    used = sum(vote.used for vote in account.votes)
    out.print(f"[dim]{used} of {len(account.votes)} sources used[/]")


def _row(vote: VoteLine) -> tuple[str, ...]:
    return (
        escape(vote.source),
        escape(vote.venue),
        _plain(f"{vote.price:f}") if vote.price.is_finite() else str(vote.price),
        _distance(vote.distance),
        "-" if vote.age is None else format_duration(vote.age),
        str(vote.weight),
        "used" if vote.used else escape(vote.why_not or ""),
    )


def _distance(ppb: int | None) -> str:
    if ppb is None:
        return "-"
    size = Ppb(round(abs(ppb) / _PERCENT_STEP) * _PERCENT_STEP)
    return f"{'-' if ppb < 0 and size else '+' if size else ''}{format_ratio(size)}"


def _plain(price: str) -> str:
    return price.rstrip("0").rstrip(".") if "." in price else price


def _as_json(account: Account) -> dict[str, Any]:
    return {
        "feed": account.feed,
        "chain": account.chain,
        "round": str(account.round),
        "attempt": account.attempt,
        "state": account.state,
        "reason": account.reason,
        "why": account.why,
        "price": None if account.price is None else f"{account.price:f}",
        "price_before": None if account.before is None else f"{account.before:f}",
        "moved_ppb": account.moved,
        "observed_at": None if account.observed_at is None else iso_seconds(account.observed_at),
        "decided_at": iso_seconds(account.planned_at),
        "transaction": account.transaction,
        "sources": [
            {
                "source": vote.source,
                "venue": vote.venue,
                "price": str(vote.price),
                "age_seconds": vote.age,
                "weight": vote.weight,
                "used": vote.used,
                "why_not": vote.why_not,
                "distance_ppb": vote.distance,
            }
            for vote in account.votes
        ],
    }
