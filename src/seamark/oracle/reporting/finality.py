"""Final reports: each is repeated to all once and handed on once, whoever brought it.

Invariant: what is handed on carries f + 1 right signatures, so an honest node computed it. Old rounds are forgotten,
and what is older than that is not looked at, so the memory is bounded.

Source: libocr `internal/ocr2/protocol/report_finalization.go` (MIT).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final as Constant

from seamark.oracle.reporting.machine import Broadcast, Context, Finished, Output
from seamark.oracle.reporting.messages import Final, FinalEcho
from seamark.oracle.reporting.plugin import EpochRound
from seamark.oracle.reporting.rounds import final_fault

__all__ = ["Finality", "on_echo", "on_finished"]

KEPT_ROUNDS: Constant = 1_000  # ten minutes and more at the fastest rounds that make sense on a chain


@dataclass(frozen=True, slots=True)
class Finality:
    """Rounds that are finished, and the newest of them."""

    finished: frozenset[EpochRound] = frozenset()
    newest: EpochRound = (0, 0)


Step = tuple[Finality, list[Output]]


def on_echo(context: Context, finality: Finality, message: FinalEcho) -> list[Output]:
    """Another node says that a round is finished: believed for its signatures."""
    final = message.final
    if not 0 < final.round <= context.network.timing.max_rounds or not _is_new(context, finality, final.at):
        return []
    return [] if final_fault(context, final) is not None else [Finished(final)]


def on_finished(context: Context, finality: Finality, final: Final) -> Step:
    """A report whose signatures were checked: repeated to all; no output where it was known already."""
    if not _is_new(context, finality, final.at):
        return finality, []
    newest = max(finality.newest, final.at)
    finished = finality.finished | {final.at}
    if len(finished) > 2 * KEPT_ROUNDS:
        finished = frozenset(at for at in finished if not _is_old(context, newest, at))
    return replace(finality, finished=finished, newest=newest), [Broadcast(FinalEcho(final))]


def _is_new(context: Context, finality: Finality, at: EpochRound) -> bool:
    return at not in finality.finished and not _is_old(context, finality.newest, at)


def _is_old(context: Context, newest: EpochRound, at: EpochRound) -> bool:
    return _index(context, at) <= _index(context, newest) - KEPT_ROUNDS


def _index(context: Context, at: EpochRound) -> int:
    """Rounds since the first one, if no leader was ever replaced early."""
    return context.network.timing.max_rounds * at[0] + at[1]
