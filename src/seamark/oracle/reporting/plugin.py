"""The median plugin: whether to report, what, and whether a report is worth its transaction. Pure decisions.

Invariant: of the observations in a report more are honest than not, so its middle one lies within the range of the
honest ones. A median out of the contract's bounds is no report: nothing is clamped.

Source: libocr `offchainreporting2/reportingplugin/median/median.go` (MIT).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from seamark.core.errors import RejectedError
from seamark.core.units import PPB_PER_UNIT, Ppb
from seamark.oracle.reporting.codec import MedianSettings, Observation, OnchainConfig, Report, report_length

__all__ = [
    "Accepted",
    "ContractView",
    "EpochRound",
    "MedianPlugin",
    "Requested",
    "Skip",
    "SkipReason",
    "Why",
    "deviates",
]

NANOSECONDS = 1_000_000_000  # in a second

EpochRound: TypeAlias = tuple[int, int]
"""(epoch, round): compares as rounds follow each other."""


@dataclass(frozen=True, slots=True)
class Requested:
    """The newest `RoundRequested` of the contract."""

    digest: bytes
    at: EpochRound


@dataclass(frozen=True, slots=True)
class ContractView:
    """What the contract says: its configuration, the round it has, the answer and when it was transmitted (seconds).

    `read_at` is the time of the reading, in nanoseconds since the epoch.
    """

    digest: bytes
    at: EpochRound
    answer: int
    timestamp: int
    read_at: int
    requested: Requested | None = None


class Why(StrEnum):
    """What makes a report worth it."""

    FIRST = "first"
    DEVIATION = "deviation"
    HEARTBEAT = "heartbeat"
    REQUESTED = "requested"


class SkipReason(StrEnum):
    """Why there is none."""

    UNCHANGED = "unchanged"
    OUT_OF_BOUNDS = "out_of_bounds"


@dataclass(frozen=True, slots=True)
class Skip:
    """No report this round."""

    reason: SkipReason


@dataclass(frozen=True, slots=True)
class Accepted:
    """The newest report that this node took on for transmission."""

    at: EpochRound = (0, 0)
    median: int = 0


def deviates(threshold: Ppb | None, old: int, new: int) -> bool:
    """Whether |new - old| / |old| >= threshold, exactly; from zero every change deviates. None never does."""
    if threshold is None:
        return False
    if old == 0:
        return new != 0
    return abs(new - old) * PPB_PER_UNIT >= threshold * abs(old)


@dataclass(frozen=True, slots=True)
class MedianPlugin:
    """The rules of one network of `n` nodes, `f` of which may be faulty."""

    settings: MedianSettings
    bounds: OnchainConfig
    digest: bytes
    n: int
    f: int

    def report(self, observations: Sequence[tuple[int, bytes]], view: ContractView) -> tuple[Report, Why] | Skip:
        """A report from (observer, observation), at most one of each observer; or why there is none.

        Observations that cannot be read are left out: only a faulty node sends them.

        Raises:
            RejectedError: Not more than `f` can be read, so the median would be worth nothing.
        """
        seen = [(observer, parsed) for observer, raw in observations if (parsed := _parse(raw)) is not None]
        if len(seen) <= self.f:
            raise RejectedError(f"only {len(seen)} observations can be read, and {self.f + 1} are needed")
        report = build_report(seen)
        if not self.bounds.minimum <= report.median <= self.bounds.maximum:
            return Skip(SkipReason.OUT_OF_BOUNDS)
        why = self.why(report.median, view)
        return Skip(SkipReason.UNCHANGED) if why is None else (report, why)

    def why(self, median: int, view: ContractView) -> Why | None:
        """What makes this median worth a report, or None."""
        if view.digest == self.digest and view.at == (0, 0):
            return Why.FIRST
        if deviates(self.settings.alpha_report, view.answer, median):
            return Why.DEVIATION
        if view.timestamp * NANOSECONDS + self.settings.delta_c < view.read_at:
            return Why.HEARTBEAT
        requested = view.requested
        if requested is not None and requested.digest == self.digest and requested.at >= view.at:
            return Why.REQUESTED
        return None

    def should_accept(self, at: EpochRound, report: bytes, accepted: Accepted, view: ContractView) -> Accepted | None:
        """The new newest accepted report, where this one is worth a transaction; else None.

        While an accepted report is on its way, only one that deviates from it is.
        """
        if at <= accepted.at or not self.should_transmit(at, view) or len(report) > report_length(self.n):
            return None
        try:
            median = Report.decode(report).median
        except RejectedError:
            return None
        nothing_pending = view.at >= accepted.at
        if nothing_pending or deviates(self.settings.alpha_accept, accepted.median, median):
            return Accepted(at, median)
        return None

    def should_transmit(self, at: EpochRound, view: ContractView) -> bool:
        """Whether the contract would still take a report of this round."""
        return view.digest == self.digest and view.at < at


def build_report(seen: Sequence[tuple[int, Observation]]) -> Report:
    """Sorted by value, equal ones by observer; time and fee rate are medians of their own."""
    by_value = sorted(seen, key=lambda item: (item[1].value, item[0]))
    middle = len(seen) // 2
    return Report(
        timestamp=sorted(observation.timestamp for _, observation in seen)[middle],
        observers=tuple(observer for observer, _ in by_value),
        observations=tuple(observation.value for _, observation in by_value),
        juels_per_fee_coin=sorted(observation.juels_per_fee_coin for _, observation in seen)[middle],
    )


def _parse(raw: bytes) -> Observation | None:
    try:
        return Observation.decode(raw)
    except RejectedError:
        return None
