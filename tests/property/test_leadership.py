"""Elections under whatever can happen between two instructions: replicas that stop for any time, are cut off, lose
answers, and whose clocks are off and run at different rates.

A try is cut into steps (before and after each request), and a replica that is stopped makes no step. What may never be:
two that lead at one moment, two holders of one token, a token that does not grow; and a store with a fence takes no
write of an older term after one of a newer term.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from seamark.core.errors import TemporaryError
from seamark.runtime.leadership import Elector, LeadershipEvent, RegisterCandidate, Terms
from tests.support.replicas import HostClock, MemoryRegister, MemoryStore, World

REPLICAS = 3
TERMS = Terms(duration=6.0, renew=2.0)
NUMBERS = st.integers(0, REPLICAS - 1)


@dataclass
class Fence:
    token: int = 0
    written: list[int] = field(default_factory=list)

    def write(self, token: int) -> bool:
        if token != self.token:
            return False
        self.written.append(token)
        return True


class Replica:
    def __init__(self, number: int, world: World, store: MemoryStore, fence: Fence, rate: float) -> None:
        self.clock = HostClock(world, ahead=number * 1e5, rate=rate)
        self.register = MemoryRegister(store, gate=self._gate)
        self.fence = fence
        self.at_gate: asyncio.Future[None] | None = None
        self.task: asyncio.Task[None] | None = None
        self.stopped = False
        self.terms: list[int] = []
        self.writing: int | None = None  # the token of a write that has begun and did not reach the store yet
        candidate = RegisterCandidate(f"replica {number}", self.register, terms=TERMS, clock=self.clock)
        self.elector = Elector(
            "lease", candidate, terms=TERMS, clock=self.clock, enter=self._enter, observer=self._observe
        )

    async def _gate(self) -> None:
        self.at_gate = asyncio.get_running_loop().create_future()
        await self.at_gate

    async def _enter(self, token: int) -> None:
        await self._gate()
        if self.register.cut or token < self.fence.token:
            raise TemporaryError("the fence was not raised")
        self.fence.token = token

    def _observe(self, event: LeadershipEvent) -> None:
        if event.began:
            self.terms.append(event.token)

    @property
    def acts(self) -> bool:
        return not self.stopped and self.elector.token is not None


class Elections(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.world, self.store, self.fence = World(), MemoryStore(), Fence()
        self.replicas: list[Replica] = []

    @initialize(rates=st.lists(st.floats(0.92, 1.08), min_size=REPLICAS, max_size=REPLICAS))
    def open(self, rates: list[float]) -> None:
        async def make() -> None:
            self.replicas = [
                Replica(number, self.world, self.store, self.fence, rate) for number, rate in enumerate(rates)
            ]

        self.loop.run_until_complete(make())

    def _run(self) -> None:
        async def breathe() -> None:
            for _ in range(8):
                await asyncio.sleep(0)

        self.loop.run_until_complete(breathe())

    @rule(number=NUMBERS)
    def begin_a_try(self, number: int) -> None:
        replica = self.replicas[number]
        if replica.stopped or (replica.task is not None and not replica.task.done()):
            return
        replica.at_gate = None
        replica.task = self.loop.create_task(replica.elector.stand())
        self._run()

    @rule(number=NUMBERS, steps=st.integers(1, 6))
    def step(self, number: int, steps: int) -> None:
        replica = self.replicas[number]
        for _ in range(steps):
            if replica.stopped or replica.at_gate is None or replica.at_gate.done():
                return
            replica.at_gate.set_result(None)
            self._run()

    @rule(number=NUMBERS)
    def a_whole_try(self, number: int) -> None:
        self.begin_a_try(number)
        self.step(number, 10)

    @rule(seconds=st.sampled_from([0.1, 0.5, 1.0, 1.9, 2.5, 4.7, 6.1]))
    def pass_time(self, seconds: float) -> None:
        self.world.time += seconds

    @rule(number=NUMBERS)
    def stop_or_continue(self, number: int) -> None:
        """SIGSTOP, SIGCONT."""
        self.replicas[number].stopped = not self.replicas[number].stopped

    @rule(number=NUMBERS, cut=st.booleans(), deaf=st.booleans())
    def change_the_network(self, number: int, cut: bool, deaf: bool) -> None:
        self.replicas[number].register.cut = cut
        self.replicas[number].register.deaf = deaf

    @rule(number=NUMBERS)
    def begin_a_write(self, number: int) -> None:
        replica = self.replicas[number]
        if replica.acts and replica.writing is None:
            replica.writing = replica.elector.token

    @precondition(lambda self: any(replica.writing is not None for replica in self.replicas))
    @rule(number=NUMBERS)
    def a_write_arrives(self, number: int) -> None:
        replica = self.replicas[number]
        if replica.writing is not None:
            self.fence.write(replica.writing)
            replica.writing = None

    @invariant()
    def at_most_one_leads(self) -> None:
        leading = [replica.elector.token for replica in self.replicas if replica.elector.token is not None]
        assert len(leading) <= 1, leading

    @invariant()
    def a_token_has_one_holder_and_tokens_grow(self) -> None:
        tokens = [record.token for record in self.store.history]
        assert tokens == sorted(tokens)
        holders: dict[int, str] = {}
        for record in self.store.history:
            if record.holder:
                assert holders.setdefault(record.token, record.holder) == record.holder
        terms = [token for replica in self.replicas for token in replica.terms]
        assert len(set(terms)) == len(terms)
        for replica in self.replicas:
            assert replica.terms == sorted(replica.terms)

    @invariant()
    def the_store_takes_no_write_of_an_older_term(self) -> None:
        assert self.fence.written == sorted(self.fence.written)

    def teardown(self) -> None:
        async def end() -> None:
            tasks: list[Any] = [replica.task for replica in self.replicas if replica.task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self.loop.run_until_complete(end())
        self.loop.close()


TestElections = Elections.TestCase
TestElections.settings = settings(max_examples=60, stateful_step_count=80, deadline=None)
