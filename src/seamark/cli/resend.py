"""`seamark messages resend`: send a round of one of our feeds to another chain again. Looks by default.

Exit codes as of `recover`: 0 it can be sent again, was built, or was sent; 1 failed; 2 wrong settings or arguments; 3
not now: the contract would refuse it, or it would be of no use.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from seamark.app.recovery import Author
from seamark.app.resend import ResendOffice, Round, open_resend
from seamark.app.sending import Delivery, open_operator
from seamark.cli.files import ConfigOption
from seamark.cli.loop import run_until_stopped
from seamark.cli.messages_amounts import Tokens
from seamark.cli.messages_database import DatabaseOption, Ledger, open_ledger
from seamark.cli.output import EXIT_FAILED, aside, console, print_json
from seamark.cli.signing import EXIT_NOT_NOW, confirm, operator_name, parse_account, parse_wait, write_unsigned
from seamark.core.errors import SettingsError
from seamark.core.ids import Address
from seamark.evm.ports import Signer
from seamark.messages.reports.store import token_names
from seamark.runtime.clock import SystemClock
from seamark.runtime.logs import configure_logs

__all__ = ["HELP", "resend"]

HELP = (
    "Send a round of one of our feeds to another chain again, when its message never left or came to nothing.\n\n"
    "Without --send nothing is signed. --send signs with recovery.signer of the settings, which needs the operator's "
    "role on the feed's contract, after you have typed the number of the round.\n\n"
    "Exit codes: 0 possible, built or sent; 1 failed; 2 wrong settings or arguments; 3 not now, or of no use."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    feed: str
    to: str
    round: int | None
    out: Path | None
    calldata: bool
    send: bool
    anyway: bool
    from_: Address | None
    author: Author
    timeout_s: float
    as_json: bool


def resend(
    feed: Annotated[str, typer.Argument(help="Name or address of a feed of the settings.", metavar="FEED")],
    to: Annotated[str, typer.Option("--to", metavar="CHAIN", help="Chain of the settings, or a selector.")],
    round_: Annotated[int | None, typer.Option("--round", min=1, help="Which round; default: the newest.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the unsigned transaction as JSON.")
    ] = None,
    calldata: Annotated[bool, typer.Option("--calldata", help="Print the calldata and nothing else.")] = False,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="ADDRESS", help="Who will sign: tried as, with its nonce.")
    ] = None,
    send: Annotated[bool, typer.Option("--send", help="Sign with recovery.signer, send, and wait.")] = False,
    anyway: Annotated[bool, typer.Option("--anyway", help="Although the far end would ignore it.")] = False,
    why: Annotated[str, typer.Option("--why", help="The reason, for the record.")] = "",
    by: Annotated[str | None, typer.Option("--by", help="Who acts; default: your name here.")] = None,
    timeout: Annotated[str, typer.Option(help="How long to wait for a block.")] = "5m",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
) -> None:
    if send and (out or calldata):
        raise SettingsError("--send", "does not go with --out or --calldata", remedy="send it here or elsewhere")
    if send and not why.strip():
        raise SettingsError("--why", "is missing: what is sent goes on record", remedy='add --why "…"')
    wish = _Wish(
        feed=feed,
        to=to,
        round=round_,
        out=out,
        calldata=calldata,
        send=send,
        anyway=anyway,
        from_=None if from_ is None else parse_account("--from", from_),
        author=Author(by or operator_name(), why.strip()),
        timeout_s=parse_wait(timeout),
        as_json=as_json,
    )
    configure_logs(level="error")
    code: list[int] = []
    run_until_stopped(_resend(config, database, wish, code.append))
    raise typer.Exit(code[0] if code else EXIT_FAILED)


async def _resend(config: Path | None, database: str | None, wish: _Wish, end: Callable[[int], None]) -> None:
    async with (
        open_ledger(config, database) as ledger,
        open_resend(ledger.settings, ledger.database, clock=SystemClock(), tell=aside) as office,
    ):
        end(await _run(ledger, office, wish))


async def _run(ledger: Ledger, office: ResendOffice, wish: _Wish) -> int:
    if not wish.send:
        return await _run_as(None, ledger, office, wish)
    async with open_operator(ledger.settings, database=ledger.database, clock=SystemClock()) as signer:
        return await _run_as(signer, ledger, office, wish)


async def _run_as(signer: Signer | None, ledger: Ledger, office: ResendOffice, wish: _Wish) -> int:
    found = await office.look(wish.feed, wish.to, wish.round, signer.address if signer else wish.from_)
    quiet = wish.as_json or wish.calldata or str(wish.out) == "-"
    if not quiet:
        _tell(found, Tokens(await ledger.database.read(token_names)))
    if not found.answer.possible or not (found.answer.useful or wish.anyway):
        if wish.as_json:
            print_json(_view(found))
        return EXIT_NOT_NOW
    if signer is None:
        await _give(office, found, wish, quiet=quiet)
        return 0
    await asyncio.to_thread(confirm, str(found.facts.round), f"round {found.facts.round} to {found.destination}")
    delivery = await office.send(found, signer, wish.author, timeout_s=wish.timeout_s)
    if wish.as_json:
        print_json(_view(found) | {"result": _result(delivery)})
    else:
        _tell_delivery(delivery)
    if delivery.receipt is None:
        return EXIT_NOT_NOW
    return 0 if delivery.receipt.succeeded else EXIT_FAILED


async def _give(office: ResendOffice, found: Round, wish: _Wish, *, quiet: bool) -> None:
    if wish.calldata:
        typer.echo("0x" + found.data.hex())
    if wish.out is not None:
        write_unsigned(wish.out, [await office.unsigned(found, wish.from_)])
        if not quiet:
            console.print(f"written to {wish.out}", markup=False)
    if wish.as_json:
        print_json(_view(found))
    elif not quiet and wish.out is None:
        console.print("[dim]next: the same command with --send --why …; nothing was signed or sent[/]")


def _tell(found: Round, tokens: Tokens) -> None:
    facts, answer = found.facts, found.answer
    far = "" if facts.far_round is None else f", which is at round {facts.far_round}"
    console.print(f"[bold]{escape(found.feed)}[/] round {facts.round} to {escape(found.destination)}{far}")
    good = answer.possible and answer.useful
    console.print(f"  {'[green]✓[/]' if good else '[red]✗[/]'} {escape(answer.text)}")
    if answer.remedy:
        console.print(f"  [dim]what to do[/]  {escape(answer.remedy)}")
    if facts.fee is not None:
        fee = tokens.text(found.item.chain.chain_id, facts.fee_token, str(facts.fee))
        console.print(f"  [dim]fee[/]  {fee}, paid by the contract")


def _tell_delivery(delivery: Delivery) -> None:
    if delivery.receipt is None:
        console.print(
            f"sent as {delivery.transaction}, in no block yet: the same command waits for it, sending nothing"
        )
    elif delivery.receipt.succeeded:
        tx = delivery.transaction
        console.print(f"[green]✓[/] sent in {tx}; see it land: seamark messages list --tx {tx}")
    else:
        console.print(f"[red]✗[/] {delivery.transaction} reverted")


def _view(found: Round) -> dict[str, Any]:
    facts, answer = found.facts, found.answer
    return {
        "feed": found.feed,
        "chain": found.item.name,
        "contract": found.contract,
        "destination": str(found.selector),
        "destination_name": found.destination,
        "round": str(facts.round),
        "latest": str(facts.latest),
        "far_round": None if facts.far_round is None else str(facts.far_round),
        "fee": None if facts.fee is None else str(facts.fee),
        "fee_token": facts.fee_token,
        "possible": answer.possible,
        "useful": answer.useful,
        "text": answer.text,
        "remedy": answer.remedy,
        "gas": found.gas,
        "data": "0x" + found.data.hex(),
        "messages": [{"id": carrier.id, "stage": carrier.stage} for carrier in facts.carriers],
    }


def _result(delivery: Delivery) -> dict[str, Any]:
    receipt = delivery.receipt
    return {
        "tx": delivery.transaction,
        "mined": receipt is not None,
        "succeeded": receipt is not None and receipt.succeeded,
        "gas_used": None if receipt is None else receipt.gas_used,
    }
