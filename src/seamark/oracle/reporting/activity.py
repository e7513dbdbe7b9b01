"""What one step of the machine means to those who count: read off its event, its effects and the states around it."""

from __future__ import annotations

from collections.abc import Sequence

from seamark.oracle.reporting.codec import Report
from seamark.oracle.reporting.machine import Broadcast, Context, Effect, Event, Observed
from seamark.oracle.reporting.messages import Final, FinalEcho, ObserveRequest
from seamark.oracle.reporting.plugin import EpochRound
from seamark.oracle.reporting.ports import ReportingObserver
from seamark.oracle.reporting.protocol import State

__all__ = ["notice"]


def notice(
    observer: ReportingObserver,
    context: Context,
    states: tuple[State | None, State],
    event: Event | None,
    effects: Sequence[Effect],
) -> None:
    """Tell the observer. The state before and the event are None at the start."""
    before, state = states
    if before is None or before.rounds.epoch != state.rounds.epoch:
        observer.epoch_began(state.rounds.epoch, state.rounds.leader)
    if isinstance(event, Observed) and event.observation is not None and _is_now(state, event.at):
        observer.observed(event.at)
    for effect in effects:
        match effect:
            case Broadcast(message=ObserveRequest() as request) if request.round <= context.network.timing.max_rounds:
                observer.round_began((request.epoch, request.round))
            case Broadcast(message=FinalEcho(final=final)):
                _finished(observer, context, final)


def _is_now(state: State, at: EpochRound) -> bool:
    return at == (state.rounds.epoch, state.rounds.follow.round)


def _finished(observer: ReportingObserver, context: Context, final: Final) -> None:
    report = Report.decode(final.attested.report)
    led = context.schedule.leader(final.epoch) == context.me
    observer.round_finished(final.at, led=led, included=context.me in report.observers)
