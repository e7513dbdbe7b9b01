"""One message, told to a person: parts to print, in the order in which one asks. Pure.

headline and what it means -> time line against what is normal -> what it carries and cost -> why it failed
-> evidence and steps -> what to do next
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from seamark.cli.messages_amounts import LINK_DECIMALS, account, amount_text
from seamark.cli.messages_find import Carried, Found
from seamark.cli.messages_table import shown_stage, stage_text
from seamark.core.units import format_duration
from seamark.messages.judgement import explain
from seamark.messages.model import Stage, Step
from seamark.messages.reports.rules import percentile
from seamark.messages.store import MessageView, NoticeView, SightingView, TransitionView, VerificationView

__all__ = ["tell_message"]

NEXT: Final = "next: "  # how a sentence begins that says what to do
ENOUGH: Final = 20  # deliveries that say what is usual
SHOWN_PAYLOAD: Final = 66  # characters of a payload that is not asked for whole
_INDENT: Final = (0, 0, 0, 2)
_DONE: Final = (Stage.EXECUTED, Stage.RECOVERED)


def tell_message(found: Found, now: int, *, evidence: bool = True, payload: bool = False) -> Iterator[RenderableType]:
    """Parts for a console that understands markup.

    Args:
        found: The message and its surroundings.
        now: Seconds since the epoch.
        evidence: Also events and steps.
        payload: The payload whole.
    """
    message = found.detail.message
    told = explain(message, found.profile, now, curses=found.curses)
    yield _headline(message, now)
    for line in told[1:]:  # the first is what the headline says
        if not line.startswith(NEXT):
            yield f"  {escape(line)}"
    yield ""
    yield Padding(_time_line(found, now), _INDENT, expand=False)
    yield ""
    yield Padding(_facts(found, payload=payload), _INDENT, expand=False)
    if message.stage == Stage.FAILED:
        yield from _failure(found)
    if found.notices:
        yield from _section("What its contracts told meanwhile", _notices(found.notices, found.chains))
    if found.detail.verification is not None:
        yield from _section("Verified off chain", _verified(found.detail.verification))
    if evidence:
        yield from _section("Evidence", _evidence(found.detail.sightings, found.chains))
        yield from _section("Steps, as they were seen", _steps(found.detail.transitions))
    for line in told:
        if line.startswith(NEXT):
            yield f"\n[bold]Next:[/] {escape(line.removeprefix(NEXT))}"


def clock(at: float) -> str:
    """UTC to the second, for people."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"


def _headline(message: MessageView, now: int) -> str:
    lane = f"{escape(message.source_name)} → {escape(message.destination_name)}"
    kind, age = f"{message.protocol} {message.version}", format_duration(max(now - message.time, 0))
    number = f"number {message.sequence} [dim]({kind}), {age} old[/]"
    return f"{stage_text(shown_stage(message))}  [bold]{message.id}[/]\n  {lane}, {number}"


def _section(title: str, body: RenderableType) -> Iterator[RenderableType]:
    yield Group(f"\n[bold]{title}[/]", Padding(body, _INDENT, expand=False))


def _table(*columns: str, right: Sequence[str] = ()) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_header=any(columns))
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


# ---- time line ------------------------------------------------------------------------------------------------------


def _time_line(found: Found, now: int) -> Table:
    message = found.detail.message
    table = _table("", "stage", "at (UTC)", "after", "usual here", right=("after",))
    start, last = message.sent_time, message.seconds
    reached = _reached(message)
    rows: list[tuple[int, str, int | None, int | None, str]] = [
        (0, "sent", message.sent_time, None, ""),
        (1, "finalized", message.finalized_time, last.finality, "finality"),
    ]
    if between := _between(found):
        rows.append((_BETWEEN, between, message.committed_time, last.commit, "commit"))
    end = message.stage if message.stage in ("failed", "recovered") else "executed"
    total = last.total
    if total is None and start is not None and message.executed_time is not None:
        total = max(message.executed_time - start, 0)
    rows.append((3, end, message.executed_time, total, "total"))
    following = next((index for index, *_ in rows if index > reached), None)
    for index, name, at, after, span in rows:
        mark, time = _mark(message, index, reached, at)
        if index == following and message.stage not in (*_DONE, Stage.FAILED, Stage.RETRACTED):
            waited = format_duration(max(now - (start or message.time), 0))
            table.add_row("[cyan]…[/]", f"[cyan]{name}[/]", "[cyan]waiting[/]", waited, _usual(found, span))
        else:
            spent = "" if after is None else format_duration(after)
            table.add_row(mark, name, time, spent, _usual(found, span))
    return table


_BETWEEN: Final = 2  # the place of what comes between finality and execution


def _between(found: Found) -> str:
    """What a message of this lane needs before it is executed, in a word; "" for nothing."""
    message, profile = found.detail.message, found.profile
    if message.verified or (profile is not None and profile.verifiers):
        return "verified"
    return "committed" if profile is None or profile.commits or message.committed_time is not None else ""


def _reached(message: MessageView) -> int:
    """The last of sent, finalized, committed, executed that is known; -1 for none."""
    if message.stage in (*_DONE, Stage.FAILED):
        return 3
    if message.committed_time is not None:
        return _BETWEEN
    if message.stage == Stage.RETRACTED:
        return -1
    return 1 if message.finalized else 0


def _mark(message: MessageView, index: int, reached: int, at: int | None) -> tuple[str, str]:
    last = index == 3  # noqa: PLR2004 - the fourth of four
    if last and message.stage == Stage.FAILED:
        return "[red]✗[/]", clock(at) if at is not None else ""
    if message.stage == Stage.RETRACTED:
        return ("[yellow]↩[/]", "left the chain") if index == 0 else ("[dim]·[/]", "")
    if index > reached:
        return "[dim]·[/]", ""
    return "[green]✓[/]", clock(at) if at is not None else "[dim]not seen when[/]"


def _usual(found: Found, span: str) -> str:
    counts = found.usual.get(span)
    if not counts or sum(counts.values()) < ENOUGH:
        return ""
    p50, p95 = percentile(counts, 0.5) or 0, percentile(counts, 0.95) or 0
    return f"[dim]{format_duration(p50)}, 95 % in {format_duration(p95)}[/]"


# ---- what it is -----------------------------------------------------------------------------------------------------


def _facts(found: Found, *, payload: bool) -> Table:
    message = found.detail.message
    table = _table("", "")
    details = _sent_details(found)
    rows: list[tuple[str, str]] = []
    if found.carried is not None:
        rows += _carried_rows(found.carried)
    if message.sender:
        rows += [("from", account(message.sender)), ("to", account(message.receiver))]
    if message.fee_token:
        rows.append(("fee", _fee(found)))
        rows += [("", f"{part}: {text}") for part, text in _parts(found, details)]
    rows += [("tokens", _token(item)) for item in details.get("tokens", ())]
    data = str(details.get("data", ""))
    if message.sender and (payload or found.carried is None):
        rows.append(("payload", _payload(message.size, data, whole=payload)))
    if (nonce := details.get("nonce", "0")) not in ("0", "", None):
        rows.append(("order", f"nonce {nonce}: delivered in the sender's order"))
    if message.channel:
        rows.append(("sent through", account(message.channel)))
    if message.attempts > 1:
        rows.append(("attempts", str(message.attempts)))
    for name, text in rows:
        table.add_row(f"[dim]{name}[/]", escape(text))
    return table


def _sent_details(found: Found) -> dict[str, Any]:
    sends = [item.body.get("details", {}) for item in found.detail.sightings if item.kind == "sent"]
    return sends[0] if sends else {}


def _fee(found: Found) -> str:
    message = found.detail.message
    text = found.tokens.text(message.source_chain, message.fee_token, message.fee_amount)
    if message.fee_juels is None or found.tokens.symbol(message.source_chain, message.fee_token) == "LINK":
        return text
    return f"{text} (worth {amount_text(int(message.fee_juels), LINK_DECIMALS, 'LINK')})"


def _parts(found: Found, details: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What the fee is made of, where the protocol tells."""
    message = found.detail.message
    for part in details.get("fees", ()):
        amount = str(part.get("amount", part.get("fee_amount", "0")))
        if amount.isdigit():
            name = str(part.get("kind", part.get("part", part.get("issuer", "part"))))
            yield name, found.tokens.text(message.source_chain, message.fee_token, amount)


def _token(item: dict[str, Any]) -> str:
    return (
        f"{int(item.get('amount', 0)):,} base units of {account(str(item.get('destination_token', '?')))} "
        f"by pool {account(str(item.get('source_pool', '?')))}"
    )


def _payload(size: int, data: str, *, whole: bool) -> str:
    if not size:
        return "none"
    if whole or len(data) <= SHOWN_PAYLOAD:
        return f"{size:,} bytes {data}"
    return f"{size:,} bytes {data[:SHOWN_PAYLOAD]}… (--payload shows all)"


def _carried_rows(carried: Carried) -> Iterator[tuple[str, str]]:
    update = carried.update
    price = f"{update.price:f}".rstrip("0").rstrip(".")
    yield "carries", f"{carried.feed or 'a price'} {price}, round {update.round}, observed {clock(update.observed_at)}"
    arrived = carried.arrived
    if arrived is not None and arrived.round:
        behind = arrived.round - update.round
        word = (
            "this round"
            if not behind
            else f"round {arrived.round}, {abs(behind)} {'later' if behind > 0 else 'before'}"
        )
        yield "there now", f"{arrived.price:f}".rstrip("0").rstrip(".") + f" ({word})"


# ---- why, and how we know -------------------------------------------------------------------------------------------


def _failure(found: Found) -> Iterator[RenderableType]:
    message = found.detail.message
    runs = [item for item in found.detail.sightings if item.kind == "executed" and item.live]
    last = next((item.body for item in reversed(runs) if not item.body.get("succeeded")), {})
    details = last.get("details", {})
    table = _table("", "")
    table.add_row("[dim]class[/]", message.reason or "unknown")
    table.add_row("[dim]cause[/]", f"[red]{escape(message.error or 'no reason was given')}[/]")
    if gas := details.get("gas_used"):
        table.add_row("[dim]gas used[/]", f"{int(gas):,}")
    if data := details.get("return_data"):
        table.add_row("[dim]returned[/]", f"[dim]{data}[/]")
    yield from _section("Why it failed", table)


def _verified(told: VerificationView) -> Table:
    table = _table("verifier", "said so (UTC)")
    for item in told.details.get("verifiers", ()):
        name, at = str(item.get("name", "")), item.get("time")
        who = f"{name} {account(str(item.get('ccv', '')))}".strip()
        table.add_row(escape(who), clock(at) if isinstance(at, int) else "[dim]not told[/]")
    needed = told.details.get("needed")
    table.add_row(f"[dim]{needed} needed, and the destination's contracts accept them[/]", "")
    return table


def _notices(notices: Sequence[NoticeView], chains: dict[int, str]) -> Table:
    table = _table("at (UTC)", "chain", "what", "about")
    for notice in notices:
        chain = chains.get(notice.chain_id, str(notice.chain_id))
        table.add_row(clock(notice.time), escape(chain), notice.kind.replace("_", " "), escape(notice.subject))
    return table


def _evidence(sightings: Sequence[SightingView], chains: dict[int, str]) -> RenderableType:
    """Two lines each; a terminal that is narrower than a hash shows it in two parts, never a part of it alone."""
    lines: list[str] = []
    for item in sightings:
        gone = "" if item.live else " [yellow](orphaned)[/]"
        what = item.kind if item.kind != "executed" else ("executed" if item.body.get("succeeded") else "failed")
        chain = escape(chains.get(item.chain_id, f"chain {item.chain_id}"))
        where = f"{chain}, block {item.block_number}, log {item.log_index}"
        lines += [f"{what:<10} {where}  {clock(item.time)}{gone}", f"{'':<10} [dim]{item.tx}[/]"]
    text = Text.from_markup("\n".join(lines), overflow="fold")
    text.no_wrap = False  # the console's own rule is to let the terminal wrap, but inside a margin that would cut
    return text


def _steps(transitions: Sequence[TransitionView]) -> Table:
    table = _table("step", "block time", "seen")
    for item in transitions:
        at = "" if item.time is None else clock(item.time)
        forward = item.step in (item.after, Step.VERIFIED)
        back = "" if forward else f" [dim]to[/] {stage_text(item.after)}"
        table.add_row(f"{stage_text(item.step)}{back}", at, f"[dim]{clock(item.seen_ms / 1000)}[/]")
    return table
