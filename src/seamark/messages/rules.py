"""Pure decisions about messages: no I/O, no clock, no logging.

`fold` turns the sightings of one message into its state. It depends only on which sightings are live, never on the
order in which they arrived, so replays, restarts, reorgs and the relative speed of two chains cannot change the
result. `transitions` and `count` compare a state with what was known before and say what is new.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import NamedTuple, cast

import msgspec

from seamark.core.ids import ChainId
from seamark.messages.model import (
    MAX_SEQUENCE,
    STAGES,
    UNTOLD,
    Counted,
    Evidence,
    Executed,
    Fact,
    Increment,
    MessageState,
    Sent,
    Sighting,
    Stage,
    Step,
    Transition,
)

__all__ = [
    "COMMIT",
    "EXECUTION",
    "FINALITY",
    "TOTAL",
    "CommitRange",
    "Latencies",
    "completed",
    "count",
    "covering",
    "fold",
    "gains",
    "latencies",
    "nonce_of",
    "revoked_by",
    "revoking",
    "speaker",
    "transitions",
]

FINALITY, COMMIT, EXECUTION, TOTAL = "finality", "commit", "execution", "total"
"""Spans by block time: sent to final, sent to committed, committed to executed, sent to executed with success."""


class CommitRange(NamedTuple):
    """A commit, on the canonical chain, of the sequence numbers first..last of a lane. `revoked`: what took it back."""

    first: int
    last: int
    evidence: Evidence
    revoked: Evidence | None = None


class Latencies(NamedTuple):
    """Seconds; None where an end is not known. Two chains' clocks may differ: a span across chains can be negative."""

    finality: int | None
    commit: int | None
    execution: int | None
    total: int | None


def _at(sighting: Sighting) -> tuple[int, int, int]:
    return sighting.evidence.block_number, sighting.evidence.log_index, sighting.part


def _agrees(run: Sighting, send: Sighting) -> bool:
    """Join key: source and destination, and sequence number and channel where the destination names them."""
    here, there = run.lane, send.lane
    return (
        run.sequence in (UNTOLD, send.sequence)
        and here.source == there.source
        and here.destination == there.destination
        and here.channel in ("", there.channel)
    )


def completed(known: Sighting, told: Sighting) -> Sighting:
    """A fact that is told again, with what was learned since: a node may have left out logs of its block at first.

    What was seen stays: that the receiver's code ran, or that the protocol's network delivered. The opposite follows
    from logs that are not there, and gives way.
    """
    old, new = known.body, told.body
    if type(old) is not Executed or type(new) is not Executed:
        return known
    callback = True if new.callback else old.callback
    manual = False if new.manual is False else old.manual
    if (callback, manual) == (old.callback, old.manual):
        return known
    return msgspec.structs.replace(known, body=msgspec.structs.replace(old, callback=callback, manual=manual))


def covering(commits: Iterable[CommitRange], sequence: int) -> Evidence | None:
    """The earliest commit that holds a sequence number and stands."""
    found = [item.evidence for item in commits if item.first <= sequence <= item.last and item.revoked is None]
    return min(found, key=_place, default=None)


def revoking(commits: Iterable[CommitRange], sequence: int) -> Evidence | None:
    """The newest thing that took back a commit of a sequence number."""
    found = [item.revoked for item in commits if item.first <= sequence <= item.last and item.revoked is not None]
    return max(found, key=_place, default=None)


def revoked_by(commit: Evidence, revocations: Sequence[Evidence]) -> Evidence | None:
    """The first revocation of a commit's root that came after the commit, on the same chain."""
    if not revocations:
        return None
    later = [item for item in revocations if _place(item) > _place(commit)]
    return min(later, key=_place, default=None)


def nonce_of(told: Sent) -> int | None:
    """The sender's own count of an ordered message; None for one that may be delivered in any order.

    A protocol that only shows it in the details does so as text, where "0" means unordered (CCIP 1.5, 1.6).
    """
    if told.nonce is not None:
        return told.nonce if told.nonce <= MAX_SEQUENCE else None
    text = told.details.get("nonce", "0")
    return int(text) if isinstance(text, str) and text.isdecimal() and 0 < int(text) <= MAX_SEQUENCE else None


def _place(at: Evidence) -> tuple[int, int]:
    return at.block_number, at.log_index


def fold(
    live: Sequence[Sighting],
    orphaned: Sequence[Sighting],
    commits: Sequence[CommitRange],
    finalized: Mapping[ChainId, int],
    finalized_time: int | None = None,
    *,
    verified_time: int | None = None,
) -> MessageState:
    """The state of one message.

    Args:
        live: Its sends and executions on the canonical chains, in any order.
        orphaned: Those whose blocks were orphaned. In all at least one sighting is given.
        commits: Live commits on its lane; those that do not hold its sequence number do no harm.
        finalized: The newest final block of each chain.
        finalized_time: When the send became final, if that is known.
        verified_time: When its verifiers were done, if that is known.
    """
    send = _first_send(live)
    sent = send.evidence if send else None
    retracted = False
    if send is None and orphaned:
        send = _first_send(orphaned)
        retracted = send is not None
    seen = _runs(live) if len(live) > 1 or send is None or retracted else []
    runs = [run for run in seen if _agrees(run, send)] if send and seen else seen
    said = send or speaker(live, orphaned)
    # A commit covers whoever holds the sequence number on the canonical chain: a retracted send holds nothing.
    covered = commits if sent or runs else ()
    committed = covering(covered, said.sequence) if covered else None
    revoked = revoking(covered, said.sequence) if covered and committed is None else None
    good = bad = None
    first_reason = ""
    recovered = False
    success = failure = None
    for run in runs:
        outcome = cast(Executed, run.body)
        if not outcome.succeeded:
            first_reason = first_reason if bad else outcome.reason
            bad, failure = run, outcome
        elif good is None:
            good, success = run, outcome
            recovered = bad is not None or outcome.manual is True
    final = sent is not None and sent.block_number <= finalized.get(sent.chain_id, -1)
    return MessageState(
        message_id=said.message_id,
        lane=said.lane,
        version=said.version,
        sequence=said.sequence,
        facts=(Fact.SENT if sent else 0)
        | (Fact.FINALIZED if final else 0)
        | (Fact.COMMITTED if committed or verified_time is not None else 0)
        | (Fact.FAILED if bad else 0)
        | (Fact.EXECUTED if good else 0)
        | (Fact.RECOVERED if recovered else 0)
        | (Fact.RETRACTED if retracted else 0),
        sent=sent,
        finalized_time=finalized_time if final else None,
        verified_time=None if committed else verified_time,
        committed=committed,
        revoked=revoked,
        executed=good.evidence if good else None,
        failed=bad.evidence if bad else None,
        told=cast(Sent, send.body) if send else None,
        success=success,
        failure=failure,
        first_reason=first_reason,
        attempts=len(runs),
        conflicting=len(runs) != len(seen),
    )


def _first_send(sightings: Sequence[Sighting]) -> Sighting | None:
    found = None
    for item in sightings:
        if type(item.body) is Sent and (found is None or _at(item) < _at(found)):
            found = item
    return found


def _runs(sightings: Sequence[Sighting]) -> list[Sighting]:
    found = [item for item in sightings if type(item.body) is Executed]
    return sorted(found, key=_at) if len(found) > 1 else found


def speaker(live: Sequence[Sighting], orphaned: Sequence[Sighting]) -> Sighting:
    """What names a message's lane and sequence number: its send, else the fullest word of the destination."""
    found = _first_send(live) or _first_send(orphaned)
    if found is not None:
        return found
    seen = _runs(live) or _runs(orphaned)
    return next((item for item in seen if item.lane.channel), seen[0])


def latencies(state: MessageState) -> Latencies:
    """How long each span took, as far as both ends are known."""
    sent, committed, executed = state.sent, state.committed, state.executed
    return Latencies(
        finality=state.finalized_time - sent.time if sent and state.finalized_time is not None else None,
        commit=committed.time - sent.time if sent and committed else None,
        execution=executed.time - committed.time if committed and executed else None,
        total=executed.time - sent.time if sent and executed else None,
    )


def transitions(before: int | None, state: MessageState, orphans: Sequence[Sighting] = ()) -> list[Transition]:
    """The steps from what was known to what is known now, in the order of a message's life.

    Args:
        before: The facts stored so far; None for a message not seen before.
        state: The new state.
        orphans: Sightings of this message that were orphaned just now; they are the evidence of a step back.
    """
    old, new = before or Fact.NONE, state.facts
    if old == new and before is not None:
        return []
    mask = old & new
    stage = STAGES[old] if before is not None else None
    steps: list[Transition] = []
    lost, gained = old & ~new, new & ~old
    if lost == Fact.COMMITTED and state.revoked is not None and not orphans:
        steps.append(Transition(Step.REVOKED, stage, STAGES[mask], state.revoked, state.revoked.time))
        stage = STAGES[mask]
    elif lost & (Fact.COMMITTED | Fact.FAILED | Fact.EXECUTED):
        stage = _step_back(steps, Step.REORGED, stage, mask, [item for item in orphans if type(item.body) is not Sent])
    elif lost & Fact.RECOVERED and state.executed is not None:  # more was learned: it was an ordinary success after all
        steps.append(Transition(Step.EXECUTED, stage, STAGES[mask], state.executed, state.executed.time))
        stage = STAGES[mask]
    if gained & Fact.RETRACTED:
        mask |= Fact.RETRACTED
        stage = _step_back(steps, Step.RETRACTED, stage, mask, [item for item in orphans if type(item.body) is Sent])
    for kind, after, field in gains(mask, gained):
        evidence: Evidence | None = getattr(state, field) if field else None
        if kind is Step.COMMITTED and evidence is None:
            steps.append(Transition(Step.VERIFIED, stage, after, None, state.verified_time))
        else:
            steps.append(Transition(kind, stage, after, evidence, evidence.time if evidence else state.finalized_time))
        stage = after
    return steps


@cache
def gains(mask: int, gained: int) -> tuple[tuple[Step, Stage, str], ...]:
    """The steps forward: kind, stage after it, and the field of the state that shows it."""
    found = []
    for fact, kind, field in _MILESTONES:
        if gained & fact:
            mask |= fact
            if fact != Fact.EXECUTED or not gained & Fact.RECOVERED:
                found.append((kind, STAGES[mask], field))
    return tuple(found)


def _step_back(
    steps: list[Transition], kind: Step, before: Stage | None, mask: int, orphans: Sequence[Sighting]
) -> Stage:
    evidence = orphans[0].evidence if orphans else None
    steps.append(Transition(kind, before, STAGES[mask], evidence, evidence.time if evidence else None))
    return STAGES[mask]


# In the order of a message's life, with the field of the state that shows it (finality has no log).
_MILESTONES = (
    (Fact.SENT, Step.SENT, "sent"),
    (Fact.FINALIZED, Step.FINALIZED, ""),
    (Fact.COMMITTED, Step.COMMITTED, "committed"),
    (Fact.FAILED, Step.FAILED, "failed"),
    (Fact.EXECUTED, Step.EXECUTED, "executed"),
    (Fact.RECOVERED, Step.RECOVERED, "executed"),
)


def count(state: MessageState, already: int) -> tuple[int, list[Increment]]:
    """What to add to counters, so that each fact of a message is counted once in its life.

    Metric names lack the protocol's prefix. A negative span counts as zero and as one "clock_skew".
    """
    added: list[Increment] = []
    facts, told, counted = state.facts, state.told, already
    if facts & Fact.SENT and not counted & Counted.SENT:
        counted |= Counted.SENT
        added.append(_ONE_SENT)
        if told is not None and told.fee_token:
            added.append(Increment("fees_total", told.fee_token, int(told.fee_amount)))
        if told is not None and told.fee_juels is not None:
            added.append(Increment("fees_juels_total", "", int(told.fee_juels)))
    if facts & _DELIVERY:
        counted, deliveries = _count_deliveries(state, counted)
        added += deliveries
    if state.committed is None and state.executed is None and state.finalized_time is None:
        return counted, added  # no span has two ends
    for (bit, stage), span in zip(_SPANS, latencies(state), strict=True):
        if span is not None and not counted & bit:
            counted |= bit
            added.append(Increment("message_latency_seconds", stage, max(span, 0)))
            if span < 0:
                added.append(Increment("errors_total", "clock_skew", 1))
    return counted, added


def _count_deliveries(state: MessageState, counted: int) -> tuple[int, list[Increment]]:
    facts, added = state.facts, list[Increment]()
    if facts & Fact.EXECUTED and not counted & Counted.SUCCESS:
        counted |= Counted.SUCCESS
        added.append(_ONE_SUCCESS)
    # That nobody but a person delivered follows from a log that is not there, and a node may show it later: so only the
    # repair of a failure, which is seen, is counted for good.
    if facts & Fact.RECOVERED and facts & Fact.FAILED and not counted & Counted.RECOVERED:
        counted |= Counted.RECOVERED
        added.append(Increment("messages_recovered_total", "", 1))
    if facts & Fact.FAILED and not counted & Counted.FAILURE:
        counted |= Counted.FAILURE
        added.append(Increment("messages_received_total", "failure", 1))
        added.append(Increment("errors_total", state.first_reason or "unknown", 1))
    return counted, added


_DELIVERY = Fact.EXECUTED | Fact.FAILED
_ONE_SENT = Increment("messages_sent_total", "", 1)
_ONE_SUCCESS = Increment("messages_received_total", "success", 1)

_SPANS = (
    (Counted.FINALITY_TIME, FINALITY),
    (Counted.COMMIT_TIME, COMMIT),
    (Counted.EXECUTION_TIME, EXECUTION),
    (Counted.TOTAL_TIME, TOTAL),
)
