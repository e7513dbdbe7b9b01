"""Alerts, their history and silences as a terminal shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from seamark.api.views_alerts import Alert, AlertDetails, HistoryEntry, Silence
from seamark.cli.output import console

__all__ = ["alert_text", "alerts_table", "history_table", "print_table", "silences_table"]

_COLOURS: Final = {"critical": "red", "warning": "yellow", "info": "cyan"}
PIPE_WIDTH: Final = 240  # nobody looks at a pipe: long lines can be searched, broken ones cannot
_WHOLE: Final = ("alert", "severity", "state", "silence", "since (UTC)", "until (UTC)", "when (UTC)")
_SECONDS: Final = len("2026-11-21T07:30:00")


def print_table(table: Table) -> None:
    """As wide as the terminal; in a pipe, wide."""
    target = console if console.is_terminal else Console(file=console.file, width=PIPE_WIDTH, highlight=False)
    target.print(table, soft_wrap=False)


def alerts_table(alerts: Sequence[Alert], *, groups: bool = True) -> Table:
    table = _table("alert", "severity", "state", "since (UTC)", *(["group"] if groups else []), "what")
    for alert in alerts:
        severity = Text(alert.severity, style=_COLOURS[alert.severity])
        group = (Text(alert.group),) if groups else ()
        table.add_row(str(alert.id), severity, alert.state, _moment(alert.since), *group, Text(_what(alert)))
    return table


def _what(alert: Alert) -> str:
    notes = [
        f"explains {alert.folded} more" if alert.folded else "",
        f"below alert {alert.folded_under}" if alert.folded_under else "",
        f"{alert.acknowledged.who} has it" if alert.acknowledged else "",
        "not confirmed any more" if alert.stale else "",
    ]
    said = "; ".join(note for note in notes if note)
    return f"{alert.title} ({said})" if said else alert.title


def history_table(entries: Sequence[HistoryEntry]) -> Table:
    table = _table("when (UTC)", "what", "of", "who", "")
    for entry in entries:
        table.add_row(_moment(entry.at), entry.action, _of(entry), Text(entry.who), Text(entry.text))
    return table


def _of(entry: HistoryEntry) -> str:
    if entry.alert is not None:
        return f"alert {entry.alert}"
    return "" if entry.silence is None else f"silence {entry.silence}"


def silences_table(silences: Sequence[Silence]) -> Table:
    table = _table("silence", "until (UTC)", "who", "what", "why")
    for item in silences:
        until = _moment(item.until) if item.active else f"over ({item.ended_by or 'its time'})"
        table.add_row(str(item.id), until, Text(item.who), Text(", ".join(item.matchers)), Text(item.why))
    return table


def alert_text(alert: AlertDetails, runbook: str) -> str:
    """Everything about one alert, in lines."""
    lines = [
        f"alert {alert.id}: {alert.title}",
        f"  {alert.severity}, {alert.state}, kind {alert.kind}, group {alert.group}",
        f"  since {_moment(alert.since)}, opened {_moment(alert.opened_at)}"
        + (f", resolved {_moment(alert.resolved_at)}" if alert.resolved_at else ""),
    ]
    lines += [f"  {alert.text}"] if alert.text else []
    lines += (
        [f"  labels: {', '.join(f'{name}={value}' for name, value in alert.labels.items())}"] if alert.labels else []
    )
    lines += [f"  explains {alert.folded} more, which are folded below it"] if alert.folded else []
    lines += [f"  folded below alert {alert.folded_under}"] if alert.folded_under else []
    lines += [f"  came back {alert.returns} times"] if alert.returns else []
    lines += ["  nobody has confirmed it for a while: see seamark alerts sources"] if alert.stale else []
    if alert.acknowledged:
        until = f" until {_moment(alert.acknowledged.until)}" if alert.acknowledged.until else ""
        lines.append(f"  {alert.acknowledged.who} has it{until}: {alert.acknowledged.why}")
    lines += [f"  do: {alert.remedy}"] if alert.remedy else []
    lines.append(f"  runbook: {runbook}#{alert.kind}")
    lines += ["history (UTC):", *(f"  {_moment(e.at)}  {e.action}, {e.who}: {e.text}" for e in alert.history)]
    if alert.notices:
        lines.append("notices:")
        lines += [
            f"  {n.id} to {n.receiver}, {n.event}: {n.state}, {n.attempts} tries{f' ({n.error})' if n.error else ''}"
            for n in alert.notices
        ]
    return "\n".join(lines)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in _WHOLE)
    return table


def _moment(text: str) -> str:
    return text[:_SECONDS].replace("T", " ")
