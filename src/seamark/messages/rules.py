"""Pure decisions about messages: no I/O, no clock, no logging.

`fold` turns the sightings of one message into its state. It depends only on which sightings are live, never on the
order in which they arrived, so replays, restarts, reorgs and the relative speed of two chains cannot change the
result. `transitions` and `count` compare a state with what was known before and say what is new.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, cast

from seamark.core.ids import ChainId
from seamark.messages.model import (
    STAGES,
    Counted,
    Evidence,
    Executed,
    Fact,
    Increment,
    MessageState,
    Sent,
    Sighting,
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
    "count",
    "covering",
    "fold",
    "latencies",
    "speaker",
    "transitions",
]

FINALITY, COMMIT, EXECUTION, TOTAL = "finality", "commit", "execution", "total"
"""Spans by block time: sent to final, sent to committed, committed to executed, sent to executed with success."""


class CommitRange(NamedTuple):
    """A live commit of the sequence numbers first..last of a lane."""

    first: int
    last: int
    evidence: Evidence


class Latencies(NamedTuple):
    """Seconds; None where an end is not known. Two chains' clocks may differ: a span across chains can be negative."""

    finality: int | None
    commit: int | None
    execution: int | None
    total: int | None


def _at(sighting: Sighting) -> tuple[int, int, int]:
    return sighting.evidence.block_number, sighting.evidence.log_index, sighting.part


def _agrees(run: Sighting, send: Sighting) -> bool:
    """Join key: source, destination and sequence number, and the channel where the destination names it."""
    here, there = run.lane, send.lane
    return (
        run.sequence == send.sequence
        and here.source == there.source
        and here.destination == there.destination
        and here.channel in ("", there.channel)
    )


def covering(commits: Iterable[CommitRange], sequence: int) -> Evidence | None:
    """The earliest commit that holds a sequence number."""
    found = [item.evidence for item in commits if item.first <= sequence <= item.last]
    return min(found, key=lambda at: (at.block_number, at.log_index), default=None)


def fold(
    live: Sequence[Sighting],
    orphaned: Sequence[Sighting],
    commits: Iterable[CommitRange],
    finalized: Mapping[ChainId, int],
    finalized_time: int | None = None,
) -> MessageState:
    """The state of one message.

    Args:
        live: Its sends and executions on the canonical chains, in any order.
        orphaned: Those whose blocks were orphaned. In all at least one sighting is given.
        commits: Live commits on its lane; those that do not hold its sequence number do no harm.
        finalized: The newest final block of each chain.
        finalized_time: When the send became final, if that is known.
    """
    sends = _sorted(live, Sent)
    seen = _sorted(live, Executed)
    said = speaker(live, orphaned)
    send = said if type(said.body) is Sent else None
    runs = [run for run in seen if _agrees(run, send)] if send else seen
    sent = sends[0].evidence if sends else None
    # A commit covers whoever holds the sequence number on the canonical chain: a retracted send holds nothing.
    committed = covering(commits, said.sequence) if sends or runs else None
    good = next((run for run in runs if _outcome(run).succeeded), None)
    bad = [run for run in runs if not _outcome(run).succeeded]
    final = sent is not None and sent.block_number <= finalized.get(sent.chain_id, -1)
    return MessageState(
        message_id=said.message_id,
        lane=said.lane,
        version=said.version,
        sequence=said.sequence,
        facts=(Fact.SENT if sent else 0)
        | (Fact.FINALIZED if final else 0)
        | (Fact.COMMITTED if committed else 0)
        | (Fact.FAILED if bad else 0)
        | (Fact.EXECUTED if good else 0)
        | (Fact.RETRACTED if send and not sends else 0),
        sent=sent,
        finalized_time=finalized_time if final else None,
        committed=committed,
        executed=good.evidence if good else None,
        failed=bad[-1].evidence if bad else None,
        told=cast(Sent, send.body) if send else None,
        success=_outcome(good) if good else None,
        failure=_outcome(bad[-1]) if bad else None,
        first_reason=_outcome(bad[0]).reason if bad else "",
        attempts=len(runs),
        conflicting=len(runs) != len(seen),
    )


def _outcome(run: Sighting) -> Executed:
    return cast(Executed, run.body)


def _sorted(sightings: Sequence[Sighting], kind: type) -> list[Sighting]:
    found = [item for item in sightings if type(item.body) is kind]
    return sorted(found, key=_at) if len(found) > 1 else found


def speaker(live: Sequence[Sighting], orphaned: Sequence[Sighting]) -> Sighting:
    """The sighting that names a message's lane and sequence number: its send, else the fullest word of the
    destination.
    """
    for group in (live, orphaned):
        if sends := _sorted(group, Sent):
            return sends[0]
    seen = _sorted(live, Executed) or _sorted(orphaned, Executed)
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

    def step(kind: Step, evidence: Evidence | None, time: int | None) -> None:
        nonlocal stage
        after = STAGES[mask]
        steps.append(Transition(kind, stage, after, evidence, time))
        stage = after

    lost = old & ~new
    if lost & (Fact.COMMITTED | Fact.FAILED | Fact.EXECUTED):
        evidence = next((item.evidence for item in orphans if type(item.body) is not Sent), None)
        step(Step.REORGED, evidence, evidence.time if evidence else None)
    if new & ~old & Fact.RETRACTED:
        mask |= Fact.RETRACTED
        evidence = next((item.evidence for item in orphans if type(item.body) is Sent), None)
        step(Step.RETRACTED, evidence, evidence.time if evidence else None)
    for fact, kind, evidence, time in _milestones(state):
        if new & ~old & fact:
            mask |= fact
            step(kind, evidence, time)
    return steps


def _milestones(state: MessageState) -> tuple[tuple[int, Step, Evidence | None, int | None], ...]:
    def time(evidence: Evidence | None) -> int | None:
        return evidence.time if evidence else None

    return (
        (Fact.SENT, Step.SENT, state.sent, time(state.sent)),
        (Fact.FINALIZED, Step.FINALIZED, None, state.finalized_time),
        (Fact.COMMITTED, Step.COMMITTED, state.committed, time(state.committed)),
        (Fact.FAILED, Step.FAILED, state.failed, time(state.failed)),
        (Fact.EXECUTED, Step.EXECUTED, state.executed, time(state.executed)),
    )


def count(state: MessageState, already: int) -> tuple[int, list[Increment]]:
    """What to add to counters, so that each fact of a message is counted once in its life.

    Metric names lack the protocol's prefix. A negative span counts as zero and as one "clock_skew".
    """
    counted, added = already, []
    facts, told = state.facts, state.told
    if facts & Fact.SENT and not counted & Counted.SENT:
        counted |= Counted.SENT
        added.append(Increment("messages_sent_total", "", 1))
        if told is not None and told.fee_token:
            added.append(Increment("fees_total", told.fee_token, int(told.fee_amount)))
        if told is not None and told.fee_juels is not None:
            added.append(Increment("fees_juels_total", "", int(told.fee_juels)))
    if facts & Fact.EXECUTED and not counted & Counted.SUCCESS:
        counted |= Counted.SUCCESS
        added.append(Increment("messages_received_total", "success", 1))
    if facts & Fact.FAILED and not counted & Counted.FAILURE:
        counted |= Counted.FAILURE
        added.append(Increment("messages_received_total", "failure", 1))
        added.append(Increment("errors_total", state.first_reason or "unknown", 1))
    spans = latencies(state)
    for bit, stage, span in (
        (Counted.FINALITY_TIME, FINALITY, spans.finality),
        (Counted.COMMIT_TIME, COMMIT, spans.commit),
        (Counted.EXECUTION_TIME, EXECUTION, spans.execution),
        (Counted.TOTAL_TIME, TOTAL, spans.total),
    ):
        if span is not None and not counted & bit:
            counted |= bit
            added.append(Increment("message_latency_seconds", stage, max(span, 0)))
            if span < 0:
                added.append(Increment("errors_total", "clock_skew", 1))
    return counted, added
