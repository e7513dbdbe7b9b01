"""A report as one HTML file: no script, nothing loaded from elsewhere, light and dark, and made to be printed. Pure.

Every text comes in through `escape`: contracts choose their own words, and a report must not run them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Final

from seamark.messages.reports.model import Report
from seamark.messages.reports.render import charts
from seamark.messages.reports.render.document import Column, Document, Section, Sheet, Tile, clock, lane_name, link
from seamark.messages.reports.render.style import STYLE

__all__ = ["to_html"]

LEGEND: Final = (("ok", "delivered"), ("open", "on their way"), ("bad", "failed"))
SPANS: Final = (("p50", "half within"), ("p95", "95 % within"))
OPEN_SHEETS: Final = {"lanes", "outliers", "errors", "fees", "formats", "access", "latency"}
JUELS: Final = 10**18
ACCOUNT: Final = 42  # characters of an address
SHOWN_HEX: Final = 18


def to_html(document: Document, report: Report, version: str) -> str:
    """A whole page."""
    return "\n".join(_page(document, report, version)) + "\n"


def _page(document: Document, report: Report, version: str) -> Iterator[str]:
    title = f"{document.title}, {document.subtitle}"
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield '<meta name="color-scheme" content="light dark">'
    yield f"<title>{escape(title)}</title>"
    yield f"<style>{STYLE}</style></head><body>"
    yield '<a class="skip" href="#main">To the figures</a>'
    yield f"<header><h1>{escape(document.title)}</h1><p>{escape(document.subtitle)}</p></header>"
    yield '<main id="main">'
    yield '<section aria-label="Summary"><dl class="tiles">'
    yield from (_tile(tile) for tile in document.tiles)
    yield "</dl>"
    totals = report.totals
    if totals.sent:
        drawing = charts.outcome(totals.delivered, totals.open, totals.failed)
        yield f'<figure class="outcome">{drawing}{_legend(LEGEND)}</figure>'
    yield "</section>"
    yield _contents(document)
    drawings = _drawings(report)
    for section in document.sections:
        yield from _section(section, drawings)
    yield "</main>"
    yield f"<footer>Seamark {escape(version)}, made {clock(report.made)} UTC</footer></body></html>"


def _tile(tile: Tile) -> str:
    note = f'<dd class="note">{escape(tile.note)}</dd>' if tile.note else ""
    return f'<div class="tile {tile.tone}"><dt>{escape(tile.title)}</dt><dd>{escape(tile.value)}</dd>{note}</div>'


def _contents(document: Document) -> str:
    links = "".join(f'<li><a href="#{section.key}">{escape(section.title)}</a></li>' for section in document.sections)
    return f'<nav aria-label="Sections"><ul>{links}</ul></nav>'


def _legend(items: tuple[tuple[str, str], ...]) -> str:
    parts = "".join(f'<span class="key"><i class="{style}"></i>{name}</span>' for style, name in items)
    return f"<figcaption>{parts}</figcaption>"


def _drawings(report: Report) -> Mapping[str, list[str]]:
    """Charts by section; none where there is nothing to draw."""
    if not report.totals.sent:
        return {}
    period, buckets = report.period, report.buckets
    found = {
        "throughput": [
            _figure("Messages sent", charts.bars(period, buckets, title="Messages sent over time"), LEGEND),
            _figure("By hour of the day (UTC)", charts.hours(report.hours, title="Messages by hour of the day")),
        ]
    }
    if report.latencies.get("total"):
        names = [lane_name(lane, report.lanes) for lane in report.lanes]
        found["latency"] = [
            _figure("From send to delivery", charts.lines(period, buckets, title="Latency over time"), SPANS),
            _figure(
                "By lane: half, 95 % and 99 % within",
                charts.lanes(report.lanes, names, title="Latency by lane"),
                (*SPANS, ("p99", "99 % within")),
            ),
        ]
    if int(report.fees_juels):
        layer = charts.Layer("ok", "", lambda bucket: int(bucket.fees_juels) / JUELS)
        drawing = charts.bars(
            period,
            buckets,
            title="Fees over time, in LINK",
            layers=(layer,),
            tell=lambda value: link(str(int(value * JUELS))),
        )
        found["fees"] = [_figure("Fees, normalised to LINK", drawing)]
    return found


def _figure(title: str, drawing: str, legend: tuple[tuple[str, str], ...] = ()) -> str:
    return f"<figure><h3>{escape(title)}</h3>{drawing}{_legend(legend) if legend else ''}</figure>"


def _section(section: Section, drawings: Mapping[str, list[str]]) -> Iterator[str]:
    yield f'<section id="{section.key}" aria-labelledby="{section.key}-h">'
    yield f'<h2 id="{section.key}-h">{escape(section.title)}</h2>'
    if len(section.sentences) > 1:
        yield f"<ul>{''.join(f'<li>{_words(text)}</li>' for text in section.sentences)}</ul>"
    else:
        yield from (f"<p>{_words(text)}</p>" for text in section.sentences)
    if drawings.get(section.key):
        yield f'<div class="charts">{"".join(drawings[section.key])}</div>'
    for sheet in section.sheets:
        yield _sheet(sheet, folded=section.key not in OPEN_SHEETS)
    yield "</section>"


def _words(text: str) -> str:
    """A sentence; a heading before a colon stands out in suggestions, and hashes may be broken."""
    return " ".join(
        f"<code>{escape(word)}</code>" if word.startswith("0x") else escape(word) for word in text.split(" ")
    )


def _sheet(sheet: Sheet, *, folded: bool) -> str:
    head = "".join(f'<th scope="col" class="{column.kind}">{escape(column.title)}</th>' for column in sheet.columns)
    body = "".join(f"<tr>{''.join(_cells(row, sheet.columns))}</tr>" for row in sheet.rows)
    caption = f"<caption>{escape(sheet.caption)}</caption>" if sheet.caption and not folded else ""
    label = escape(sheet.caption or "Table")
    table = (
        f'<div class="scroll" role="region" aria-label="{label}" tabindex="0"><table>{caption}'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
    return f"<details><summary>{label}</summary>{table}</details>" if folded else table


def _cells(row: tuple[str, ...], columns: tuple[Column, ...]) -> Iterator[str]:
    for text, column in zip(row, columns, strict=True):
        if column.kind == "id":
            yield f'<td class="id">{"<br>".join(_hex(part) for part in text.split())}</td>'
        else:
            yield f'<td class="{column.kind}">{escape(text)}</td>'


def _hex(text: str) -> str:
    """Accounts whole; of hashes the beginning, which finds them, and the rest to whoever rests on it."""
    if len(text) <= ACCOUNT:
        return f"<code>{escape(text)}</code>"
    return f'<code title="{escape(text)}">{escape(text[:SHOWN_HEX])}…</code>'
