"""A ledger filled by fake chains, and a judge over it, on a clock that tests own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry

from seamark.core.findings import Finding
from seamark.core.ids import ChainId
from seamark.evm.ports import Block, Finalized, LogEvent
from seamark.messages.judgement.metrics import JudgeMetrics
from seamark.messages.judgement.service import JudgeService
from seamark.messages.judgement.settings import JudgeSettings
from seamark.messages.metrics import MessageMetrics
from seamark.messages.model import LaneKey
from seamark.messages.protocol import Profile
from seamark.messages.store import ChainView, read_chains, save_progress
from seamark.messages.tracker import apply, decode
from seamark.runtime.settings import validate_settings
from seamark.storage.database import Database
from tests.support.clock import FakeClock
from tests.unit.messages.history import (
    BLOCK_TIME_S,
    GENESIS_TIME,
    A,
    B,
    FakeBatch,
    FakeProtocol,
    Noticed,
    Told,
    World,
)

__all__ = ["JudgedProtocol", "Scene", "settings"]


def settings(**changes: Any) -> JudgeSettings:
    """As a person would write them."""
    return validate_settings(JudgeSettings, changes)


@dataclass
class JudgedProtocol(FakeProtocol):
    """Lanes whose source takes some minutes to be final."""

    profiles: dict[LaneKey, Profile] = field(default_factory=dict)
    usual: Profile = field(default_factory=lambda: Profile(finality_s=600.0))

    def profile(self, lane: LaneKey) -> Profile:
        return self.profiles.get(lane, self.usual)


@dataclass
class Scene:
    """One database, two chains (A, B), a judge. Moments are seconds since the genesis."""

    database: Database
    settings: JudgeSettings = field(default_factory=settings)
    protocol: JudgedProtocol = field(default_factory=JudgedProtocol)
    clock: FakeClock = field(default_factory=lambda: FakeClock(float(GENESIS_TIME)))
    reports: list[Sequence[Finding]] = field(default_factory=list)
    reporting: bool = True

    def __post_init__(self) -> None:
        self.registry = CollectorRegistry()
        self.world = World()  # only to make blocks
        self.world.protocol = self.protocol
        self.messages = MessageMetrics(self.protocol, CollectorRegistry())
        self.judge = self.new_judge()

    def new_judge(self, **more: Any) -> JudgeService:
        self.registry = CollectorRegistry()
        return JudgeService(
            self.protocol,
            observers=self.messages.observers,
            database=self.database,
            settings=self.settings,
            metrics=JudgeMetrics("ccip", self.registry),
            clock=self.clock,
            report=(lambda _connection, _source, found: self.reports.append(found)) if self.reporting else None,
            **more,
        )

    async def begin(self) -> None:
        def work(connection: Any) -> None:
            for chain_id in (A, B):
                save_progress(connection, ChainView("ccip", chain_id, 0, -1, -1, GENESIS_TIME, 0))

        await self.database.write(work)
        for chain_id in (A, B):
            self.level(chain_id, 0)

    async def tell(self, chain: ChainId, *events: LogEvent) -> None:
        """One batch; the chain is level with its head after it."""
        numbers = [event.ref.number for event in events if isinstance(event, (Block, Finalized))]
        batch = FakeBatch(chain, events, max(numbers, default=0))

        def work(connection: Any) -> None:
            view = next(item for item in read_chains(connection, "ccip") if item.chain_id == chain)
            decoded = decode(batch, self.protocol.watch(), view)
            apply(connection, decoded, self.protocol, now_ms=int(self.clock.now() * 1000))

        await self.database.write(work)
        self.level(chain, batch.head)

    def level(self, chain: ChainId, head: int) -> None:
        self.messages.observers[chain].position(head, head, head)

    def block(self, chain: ChainId, second: int, *facts: Told | Noticed, fork: str = "") -> Block:
        """A block at a second since the genesis: no two of a chain within 12 seconds."""
        return self.world.block(chain, second // BLOCK_TIME_S, facts, fork=fork, late=second % BLOCK_TIME_S)

    def at(self, second: float) -> None:
        """Move the clock to a second since the genesis."""
        self.clock.advance(GENESIS_TIME + second - self.clock.now())

    async def look(self, second: float | None = None) -> dict[str, list[Finding]]:
        """What is wrong, by kind."""
        if second is not None:
            self.at(second)
        found: dict[str, list[Finding]] = {}
        for finding in await self.judge.look():
            found.setdefault(finding.kind, []).append(finding)
        return found

    def value(self, name: str, **labels: str) -> float:
        return sum(
            sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )
