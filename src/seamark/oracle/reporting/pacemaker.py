"""The pacemaker: who leads now. Nodes ask each other for a new epoch when the leader of this one makes no progress.

Invariants, with at most f faulty nodes:
- A node asks for an epoch it did not want itself only when more than f others do, so one honest node at least does.
- A node enters an epoch only when more than 2f nodes asked for it or a later one, so that all honest ones follow.
- Epochs only grow, over restarts too.

Source: libocr `internal/ocr2/protocol/pacemaker.go` (MIT), algorithm 1 of the OCR paper.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from seamark.oracle.reporting.machine import Broadcast, Context, Output, Saved, Switched
from seamark.oracle.reporting.messages import NewEpoch

__all__ = ["FIRST_EPOCH", "Pacemaker", "change_leader", "on_new_epoch", "on_progress", "on_time", "start"]

FIRST_EPOCH: Final = 1
LAST_EPOCH: Final = (1 << 32) - 1  # an epoch has 32 bits on chain

Step = tuple["Pacemaker", list[Output]]


@dataclass(frozen=True, slots=True)
class Pacemaker:
    """`sent` is the highest epoch this node asked for, `received[j]` the highest that node j did.

    `progress_at` is None while the node waits for the next epoch.
    """

    epoch: int
    sent: int
    received: tuple[int, ...]
    resend_at: int
    progress_at: int | None


def start(context: Context, saved: Saved | None, contract_epoch: int, now: int) -> Step:
    """From what was saved, and from the contract: its epoch is over, whatever this node has forgotten."""
    timing = context.network.timing
    epoch = saved.epoch if saved else FIRST_EPOCH
    received = saved.received if saved and len(saved.received) == context.n else (0,) * context.n
    sent = max(epoch, saved.sent if saved else epoch, min(contract_epoch + 1, LAST_EPOCH))
    pacemaker = Pacemaker(epoch, sent, received, now, now + timing.progress)
    return _ask_for(context, pacemaker, sent, now)


def on_new_epoch(context: Context, pacemaker: Pacemaker, sender: int, epoch: int, now: int) -> Step:
    """Somebody asks for an epoch."""
    if epoch <= pacemaker.received[sender]:
        return pacemaker, []
    received = (*pacemaker.received[:sender], epoch, *pacemaker.received[sender + 1 :])
    pacemaker = replace(pacemaker, received=received)
    out: list[Output] = []
    wanted = _asked_by_more_than(received, context.f)
    if wanted > pacemaker.sent:
        pacemaker, out = _ask_for(context, pacemaker, wanted, now)
    agreed = _asked_by_more_than(received, 2 * context.f)
    if agreed > pacemaker.epoch:
        progress_at = now + context.network.timing.progress
        sent = max(pacemaker.sent, agreed)
        pacemaker = replace(pacemaker, epoch=agreed, sent=sent, progress_at=progress_at)
        out.append(Switched(agreed))
    return pacemaker, out


def on_progress(context: Context, pacemaker: Pacemaker, now: int) -> Step:
    """A round was completed."""
    return replace(pacemaker, progress_at=now + context.network.timing.progress), []


def change_leader(context: Context, pacemaker: Pacemaker, now: int) -> Step:
    """The leader had its time or its rounds."""
    pacemaker = replace(pacemaker, progress_at=None)
    if pacemaker.epoch == LAST_EPOCH:
        return pacemaker, []
    return _ask_for(context, pacemaker, max(pacemaker.sent, pacemaker.epoch + 1), now)


def on_time(context: Context, pacemaker: Pacemaker, now: int) -> Step:
    """Ask again, and look whether the leader took too long."""
    out: list[Output] = []
    if pacemaker.progress_at is not None and pacemaker.progress_at <= now:
        pacemaker, out = change_leader(context, pacemaker, now)
    if pacemaker.resend_at <= now:
        pacemaker, out = _ask_for(context, pacemaker, pacemaker.sent, now)
    return pacemaker, out


def _ask_for(context: Context, pacemaker: Pacemaker, epoch: int, now: int) -> Step:
    resend_at = now + context.network.timing.resend
    return replace(pacemaker, sent=epoch, resend_at=resend_at), [Broadcast(NewEpoch(epoch))]


def _asked_by_more_than(received: tuple[int, ...], count: int) -> int:
    """The highest epoch such that more than `count` nodes asked for it or a later one."""
    return sorted(received, reverse=True)[count]
