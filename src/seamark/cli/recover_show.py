"""What `seamark messages recover` tells a person: the message, the answer, the trial, the transaction, what is next."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape

from seamark.app.recovery import Result
from seamark.cli.output import console
from seamark.evm.address import to_checksum
from seamark.messages.recovery.model import Answer, ExecutionState
from seamark.messages.recovery.service import Examination, Prepared

__all__ = ["tell_examined", "tell_many", "tell_prepared", "tell_result"]

_WIDTH = 13
_SHORT = 14


def tell_examined(examined: Examination) -> None:
    """Where it is, whether it may be executed by hand, and what a trial said."""
    case, verdict, standing = examined.case, examined.verdict, examined.standing
    console.print(f"[bold]{escape(case.place)}[/]  {case.id}  {_stage(case.stage.value)}")
    if case.reason:
        tries = f"{case.attempts} attempt{'' if case.attempts == 1 else 's'}"
        _line("failed", f"{escape(case.error)} [dim]({case.reason}, {tries})[/]")
    _line("by hand", f"{_mark(verdict.allowed, done=verdict.answer is Answer.DONE)} {escape(verdict.text)}")
    if examined.advice:
        good = examined.trial is not None and examined.trial.succeeds is not False
        _line("trial", f"{_mark(good)} {escape(examined.advice)}")
    if verdict.remedy:
        _line("what to do", escape(verdict.remedy))
    _line(
        "off-ramp", f"[dim]{to_checksum(standing.off_ramp)} on {escape(case.destination_name)}, {standing.version}[/]"
    )


def tell_many(examined: Sequence[Examination]) -> None:
    """A batch: one line for each message."""
    for item in examined:
        case = item.case
        good = item.worthwhile
        why = item.advice if item.verdict.allowed else item.verdict.text
        nonce = f" nonce {case.nonce}" if case.nonce else ""
        line = f"{_mark(good)} {case.id[:_SHORT]}… {escape(case.place)}{nonce} {_stage(case.stage.value)}"
        console.print(f"{line} [dim]{escape(why)}[/]")
    going = sum(item.worthwhile for item in examined)
    console.print(f"{going} of {len(examined)} can be recovered now")


def tell_prepared(prepared: Sequence[Prepared]) -> None:
    """The transactions that would do it."""
    for item in prepared:
        call = item.call
        number = f"{len(call.messages)} message{'' if len(call.messages) == 1 else 's'}"
        estimate = "no estimate" if item.estimate is None else f"the contract needs {item.estimate:,}"
        proof = "all of it was run with that limit" if not item.checked else f"not checked: {escape(item.checked)}"
        _line("transaction", f"{number}, {item.gas:,} gas ({estimate}; {proof})")


def tell_result(result: Result) -> None:
    """What came of a transaction."""
    delivery = result.delivery
    if not delivery.wanted:
        console.print("[yellow]nothing was sent[/]: it has been executed meanwhile")
        return
    if delivery.receipt is None:
        console.print(
            f"sent as {delivery.transaction}, in no block yet: the same command waits for it, sending nothing"
        )
        return
    for message, state in result.states.items():
        good = state is ExecutionState.SUCCESS
        word = "[green]RECOVERED[/]" if good else f"[red]{state.name}[/]"
        gas = delivery.receipt.gas_used
        console.print(f"{_mark(good)} {message} {word} in {delivery.transaction} [dim]({gas:,} gas)[/]")


def _line(label: str, text: str) -> None:
    console.print(f"  [dim]{label:<{_WIDTH}}[/]{text}")


def _mark(good: bool, *, done: bool = False) -> str:
    return "[green]✓[/]" if good or done else "[red]✗[/]"


def _stage(stage: str) -> str:
    colour = {"failed": "red", "executed": "green", "recovered": "green"}.get(stage, "yellow")
    return f"[{colour}]{stage.upper()}[/]"
