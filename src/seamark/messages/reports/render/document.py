"""A report as sections of sentences and tables, the same whatever shows them. Pure: values in, words out.

Every section says something also when there is nothing to show: that nothing failed is a result, and that something is
not watched is one too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

from seamark.core.ids import Address
from seamark.core.units import format_duration
from seamark.evm.address import to_checksum
from seamark.messages.reports.model import SPANS, AccessChange, Contract, LaneReport, Latency, Party, Report, Right
from seamark.messages.reports.render.amounts import LINK_DECIMALS, amount_text
from seamark.messages.reports.rules import change_of

__all__ = ["Column", "Document", "Section", "Sheet", "Tile", "clock", "day", "document_of", "percent"]

Kind = Literal["text", "number", "id", "time", "prose"]  # prose may break anywhere, a time nowhere
Tone = Literal["good", "bad", "plain"]

ADDRESS_LENGTH: Final = 42
GOOD_SUCCESS: Final = 0.95  # of matured messages; below, the runbook asks somebody to look
_TITLES: Final = {
    "daily": "Daily message report",
    "weekly": "Weekly message report",
    "monthly": "Monthly message report",
}
SPAN_NAMES: Final = {
    "finality": "sent → final",
    "commit": "sent → committed",
    "execution": "committed → executed",
    "total": "sent → executed",
}


@dataclass(frozen=True, slots=True)
class Column:
    """`spare`: left out first where there is little room, the leftmost before others; another table has it too."""

    title: str
    kind: Kind = "text"
    spare: bool = False


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure of the summary, and how it compares with the period before."""

    title: str
    value: str
    note: str = ""
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Section:
    """`key` names it for links and charts."""

    key: str
    title: str
    sentences: tuple[str, ...] = ()
    sheets: tuple[Sheet, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    title: str
    subtitle: str
    tiles: tuple[Tile, ...] = ()
    sections: tuple[Section, ...] = field(default=())


# ---- words ----------------------------------------------------------------------------------------------------------


def clock(at: float) -> str:
    """UTC to the minute."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"


def day(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"


def account(text: str) -> str:
    """With its checksum, where it is an EVM address; other chains' accounts stay as they are."""
    return to_checksum(Address(text)) if text.startswith("0x") and len(text) == ADDRESS_LENGTH else text


def percent(share: float | None) -> str:
    """Never rounded up to a whole that it is not."""
    if share is None:
        return "-"
    if 0 < share < 1:
        return f"{min(max(share * 100, 0.01), 99.99):.2f} %"
    return f"{share:.0%}".replace("%", " %")


def number(value: int) -> str:
    return f"{value:,}"


def seconds(value: float | None) -> str:
    return "-" if value is None else format_duration(value)


def link(juels: str) -> str:
    return amount_text(int(juels), LINK_DECIMALS, "LINK")


def count(value: int, noun: str) -> str:
    return f"{value:,} {noun}{'' if value == 1 else 's'}"


def _against(now: float | None, before: float | None) -> str:
    change = change_of(now, before)
    if change is None:
        return ""
    return "as before" if abs(change) < 0.005 else f"{change:+.0%} against before"  # noqa: PLR2004 - half a percent


def lane_name(lane: LaneReport, lanes: Sequence[LaneReport]) -> str:
    """With the version or protocol only where the ends do not tell lanes apart."""
    name = f"{lane.source} → {lane.destination}"
    same = [other for other in lanes if (other.source, other.destination) == (lane.source, lane.destination)]
    return name if len(same) == 1 else f"{name} ({lane.protocol} {lane.version})"


# ---- the document ---------------------------------------------------------------------------------------------------


def document_of(report: Report) -> Document:
    """All of it, in the order of the questions that a person has."""
    period = report.period
    title = _TITLES.get(period.name, "Message report")
    scope = f", {report.lanes_chosen}" if report.lanes_chosen else ""
    subtitle = f"{clock(period.start)} to {clock(period.end)} UTC{scope}"
    return Document(
        title,
        subtitle,
        tuple(_tiles(report)),
        (
            _throughput(report),
            _lanes(report),
            _latency(report),
            _outliers(report),
            _errors(report),
            _fees(report),
            _suggestions(report),
            _access(report),
            _formats(report),
            _replays(report),
            _about(report),
        ),
    )


def _tiles(report: Report) -> Iterator[Tile]:
    totals, before = report.totals, report.before
    whole = report.latencies.get("total")
    yield Tile("Sent", number(totals.sent), _against(totals.sent, before.sent if before else None))
    rate = report.success_rate
    tone: Tone = "plain" if rate is None else "good" if rate >= GOOD_SUCCESS else "bad"
    was = f"{percent(before.success_rate)} before" if before and before.success_rate is not None else ""
    of = f"of {number(totals.matured)} matured"
    yield Tile("Success rate", percent(rate), f"{of}, {was}" if was else of, tone)
    yield Tile("Failed", number(totals.failed), "and not recovered", "bad" if totals.failed else "good")
    yield Tile("On their way", number(totals.open))
    for title, name in (("Half within", "p50"), ("95 % within", "p95"), ("99 % within", "p99")):
        value = getattr(whole, name) if whole else None
        yield Tile(title, seconds(value), _against(value, getattr(before, name) if before else None))
    fees_before = int(before.fees_juels) if before else None
    yield Tile("Fees", link(report.fees_juels), _against(int(report.fees_juels), fees_before))


def _throughput(report: Report) -> Section:
    if not report.totals.sent:
        return Section("throughput", "Throughput", (_nothing(report),))
    sentences = []
    if report.peak_hour is not None:
        start, messages = report.peak_hour
        sentences.append(f"The busiest hour was {clock(start)}, with {count(messages, 'message')}.")
    if report.peak_day is not None and report.period.length > 86_400:  # noqa: PLR2004 - more than one day
        start, messages = report.peak_day
        sentences.append(f"The busiest day was {day(start)}, with {count(messages, 'message')}.")
    average = report.totals.sent * 3600 / report.period.length
    sentences.append(f"On average {average:,.1f} messages were sent per hour.")
    rows = tuple((f"{hour:02d}:00", number(messages)) for hour, messages in enumerate(report.hours) if messages)
    sheet = Sheet((Column("hour (UTC)"), Column("messages", "number")), rows, "Messages by hour of the day")
    return Section("throughput", "Throughput", tuple(sentences), (sheet,))


def _nothing(report: Report) -> str:
    if report.data_from is None:
        return "No message is known yet."
    return f"No message was sent in this period; the oldest one known is of {clock(report.data_from)} UTC."


def _lanes(report: Report) -> Section:
    columns = (
        Column("lane"),
        Column("version"),
        *(Column(title, "number") for title in ("sent", "delivered", "failed", "on their way", "success")),
        *(Column(title, "number", spare=title != "p95") for title in ("average", "p50", "p95", "p99")),
    )
    rows = []
    for lane in report.lanes:
        totals, whole = lane.totals, lane.latencies.get("total")
        rows.append(
            (
                lane_name(lane, report.lanes),
                f"{lane.protocol} {lane.version}",
                *(number(value) for value in (totals.sent, totals.delivered, totals.failed, totals.open)),
                percent(lane.success_rate) if lane.destination_watched else "not watched",
                *(_figures(whole)[:4]),
            )
        )
    sentences = []
    totals = report.totals
    for value, words in (
        (totals.by_hand, "delivered by hand"),
        (totals.retried, "needed more than one attempt"),
        (totals.no_callback, "delivered without running the receiver's code"),
        (totals.retracted, "retracted by a reorg of the source"),
    ):
        if value:
            sentences.append(f"{count(value, 'message')} {words}.")
    return Section("lanes", "Lanes", tuple(sentences), (Sheet(columns, tuple(rows)),) if rows else ())


def _figures(latency: Latency | None) -> tuple[str, ...]:
    if latency is None:
        return ("-",) * 5
    return tuple(seconds(value) for value in (latency.average, latency.p50, latency.p95, latency.p99, latency.longest))


def _latency(report: Report) -> Section:
    columns = (
        Column("lane"),
        Column("stage"),
        *(Column(title, "number") for title in ("messages", "average", "p50", "p95", "p99", "longest")),
    )
    rows = []
    for lane in report.lanes:
        for span in SPANS:
            latency = lane.latencies.get(span)
            if latency is not None:
                name = lane_name(lane, report.lanes)
                rows.append((name, SPAN_NAMES[span], number(latency.count), *_figures(latency)))
    sentence = "By the chains' own block times." if rows else "No stage was passed with both ends known."
    return Section("latency", "Latency by stage", (sentence,), (Sheet(columns, tuple(rows)),) if rows else ())


def _outliers(report: Report) -> Section:
    if not report.outliers:
        return Section("outliers", "Outliers", ("No message took far longer than is usual on its lane.",))
    columns = (
        Column("message", "id"),
        Column("lane"),
        Column("stage"),
        Column("took", "number"),
        Column("usual up to", "number"),
        Column("sent (UTC)", "time"),
    )
    rows = tuple(
        (
            item.id,
            f"{item.source} → {item.destination} #{item.sequence}",
            item.stage,
            seconds(item.seconds),
            seconds(item.bound),
            clock(item.sent_time),
        )
        for item in report.outliers
    )
    more = f" {number(report.outliers_more)} more are not shown." if report.outliers_more else ""
    text = f"Messages overdue now first, then the slowest deliveries.{more}"
    return Section("outliers", "Outliers", (text,), (Sheet(columns, rows),))


def _errors(report: Report) -> Section:
    if not report.errors:
        return Section("errors", "Errors", ("No message sent in this period stands failed.",))
    columns = (Column("class"), Column("cause"), Column("messages", "number"), Column("examples", "id"))
    rows = tuple(
        (item.reason or "unknown", item.cause or "no reason was given", number(item.messages), " ".join(item.examples))
        for item in report.errors
    )
    text = "Deliveries that failed and have not been recovered. Next: seamark messages recover ID."
    return Section("errors", "Errors and their causes", (text,), (Sheet(columns, rows),))


# ---- money ----------------------------------------------------------------------------------------------------------


PARTS: Final = {"ccv": "verifiers", "pool": "token pool", "executor": "executor", "network": "network"}


def _fees(report: Report) -> Section:
    if not report.costs:
        return Section("fees", "Fees", ("No message of this period tells of a fee.",))
    columns = (
        Column("paid on"),
        Column("token"),
        Column("messages", "number"),
        Column("total", "number"),
        Column("average", "number"),
        Column("average in LINK", "number"),
        Column("average against before", "number"),
    )
    rows = []
    for cost in report.costs:
        decimals, symbol = cost.decimals, cost.symbol
        known = decimals is not None and symbol is not None
        rows.append(
            (
                cost.chain,
                f"· {PARTS.get(cost.part, cost.part)}" if cost.part else f"{symbol}" if known else account(cost.token),
                number(cost.messages),
                amount_text(int(cost.total), decimals, symbol) if known else number(int(cost.total)),  # type: ignore[arg-type]
                amount_text(int(cost.average), decimals, symbol) if known else number(int(cost.average)),  # type: ignore[arg-type]
                link(cost.average_juels) if int(cost.average_juels) else "-",
                "-" if cost.change is None else f"{cost.change:+.1%}",
            )
        )
    sentences = [f"In all {link(report.fees_juels)}, normalised by the protocol."]
    if any(cost.part for cost in report.costs):
        sentences.append("Lines with a dot are parts of the sum above them, of CCIP 2.0's messages.")
    if any(cost.symbol is None for cost in report.costs):
        sentences.append("Tokens shown by their address are told in base units: nobody has told their decimals.")
    return Section("fees", "Fees", tuple(sentences), (Sheet(columns, tuple(rows)),))


def _suggestions(report: Report) -> Section:
    if not report.suggestions:
        text = (
            "The period's figures speak for none: sends are not bunched, payloads are not what is paid for, no token "
        )
        return Section("savings", "Ways to pay less", (text + "in use is dearer than another.",))
    return Section("savings", "Ways to pay less", tuple(f"{item.title}: {item.text}" for item in report.suggestions))


# ---- who, and how we know -------------------------------------------------------------------------------------------


def _access(report: Report) -> Section:
    sentences = []
    if report.access:
        shown = count(len(report.access) + report.access_more, "change")
        sentences.append(f"{shown} of roles, configuration, curses or pauses, as the contracts below told them.")
    else:
        sentences.append("No role, allow list, curse, pause or configuration of the contracts below has changed.")
    if any(item.role == "application" for item in report.contracts):
        sentences.append(
            "Who may do what with our own contracts is listed as their events told it; what was granted before the "
            "first block that was read is not known."
        )
    else:
        sentences.append(
            "Not watched: the roles and allow lists of senders and receivers, such as those of OracleWithCCIP and "
            "OracleReceiver; name them under ccip.chains[].contracts. What they sent and got is listed."
        )
    sheets = []
    if report.access:
        sheets.append(_changes(report.access, report.access_more))
    if report.rights:
        sheets.append(_rights(report.rights))
    sheets += [
        _parties(report.senders, report.senders_in_all, "sender"),
        _parties(report.receivers, report.receivers_in_all, "receiver"),
    ]
    if report.contracts:
        sheets.append(_contracts(report.contracts))
    return Section("access", "Access control", tuple(sentences), tuple(sheet for sheet in sheets if sheet.rows))


def _changes(changes: Sequence[AccessChange], more: int) -> Sheet:
    columns = (
        Column("at (UTC)", "time"),
        Column("chain", "number"),
        Column("what"),
        Column("about", "id"),
        Column("details", "prose"),
        Column("contract", "id"),
    )
    rows = tuple(
        (
            clock(item.time),
            str(item.chain_id),
            item.kind.replace("_", " "),
            account(item.subject) or "-",
            _told(item.details) or "-",
            account(item.contract),
        )
        for item in changes
    )
    return Sheet(columns, rows, f"Changes, newest first{f'; {number(more)} more' if more else ''}")


def _told(details: dict[str, object]) -> str:
    """`RoleGranted: account 0x…, role 0x…`: the event, then what it said; nothing of how it is kept."""
    values = details.get("values", {})
    said = {name: value for name, value in details.items() if name not in ("event", "values")}
    said |= values if isinstance(values, dict) else {"values": values}
    words = ", ".join(f"{name} {_plain(value)}" for name, value in said.items())
    return ": ".join(part for part in (str(details.get("event", "")), words) if part)


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name} {_plain(item)}" for name, item in value.items()) + ")"
    if isinstance(value, list | tuple):
        return " ".join(_plain(item) for item in value) or "none"
    return str(value)


def _rights(rights: Sequence[Right]) -> Sheet:
    columns = (
        Column("chain", "number"),
        Column("contract", "id"),
        Column("right"),
        Column("who", "id"),
        Column("since (UTC)", "time"),
    )
    rows = tuple(
        (str(item.chain_id), account(item.contract), item.right, account(item.account) or "-", clock(item.since))
        for item in rights
    )
    return Sheet(columns, rows, "Who may do what at the end of the period")


def _parties(parties: Sequence[Party], in_all: int, noun: str) -> Sheet:
    columns = (Column(noun, "id"), Column("messages", "number"), Column("first seen"))
    words = {True: "in this period", False: "before", None: "not looked up"}
    rows = tuple((account(item.account), number(item.messages), words[item.new]) for item in parties)
    shown = f"{len(rows)} of {count(in_all, noun)}" if in_all > len(rows) else count(in_all, noun)
    return Sheet(columns, rows, f"{shown}, new ones first")


def _contracts(contracts: Sequence[Contract]) -> Sheet:
    columns = (Column("chain", "number"), Column("contract", "id"), Column("role"), Column("version"))
    rows = tuple((str(item.chain_id), account(item.address), item.role, item.version or "-") for item in contracts)
    return Sheet(columns, rows, "Contracts whose events are read")


def _formats(report: Report) -> Section:
    formats = report.formats
    sentences, sheets = [], []
    if formats.sizes:
        columns = (
            Column("lane"),
            Column("payload", "number"),
            Column("usual", "number"),
            Column("messages", "number"),
            Column("examples", "id"),
        )
        rows = tuple(
            (
                f"{item.source} → {item.destination}",
                count(item.size, "byte"),
                count(item.usual, "byte"),
                number(item.messages),
                " ".join(item.examples),
            )
            for item in formats.sizes
        )
        more = f"; {number(formats.sizes_more)} more sizes" if formats.sizes_more else ""
        sheets.append(Sheet(columns, rows, f"Payloads far from their lane's usual size{more}"))
    else:
        sentences.append("No payload is far from its lane's usual size.")
    if formats.conflicting:
        ids = ", ".join(formats.conflicting)
        sentences.append(f"The destination told of another lane or number for the same id (ignored): {ids}.")
    if formats.unsupported:
        names = ", ".join(
            f"{account(item.address)} on chain {item.chain_id} ({item.version})" for item in formats.unsupported
        )
        sentences.append(f"Contracts of a version that is not read: {names}.")
    else:
        sentences.append("Every contract found is of a version that is read.")
    malformed = formats.malformed_ever
    sentences.append(
        f"{count(malformed, 'malformed log')} since the database was begun." if malformed else "No malformed log, ever."
    )
    return Section("formats", "Message formats", tuple(sentences), tuple(sheets))


def _replays(report: Report) -> Section:
    found = report.replays
    sentences = []
    if found.twice:
        sentences.append(f"Delivered more than once, which a contract must not do: {', '.join(found.twice)}.")
    else:
        sentences.append(
            f"None of {count(found.checked, 'message')} was delivered more than once: an id is stored once, and none "
            f"has two successful executions ({count(found.attempts, 'message')} had more than one attempt)."
        )
    newest = f"Of the newest {count(found.payloads_known, 'payload')}: " if found.payloads_known < found.checked else ""
    if found.updates:
        groups = "; ".join(", ".join(ids) for ids in found.updates)
        sentences.append(f"{newest}The same price round reached the same receiver in different messages: {groups}.")
    else:
        sentences.append(f"{newest}No price round reached the same receiver twice.")
    if found.same_payload:
        sentences.append(
            f"{count(found.same_payload, 'group')} of messages with the same sender, receiver and payload, the largest "
            f"of {number(found.largest)}: legal, but see whether they are meant."
        )
    else:
        sentences.append(f"No two of {count(found.payloads_known, 'known payload')} are equal for the same pair.")
    return Section("replays", "Replays", tuple(sentences))


def _about(report: Report) -> Section:
    matures = sorted({lane.matures_after for lane in report.lanes})
    span = " to ".join(dict.fromkeys(seconds(value) for value in matures[:: max(len(matures) - 1, 1)]))
    sentences = [
        f"Messages belong to the period in which they were sent; their fate is as of {clock(report.made)} UTC.",
        "Percentiles are exact, over every message. Times are those of the blocks.",
        (
            "The success rate is over matured messages: sent so long ago that 99 in 100 of their lane would have "
            f"arrived three times over{f' (here {span})' if span else ''}; an hour where too few are known. Lanes "
            "whose destination is not watched have none."
        ),
    ]
    if report.data_from is not None and report.data_from > report.period.start:
        sentences.append(f"The database begins at {clock(report.data_from)} UTC, within the period.")
    if report.before is None:
        sentences.append("There is nothing to compare with: no message is known of the period before.")
    return Section("about", "About these figures", tuple(sentences))
