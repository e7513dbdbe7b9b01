"""`seamark ccip refill | pause | resume | configure | upgrade | history`: operations on our sender contracts.

Exit codes: 0 done (or nothing to do); 1 failed, and taken back where that was possible; 2 wrong settings or
arguments; 3 not now.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Table

from seamark.app.operations import Guarded, OperationsOffice, Place, open_operations
from seamark.app.operations_desk import Sent
from seamark.app.recovery import Author
from seamark.app.sending import Delivery
from seamark.cli.files import ConfigOption
from seamark.cli.messages_database import find_settings
from seamark.cli.output import EXIT_FAILED, aside, console, page, print_json
from seamark.cli.signing import EXIT_NOT_NOW, confirm, operator_name, parse_account, parse_wait
from seamark.core.errors import SettingsError
from seamark.core.ids import Address
from seamark.core.times import iso_time
from seamark.core.units import format_duration
from seamark.evm.address import ZERO_ADDRESS, to_checksum
from seamark.oracle.administration.model import Change
from seamark.oracle.administration.store import Operation
from seamark.oracle.administration.wanted import WantedSender
from seamark.runtime.clock import SystemClock
from seamark.runtime.logs import configure_logs
from seamark.runtime.settings import load_settings
from seamark.settings import Settings, load
from seamark.storage.database import open_database

__all__ = ["configure", "history", "pause", "refill", "resume", "upgrade"]

SENDER_HELP: Final = "The sender contract (OracleWithCCIP)."
SenderArgument = Annotated[str, typer.Argument(metavar="SENDER", help=SENDER_HELP)]
ChainOption = Annotated[str, typer.Option("--chain", help="Key of its chain under `chains`.")]
WhyOption = Annotated[str, typer.Option("--why", help="The reason, for the record.")]
ByOption = Annotated[str | None, typer.Option("--by", help="Who acts; default: your name here.")]
YesOption = Annotated[bool, typer.Option("--yes", help="No question, as far as operations.policy allows.")]
TimeoutOption = Annotated[str, typer.Option("--timeout", help="How long to wait for a block, or a test message.")]
LINK_DECIMALS: Final = 18
UNTOLD_STEPS: Final = {"pause sending", "resume sending"}  # part of every guarded sequence
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document.")]


# ---- refill ---------------------------------------------------------------------------------------------------------


def refill(
    sender: SenderArgument,
    chain: ChainOption,
    amount: Annotated[str, typer.Option("--amount", metavar="LINK", help="How much LINK to send.")],
    why: WhyOption = "",
    by: ByOption = None,
    yes: YesOption = False,
    timeout: TimeoutOption = "5m",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Send LINK from operations.signer to a sender contract, within operations.refill's ceilings."""
    wanted = _amount(amount)

    async def work(office: OperationsOffice, place: Place) -> Operation:
        _, held = await office.check_refill(place, wanted)
        what = f"{wanted:f} of {held.normalize():f} LINK to {place.title}"
        _agree(office, "refill", place, what, yes=yes, verb="send")
        operation, delivery = await office.refill(
            place, wanted, Author(by or operator_name(), why), timeout_s=parse_wait(timeout)
        )
        return _settled(operation, delivery)

    _finish(_run(config, sender, chain, work), as_json)


def _amount(text: str) -> Decimal:
    try:
        found = Decimal(text)
    except InvalidOperation:
        raise SettingsError("--amount", f"{text!r} is no number", remedy="write LINK, such as 12.5") from None
    if not found.is_finite() or found <= 0:
        raise SettingsError("--amount", f"{text} is not above zero")
    return found


# ---- pause and resume -----------------------------------------------------------------------------------------------

FeedOption = Annotated[bool, typer.Option("--feed", help="The feed itself: prices too, not only sending.")]


def pause(
    sender: SenderArgument,
    chain: ChainOption,
    feed: FeedOption = False,
    why: WhyOption = "",
    by: ByOption = None,
    yes: YesOption = False,
    timeout: TimeoutOption = "5m",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Stop a sender contract from sending; prices on its own chain go on unless --feed is given."""
    _switch("pause", sender, chain, feed, Author(by or operator_name(), why), yes, timeout, as_json, config)


def resume(
    sender: SenderArgument,
    chain: ChainOption,
    feed: FeedOption = False,
    why: WhyOption = "",
    by: ByOption = None,
    yes: YesOption = False,
    timeout: TimeoutOption = "5m",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Let a paused sender contract send again."""
    _switch("resume", sender, chain, feed, Author(by or operator_name(), why), yes, timeout, as_json, config)


_FUNCTIONS: Final = {
    ("pause", False): "pauseSending",
    ("pause", True): "pause",
    ("resume", False): "unpauseSending",
    ("resume", True): "unpause",
}


def _switch(
    kind: str,
    sender: str,
    chain: str,
    feed: bool,
    author: Author,
    yes: bool,
    timeout: str,
    as_json: bool,
    config: Path | None,
) -> None:
    async def work(office: OperationsOffice, place: Place) -> Operation | None:
        state = await office.state(place)
        is_paused = state.paused if feed else state.sending_paused
        if is_paused == (kind == "pause") and await office.unended(place) is None:
            aside(f"{'paused' if is_paused else 'not paused'} already: nothing to do")
            return None
        what = f"{'the whole feed' if feed else 'sending'} of {place.title}"
        _agree(office, kind, place, what, yes=yes, verb=kind)
        function = _FUNCTIONS[kind, feed]
        operation, delivery = await office.switch(place, kind, function, author, timeout_s=parse_wait(timeout))
        return _settled(operation, delivery)

    _finish(_run(config, sender, chain, work), as_json)


# ---- guarded sequences ----------------------------------------------------------------------------------------------


def configure(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What the contract should be; see docs/how-to/operate-ccip.md.")
    ],
    test: Annotated[bool, typer.Option("--test/--no-test", help="Send a test message and watch it land.")] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the difference, try the calls, send nothing.")
    ] = False,
    roll_back: Annotated[bool, typer.Option("--roll-back", help="Take back a sequence that was interrupted.")] = False,
    why: WhyOption = "",
    by: ByOption = None,
    yes: YesOption = False,
    timeout: TimeoutOption = "10m",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Change a sender contract, guarded.

    Shows the difference, pauses, applies, resumes, sends a test message and watches it land, or takes all of it back.
    """
    wanted = load_settings(WantedSender, file, {})
    author = Author(by or operator_name(), why)

    async def work(office: OperationsOffice, place: Place) -> Operation | None:
        if roll_back:
            return await _roll_back(office, place, timeout)
        present = await office.state(place)
        changes = office.plan(present, wanted)
        if not changes and await office.unended(place) is None:
            aside("nothing to change: the contract is as the file says")
            return None
        _show_changes(place, changes)
        await office.check_changes(place, present, changes)
        if test:
            await office.check_monitor([change.selector for change in changes if change.selector is not None])
        if dry_run:
            aside("tried, and every call would succeed; nothing was sent")
            return None
        count = f"{len(changes)} change{'s' if len(changes) > 1 else ''}"
        _agree(office, "configure", place, f"{count} to {place.title}", yes=yes, verb="make")
        done = await office.apply(
            "configure",
            place,
            changes,
            author,
            timeout_s=parse_wait(timeout),
            test=test,
            left=lambda state: office.plan(state, wanted),
        )
        return _guarded(done)

    _finish(_run(config, str(wanted.sender), wanted.chain, work), as_json)


def upgrade(
    sender: SenderArgument,
    chain: ChainOption,
    router: Annotated[str, typer.Option("--router", metavar="ADDRESS", help="The CCIP router to use from now on.")],
    test: Annotated[bool, typer.Option("--test/--no-test", help="Send a test message and watch it land.")] = True,
    roll_back: Annotated[bool, typer.Option("--roll-back", help="Take back a sequence that was interrupted.")] = False,
    why: WhyOption = "",
    by: ByOption = None,
    yes: YesOption = False,
    timeout: TimeoutOption = "10m",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Move a sender contract to another router, in two steps.

    The first proposes it. The second, after the contract's delay of a day, pauses, accepts, resumes and sends a test
    message to every destination.
    """
    target = parse_account("--router", router)
    author = Author(by or operator_name(), why)

    async def work(office: OperationsOffice, place: Place) -> Operation | None:
        if roll_back:
            return await _roll_back(office, place, timeout)
        present = await office.state(place)
        if present.router == target and await office.unended(place) is None:
            aside("nothing to do: that router is in use")
            return None
        await office.check_router(place, present, target)
        if present.pending_router != target:
            return await _propose(office, place, target, author, yes, timeout)
        wait = present.pending_router_at - present.block_time
        if wait > 0:
            aside(f"proposed; it can be accepted in {format_duration(wait)}: give the same command then")
            raise typer.Exit(EXIT_NOT_NOW)
        changes = [office.router_change(present)]
        _show_changes(place, changes)
        await office.check_changes(place, present, changes)
        if test:
            await office.check_monitor([key for key, item in present.destinations.items() if item.enabled])
        _agree(office, "upgrade", place, f"the new router of {place.title}", yes=yes, verb="accept")
        done = await office.apply("upgrade", place, changes, author, timeout_s=parse_wait(timeout), test=test)
        return _guarded(done)

    _finish(_run(config, sender, chain, work), as_json)


async def _propose(
    office: OperationsOffice, place: Place, target: Address, author: Author, yes: bool, wait: str
) -> Operation:
    _agree(office, "upgrade", place, f"router {to_checksum(target)} to {place.title}", yes=yes, verb="propose")
    operation, delivery = await office.propose_router(place, target, author, timeout_s=parse_wait(wait))
    settled = _settled(operation, delivery)
    state = await office.state(place)
    if state.pending_router != ZERO_ADDRESS:
        when = datetime.fromtimestamp(state.pending_router_at, UTC)
        aside(f"proposed; from {when:%Y-%m-%d %H:%M} UTC on, give the same command again to accept it")
    return settled


async def _roll_back(office: OperationsOffice, place: Place, wait: str) -> Operation | None:
    operation = await office.unended(place)
    if operation is None:
        aside("nothing was interrupted: there is nothing to take back")
        return None
    return await office.roll_back(place, operation, timeout_s=parse_wait(wait))


def _show_changes(place: Place, changes: Sequence[Change]) -> None:
    table = Table(
        box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim", title=place.title, title_justify="left"
    )
    for column in ("what", "now", "then"):
        table.add_column(column, overflow="fold")
    for change in changes:
        table.add_row(change.what, change.before, change.after)
    console.print(table)


def _guarded(done: Guarded) -> Operation:
    if not done.succeeded:
        aside("everything was taken back")
    return done.operation


# ---- history --------------------------------------------------------------------------------------------------------


def history(
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 20,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """What was done to sender contracts, by whom and why; the newest first."""

    async def look() -> tuple[list[tuple[Operation, list[Sent]]], dict[int, str]]:
        async with _office(config) as (office, settings):
            names = {chain.chain_id: key for key, chain in settings.chains.items()}
            return [(item, await office.transactions(item)) for item in await office.history(limit)], names

    entries, names = asyncio.run(look())
    if as_json:
        print_json([_plain(item) | {"transactions": [_transaction(one) for one in sent]} for item, sent in entries])
        return
    found = [item for item, _ in entries]
    if not found:
        aside("nothing was done yet")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for column in ("no.", "begun (UTC)", "what", "contract", "by", "why", "outcome"):
        table.add_column(column, overflow="fold")
    for item in found:
        begun = datetime.fromtimestamp(item.begun_ms / 1000, UTC)
        outcome = item.outcome or "not ended"
        contract = to_checksum(item.subject)  # whole with --json
        where = f"{contract[:8]}…{contract[-4:]} on {names.get(item.chain_id, item.chain_id)}"
        what = _what(item)
        table.add_row(str(item.id), f"{begun:%Y-%m-%d %H:%M:%S}", what, where, item.operator, item.why, outcome)
    page().print(table)


def _transaction(sent: Sent) -> dict[str, str]:
    return {"what": sent.what, "tx": sent.transaction, "state": sent.state}


def _what(item: Operation) -> str:
    """Its kind, and how much of LINK or which parts it touched."""
    if item.kind == "refill":
        return f"refill {Decimal(item.amount).scaleb(-LINK_DECIMALS).normalize():f} LINK"
    touched = [step.what for step in item.steps if step.what not in UNTOLD_STEPS and not step.what.startswith("test ")]
    return f"{item.kind}: {', '.join(touched)}" if touched else item.kind


# ---- shared ---------------------------------------------------------------------------------------------------------

Work = Callable[[OperationsOffice, Place], Awaitable[Operation | None]]


@asynccontextmanager
async def _office(config: Path | None) -> AsyncIterator[tuple[OperationsOffice, Settings]]:
    file = find_settings(config)
    if file is None:
        raise SettingsError("--config", "operations need a settings file", remedy="name one with chains and operations")
    settings = load(file, _environment())
    configure_logs(level="error")
    database = await open_database(settings.database)
    try:
        async with open_operations(settings, database, clock=SystemClock(), tell=aside) as office:
            yield office, settings
    finally:
        await database.close()


def _environment() -> dict[str, str]:
    import os  # noqa: PLC0415 - the one place here

    return dict(os.environ)


def _run(config: Path | None, sender: str, chain: str, work: Work) -> Operation | None:
    address = parse_account("SENDER", sender)

    async def run() -> Operation | None:
        async with _office(config) as (office, _):
            return await work(office, await office.place(chain, address))

    return asyncio.run(run())


def _agree(office: OperationsOffice, kind: str, place: Place, what: str, *, yes: bool, verb: str) -> None:
    if yes:
        office.check_policy(kind, place)
    else:
        confirm(place.address, what, verb=verb, option=kind, policy="operations.policy")


def _settled(operation: Operation, delivery: Delivery) -> Operation:
    if delivery.receipt is None:
        aside(f"transaction {delivery.transaction} is in no block yet; the same command waits for it again")
        raise typer.Exit(EXIT_NOT_NOW)
    aside(f"transaction {delivery.transaction}")
    return operation


def _finish(operation: Operation | None, as_json: bool) -> None:
    if operation is None:
        return
    if as_json:
        print_json(_plain(operation))
    else:
        console.print(f"operation {operation.id}: {operation.kind} {operation.outcome}")
    if operation.outcome != "done":
        raise typer.Exit(EXIT_FAILED)


def _plain(item: Operation) -> dict[str, object]:
    return {
        "id": item.id,
        "kind": item.kind,
        "chain_id": item.chain_id,
        "contract": to_checksum(item.subject),
        "operator": item.operator,
        "why": item.why,
        "begun_at": iso_time(item.begun_ms),
        "ended_at": None if item.ended_ms is None else iso_time(item.ended_ms),
        "outcome": item.outcome,
        "amount": item.amount,
        "steps": [step.what for step in item.steps],
    }
