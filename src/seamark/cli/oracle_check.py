"""`seamark oracle check`: each feed's contract, account and sources, each asked once, and what the answer would be."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from seamark.cli.files import ConfigOption, read_settings
from seamark.cli.messages_database import find_settings
from seamark.cli.output import EXIT_FAILED, EXIT_SETTINGS, console, page, print_json, print_problems
from seamark.core.errors import SettingsError
from seamark.core.units import format_duration, from_base_units
from seamark.evm.address import ZERO_ADDRESS, to_checksum
from seamark.oracle.model import Answer
from seamark.runtime.clock import SystemClock
from seamark.runtime.logs import configure_logs
from seamark.runtime.settings import SettingsProblems
from seamark.settings import Settings

if TYPE_CHECKING:
    from seamark.app.survey import FeedCheck
    from seamark.oracle.survey import Opinion, SourceLine

__all__ = ["HELP", "check", "check_as_json", "source_table", "tell_feed"]

HELP: Final = (
    "Check feeds before they are published, or while they are: the settings, then chain, contract, permission, balance "
    "and every source, each asked once. Publishes nothing, stores nothing.\n\n"
    "Exit code 0: all is well, 1: something is wrong, 2: wrong settings."
)
_COLOURS: Final = {"error": "red", "warning": "yellow", "remark": "dim"}
_ETHER: Final = 18


class FailOn(StrEnum):
    """From which level on the exit code is 1."""

    WARNING = "warning"
    ERROR = "error"
    NEVER = "never"


def check(
    feeds: Annotated[
        list[str] | None, typer.Argument(help="Feeds by name or pair; all, where none is named.", metavar="[FEED]...")
    ] = None,
    config: ConfigOption = None,
    offline: Annotated[bool, typer.Option("--offline", help="Check the file alone; ask nobody.")] = False,
    fail_on: Annotated[FailOn, typer.Option(help="From which level on the exit code is 1.")] = FailOn.WARNING,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    configure_logs(level="error")
    try:
        found = asyncio.run(_look(config, feeds or [], offline=offline))
    except SettingsProblems as error:
        _tell_problems(error, as_json=as_json)
        raise typer.Exit(EXIT_SETTINGS) from None
    if as_json:
        print_json({"ok": not _is_bad(found, FailOn.WARNING), "feeds": [check_as_json(one) for one in found]})
    else:
        for one in found:
            tell_feed(one)
        _show_verdict(found, offline=offline)
    if _is_bad(found, fail_on):
        raise typer.Exit(EXIT_FAILED)


async def _look(config: Path | None, wanted: Sequence[str], *, offline: bool) -> list[FeedCheck]:
    from seamark.app.survey import check_feeds_offline, survey_feeds  # noqa: PLC0415 - chains, signers and venues

    settings = await _settings(config)
    if not settings.oracle.feeds:
        raise SettingsError("oracle.feeds", "is empty", remedy="add a feed to publish")
    if offline:
        return check_feeds_offline(settings, wanted)
    return await survey_feeds(settings, wanted, SystemClock())


async def _settings(config: Path | None) -> Settings:
    return (await read_settings(["oracle"], find_settings(config), os.environ)).settings


def _tell_problems(error: SettingsProblems, *, as_json: bool) -> None:
    if not as_json:
        print_problems(error)
        return
    rows = [{"setting": p.setting, "problem": p.problem, "remedy": p.remedy, "line": p.line} for p in error.problems]
    print_json({"ok": False, "source": error.source, "problems": rows})


def _is_bad(found: Sequence[FeedCheck], fail_on: FailOn) -> bool:
    worst = {one.worst for one in found}
    return fail_on is not FailOn.NEVER and ("error" in worst or (fail_on is FailOn.WARNING and "warning" in worst))


# ---- for people ------------------------------------------------------------------------------------------------------


def tell_feed(one: FeedCheck) -> None:
    """One feed, for a person."""
    out = page()
    mark = {None: "[green]✓[/]", "warning": "[yellow]![/]", "error": "[red]✗[/]"}[one.worst]
    out.print(f"{mark} [bold]{escape(one.name)}[/]  [dim]{escape(_where(one))}[/]")
    if one.state is not None:
        out.print(f"  {escape(_on_chain(one))}")
    if one.account is not None:
        out.print(f"  {escape(_account(one))}")
    if one.opinion is not None:
        out.print(Padding(source_table(one.opinion), (0, 0, 0, 2), expand=False))
        out.print(f"  {escape(_answer(one))}")
    for finding in one.findings:
        colour = _COLOURS[finding.level]
        out.print(f"  [{colour}]{finding.level}: {escape(finding.text)}[/]")
    out.print()


def _where(one: FeedCheck) -> str:
    kind = "" if one.kind is None else f"{one.kind} "
    return f"{kind}{to_checksum(one.contract)} on {one.chain}"


def _on_chain(one: FeedCheck) -> str:
    state = one.state
    assert state is not None
    if not state.round:
        told = "no round yet"
    else:
        told = f"round {state.round}: {_plain(state.price)}, {format_duration(max(one.now - state.updated_at, 0))} old"
    limits = ""
    if state.min_answer is not None and state.max_answer is not None:
        low, high = (from_base_units(bound, state.decimals) for bound in (state.min_answer, state.max_answer))
        limits = f", takes {_short(low)} to {_short(high)}"
    return f"{told}, {state.decimals} decimals{limits}"


def _account(one: FeedCheck) -> str:
    assert one.account is not None
    parts = [f"signs as {to_checksum(one.account)}"]
    if one.balance is not None:
        parts.append(f"which holds {_ether(one.balance)} ether")
    if one.appraisal is not None and one.appraisal.cost is not None:
        cost = one.appraisal.cost
        parts.append(f"a publication costs about {_ether(cost)}" if cost else "publications cost nothing")
    if one.runs_left is not None:
        parts.append(f"enough for {one.runs_left:,}")
    return ", ".join(parts)


def source_table(opinion: Opinion) -> Table:
    """Every source with its price and what became of it."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("source", "venue", "price", "age", "weight", ""):
        table.add_column(name, justify="right" if name in ("price", "age", "weight") else "left")
    for line in opinion.sources:
        age = "-" if line.age is None else "untimed" if line.untimed else format_duration(max(round(line.age, 1), 0))
        why = "used" if line.used else f"{line.verdict}: {line.detail}" if line.detail else line.verdict
        price = "-" if line.price is None else _plain(line.price)
        style = None if line.used else "yellow"
        table.add_row(escape(line.source), escape(line.venue), price, age, str(line.weight), escape(why), style=style)
    return table


def _answer(one: FeedCheck) -> str:
    opinion = one.opinion
    if opinion is None or not isinstance(opinion.result, Answer):
        return "" if opinion is None else opinion.decision
    used = f"{len(opinion.result.quotes)} of {len(opinion.sources)} sources"
    return f"{_plain(opinion.result.price)} from {used}; {opinion.decision}"


def _show_verdict(found: Sequence[FeedCheck], *, offline: bool) -> None:
    bad = {level: sum(one.worst == level for one in found) for level in ("error", "warning")}
    feeds = f"{len(found)} feed{'' if len(found) == 1 else 's'}"
    how = " checked offline" if offline else " checked"
    told = ", ".join(f"{count} with {level}s" for level, count in bad.items() if count) or "all well"
    console.print(f"{feeds}{how}: {told}", markup=False)


def _plain(price: object) -> str:
    text = f"{price:f}" if isinstance(price, Decimal) else str(price)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _short(price: Decimal) -> str:
    return _plain(price) if abs(price.adjusted()) <= 12 else f"{price.normalize():.3g}"  # noqa: PLR2004 - readable


def _ether(wei: int) -> str:
    return f"{Decimal(wei).scaleb(-_ETHER):.9f}".rstrip("0").rstrip(".") or "0"


# ---- for programs ----------------------------------------------------------------------------------------------------


def check_as_json(one: FeedCheck) -> dict[str, Any]:
    """One feed, for programs."""
    state, opinion, appraisal = one.state, one.opinion, one.appraisal
    return {
        "feed": one.name,
        "chain": one.chain,
        "worst": None if one.worst is None else str(one.worst),
        "contract": {
            "address": to_checksum(one.contract),
            "kind": None if one.kind is None else str(one.kind),
            "round": None if state is None else str(state.round),
            "price": None if state is None or state.price is None else f"{state.price:f}",
            "age_seconds": None if state is None or not state.round else one.now - state.updated_at,
            "decimals": None if state is None else state.decimals,
            "min_answer": None if state is None or state.min_answer is None else str(state.min_answer),
            "max_answer": None if state is None or state.max_answer is None else str(state.max_answer),
            "paused": None if state is None else state.paused,
        },
        "account": None
        if one.account in (None, ZERO_ADDRESS)
        else {
            "address": to_checksum(one.account),
            "balance_wei": None if one.balance is None else str(one.balance),
            "cost_wei": None if appraisal is None or appraisal.cost is None else str(appraisal.cost),
            "runs_left": one.runs_left,
        },
        "sources": [] if opinion is None else [_source(line) for line in opinion.sources],
        "answer": f"{opinion.result.price:f}" if opinion is not None and isinstance(opinion.result, Answer) else None,
        "decision": None if opinion is None else opinion.decision,
        "reason": None if opinion is None else opinion.reason,
        "findings": [{"level": str(finding.level), "text": finding.text} for finding in one.findings],
    }


def _source(line: SourceLine) -> dict[str, Any]:
    return {
        "source": line.source,
        "venue": line.venue,
        "weight": line.weight,
        "price": line.price,
        "age_seconds": line.age,
        "untimed": line.untimed,
        "verdict": line.verdict,
        "detail": line.detail,
    }
