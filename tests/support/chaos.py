"""Publishers in chaos: killed or stopped at each step of a publication, on half-dead nodes whose chain forgets blocks.

What happens is decided by a seed; when, by the processes themselves, at the very step. Used by the test and by the
benchmark, which differ in length.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.faulty_rpc import BROKEN_REPLIES, Faults, FaultyRpc
from tests.support.fused_publisher import STEPS, Action, arm, disarm, is_armed
from tests.support.publishers import Harbour, Replica

LEASE = {"lease": "database", "duration": "4s", "renew": "1s"}
NOT_FINAL = {"finality": {"tag": None, "depth": 8}}
"""Deeper than the chain forgets."""

ENDPOINTS = 3
"""Of each publisher; each of them breaks half of the requests."""

REORG_DEPTH = 3
FAILING = 0.5
BURNS_S = 20.0
"""So long for the leader to come to a step; another one may lead by then."""

LOOK_S = 0.1
HEALTHY = Faults()
_BROKEN = tuple(fault for name, fault in BROKEN_REPLIES.items() if name != "too many requests")
"""That one asks for a pause, which is obeyed: more than half would come to nothing."""


@dataclass
class Tally:
    """What was done to them, and what came of it. Times in seconds."""

    kills: int = 0
    stops: int = 0
    reorgs: int = 0
    exits: int = 0
    """Processes that ended by themselves; they are started again, as an orchestrator does."""

    requests: int = 0
    broken: int = 0
    rounds: int = 0
    duplicates: int = 0
    missing: int = 0
    gaps: int = 0
    recoveries: list[float] = field(default_factory=list)
    burned: set[tuple[str, str]] = field(default_factory=set)

    @property
    def worst(self) -> float:
        return max(self.recoveries, default=0.0)


class Storm:
    """Acts on a harbour whose replicas are fused."""

    def __init__(self, harbour: Harbour, seed: int, *, tell: Callable[[str], None] = lambda _: None) -> None:
        self.tell = tell
        self.harbour = harbour
        self.chance = random.Random(seed)
        self.tally = Tally()

    def break_nodes(self) -> None:
        """From now on half of the requests of every replica come to nothing."""
        for rpc in self._rpcs():
            rpc.choose = self._choose

    def _rpcs(self) -> list[FaultyRpc]:
        return [rpc for replica in self.harbour.replicas for rpc in replica.rpcs]

    def _choose(self) -> Faults:
        self.tally.requests += 1
        if self.chance.random() >= FAILING:
            return HEALTHY
        self.tally.broken += 1
        return self.chance.choice(_BROKEN)

    def mend_nodes(self) -> None:
        for rpc in self._rpcs():
            rpc.choose = None

    async def hit(self, step: str, action: Action, *, reorg: bool) -> None:
        """Have the leader die, or stop, at this step; the chain may forget blocks at that moment. Until a round later
        than all before is on the chain.
        """
        await self._raise_the_dead()
        victim = await self._burned(step, action)
        began = time.monotonic()
        reached = await self.harbour.latest()
        if reorg:
            await self._reorg()
        await self._until_round(reached + 1)
        self.tally.recoveries.append(time.monotonic() - began)
        self.tell(f"{action} {step}{', reorg' if reorg else ''}: round after {self.tally.recoveries[-1]:.1f} s")
        self.tally.burned.add((step, action))
        if action is Action.KILL:
            self.tally.kills += 1
            await victim.process.process.wait()
            await victim.start()
        else:
            self.tally.stops += 1
            victim.go_on()

    async def _raise_the_dead(self) -> None:
        for replica in self.harbour.replicas:
            if not replica.lives:
                self.tally.exits += 1
                self.tell(f"{replica.name} ended: {replica.process.text()[-300:]}")
                await replica.start()

    async def _reorg(self) -> None:
        node = self.harbour.node
        await node.request("anvil_reorg", self.chance.randint(1, REORG_DEPTH), [])
        await node.request("anvil_setTime", int(time.time()))  # it turns its clock back with its blocks
        self.tally.reorgs += 1

    async def _burned(self, step: str, action: Action) -> Replica:
        while True:
            leader = await self.harbour.leader()
            if not leader.lives:
                await asyncio.sleep(LOOK_S)
                continue
            arm(leader.folder, step, action)
            until = time.monotonic() + BURNS_S
            while is_armed(leader.folder) and time.monotonic() < until and await self.harbour.leader() is leader:  # noqa: ASYNC110 - another process
                await asyncio.sleep(LOOK_S)
            if not disarm(leader.folder):
                return leader

    async def _until_round(self, wanted: int) -> None:
        async with asyncio.timeout(120):
            while await self.harbour.latest() < wanted:  # noqa: ASYNC110 - another process
                await asyncio.sleep(LOOK_S)

    async def judge(self) -> Tally:
        """Mend everything, let them settle, and count."""
        self.mend_nodes()
        await self.harbour.settles()
        rounds = await self.harbour.rounds()
        self.tally.rounds = await self.harbour.latest()
        self.tally.duplicates = sum(count - 1 for count in rounds.values())
        self.tally.missing = len(set(range(1, self.tally.rounds + 1)) - rounds.keys())
        self.tally.gaps = await self.harbour.nonce_gaps()
        return self.tally


def script(chance: random.Random, actions: Sequence[Action]) -> list[tuple[str, Action, bool]]:
    """Each step once with each action, in any order; half of the time with a reorg."""
    found: list[Any] = [(step, action, chance.random() < 0.5) for step in STEPS for action in actions]
    chance.shuffle(found)
    return found
