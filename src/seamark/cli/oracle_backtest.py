"""`seamark oracle backtest`: what a feed would have done, and cost, over recorded ticks."""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer
from rich.markup import escape
from rich.table import Table

from seamark.cli.files import ConfigOption, find_file
from seamark.cli.output import aside, page, print_json
from seamark.core.errors import SettingsError
from seamark.core.times import iso_seconds
from seamark.core.units import (
    Ppb,
    format_duration,
    format_ratio,
    from_base_units,
    parse_duration,
    parse_ratio,
    parse_wei,
)
from seamark.evm.address import ZERO_ADDRESS
from seamark.oracle.backtest.chart import to_html
from seamark.oracle.backtest.replay import Costs, Figures, Plan, replay
from seamark.oracle.backtest.ticks import Tick, read_ticks
from seamark.oracle.model import AggregationPolicy
from seamark.oracle.plan import aggregation_policy, trigger_policy
from seamark.oracle.settings import FeedSettings
from seamark.settings import load

__all__ = ["HELP", "backtest"]

HELP: Final = (
    "Replay recorded ticks through the rules that publish: updates, error, age and cost.\n\n"
    "FILE is a CSV file with a header, or Parquet; name=FILE says which source it is. Rules come from --feed of the "
    "settings, else they are the defaults. Several --deviation and --heartbeat are tried in all combinations."
)
COLUMNS: Final = (
    "deviation / heartbeat",
    "updates",
    "first+deviation+heartbeat",
    "worst error",
    "p99",
    "mean",
    "oldest",
    "expired for",
    "held",
    "no answer",
    "cost",
)
_ETHER_PLACES: Final = 18
_PERCENT_STEP: Final = 10_000  # ppb: figures are shown to a thousandth of a percent
T = TypeVar("T")


def backtest(
    files: Annotated[list[str], typer.Argument(help="CSV or Parquet files; name=FILE names the source.")],
    feed: Annotated[str | None, typer.Option("--feed", help="Take the rules of this feed of the settings.")] = None,
    deviation: Annotated[list[str] | None, typer.Option(help="Threshold, such as 0.5%. May be repeated.")] = None,
    heartbeat: Annotated[list[str] | None, typer.Option(help="Such as 1h. May be repeated.")] = None,
    reference: Annotated[
        str | None, typer.Option(help="What the price really was (a file); default: what the ticks come to.")
    ] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="A column's name, such as price=mid. May be repeated.")
    ] = None,
    delay: Annotated[str, typer.Option(help="From decision to landed round.")] = "0s",
    decimals: Annotated[int, typer.Option(min=0, max=18, help="Of the feed's contract.")] = 8,
    gas: Annotated[int, typer.Option(min=0, help="Gas of one submission.")] = 0,
    gas_price: Annotated[str, typer.Option(help="With unit: '20 gwei'.")] = "0 wei",
    html: Annotated[Path | None, typer.Option("--html", help="Write a page with charts here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    config: ConfigOption = None,
) -> None:
    columns = dict(_split("--column", text) for text in column or [])
    ticks = _read(files, columns)
    known = read_ticks(Path(reference), columns=columns) if reference is not None else None
    settings = _feed(feed, config)
    base = Plan(
        _aggregation(settings, ticks),
        trigger_policy(settings),
        decimals,
        _parse("--delay", delay, parse_duration),
        Costs(gas, _parse("--gas-price", gas_price, parse_wei)),
    )
    runs = [(plan, replay(ticks, plan, known)) for plan in _plans(base, deviation or [], heartbeat or [])]
    title = f"{feed or 'Feed'}: {', '.join(Path(_named(file)[1]).name for file in files)}"
    if html is not None:
        named = [(_caption(plan), figures) for plan, figures in runs]
        html.write_text(to_html(title, named, COLUMNS, [_row(plan, figures) for plan, figures in runs]))
        aside(f"written to {html}")
    if as_json:
        print_json({"files": files, "feed": feed, "runs": [_as_json(plan, figures) for plan, figures in runs]})
    else:
        _show(runs)


# ---- what is asked --------------------------------------------------------------------------------------------------


def _read(files: Sequence[str], columns: dict[str, str]) -> list[Tick]:
    read = [read_ticks(Path(path), source=name, columns=columns) for name, path in map(_named, files)]
    return list(heapq.merge(*read, key=lambda tick: tick.time))


def _named(file: str) -> tuple[str | None, str]:
    name, equals, path = file.partition("=")
    return (name, path) if equals and not Path(file).exists() else (None, file)


def _split(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise SettingsError(option, f"{text!r} names no column", remedy="write for example price=mid")
    return name.strip(), value.strip()


def _parse(option: str, text: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise SettingsError(option, str(error)) from None


def _feed(name: str | None, config: Path | None) -> FeedSettings:
    """The rules of a feed, or the defaults at 0.5 % and an hour."""
    if name is None:
        return FeedSettings.model_validate(
            {"chain": "backtest", "aggregator": ZERO_ADDRESS, "heartbeat": "1h", "deviation": "0.5%"}
        )
    file = find_file(config)
    if file is None:
        raise SettingsError("--feed", "there are no settings to take it from", remedy="name a file with --config")
    oracle = load(file, os.environ).oracle
    feeds = {str(item.name or item.pair): item for item in oracle.feeds}
    found = next((item for key, item in feeds.items() if key.casefold() == name.casefold()), None)
    if found is None:
        raise SettingsError("--feed", f"no feed is called {name[:60]!r}", remedy=f"known: {', '.join(feeds) or 'none'}")
    return found


def _aggregation(settings: FeedSettings, ticks: Sequence[Tick]) -> AggregationPolicy:
    venues = len({tick.venue for tick in ticks})
    needed = settings.min_venues or venues // 2 + 1
    if needed > venues:
        problem = f"the feed needs {needed} venues and the files hold {venues}"
        raise SettingsError("FILE", problem, remedy="add files, or lower min_venues")
    return aggregation_policy(settings, needed)


def _plans(base: Plan, deviations: Sequence[str], heartbeats: Sequence[str]) -> list[Plan]:
    thresholds = [_parse("--deviation", text, parse_ratio) for text in deviations] or [base.trigger.deviation]
    spans: list[float] = [_parse("--heartbeat", text, parse_duration) for text in heartbeats]
    spans = spans or [base.trigger.heartbeat]
    if not all(thresholds):
        raise SettingsError("--deviation", "must be more than zero")
    if not all(spans):
        raise SettingsError("--heartbeat", "must be more than zero")
    return [
        replace(base, trigger=replace(base.trigger, deviation=threshold, heartbeat=span))
        for threshold, span in product(thresholds, spans)
    ]


# ---- what is shown --------------------------------------------------------------------------------------------------


def _show(runs: Sequence[tuple[Plan, Figures]]) -> None:
    first = runs[0][1]
    out = page()
    out.print(f"{first.ticks:,} ticks, {iso_seconds(first.start)} to {iso_seconds(first.end)}")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for index, name in enumerate(COLUMNS):
        table.add_column(name, justify="right" if index else "left")
    for plan, figures in runs:
        table.add_row(*(escape(cell) for cell in _row(plan, figures)))
    out.print(table)
    for plan, figures in runs:
        if figures.updates:
            out.print(f"[dim]{_caption(plan)}: worst at {iso_seconds(figures.worst_at)}[/]")


def _caption(plan: Plan) -> str:
    return f"{format_ratio(plan.trigger.deviation)} / {format_duration(plan.trigger.heartbeat)}"


def _row(plan: Plan, figures: Figures) -> tuple[str, ...]:
    reasons = "+".join(str(figures.by_reason.get(name, 0)) for name in ("first", "deviation", "heartbeat"))
    return (
        _caption(plan),
        f"{len(figures.updates):,}",
        reasons,
        _percent(figures.worst_error),
        _percent(figures.p99_error),
        _percent(figures.mean_error),
        format_duration(figures.worst_age),
        format_duration(figures.expired_seconds),
        str(figures.held),
        str(sum(figures.rejected.values())),
        f"{_plain(from_base_units(figures.cost_wei, _ETHER_PLACES))} ether" if figures.cost_wei else "-",
    )


def _percent(ratio: Ppb) -> str:
    return format_ratio(Ppb(round(ratio / _PERCENT_STEP) * _PERCENT_STEP))


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}"


def _as_json(plan: Plan, figures: Figures) -> dict[str, Any]:
    return {
        "deviation_ppb": plan.trigger.deviation,
        "heartbeat_seconds": plan.trigger.heartbeat,
        "ticks": figures.ticks,
        "start": iso_seconds(figures.start),
        "end": iso_seconds(figures.end),
        "updates": len(figures.updates),
        "by_reason": dict(figures.by_reason),
        "rejected": dict(figures.rejected),
        "held": figures.held,
        "worst_error_ppb": figures.worst_error,
        "worst_at": iso_seconds(figures.worst_at),
        "p99_error_ppb": figures.p99_error,
        "mean_error_ppb": figures.mean_error,
        "oldest_seconds": figures.worst_age,
        "expired_seconds": figures.expired_seconds,
        "cost_wei": str(figures.cost_wei),
    }
