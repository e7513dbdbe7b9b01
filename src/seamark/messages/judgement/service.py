"""The running judge of one protocol: look, judge, report, every few seconds.

    memories of lanes (studies, a few per look) + one look at the ledger  ->  rules.judge  ->  report, metrics

A report is the complete present set, so nothing has to be remembered over restarts; it is written when the set has
changed, and once a minute for the numbers in its texts. Without somebody who takes reports, openings and endings become
events of the event log.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import structlog
from sqlalchemy import Connection

from seamark.core.findings import Finding
from seamark.core.ids import ChainId
from seamark.messages.judgement import store
from seamark.messages.judgement.looking import AsOf, Memory, look, remember, study
from seamark.messages.judgement.metrics import JudgeMetrics
from seamark.messages.judgement.model import BlockedSender, ChainNow, Curse, JudgedLane, LaneNow, LogGap, Now
from seamark.messages.judgement.numbering import numbered_with, numbering_of
from seamark.messages.judgement.rules import BEHIND_BLOCKS, judge
from seamark.messages.judgement.settings import JudgeSettings
from seamark.messages.metrics import ChainObserver
from seamark.messages.model import LaneKey
from seamark.messages.protocol import MessageProtocol, Profile, profile_of
from seamark.messages.store import ChainView, read_chains
from seamark.runtime.clock import Clock
from seamark.runtime.events import Signal
from seamark.runtime.health import Health
from seamark.storage.database import Database
from seamark.storage.events import Event, append_events
from seamark.storage.totals import read_totals

__all__ = ["JudgeService", "Report"]

STUDY_EVERY_LOOKS = 12  # with the usual pause of 5 s: a closer look at each lane once a minute,
RELEARN_EVERY_LOOKS = 120  # and what is normal anew every ten minutes
STUDIES_AT_ONCE = 4  # lanes per look: some 10 ms each
FIRST_STUDIES_AT_ONCE = 10  # while lanes are new to this process: soon after a start all are known
REPORT_EVERY_S = 60.0
LEVEL_BLOCKS = 16  # a chain that is read so close to its head is read
COUNTED_OVER_S = 3600.0  # malformed logs are told for an hour
BLOCKED_SINCE_S = 7 * 86_400  # a sender that was skipped longer ago gave up, or was unblocked
HEALTHY_FOR_S = 120.0  # without a look the judge itself is unwell

log = structlog.get_logger("seamark.messages.judge")


class Report(Protocol):
    """Takes the complete present set of one source, in the running unit of work."""

    def __call__(self, connection: Connection, source: str, findings: Sequence[Finding]) -> None: ...


@dataclass(frozen=True, slots=True)
class _Read:
    """What one look read from the ledger."""

    lanes: list[LaneNow]
    curses: list[Curse]


@dataclass(frozen=True, slots=True)
class _Slow:
    """What is asked once a minute."""

    blocked: Mapping[int, tuple[BlockedSender, ...]]
    malformed: int


class JudgeService:
    """Judges the messages of one protocol; a `runtime.service.Service`.

    Args:
        observers: How the reading of each chain goes (`MessageMetrics.observers`).
        report: Who takes the findings; None: the event log.
        gaps: What reconciliation could not heal.
    """

    def __init__(
        self,
        protocol: MessageProtocol,
        *,
        observers: Mapping[ChainId, ChainObserver],
        database: Database,
        settings: JudgeSettings,
        metrics: JudgeMetrics,
        clock: Clock,
        report: Report | None = None,
        gaps: Callable[[], Sequence[LogGap]] = tuple,
        signal: Signal | None = None,
    ) -> None:
        self.name = f"{protocol.name}-judge"
        self.findings: tuple[Finding, ...] = ()
        """What is wrong now."""
        self._protocol = protocol
        self._observers = observers
        self._database = database
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._report = report
        self._gaps = gaps
        self._numbering = numbering_of(protocol)
        self._signal = signal or Signal()
        self._memories: dict[int, Memory] = {}
        self._chains = _Chains(protocol, observers)
        self._lanes: list[JudgedLane] = []
        self._slow = _Slow({}, 0)
        self._study_every_s = STUDY_EVERY_LOOKS * settings.every
        self._relearn_every_s = RELEARN_EVERY_LOOKS * settings.every
        self._slow_at: float | None = None
        self._marks: deque[tuple[float, int]] = deque()
        self._told: dict[tuple[str, str], Finding] | None = None
        self._told_at = 0.0
        self._looked_at: float | None = None

    async def run(self) -> None:
        """Until cancelled.

        Raises:
            TemporaryError: The database does not answer; try again.
        """
        while True:
            await self.look()
            await self._clock.sleep(self._settings.every)

    async def health(self) -> Health:
        if self._looked_at is None:
            return Health.degraded("starting")
        age = self._clock.monotonic() - self._looked_at
        if age > HEALTHY_FOR_S + self._settings.every:
            return Health.degraded(f"the last look was {age:.0f} s ago")
        return Health.ok(f"{len(self._memories)} lanes, {len(self.findings)} findings")

    async def look(self) -> tuple[Finding, ...]:
        """One look: what is wrong now, told and shown."""
        started = time.perf_counter()
        now = int(self._clock.now())
        views = await self._database.read(lambda connection: read_chains(connection, self._protocol.name))
        self._chains.update(views, now)
        as_of = AsOf(now, self._chains.read_to)
        await self._refresh(as_of)
        await self._study(as_of)
        read = await self._database.read(lambda connection: self._read(connection, as_of))
        found = Now(
            self._protocol.name,
            now,
            tuple(read.lanes),
            self._chains.now(views),
            tuple(read.curses),
            tuple(self._gaps()),
            self._slow.malformed,
        )
        self.findings = tuple(judge(found, self._settings))
        self._metrics.show(read.lanes, self.findings, at=self._clock.now(), took=time.perf_counter() - started)
        await self._tell()
        self._looked_at = self._clock.monotonic()
        return self.findings

    def _read(self, connection: Connection, as_of: AsOf) -> _Read:
        name = self._protocol.name
        lanes = look(connection, name, self._memories, as_of, self._slow.blocked)
        watched = {role.chain_id for role in self._protocol.chains}
        curses = [curse for curse in store.read_curses(connection, name) if curse.chain_id in watched]
        return _Read(lanes, [self._named(curse) for curse in curses])

    def _named(self, curse: Curse) -> Curse:
        """With the names that the protocol knows, also before any lane has them."""
        other = self._protocol.names(LaneKey(self._protocol.name, curse.subject, "", curse.subject)).source
        chain = next((role.name for role in self._protocol.chains if role.chain_id == curse.chain_id), curse.chain)
        return replace(curse, chain=chain, subject_name=other)

    # ---- what changes slowly ----------------------------------------------------------------------------------------

    async def _refresh(self, as_of: AsOf) -> None:
        """New lanes; blocked senders and malformed logs once a minute."""
        name, first = self._protocol.name, self._slow_at is None
        stored = await self._database.read(lambda connection: store.judged_lanes(connection, name))
        self._lanes = [lane for lane in map(self._present, stored) if _is_watched(lane)]
        if self._slow_at is None or self._clock.monotonic() - self._slow_at >= self._study_every_s:
            self._slow = await self._database.read(lambda connection: self._read_slowly(connection, as_of))
            self._slow_at = self._clock.monotonic()
        if first:
            await self._recall()
        for lane in self._lanes:
            known = self._memories.get(lane.id)
            if known is None:
                self._memories[lane.id] = remember(lane, None, self._default(lane), self._settings)
            elif known.lane != lane:
                self._memories[lane.id] = replace(known, lane=lane)

    def _present(self, lane: JudgedLane) -> JudgedLane:
        """A lane as its ends are watched now: a chain may have left the settings since its last message."""
        now = self._protocol.names(lane.key)
        ends = (now.source_watched, now.destination_watched)
        return replace(lane, names=replace(lane.names, source_watched=ends[0], destination_watched=ends[1]))

    async def _recall(self) -> None:
        """What earlier processes found."""
        name = self._protocol.name
        profiles = await self._database.read(lambda connection: store.read_profiles(connection, name))
        checks = await self._database.read(lambda connection: store.read_checks(connection, name))
        for lane in self._lanes:
            memory = remember(lane, profiles.get(lane.id), self._default(lane), self._settings)
            self._memories[lane.id] = replace(memory, sequences=checks.get(lane.id))

    def _read_slowly(self, connection: Connection, as_of: AsOf) -> _Slow:
        name = self._protocol.name
        blocked = store.blocked_senders(connection, name, self._lanes, as_of.now - BLOCKED_SINCE_S)
        malformed = sum(
            int(total.value)
            for total in read_totals(connection, f"{name}_errors_total")
            if total.labels.get("class") == "malformed_log"
        )
        return _Slow(blocked, self._recent(malformed))

    def _recent(self, total: int) -> int:
        """How much a counter has grown in the last hour, as far as this process has seen it."""
        at = self._clock.monotonic()
        self._marks.append((at, total))
        while len(self._marks) > 1 and at - self._marks[1][0] >= COUNTED_OVER_S:
            self._marks.popleft()
        return total - self._marks[0][1]

    def _default(self, lane: JudgedLane) -> Profile:
        return profile_of(self._protocol, lane.key)

    async def _study(self, as_of: AsOf) -> None:
        """A closer look at the lanes whose last one is longest ago."""
        new = [memory for memory in self._memories.values() if memory.studied_at is None]
        due = new[:FIRST_STUDIES_AT_ONCE] or self._due(as_of.now)
        for memory in due:
            relearn = memory.studied_at is None or as_of.now - memory.profile.at >= self._relearn_every_s
            work = partial(
                study,
                memory=memory,
                default=self._default(memory.lane),
                settings=self._settings,
                as_of=as_of,
                relearn=relearn,
                numbered=numbered_with(memory.lane, self._lanes, self._numbering),
            )
            after = await self._database.read(work)
            await self._keep(memory, after)
            self._memories[memory.lane.id] = after

    def _due(self, now: int) -> list[Memory]:
        due = [item for item in self._memories.values() if now - (item.studied_at or 0) >= self._study_every_s]
        return sorted(due, key=lambda item: item.studied_at or 0)[:STUDIES_AT_ONCE]

    async def _keep(self, before: Memory, after: Memory) -> None:
        """Store what another process should not have to find again."""
        lane_id, check = after.lane.id, after.sequences
        new_check = check is not None and check != before.sequences

        def work(connection: Connection) -> None:
            if after.profile != before.profile:
                store.save_profile(connection, lane_id, after.profile)
            if check is not None and new_check:
                store.save_check(connection, lane_id, check)

        if after.profile != before.profile or new_check:
            await self._database.write(work)

    # ---- telling ----------------------------------------------------------------------------------------------------

    async def _tell(self) -> None:
        now = {(finding.kind, finding.subject): finding for finding in self.findings}
        same = self._told is not None and _outline(now) == _outline(self._told)
        if same and self._clock.monotonic() - self._told_at < REPORT_EVERY_S:
            return
        before = self._told or {}
        opened = [now[key] for key in now.keys() - before.keys()]
        ended = [before[key] for key in before.keys() - now.keys()]
        at_ms = int(self._clock.now() * 1000)

        def work(connection: Connection) -> None:
            if self._report is not None:
                self._report(connection, self.name, self.findings)
            else:
                append_events(connection, [_event("finding.opened", item, at_ms) for item in opened])
                append_events(connection, [_event("finding.ended", item, at_ms) for item in ended])

        if self._report is not None or opened or ended:
            await self._database.write(work)
        self._told, self._told_at = now, self._clock.monotonic()
        for item in opened:
            log.warning("finding", kind=item.kind, severity=item.severity.value, title=item.title, text=item.text)
        for item in ended:
            log.info("finding ended", kind=item.kind, title=item.title)
        if opened or ended:
            self._signal.fire()


def _is_watched(lane: JudgedLane) -> bool:
    return lane.names.source_watched or lane.names.destination_watched


def _outline(findings: Mapping[tuple[str, str], Finding]) -> dict[tuple[str, str], tuple[object, ...]]:
    """What makes a report news: not the ages in its texts, nor each message more of many."""
    return {key: (item.severity, item.group, _about(item.count), item.remedy) for key, item in findings.items()}


def _about(count: int) -> str:
    return f"{count:.1e}"


def _event(topic: str, finding: Finding, at_ms: int) -> Event:
    payload = {
        "kind": finding.kind,
        "subject": finding.subject,
        "severity": finding.severity.value,
        "group": finding.group,
        "title": finding.title,
        "text": finding.text,
        "remedy": finding.remedy,
        "since": finding.since,
        "count": finding.count,
        "labels": dict(finding.labels),
    }
    return Event(topic, f"{finding.kind}/{finding.subject}", payload, at_ms=at_ms)


class _Chains:
    """Up to when each chain has been read. A chain that is level with its head has been read up to now; else up to its
    newest stored block, or to when it was last level.
    """

    def __init__(self, protocol: MessageProtocol, observers: Mapping[ChainId, ChainObserver]) -> None:
        self._names = {role.chain_id: role.name for role in protocol.chains}
        self._observers = observers
        self.read_to: dict[ChainId, int] = {}
        self._good_at: dict[ChainId, int] = {}

    def update(self, views: Sequence[ChainView], now: int) -> None:
        for view in views:
            chain_id = ChainId(view.chain_id)
            observer = self._observers.get(chain_id)
            if observer is None:
                continue
            self._good_at.setdefault(chain_id, now)
            level = observer.head >= 0 and not observer.last_error and observer.head - view.scanned <= LEVEL_BLOCKS
            if level:
                self.read_to[chain_id] = now
                self._good_at[chain_id] = now
            else:
                known = max(self.read_to.get(chain_id, 0), view.scanned_time)
                self.read_to[chain_id] = min(known, now)
                if observer.head >= 0 and not observer.last_error and observer.head - view.scanned <= BEHIND_BLOCKS:
                    self._good_at[chain_id] = now

    def now(self, views: Sequence[ChainView]) -> tuple[ChainNow, ...]:
        found = []
        for view in views:
            chain_id = ChainId(view.chain_id)
            observer = self._observers.get(chain_id)
            if observer is not None:
                found.append(
                    ChainNow(
                        view.chain_id,
                        self._names.get(chain_id, str(chain_id)),
                        observer.head,
                        view.scanned,
                        view.scanned_time,
                        self._good_at[chain_id],
                        observer.last_error,
                    )
                )
        return tuple(found)
