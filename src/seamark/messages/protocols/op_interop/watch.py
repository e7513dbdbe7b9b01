"""Looks at what is stored, tells findings and refreshes the gauges that no unit of work can follow."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from sqlalchemy import Connection

from seamark.core.findings import Finding
from seamark.messages.protocols.op_interop import findings
from seamark.messages.protocols.op_interop.bell import Bell
from seamark.messages.protocols.op_interop.failsafe import Failsafe
from seamark.messages.protocols.op_interop.filters import FilterWatch
from seamark.messages.protocols.op_interop.metrics import InteropMetrics
from seamark.messages.protocols.op_interop.network import Network
from seamark.messages.protocols.op_interop.replicas import ReplicaWatch
from seamark.messages.protocols.op_interop.settings import InteropSettings
from seamark.messages.protocols.op_interop.store import (
    BlockRanges,
    bad_logs,
    odd_counts,
    odd_groups,
    ranges,
    undecided,
)
from seamark.messages.protocols.op_interop.store.replays import Divergence, divergences
from seamark.messages.protocols.op_interop.views import expiring, unrelayed_by_lane
from seamark.runtime.clock import Clock
from seamark.storage.database import Database

__all__ = ["SOURCE", "Report", "Watch", "present_findings"]

SOURCE: Final = "interop"
LOOK_EVERY_S: Final = 15.0  # at least; a verdict that is told wakes it at once
SHORTEST_PAUSE_S: Final = 1.0  # between two looks, however much happens


class Report(Protocol):
    """Takes all that is true now; part of the caller's unit of work."""

    def __call__(self, connection: Connection, source: str, found: Sequence[Finding], /) -> None: ...


@dataclass(frozen=True, slots=True)
class Looked:
    findings: list[Finding]
    ranges: BlockRanges
    differing: list[Divergence]


def present_findings(
    connection: Connection,
    network: Network,
    settings: InteropSettings,
    *,
    now: float,
    chains: Collection[int] | None = None,
) -> list[Finding]:
    """All that is wrong by what is stored. `now`: seconds since the epoch. `chains`: into which; None: all."""
    window, relay_after = network.window_s, settings.relay_after
    ending = expiring(connection, window_s=window, before=int(now - settings.expiring_share * window), chains=chains)
    lanes = unrelayed_by_lane(connection, before=int(now - relay_after), chains=chains)
    since_ms = int((now - settings.undecided_after) * 1000)
    return [
        *findings.about_groups(odd_groups(connection, chains), network),
        *findings.about_undecided(undecided(connection, before_ms=since_ms, chains=chains), network),
        *findings.about_odd_jobs(odd_counts(connection, chains), network),
        *findings.about_bad_logs(bad_logs(connection, chains=chains), network),
        *findings.about_unrelayed(lanes, ending, now=now, relay_after_s=relay_after),
    ]


class Watch:
    """Tells what is wrong now. A `Service`."""

    name = "interop-watch"

    def __init__(
        self,
        *,
        network: Network,
        settings: InteropSettings,
        chains: Collection[int],
        database: Database,
        metrics: InteropMetrics,
        report: Report | None,
        failsafe: Failsafe | None,
        clock: Clock,
        filters: FilterWatch | None = None,
        replicas: ReplicaWatch | None = None,
    ) -> None:
        self._network = network
        self._settings = settings
        self._chains = chains
        self._database = database
        self._metrics = metrics
        self._report = report
        self._failsafe = failsafe
        self._filters = filters
        self._replicas = replicas
        self.bell = Bell()
        self._clock = clock

    async def run(self) -> None:
        while True:
            await self.look()
            await self._clock.sleep(SHORTEST_PAUSE_S)
            await self.bell.wait(LOOK_EVERY_S)

    async def look(self) -> list[Finding]:
        """Once; what was found."""
        now = self._clock.now()

        def work(connection: Connection) -> Looked:
            return Looked(
                present_findings(connection, self._network, self._settings, now=now, chains=self._chains),
                ranges(connection, self._chains),
                [] if self._filters is None else divergences(connection, sorted(self._chains)),
            )

        looked = await self._database.read(work)
        self._metrics.saw_ranges(looked.ranges)
        found = looked.findings
        if self._failsafe is not None:
            found = [*found, *findings.about_failsafe(self._failsafe.states, self._failsafe.errors)]
        if self._filters is not None:
            found = [*found, *findings.about_filters(looked.differing, self._filters.errors, self._network)]
        if self._replicas is not None:
            found = [*found, *findings.about_replicas(self._replicas.last)]
        report = self._report
        if report is not None:
            await self._database.write(lambda connection: report(connection, SOURCE, found))
        return found
