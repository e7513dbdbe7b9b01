"""Several oracles of one FluxAggregator, in whatever order they look and act, and however old what they saw is."""

import asyncio
from dataclasses import dataclass
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from seamark.core.ids import Address
from seamark.core.units import Ppb
from seamark.evm.rpc.errors import CallReverted
from seamark.oracle.model import Answer, FeedState, Trigger, TriggerPolicy
from seamark.oracle.rules import decide
from seamark.oracle.targets.flux import FluxTarget
from tests.unit.oracle.fakes import FEED, FakeChain, FakeClock
from tests.unit.oracle.targets.flux_chain import FakeFlux

COUNT = 4
ADDRESSES = tuple(Address(f"0x{number:040x}") for number in range(1, COUNT + 1))
POLICY = TriggerPolicy(heartbeat=10**6, deviation=Ppb(5_000_000))
PRICES = st.integers(900, 1100)
ORACLES = st.integers(0, COUNT - 1)
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("look"), ORACLES),
        st.tuples(st.just("act"), ORACLES),
        st.tuples(st.just("price"), ORACLES, PRICES),
    ),
    max_size=60,
)


@dataclass
class Oracle:
    """What one of them knows. `seen` may be old."""

    address: Address
    target: FluxTarget
    price: int
    seen: FeedState | None = None


@dataclass
class Network:
    """The contract and its oracles; each action takes a second and a block."""

    clock: FakeClock
    chain: FakeChain
    flux: FakeFlux
    oracles: list[Oracle]
    refused: int = 0

    async def look(self, oracle: Oracle) -> None:
        oracle.seen = await oracle.target.read()

    def act(self, oracle: Oracle) -> bool:
        """Decide by what it saw; whether it sent anything."""
        self.clock.time += 1
        self.chain.height += 1
        now = int(self.clock.now())
        if oracle.seen is None:
            return False
        answer = Answer(oracle.price, 8, Decimal(oracle.price), now, (), (), Ppb(0))
        if not isinstance(decide(oracle.seen, answer, now, POLICY), Trigger):
            return False
        data = oracle.target.encode(oracle.seen.next_round, answer)
        try:
            self.flux.submit(oracle.address, data, self.chain.height, now)
        except CallReverted:
            self.refused += 1
        return True


def network(needed: int, prices: list[int]) -> Network:
    clock = FakeClock()
    chain = FakeChain(clock)
    flux = FakeFlux(needed=needed, oracles=ADDRESSES)
    chain.feeds[FEED] = flux
    oracles = [
        Oracle(address, FluxTarget(chain, FEED, address), price)
        for address, price in zip(ADDRESSES, prices, strict=True)
    ]
    return Network(clock, chain, flux, oracles)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, COUNT), st.lists(PRICES, min_size=COUNT, max_size=COUNT), ACTIONS)
def test_who_has_just_looked_is_never_refused(
    needed: int, prices: list[int], actions: list[tuple[object, ...]]
) -> None:
    async def play() -> None:
        world = network(needed, prices)
        for kind, which, *rest in actions:
            oracle = world.oracles[int(str(which))]
            if kind == "price":
                oracle.price = int(str(rest[0]))
            else:
                await world.look(oracle)
                world.act(oracle)
        assert world.refused == 0

    asyncio.run(play())


@settings(max_examples=60, deadline=None)
@given(st.integers(1, COUNT), st.lists(PRICES, min_size=COUNT, max_size=COUNT), ACTIONS, PRICES)
def test_when_all_agree_they_come_to_rest_at_that_price(
    needed: int, prices: list[int], actions: list[tuple[object, ...]], agreed: int
) -> None:
    """Whatever went before, with states as old as they like: no round is begun for ever, none is left open."""

    async def play() -> None:
        world = network(needed, prices)
        for kind, which, *rest in actions:
            oracle = world.oracles[int(str(which))]
            match kind:
                case "look":
                    await world.look(oracle)
                case "act":
                    world.act(oracle)
                case "price":
                    oracle.price = int(str(rest[0]))
        for oracle in world.oracles:
            oracle.price = agreed
        for _ in range(6):
            acted = []
            for oracle in world.oracles:
                await world.look(oracle)
                acted.append(world.act(oracle))
            if not any(acted):
                break
        else:
            raise AssertionError("they never rest")
        newest = max(world.flux.parts)
        assert set(world.flux.parts[newest]) == set(ADDRESSES)
        answer, _, _ = world.flux.rounds[newest]
        assert abs(answer - agreed) * 200 <= answer  # within the deviation

    asyncio.run(play())


@settings(max_examples=60, deadline=None)
@given(st.integers(1, COUNT), st.lists(PRICES, min_size=COUNT, max_size=COUNT), ACTIONS)
def test_each_answers_a_round_once_and_the_answer_is_among_theirs(
    needed: int, prices: list[int], actions: list[tuple[object, ...]]
) -> None:
    async def play() -> None:
        world = network(needed, prices)
        sent = 0
        for kind, which, *rest in actions:
            oracle = world.oracles[int(str(which))]
            match kind:
                case "look":
                    await world.look(oracle)
                case "act":
                    sent += world.act(oracle)
                case "price":
                    oracle.price = int(str(rest[0]))
        taken = sum(len(parts) for parts in world.flux.parts.values())
        assert taken == sent - world.refused
        for round_id, (answer, _, _) in world.flux.rounds.items():
            told = world.flux.parts[round_id].values()
            assert min(told) <= answer <= max(told)

    asyncio.run(play())
