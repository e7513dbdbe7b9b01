"""Transmission: which final reports are worth a transaction, and when it is this node's turn.

    Finished -> read the contract -> accept? -> wait for the turn (on disk) -> read the contract -> Transmit?

Nodes take turns by the schedule, so that the first normally pays alone and the others find the report on chain. After a
restart what is past its turn is dropped: an old price must not be sent late, and the others have had it.

Source: libocr `internal/ocr2/protocol/transmission.go` (MIT).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from seamark.oracle.reporting.codec import ReportContext
from seamark.oracle.reporting.machine import Context, ContractRead, Output, Pending, Purpose, ReadContract, Transmit
from seamark.oracle.reporting.messages import Final
from seamark.oracle.reporting.plugin import Accepted, EpochRound
from seamark.oracle.reporting.signatures import transmission

__all__ = ["Transmissions", "on_contract", "on_final", "on_time", "restore"]


@dataclass(frozen=True, slots=True)
class Transmissions:
    """Reports whose acceptance is being looked into, those that wait for their turn, those whose turn it is."""

    accepted: Accepted = field(default_factory=Accepted)
    asking: Mapping[EpochRound, Final] = field(default_factory=dict)
    pending: Mapping[EpochRound, Pending] = field(default_factory=dict)
    checking: Mapping[EpochRound, Final] = field(default_factory=dict)

    def next_at(self) -> int | None:
        return min((item.due for item in self.pending.values()), default=None)


Step = tuple[Transmissions, list[Output]]


def restore(pending: tuple[Pending, ...], now: int) -> Transmissions:
    """Those that are not past their turn."""
    return Transmissions(pending={item.final.at: item for item in pending if item.due > now})


def on_final(transmissions: Transmissions, final: Final) -> Step:
    """A report has its signatures: is it worth a transaction?"""
    return replace(transmissions, asking={**transmissions.asking, final.at: final}), [
        ReadContract(Purpose.ACCEPT, final.at)
    ]


def on_time(transmissions: Transmissions, now: int) -> Step:
    """Turns that have come: the contract is asked again, another node may have been faster."""
    due = [item.final for item in transmissions.pending.values() if item.due <= now]
    if not due:
        return transmissions, []
    pending = {at: item for at, item in transmissions.pending.items() if item.due > now}
    checking = {**transmissions.checking, **{final.at: final for final in due}}
    out: list[Output] = [ReadContract(Purpose.TRANSMIT, final.at) for final in due]
    return replace(transmissions, pending=pending, checking=checking), out


def on_contract(context: Context, transmissions: Transmissions, event: ContractRead, now: int) -> Step:
    """What the contract has. Without an answer the report is left to the others."""
    if event.purpose is Purpose.ACCEPT:
        return _accept(context, transmissions, event, now)
    final = transmissions.checking.get(event.at)
    if final is None:
        return transmissions, []
    transmissions = replace(transmissions, checking=_without(transmissions.checking, event.at))
    if event.view is None or not context.plugin.should_transmit(event.at, event.view):
        return transmissions, []
    report_context = ReportContext(context.digest, *event.at, final.extra_hash)
    signatures = [signature for _, signature in final.attested.signatures]
    return transmissions, [Transmit(event.at, transmission(report_context, final.attested.report, signatures))]


def _accept(context: Context, transmissions: Transmissions, event: ContractRead, now: int) -> Step:
    final = transmissions.asking.get(event.at)
    if final is None:
        return transmissions, []
    transmissions = replace(transmissions, asking=_without(transmissions.asking, event.at))
    if event.view is None:
        return transmissions, []
    accepted = context.plugin.should_accept(event.at, final.attested.report, transmissions.accepted, event.view)
    if accepted is None:
        return transmissions, []
    transmissions = replace(transmissions, accepted=accepted)
    timing = context.network.timing
    delay = context.schedule.delays(context.digest, *event.at, timing.stages, timing.stage).get(context.me)
    if delay is None:
        return transmissions, []
    pending = {**transmissions.pending, event.at: Pending(final, now + delay)}
    return on_time(replace(transmissions, pending=pending), now)


def _without(finals: Mapping[EpochRound, Final], at: EpochRound) -> dict[EpochRound, Final]:
    return {key: final for key, final in finals.items() if key != at}
