"""The four steps of a message's way, from what the tracker knows of it. Pure."""

from __future__ import annotations

from typing import Final, Literal

from seamark.api.times import iso_seconds
from seamark.api.views import MessageState, Stage, StepName
from seamark.messages.model import Stage as Place
from seamark.messages.store import MessageView

__all__ = ["state_of", "to_stages"]

Look = Literal["done", "current", "waiting", "failed", "retracted"]

STEPS: Final[tuple[StepName, ...]] = ("sent", "finalized", "committed", "executed")
_LAST: Final = len(STEPS) - 1
_RANK: Final = {
    Place.SENT: 0,
    Place.FINALIZED: 1,
    Place.COMMITTED: 2,
    Place.FAILED: _LAST,
    Place.EXECUTED: _LAST,
    Place.RECOVERED: _LAST,
    Place.RETRACTED: 0,
}
_STATES: Final[dict[str, MessageState]] = {
    "executed": "succeeded",
    "recovered": "succeeded",
    "failed": "failed",
    "retracted": "retracted",
}


def state_of(stage: str) -> MessageState:
    """What it means to be at a stage."""
    return _STATES.get(stage, "in_flight")


def to_stages(view: MessageView) -> list[Stage]:
    """Always four. A stage that was passed unseen is done, without a time; spans count from the last known one."""
    times = (view.sent_time, view.finalized_time, view.committed_time, view.executed_time)
    hashes = (view.sent_tx, None, view.committed_tx, view.executed_tx)
    stages: list[Stage] = []
    before: int | None = None
    for rank, name in enumerate(STEPS):
        look = _look(view, rank)
        at = times[rank] if look != "waiting" else None
        stages.append(
            Stage(
                name=name,
                state=look,
                at=None if at is None else iso_seconds(at),
                seconds=_span(before, at, first=rank == 0),
                block=str(view.sent_block) if rank == 0 and view.sent_block is not None else None,
                tx=hashes[rank] if look != "waiting" else None,
            )
        )
        # A destination's clock may be behind the source's: the later moment is where the next span begins.
        before = at if before is None else max(before, at or before)
    return stages


def _span(before: int | None, at: int | None, *, first: bool) -> float | None:
    if at is None:
        return None
    if before is None:
        return 0.0 if first else None
    return float(max(at - before, 0))


def _look(view: MessageView, rank: int) -> Look:
    place = Place(view.stage)
    here = _RANK[place]
    if place is Place.RETRACTED:
        return "retracted" if rank == 0 else "waiting"
    if rank > here:
        return "waiting"
    if rank < here:
        return "done"
    if place is Place.FAILED:
        return "failed"
    return "done" if place in (Place.EXECUTED, Place.RECOVERED) else "current"
