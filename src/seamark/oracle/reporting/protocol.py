"""One node of the reporting network as a pure machine: (state, event, now) -> (state, effects).

    NewEpoch -> pacemaker --Switched--> rounds --Finished--> finality -> transmissions -> Transmit
                    ^------Progress, ChangeLeader--'  '<- FinalEcho

A node hears its own broadcasts at once, without a network. Messages of epochs that this node has not reached wait, a
few of each sender. Nothing a node receives is trusted beyond its signatures, and nothing it says is said before what it
must not forget is on disk (`Persist` comes first).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final as Constant
from typing import TypeAlias

from seamark.oracle.reporting import finality as finals
from seamark.oracle.reporting import pacemaker as pace
from seamark.oracle.reporting import rounds as generation
from seamark.oracle.reporting import transmission as sending
from seamark.oracle.reporting.machine import (
    Broadcast,
    ChangeLeader,
    Context,
    ContractRead,
    Effect,
    Event,
    Finished,
    Observed,
    Output,
    Persist,
    Progress,
    Purpose,
    Received,
    ReportSigned,
    Saved,
    Send,
    Signal,
    Switched,
    Woke,
)
from seamark.oracle.reporting.messages import FinalEcho, NewEpoch, RoundMessage

__all__ = ["State", "saved_of", "start", "step", "wake_at"]

AHEAD_LIMIT: Constant = 10  # messages of later epochs that are kept of one sender: two rounds' worth

Answer: TypeAlias = Observed | ReportSigned | ContractRead
Ahead: TypeAlias = tuple[tuple[RoundMessage, ...], ...]


@dataclass(frozen=True, slots=True)
class State:
    """All that a node knows. `ahead[j]` are messages of node j for epochs to come."""

    pacemaker: pace.Pacemaker
    rounds: generation.Rounds
    finality: finals.Finality
    transmissions: sending.Transmissions
    ahead: Ahead


def start(context: Context, saved: Saved | None, contract_epoch: int, now: int) -> tuple[State, list[Effect]]:
    """Begin, or begin again from what was saved; `contract_epoch` is that of the contract's newest report, or 0."""
    pacemaker, out = pace.start(context, saved, contract_epoch, now)
    signed = saved.signed if saved else (0, 0)
    rounds, more = generation.begin(context, pacemaker.epoch, signed, now)
    transmissions = sending.restore(saved.pending if saved else (), now)
    state = State(pacemaker, rounds, finals.Finality(), transmissions, ((),) * context.n)
    state, effects = _run(context, state, now, outputs=[*out, *more])
    if saved_of(state) != saved:
        effects.insert(0, Persist(saved_of(state)))
    return state, effects


def step(context: Context, state: State, event: Event, now: int) -> tuple[State, list[Effect]]:
    """What one event does."""
    after, effects = _run(context, state, now, events=(event,))
    if after is not state and _must_store(state, after):
        effects.insert(0, Persist(saved_of(after)))
    return after, effects


def wake_at(state: State) -> int:
    """When the machine wants a `Woke`, in nanoseconds since the epoch."""
    deadlines = [
        state.pacemaker.resend_at,
        state.pacemaker.progress_at,
        state.transmissions.next_at(),
        *state.rounds.deadlines(),
    ]
    return min(deadline for deadline in deadlines if deadline is not None)


def saved_of(state: State) -> Saved:
    """What must be on disk for this state."""
    pacemaker = state.pacemaker
    pending = tuple(state.transmissions.pending[at] for at in sorted(state.transmissions.pending))
    return Saved(pacemaker.epoch, pacemaker.sent, pacemaker.received, state.rounds.signed, pending)


def _must_store(before: State, after: State) -> bool:
    """Whether there is more to remember.

    A report whose turn has come may stay on disk until something else is stored: after a restart what is past its turn
    is dropped anyway.
    """
    old, new = before.pacemaker, after.pacemaker
    if old is not new and (old.epoch, old.sent, old.received) != (new.epoch, new.sent, new.received):
        return True
    if before.rounds.signed != after.rounds.signed:
        return True
    pending, known = after.transmissions.pending, before.transmissions.pending
    return pending is not known and any(known.get(at) != item for at, item in pending.items())


def _run(
    context: Context,
    state: State,
    now: int,
    *,
    events: Iterable[Event] = (),
    outputs: Iterable[Output] = (),
) -> tuple[State, list[Effect]]:
    """Until all that the parts say to each other, and to themselves, has been heard."""
    heard: deque[Event | Signal] = deque(events)
    effects: list[Effect] = []
    _sort_out(context.me, outputs, heard, effects)
    while heard:
        state, out = _apply(context, state, heard.popleft(), now)
        _sort_out(context.me, out, heard, effects)
    return state, effects


def _sort_out(me: int, outputs: Iterable[Output], heard: deque[Event | Signal], effects: list[Effect]) -> None:
    for output in outputs:
        match output:
            case Progress() | ChangeLeader() | Switched() | Finished():
                heard.append(output)
            case Send(to=to, message=message) if to == me:
                heard.append(Received(me, message))
            case Broadcast(message=message):
                effects.append(output)
                heard.append(Received(me, message))
            case _:
                effects.append(output)


def _apply(context: Context, state: State, event: Event | Signal, now: int) -> tuple[State, Sequence[Output]]:
    match event:
        case Received(sender=sender, message=message):
            return _received(context, state, sender, message, now)
        case Woke():
            return _woke(context, state, now)
        case Progress() | ChangeLeader() | Switched() | Finished():
            return _told(context, state, event, now)
        case ContractRead(purpose=Purpose.ACCEPT | Purpose.TRANSMIT):
            transmissions, out = sending.on_contract(context, state.transmissions, event, now)
            return replace(state, transmissions=transmissions), out
        case _:
            return _rounds(state, _answered(context, state.rounds, event))


def _answered(context: Context, rounds: generation.Rounds, event: Answer) -> generation.Step:
    match event:
        case Observed():
            return generation.on_observed(context, rounds, event)
        case ReportSigned():
            return generation.on_signed(context, rounds, event)
        case ContractRead():
            return generation.on_contract(context, rounds, event)


def _told(context: Context, state: State, signal: Signal, now: int) -> tuple[State, Sequence[Output]]:
    """What one part tells another."""
    match signal:
        case Progress():
            return _pacemaker(state, pace.on_progress(context, state.pacemaker, now))
        case ChangeLeader():
            return _pacemaker(state, pace.change_leader(context, state.pacemaker, now))
        case Switched(epoch=epoch):
            return _switched(context, state, epoch, now)
        case Finished():
            return _finished(context, state, signal)


def _received(
    context: Context, state: State, sender: int, message: NewEpoch | RoundMessage | FinalEcho, now: int
) -> tuple[State, Sequence[Output]]:
    match message:
        case NewEpoch(epoch=epoch):
            return _pacemaker(state, pace.on_new_epoch(context, state.pacemaker, sender, epoch, now))
        case FinalEcho():
            return state, finals.on_echo(context, state.finality, message)
        case _ if message.epoch > state.rounds.epoch:
            return replace(state, ahead=_keep(state.ahead, sender, message)), []
        case _ if message.epoch == state.rounds.epoch:
            return _rounds(state, generation.on_message(context, state.rounds, sender, message, now))
        case _:
            return state, []


def _keep(ahead: Ahead, sender: int, message: RoundMessage) -> Ahead:
    kept = (*ahead[sender], message)[-AHEAD_LIMIT:]
    return (*ahead[:sender], kept, *ahead[sender + 1 :])


def _woke(context: Context, state: State, now: int) -> tuple[State, Sequence[Output]]:
    pacemaker, first = pace.on_time(context, state.pacemaker, now)
    rounds, second = generation.on_time(context, state.rounds, now)
    transmissions, third = sending.on_time(state.transmissions, now)
    state = replace(state, pacemaker=pacemaker, rounds=rounds, transmissions=transmissions)
    return state, [*first, *second, *third]


def _switched(context: Context, state: State, epoch: int, now: int) -> tuple[State, Sequence[Output]]:
    """Begin the epoch's rounds, then hear what came too early."""
    rounds, out = generation.begin(context, epoch, state.rounds.signed, now)
    early = [(sender, message) for sender, kept in enumerate(state.ahead) for message in kept if message.epoch == epoch]
    ahead = tuple(tuple(message for message in kept if message.epoch > epoch) for kept in state.ahead)
    for sender, message in early:
        rounds, more = generation.on_message(context, rounds, sender, message, now)
        out += more
    return replace(state, rounds=rounds, ahead=ahead), out


def _finished(context: Context, state: State, event: Finished) -> tuple[State, Sequence[Output]]:
    finality, out = finals.on_finished(context, state.finality, event.final)
    if not out:
        return state, []
    transmissions, more = sending.on_final(state.transmissions, event.final)
    return replace(state, finality=finality, transmissions=transmissions), [*out, *more]


def _pacemaker(state: State, done: pace.Step) -> tuple[State, Sequence[Output]]:
    return (state if done[0] is state.pacemaker else replace(state, pacemaker=done[0])), done[1]


def _rounds(state: State, done: generation.Step) -> tuple[State, Sequence[Output]]:
    return (state if done[0] is state.rounds else replace(state, rounds=done[0])), done[1]
