"""`seamark ccip`: the state of CCIP on one screen, for people and for cron."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from prometheus_client import CollectorRegistry
from rich.table import Table
from rich.text import Text

from seamark.app.chains import Chains
from seamark.app.checks import ccip_checks
from seamark.cli import ccip_operations
from seamark.cli.files import ConfigOption, read_settings
from seamark.cli.messages_database import find_settings
from seamark.cli.output import EXIT_FAILED, aside, console, page, print_json
from seamark.core.errors import SeamarkError
from seamark.core.findings import Finding, Severity
from seamark.core.times import with_times
from seamark.core.units import format_duration
from seamark.evm.address import to_checksum
from seamark.evm.metrics import RpcMetrics
from seamark.messages.protocols.ccip.checks import ChainCheck, LaneCheck
from seamark.runtime.clock import SystemClock
from seamark.runtime.http import make_session
from seamark.runtime.logs import configure_logs
from seamark.settings import Settings
from seamark.storage.database import Database, open_database
from seamark.storage.migrate import check_schema

__all__ = ["app"]

UNITS = 10**18
YEAR_S = 365 * 86_400
AMOUNTS = {"amount", "link", "native", "allowance", "tokens", "capacity", "rate"}  # in base units
STYLES = {Severity.CRITICAL: "bold red", Severity.WARNING: "yellow", Severity.INFO: "dim"}

app = typer.Typer(help="CCIP on the configured chains.", no_args_is_help=True)
_OPERATIONS: Final = (
    ccip_operations.refill,
    ccip_operations.pause,
    ccip_operations.resume,
    ccip_operations.configure,
    ccip_operations.upgrade,
    ccip_operations.history,
)


class FailOn(StrEnum):
    """From which severity on the exit code is 1."""

    WARNING = "warning"
    CRITICAL = "critical"
    NEVER = "never"


@app.command("check")
def check(
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    fail_on: Annotated[FailOn, typer.Option(help="From which severity on the exit code is 1.")] = FailOn.WARNING,
) -> None:
    """Routers, ramps, curses, last messages, fee quotes, balances, allowances, rate limits: one screen.

    Asks the chains now, and the monitor's database (where there is one) for what was spent lately. Exit code 0: all is
    well, 1: something is wrong, 2: wrong settings.
    """
    looks = asyncio.run(_look(config))
    if as_json:
        print_json([{**_as_json(item), "findings": [_plain(one) for one in found]} for item, found in looks])
    else:
        for item, found in looks:
            _show(item, found)
        _show_verdict([one for _, found in looks for one in found], unreachable=any(c.unreachable for c, _ in looks))
    if _is_bad(looks, fail_on):
        raise typer.Exit(EXIT_FAILED)


async def _look(config: Path | None) -> list[tuple[ChainCheck, list[Finding]]]:
    configure_logs(level="error")
    found = await read_settings(["ccip-monitor"], find_settings(config))
    settings = found.settings
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(make_session())
        clock = SystemClock()
        chains = Chains(settings.chains, session, clock, RpcMetrics(CollectorRegistry()), 0.0)
        stack.push_async_callback(chains.close)
        chains.add([item.chain for item in settings.ccip.chains])
        database = await _existing(settings)
        if database is not None:
            stack.push_async_callback(database.close)
        return await ccip_checks(settings, chains=chains, database=database, clock=clock).look()


async def _existing(settings: Settings) -> Database | None:
    """The monitor's database; None where no monitor has run yet."""
    if not _is_there(settings.database):
        return None
    database = await open_database(settings.database, migrate=False)
    try:
        await database.read(check_schema)
    except SeamarkError as error:
        aside(f"seamark: what was spent is not known: {error}")
        await database.close()
        return None
    return database


def _is_there(url: str) -> bool:
    """SQLite would make an empty file."""
    _, is_file, path = url.partition("sqlite:///")
    return not is_file or Path(path).exists()


def _as_json(check: ChainCheck) -> dict[str, Any]:
    """With amounts as text: they exceed 2**53; and times as everywhere."""

    def convert(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: str(item) if key in AMOUNTS and item is not None else convert(item) for key, item in value.items()
            }
        return [convert(item) for item in value] if isinstance(value, (list, tuple)) else value

    found: dict[str, Any] = convert(with_times(msgspec.to_builtins(check), ("at",)))
    return found


def _plain(finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "subject": finding.subject,
        "severity": finding.severity.value,
        "title": finding.title,
        "text": finding.text,
        "remedy": finding.remedy,
    }


def _is_bad(looks: Sequence[tuple[ChainCheck, list[Finding]]], fail_on: FailOn) -> bool:
    if fail_on is FailOn.NEVER:
        return False
    told = {Severity.CRITICAL} | ({Severity.WARNING} if fail_on is FailOn.WARNING else set())
    return any(item.unreachable or any(one.severity in told for one in found) for item, found in looks)


for _command in _OPERATIONS:  # after `check`: help lists commands in this order
    app.command(_command.__name__)(_command)


# ---- the screen -----------------------------------------------------------------------------------------------------


def _show(check: ChainCheck, findings: Sequence[Finding]) -> None:
    state = Text("ok", "green")
    if check.problem:
        state = Text(f"{'no node answers' if check.unreachable else 'no answer'}: {check.problem}", "bold red")
    elif check.cursed:
        state = Text("cursed", "bold red")
    console.print(Text.assemble((check.chain, "bold"), f"  router {to_checksum(check.router)}  ", state))
    if check.problem:
        console.print()
        return
    page().print(_lanes(check))
    if check.senders:
        page().print(_senders(check))
    if check.pools:
        page().print(_pools(check))
    for finding in findings:
        console.print(Text.assemble((f"  {finding.severity.value}: {finding.title}", STYLES[finding.severity])))
        for line in (finding.text, finding.remedy):
            if line:
                console.print(Text(f"    {line}", "dim"))
    console.print()


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("", width=1)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _lanes(check: ChainCheck) -> Table:
    table = _table("lane", "ramp", "last", "fee of a small message", "gas price", "state")
    for lane in check.lanes:
        fees = ", ".join(
            f"{_amount(quote.amount)} {quote.token}" if quote.amount is not None else f"no {quote.token}"
            for quote in lane.quotes
        )
        table.add_row(
            "", f"→ {lane.name}", lane.version or "none", _count(lane.last_sent, "sent"), fees, _age(lane), _state(lane)
        )
    for source in check.sources:
        table.add_row("", f"← {source.name}", source.version, _count(source.last_committed, "committed"), "", "", "")
    return table


def _state(lane: LaneCheck) -> Text:
    if lane.cursed:
        return Text("cursed", "bold red")
    if not lane.on_ramp:
        return Text("no lane", "yellow")
    if any(quote.amount is None for quote in lane.quotes):
        return Text("no quote", "bold red")
    return Text("ok", "green")


def _age(lane: LaneCheck) -> str:
    if lane.gas_price_age is None:
        return ""
    limit = f" of {format_duration(lane.gas_price_limit)}" if lane.gas_price_limit else ""
    return f"{format_duration(lane.gas_price_age)} old{limit}"


def _senders(check: ChainCheck) -> Table:
    table = _table("sender", "LINK", "native", "allowance", "lasts for", "state")
    for item in check.senders:
        runway = "" if item.runway is None else _runway(item.runway)
        amounts = [_amount(item.link), _amount(item.native), _amount(item.allowance)]
        state = Text(f"{item.paused} paused", "yellow") if item.paused else Text("ok", "green")
        table.add_row("", item.name, *amounts, runway, state)
    return table


def _runway(seconds: float) -> str:
    return "over a year" if seconds > YEAR_S else format_duration(int(seconds))


def _pools(check: ChainCheck) -> Table:
    table = _table("rate limit", "peer", "out", "in")
    for pool in check.pools:
        left = ["" if bucket is None else f"{bucket.headroom:.0%} left" for bucket in (pool.outbound, pool.inbound)]
        moved = f" (now of pool {to_checksum(pool.pool)})" if pool.instead_of else ""
        table.add_row("", f"{pool.token}{moved}", pool.name, *left)
    return table


def _show_verdict(findings: Sequence[Finding], *, unreachable: bool) -> None:
    counts = {severity: sum(one.severity is severity for one in findings) for severity in STYLES}
    if unreachable:
        console.print("[bold red]At least one chain could not be asked.[/]")
    elif not findings:
        console.print("[green]All is well.[/]")
    if findings:
        console.print(", ".join(f"{count} {severity.value}" for severity, count in counts.items() if count))


def _count(number: int | None, what: str) -> str:
    return "" if number is None else f"#{number} {what}"


def _amount(base_units: int | None) -> str:
    if base_units is None:
        return ""
    if base_units == 0:
        return "0"
    value = Decimal(base_units) / UNITS
    return f"{value:,.4f}" if value >= 1 else f"{value:.4g}"
