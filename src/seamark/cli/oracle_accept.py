"""`seamark oracle accept`: a person confirms a jump that the circuit breaker holds back."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer

from seamark.cli.files import ConfigOption
from seamark.cli.loop import run_until_stopped
from seamark.cli.messages_database import DatabaseOption, open_ledger
from seamark.cli.output import EXIT_FAILED, aside, console
from seamark.cli.signing import operator_name
from seamark.core.errors import SettingsError
from seamark.oracle.acceptance import Held, accept, held_feeds

__all__ = ["HELP", "accept_held"]

HELP: Final = (
    "Confirm a jump that the circuit breaker (max_step) holds back: its publisher publishes it at its next look. Who "
    "and why are kept as an event.\n\nWithout FEED, the held ones are listed."
)


def accept_held(
    feed: Annotated[str | None, typer.Argument(help="The feed's name.", metavar="[FEED]")] = None,
    chain: Annotated[str | None, typer.Option(help="Of this chain, where the feed is held on several.")] = None,
    why: Annotated[str, typer.Option("--why", help="Kept with the decision.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
) -> None:
    run_until_stopped(_accept(config, database, feed, chain, why, yes=yes))


async def _accept(
    config: Path | None, database: str | None, feed: str | None, chain: str | None, why: str, *, yes: bool
) -> None:
    async with open_ledger(config, database) as ledger:
        held = await ledger.database.read(held_feeds)
        if feed is None:
            for one in held:
                console.print(f"{one.feed} on {one.chain}: {one.detail}", markup=False)
            if not held:
                aside("nothing is held")
            return
        one = _chosen(held, feed, chain)
        if not why:
            raise SettingsError("--why", "is missing", remedy="say why this price is right; it is kept")
        console.print(f"{one.feed} on {one.chain}: {one.detail}", markup=False)
        if not yes and not typer.confirm("Publish it?"):
            raise typer.Exit(EXIT_FAILED)
        await ledger.database.write(partial(accept, held=one, who=operator_name(), why=why))
        console.print("accepted: published at the publisher's next look", markup=False)


def _chosen(held: list[Held], feed: str, chain: str | None) -> Held:
    found = [one for one in held if one.feed.casefold() == feed.casefold() and chain in (None, one.chain)]
    if not found:
        known = ", ".join(one.feed for one in held) or "none"
        raise SettingsError("FEED", f"{feed[:60]!r} is not held", remedy=f"held: {known}")
    if len(found) > 1:
        raise SettingsError("--chain", f"{feed[:60]} is held on {len(found)} chains", remedy="name one of them")
    return found[0]
