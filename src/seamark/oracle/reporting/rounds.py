"""The rounds of one epoch: the leader collects observations and signatures, followers check all and sign.

    leader    ObserveRequest ->            (grace) ReportRequest ->                       Final ->
    follower                  Observe ->                          checks, ReportReply ->         FinalEcho (finality)

Invariants:
- A follower signs only what it computed itself, from more than 2f observations of distinct nodes, each signed by its
  node for this very round: more than half of them are honest, and the report is sorted whatever a leader says.
- A follower signs at most one report of a round, over restarts too: `signed` is on disk before a signature is made.
- A leader that is slow, silent or lying costs time only.

Source: libocr `internal/ocr2/protocol/report_generation_*.go` (MIT), algorithms 2 and 3 of the OCR paper; the check
over restarts is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final as Constant

from seamark.core.errors import RejectedError
from seamark.oracle.reporting.codec import ReportContext
from seamark.oracle.reporting.digest import extra_hash, observation_payload, report_preimage
from seamark.oracle.reporting.machine import (
    Broadcast,
    ChangeLeader,
    Context,
    ContractRead,
    Finished,
    MakeObservation,
    Observed,
    Output,
    Progress,
    Purpose,
    ReadContract,
    ReportSigned,
    Send,
    SignReport,
)
from seamark.oracle.reporting.messages import (
    Final,
    Observe,
    ObserveRequest,
    ReportReply,
    ReportRequest,
    RoundMessage,
    SignedObservation,
)
from seamark.oracle.reporting.plugin import EpochRound, Skip
from seamark.oracle.reporting.signatures import AttestedReport, check_attested

__all__ = ["Rounds", "begin", "on_contract", "on_message", "on_observed", "on_signed", "on_time"]

NO_QUERY: Constant = b""  # the median plugin asks nothing

Step = tuple["Rounds", list[Output]]


class Phase(StrEnum):
    """Where a leader's round stands."""

    OBSERVE = "observe"
    GRACE = "grace"
    REPORT = "report"
    FINAL = "final"


@dataclass(frozen=True, slots=True)
class Lead:
    """A leader's round. `round_at` is when the next one may begin, None once that time has come."""

    round: int
    phase: Phase
    round_at: int | None
    grace_at: int | None = None
    observed: dict[int, SignedObservation] = field(default_factory=dict)
    replies: dict[int, ReportReply] = field(default_factory=dict)
    extra_hash: bytes = b""


@dataclass(frozen=True, slots=True)
class Follow:
    """A follower's round.

    `request` is the leader's, once it was checked: a second one is not looked at. `report` is what this node signs.
    """

    round: int = 0
    completed: bool = False
    request: ReportRequest | None = None
    report: bytes | None = None


@dataclass(frozen=True, slots=True)
class Rounds:
    """One epoch, as this node sees it. `signed` is the newest round of which this node signed a report."""

    epoch: int
    leader: int
    signed: EpochRound
    follow: Follow
    lead: Lead | None

    def deadlines(self) -> Sequence[int | None]:
        return () if self.lead is None else (self.lead.round_at, self.lead.grace_at)


def begin(context: Context, epoch: int, signed: EpochRound, now: int) -> Step:
    """A new epoch; or an old one after a restart, in which rounds up to the one that was signed are over."""
    over = signed[1] if signed[0] == epoch else 0
    leader = context.schedule.leader(epoch)
    rounds = Rounds(epoch, leader, signed, Follow(over), None)
    return _begin_round(context, rounds, over + 1, now) if leader == context.me else (rounds, [])


def on_message(context: Context, rounds: Rounds, sender: int, message: RoundMessage, now: int) -> Step:
    """A message of this epoch."""
    match message:
        case Observe():
            return _on_observe(context, rounds, sender, message, now)
        case ReportReply():
            return _on_reply(context, rounds, sender, message, now)
        case _ if sender != rounds.leader:
            return rounds, []
        case ObserveRequest():
            return _on_observe_request(context, rounds, message)
        case ReportRequest():
            return _on_report_request(context, rounds, message)
        case Final():
            return _on_final(context, rounds, message)


def on_time(context: Context, rounds: Rounds, now: int) -> Step:
    """The leader's deadlines."""
    out: list[Output] = []
    if rounds.lead is not None and _due(rounds.lead.grace_at, now):
        rounds, out = _ask_for_reports(rounds, rounds.lead)
    if rounds.lead is not None and _due(rounds.lead.round_at, now):
        rounds, more = _maybe_next(context, rounds, replace(rounds.lead, round_at=None), now)
        out += more
    return rounds, out


def _due(deadline: int | None, now: int) -> bool:
    return deadline is not None and deadline <= now


# ---- the leader -----------------------------------------------------------------------------------------------------


def _begin_round(context: Context, rounds: Rounds, round_: int, now: int) -> Step:
    """The one after the last tells the followers that this leader has had its rounds."""
    timing = context.network.timing
    if round_ > timing.max_rounds + 1:
        return rounds, []
    lead = Lead(round_, Phase.OBSERVE, now + timing.round)
    return replace(rounds, lead=lead), [Broadcast(ObserveRequest(rounds.epoch, round_, NO_QUERY))]


def _maybe_next(context: Context, rounds: Rounds, lead: Lead, now: int) -> Step:
    """A round begins once the one before is finished and its time has come."""
    if lead.phase is Phase.FINAL and lead.round_at is None:
        return _begin_round(context, rounds, lead.round + 1, now)
    return replace(rounds, lead=lead), []


def _on_observe(context: Context, rounds: Rounds, sender: int, message: Observe, now: int) -> Step:
    lead = rounds.lead
    if lead is None or message.round != lead.round or lead.phase not in (Phase.OBSERVE, Phase.GRACE):
        return rounds, []
    if sender in lead.observed or not _is_observation(context, rounds.epoch, lead.round, sender, message.signed):
        return rounds, []
    lead = replace(lead, observed={**lead.observed, sender: message.signed})
    if lead.phase is Phase.OBSERVE and len(lead.observed) > 2 * context.f:
        lead = replace(lead, phase=Phase.GRACE, grace_at=now + context.network.timing.grace)
    return replace(rounds, lead=lead), []


def _ask_for_reports(rounds: Rounds, lead: Lead) -> Step:
    observations = tuple(sorted(lead.observed.items()))
    hashed = _extra_hash(observations)
    lead = replace(lead, phase=Phase.REPORT, grace_at=None, extra_hash=hashed)
    request = ReportRequest(rounds.epoch, lead.round, NO_QUERY, observations)
    return replace(rounds, lead=lead), [Broadcast(request)]


def _on_reply(context: Context, rounds: Rounds, sender: int, message: ReportReply, now: int) -> Step:
    lead = rounds.lead
    if lead is None or message.round != lead.round or lead.phase is not Phase.REPORT or sender in lead.replies:
        return rounds, []
    if not _is_reply(context, rounds.epoch, lead, sender, message):
        return rounds, []
    lead = replace(lead, replies={**lead.replies, sender: message})
    same = [(node, reply) for node, reply in sorted(lead.replies.items()) if reply.report == message.report]
    if len(same) <= context.f:
        return replace(rounds, lead=lead), []
    rounds, out = _maybe_next(context, rounds, replace(lead, phase=Phase.FINAL), now)
    if message.report is None:
        return rounds, out
    signatures = tuple((node, reply.signature) for node, reply in same if reply.signature is not None)
    final = Final(rounds.epoch, lead.round, lead.extra_hash, AttestedReport(message.report, signatures))
    return rounds, [Broadcast(final), *out]


def _is_reply(context: Context, epoch: int, lead: Lead, sender: int, message: ReportReply) -> bool:
    if message.report is None or message.signature is None:
        return message.report is None and message.signature is None
    report_context = ReportContext(context.digest, epoch, lead.round, lead.extra_hash)
    return context.crypto.verify_report(sender, report_context, message.report, message.signature)


# ---- the follower ---------------------------------------------------------------------------------------------------


def _on_observe_request(context: Context, rounds: Rounds, message: ObserveRequest) -> Step:
    last = context.network.timing.max_rounds
    if not rounds.follow.round < message.round <= last + 1 or message.query != NO_QUERY:
        return rounds, []
    rounds = replace(rounds, follow=Follow(message.round))
    if message.round > last:
        return rounds, [ChangeLeader()]
    return rounds, [MakeObservation((rounds.epoch, message.round))]


def on_observed(context: Context, rounds: Rounds, event: Observed) -> Step:
    """This node's own observation, for a round that may be over by now."""
    if event.at != (rounds.epoch, rounds.follow.round) or event.observation is None:
        return rounds, []
    payload = observation_payload(context.digest, *event.at, NO_QUERY, event.observation)
    signed = SignedObservation(event.observation, context.crypto.sign_observation(payload))
    return rounds, [Send(rounds.leader, Observe(*event.at, signed))]


def _on_report_request(context: Context, rounds: Rounds, message: ReportRequest) -> Step:
    follow, at = rounds.follow, (rounds.epoch, message.round)
    if message.round != follow.round or follow.request is not None or follow.completed or at <= rounds.signed:
        return rounds, []
    if not _is_request(context, message):
        return rounds, []
    return replace(rounds, follow=replace(follow, request=message)), [ReadContract(Purpose.REPORT, at)]


def _is_request(context: Context, message: ReportRequest) -> bool:
    observers = [observer for observer, _ in message.observations]
    return (
        message.query == NO_QUERY
        and len(observers) > 2 * context.f
        and len(set(observers)) == len(observers)
        and all(0 <= observer < context.n for observer in observers)
        and all(_is_observation(context, message.epoch, message.round, *each) for each in message.observations)
    )


def _is_observation(context: Context, epoch: int, round_: int, node: int, signed: SignedObservation) -> bool:
    payload = observation_payload(context.digest, epoch, round_, NO_QUERY, signed.observation)
    return context.crypto.verify_observation(node, payload, signed.signature)


def on_contract(context: Context, rounds: Rounds, event: ContractRead) -> Step:
    """What the contract has: now the follower knows whether there is something to report, and what."""
    follow, request = rounds.follow, rounds.follow.request
    asked = request is not None and follow.report is None and not follow.completed
    if event.at != (rounds.epoch, follow.round) or request is None or not asked or event.view is None:
        return rounds, []
    try:
        decided = context.plugin.report(_plain(request.observations), event.view)
    except RejectedError:
        return rounds, []
    if isinstance(decided, Skip):
        rounds, out = _complete(rounds)
        return rounds, [Send(rounds.leader, ReportReply(*event.at, None, None)), *out]
    report = decided[0].encode()
    preimage = report_preimage(_context_of(context, event.at, request), report)
    rounds = replace(rounds, follow=replace(follow, report=report), signed=event.at)
    return rounds, [SignReport(event.at, preimage)]


def on_signed(context: Context, rounds: Rounds, event: ReportSigned) -> Step:
    """The signature is there; it is checked, because the signer may be another machine."""
    request, report = rounds.follow.request, rounds.follow.report
    if event.at != (rounds.epoch, rounds.follow.round) or request is None or report is None or event.signature is None:
        return rounds, []
    report_context = _context_of(context, event.at, request)
    if not context.crypto.verify_report(context.me, report_context, report, event.signature):
        return rounds, []
    return rounds, [Send(rounds.leader, ReportReply(*event.at, report, event.signature))]


def _on_final(context: Context, rounds: Rounds, message: Final) -> Step:
    if message.round != rounds.follow.round or final_fault(context, message) is not None:
        return rounds, []
    rounds, out = _complete(rounds)
    return rounds, [Finished(message), *out]


def final_fault(context: Context, final: Final) -> str | None:
    """What is wrong with the signatures of a final report, or None."""
    report_context = ReportContext(context.digest, final.epoch, final.round, final.extra_hash)
    verify = context.verifier(report_context, final.attested.report)
    return check_attested(final.attested, n=context.n, f=context.f, verify=verify)


def _complete(rounds: Rounds) -> Step:
    if rounds.follow.completed:
        return rounds, []
    return replace(rounds, follow=replace(rounds.follow, completed=True)), [Progress()]


def _context_of(context: Context, at: EpochRound, request: ReportRequest) -> ReportContext:
    return ReportContext(context.digest, *at, _extra_hash(request.observations))


def _extra_hash(observations: Sequence[tuple[int, SignedObservation]]) -> bytes:
    return extra_hash(NO_QUERY, _plain(observations))


def _plain(observations: Sequence[tuple[int, SignedObservation]]) -> list[tuple[int, bytes]]:
    return [(observer, signed.observation) for observer, signed in observations]
