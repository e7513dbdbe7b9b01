"""`seamark messages recover`: execute by hand what failed or got stuck. Looks by default; sends only when told to.

Exit codes: 0 it can be recovered, was built, or is recovered; 1 it was sent and failed, or a node failed; 2 wrong
settings or arguments; 3 not now: it may not be executed, would fail, or is in no block yet.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from sqlalchemy import Connection

from seamark.app.recovery import Author, RecoveryOffice, Result, open_recovery
from seamark.app.sending import open_operator
from seamark.cli.files import ConfigOption
from seamark.cli.loop import run_until_stopped
from seamark.cli.messages_database import DatabaseOption, Ledger, open_ledger
from seamark.cli.messages_filters import find_chain
from seamark.cli.messages_find import find_id
from seamark.cli.output import EXIT_FAILED, aside, console, print_json
from seamark.cli.recover_show import tell_examined, tell_many, tell_prepared, tell_result
from seamark.cli.signing import (
    EXIT_NOT_NOW,
    confirm,
    operator_name,
    parse_account,
    parse_wait,
    write_unsigned,
)
from seamark.core.errors import RejectedError, SettingsError
from seamark.core.ids import Address
from seamark.core.times import with_times
from seamark.evm.hexdata import HexError, parse_data
from seamark.evm.ports import Signer
from seamark.messages.model import Stage
from seamark.messages.protocols.ccip.v2_0.proofs import GivenProofs, ProofSource, read_proofs
from seamark.messages.recovery.model import Gas
from seamark.messages.recovery.service import Examination, Prepared
from seamark.messages.recovery.view import examination_view, prepared_view
from seamark.messages.reports.store import chain_ends
from seamark.messages.store import find_message
from seamark.runtime.clock import SystemClock
from seamark.runtime.logs import configure_logs

__all__ = ["HELP", "recover"]

LEDGER_WAIT_S: Final = 15.0  # for the monitor to see what was sent; it looks every second or so
LEDGER_POLL_S: Final = 0.25
_LANE = re.compile(r"\s*(.+?)\s*(?:->|→|:)\s*(.+?)\s*")
_DELIVERED = (Stage.EXECUTED.value, Stage.RECOVERED.value)

HELP = (
    "Execute a message by hand: explain whether that is possible and would help, build the transaction, send it.\n\n"
    "Without --send nothing is signed. --out writes the unsigned transaction, --calldata prints its data alone. "
    "--send signs with recovery.signer of the settings after you have typed the first digits of the message id; --yes "
    "spares that where recovery.policy of the settings allows it.\n\n"
    "What verifiers said of a CCIP 2.0 message comes from an earlier attempt, from --verifier-results or from "
    "--indexer.\n\n"
    "--all-of home:remote and --sender 0x… take all that failed or wait, in the order in which they must go.\n\n"
    "Exit codes: 0 possible, built or recovered; 1 failed; 2 wrong settings or arguments; 3 not now."
)

WHICH, HOW, RESULT = "Which messages", "How", "What to do"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What was typed."""

    id: str | None
    all_of: str | None
    sender: str | None
    gas: Gas
    out: Path | None
    calldata: bool
    send: bool
    yes: bool
    anyway: bool
    from_: Address | None
    why: str
    operator: str
    timeout_s: float
    as_json: bool
    proofs: Sequence[ProofSource] = ()
    indexers: Sequence[str] = ()
    token_data: tuple[bytes, ...] = ()


def recover(
    id: Annotated[str | None, typer.Argument(help="Message id, or its first digits.", metavar="[ID]")] = None,  # noqa: A002 - as users say
    all_of: Annotated[
        str | None,
        typer.Option("--all-of", metavar="FROM:TO", help="All of a lane that are not executed.", rich_help_panel=WHICH),
    ] = None,
    sender: Annotated[
        str | None, typer.Option("--sender", help="All of a sender that are not executed.", rich_help_panel=WHICH)
    ] = None,
    gas_limit: Annotated[
        int | None,
        typer.Option("--gas-limit", min=1, help="Gas for the receiver; not below the sender's.", rich_help_panel=HOW),
    ] = None,
    token_gas: Annotated[
        int | None,
        typer.Option("--token-gas", min=1, help="Gas for the pool of each token.", rich_help_panel=HOW),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(
            "--verifier-results", metavar="FILE", help="CCIP 2.0: an indexer's answer, saved.", rich_help_panel=HOW
        ),
    ] = None,
    indexer: Annotated[
        list[str] | None,
        typer.Option("--indexer", metavar="URL", help="CCIP 2.0: ask it for verifier results.", rich_help_panel=HOW),
    ] = None,
    attestation: Annotated[
        list[str] | None,
        typer.Option(
            "--attestation",
            metavar="FILE|HEX",
            help="What an issuer attests (USDC, LBTC), as its pool takes it; one for each token.",
            rich_help_panel=HOW,
        ),
    ] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Build it although a trial failed.", rich_help_panel=HOW)
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write the unsigned transaction as JSON.", rich_help_panel=RESULT),
    ] = None,
    calldata: Annotated[
        bool, typer.Option("--calldata", help="Print the calldata and nothing else.", rich_help_panel=RESULT)
    ] = False,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="ADDRESS", help="Who will sign: adds its nonce.", rich_help_panel=RESULT),
    ] = None,
    send: Annotated[
        bool, typer.Option("--send", help="Sign with recovery.signer, send, and wait.", rich_help_panel=RESULT)
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="No question, as far as recovery.policy allows.", rich_help_panel=RESULT)
    ] = False,
    why: Annotated[str, typer.Option("--why", help="The reason, for the record.", rich_help_panel=RESULT)] = "",
    by: Annotated[
        str | None, typer.Option("--by", help="Who acts; default: your name here.", rich_help_panel=RESULT)
    ] = None,
    timeout: Annotated[str, typer.Option(help="How long to wait for a block.", rich_help_panel=RESULT)] = "5m",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    config: ConfigOption = None,
    database: DatabaseOption = None,
) -> None:
    wish = Wish(
        id=id,
        all_of=all_of,
        sender=None if sender is None else parse_account("--sender", sender),
        gas=Gas(gas_limit, token_gas),
        out=out,
        calldata=calldata,
        send=send,
        yes=yes,
        anyway=anyway,
        from_=None if from_ is None else parse_account("--from", from_),
        why=why.strip(),
        operator=by or operator_name(),
        timeout_s=parse_wait(timeout),
        as_json=as_json,
        proofs=() if results is None else (_read_results(results),),
        indexers=indexer or (),
        token_data=tuple(_read_attestation(text) for text in attestation or ()),
    )
    _check(wish)
    configure_logs(level="error")
    code: list[int] = []
    run_until_stopped(_recover(config, database, wish, code.append))
    raise typer.Exit(code[0] if code else EXIT_FAILED)


def _check(wish: Wish) -> None:
    """Raises `SettingsError` for what does not go together."""
    bulk = wish.all_of is not None or wish.sender is not None
    if (wish.id is None) != bulk:
        raise SettingsError("ID", "name one message, or several with --all-of or --sender", remedy="one of the two")
    if wish.token_data and wish.id is None:
        raise SettingsError("--attestation", "is of one message", remedy="name it by its id")
    if wish.send and (wish.out or wish.calldata):
        raise SettingsError("--send", "does not go with --out or --calldata", remedy="send it here or elsewhere")
    if wish.calldata and wish.as_json:
        raise SettingsError("--calldata", "does not go with --json", remedy="the JSON document holds the calldata")
    if wish.yes and not wish.send:
        raise SettingsError("--yes", "is of use with --send only", remedy="add --send")
    if wish.send and not wish.why:
        raise SettingsError("--why", "is missing: what is sent goes on record", remedy='add --why "…"')


async def _recover(config: Path | None, database: str | None, wish: Wish, end: Callable[[int], None]) -> None:
    async with (
        open_ledger(config, database) as ledger,
        open_recovery(
            ledger.settings,
            ledger.database,
            clock=SystemClock(),
            proofs=wish.proofs,
            asked=wish.indexers,
            tell=aside,
        ) as office,
    ):
        end(await _Session(ledger, office, wish).run())


class _Session:
    """One run of the command."""

    def __init__(self, ledger: Ledger, office: RecoveryOffice, wish: Wish) -> None:
        self._ledger = ledger
        self._office = office
        self._wish = wish
        self._quiet = wish.as_json or wish.calldata or str(wish.out) == "-"

    async def run(self) -> int:
        wish = self._wish
        examined = await self._examine()
        for name, problem in self._office.unread.items():
            aside(f"{name} cannot be read ({problem}); what the ledger has kept of its messages is used")
        going = [item for item in examined if item.worthwhile or (wish.anyway and item.verdict.allowed)]
        if not self._quiet:
            self._tell(examined)
        if not going:
            return self._nothing(examined)
        prepared = await self._office.prepare(going, wish.gas, Author(wish.operator, wish.why))
        if not self._quiet:
            tell_prepared(prepared)
        if wish.send:
            return await self._send(examined, going, prepared)
        await self._give(examined, prepared)
        return 0

    async def _examine(self) -> list[Examination]:
        wish = self._wish
        if wish.id is not None:
            text = wish.id
            found = await self._ledger.database.read(lambda c: find_id(c, text))
            if found is None:
                remedy = "check the id; what was sent before the monitor's first block must be backfilled first"
                raise RejectedError(f"the ledger knows no message {text}", remedy=remedy)
            return [await self._office.examine(found, wish.gas, wish.token_data)]
        source, destination = await self._ledger.database.read(self._lane)
        return await self._office.examine_all(
            wish.gas, source=source, destination=destination, sender=wish.sender, anyway=wish.anyway
        )

    def _lane(self, connection: Connection) -> tuple[str | None, str | None]:
        if self._wish.all_of is None:
            return None, None
        match = _LANE.fullmatch(self._wish.all_of)
        if match is None:
            raise SettingsError("--all-of", f"{self._wish.all_of[:80]!r} is no lane", remedy="write FROM:TO")
        ends, chains = chain_ends(connection), self._ledger.settings.chains
        return find_chain("--all-of", match[1], ends, chains), find_chain("--all-of", match[2], ends, chains)

    def _tell(self, examined: Sequence[Examination]) -> None:
        if self._wish.id is None:
            tell_many(examined)
        else:
            tell_examined(examined[0])

    def _nothing(self, examined: Sequence[Examination]) -> int:
        if self._wish.as_json:
            print_json({"messages": with_times([examination_view(item) for item in examined]), "transactions": []})
        elif self._wish.calldata:
            for item in examined:
                aside(f"{item.case.id}: {item.advice or item.verdict.text}")
        elif self._wish.id is None and not examined:
            console.print("nothing to recover")
        return EXIT_NOT_NOW if examined else 0

    # ---- giving it away ---------------------------------------------------------------------------------------------

    async def _give(self, examined: Sequence[Examination], prepared: Sequence[Prepared]) -> None:
        wish = self._wish
        if wish.calldata:
            for item in prepared:
                sys.stdout.write(f"0x{item.call.data.hex()}\n")
        if wish.out is None and not wish.as_json:
            if not wish.calldata:
                self._hint()
            return
        unsigned = [await self._office.unsigned(item, wish.from_) for item in prepared]
        if wish.out is not None:
            write_unsigned(wish.out, unsigned)
            if not self._quiet:
                console.print(f"written to {wish.out}", markup=False)
        if wish.as_json:
            transactions = [
                prepared_view(item) | {"unsigned": made} for item, made in zip(prepared, unsigned, strict=True)
            ]
            print_json(
                {"messages": with_times([examination_view(item) for item in examined]), "transactions": transactions}
            )

    def _hint(self) -> None:
        console.print(
            "[dim]next: the same command with --send --why …, or with --out FILE to sign it elsewhere; nothing was"
            " signed or sent[/]"
        )

    # ---- sending ----------------------------------------------------------------------------------------------------

    async def _send(
        self, examined: Sequence[Examination], going: Sequence[Examination], prepared: Sequence[Prepared]
    ) -> int:
        settings, database = self._ledger.settings, self._ledger.database
        async with open_operator(settings, database=database, clock=SystemClock()) as signer:
            return await self._send_as(signer, examined, going, prepared)

    async def _send_as(
        self,
        signer: Signer,
        examined: Sequence[Examination],
        going: Sequence[Examination],
        prepared: Sequence[Prepared],
    ) -> int:
        wish = self._wish
        if wish.yes:
            await self._office.check_policy(prepared)
        else:
            what = f"{_count(len(prepared), 'transaction')} for {_count(len(going), 'message')}"
            await asyncio.to_thread(confirm, going[0].case.id, what)
        author = Author(wish.operator, wish.why)
        results = []
        for item in prepared:
            result = await self._office.send(item, going, signer, author, timeout_s=wish.timeout_s, by_policy=wish.yes)
            results.append(result)
            if not self._quiet:
                tell_result(result)
            if not result.succeeded:
                break  # what follows may need what came before
        seen = await self._wait_for_ledger(results)
        if wish.as_json:
            print_json(
                {
                    "messages": with_times([examination_view(item) for item in examined]),
                    "transactions": [prepared_view(item) for item in prepared],
                    "results": [_result_view(result) for result in results],
                    "ledger": seen,
                }
            )
        return _code(results)

    async def _wait_for_ledger(self, results: Sequence[Result]) -> dict[str, str]:
        """Until a running monitor has seen it; where none runs, that is said."""
        wanted = [message for result in results if result.succeeded for message in result.states]
        stages: dict[str, str] = {}

        def look(connection: Connection) -> None:
            for message in wanted:
                detail = find_message(connection, message)
                stages[message] = detail.message.stage if detail else ""

        for _ in range(int(LEDGER_WAIT_S / LEDGER_POLL_S)):
            await self._ledger.database.read(look)
            if all(stage in _DELIVERED for stage in stages.values()):
                return stages
            await asyncio.sleep(LEDGER_POLL_S)
        if not self._quiet:
            aside("the ledger has not seen it yet: it will when the monitor runs (seamark run ccip-monitor)")
        return stages


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _code(results: Sequence[Result]) -> int:
    if all(result.succeeded for result in results):
        return 0
    last = results[-1].delivery
    return EXIT_NOT_NOW if last.wanted and last.receipt is None else EXIT_FAILED


def _result_view(result: Result) -> dict[str, Any]:
    receipt = result.delivery.receipt
    return {
        "tx": result.delivery.transaction,
        "sent": result.delivery.wanted,
        "mined": receipt is not None,
        "block": None if receipt is None else receipt.block_number,
        "gas_used": None if receipt is None else receipt.gas_used,
        "states": {message: state.name.lower() for message, state in result.states.items()},
        "succeeded": result.succeeded,
    }


def _read_attestation(text: str) -> bytes:
    """Hex, or a file with it.

    Raises:
        SettingsError: It is neither.
    """
    wanted = text.strip()
    if not wanted.startswith("0x"):
        try:
            wanted = Path(wanted).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            problem = f"{text[:80]} is neither hex nor a file that can be read"
            raise SettingsError("--attestation", problem, remedy="begin hex with 0x") from error
    try:
        return parse_data(wanted)
    except HexError as error:
        raise SettingsError(
            "--attestation", f"it is no hex: {error}", remedy="0x and an even number of digits"
        ) from error


def _read_results(path: Path) -> ProofSource:
    try:
        return GivenProofs(read_proofs(path.read_bytes()))
    except OSError as error:
        problem = f"{path} cannot be read ({error.strerror})"
        raise SettingsError("--verifier-results", problem, remedy="name a file that is there") from error
    except RejectedError as error:
        raise SettingsError("--verifier-results", error.message, remedy=error.remedy) from error
