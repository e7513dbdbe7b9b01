"""A publisher with a circuit breaker: what jumps waits, says so, and goes once it is confirmed."""

from dataclasses import replace
from functools import partial

from seamark.core.units import Ppb
from seamark.oracle.acceptance import accept, held_feeds
from seamark.oracle.model import AggregationPolicy, Method, QuoteFault, Reason, TriggerPolicy

from .conftest import running
from .fakes import make_world, quote
from .publishing import publications, publish, published, started, topics

BREAKER = TriggerPolicy(heartbeat=3600, deviation=Ppb(5_000_000), max_step=Ppb(100_000_000), confirm_after=15)


async def test_a_jump_waits_for_a_second_round_and_is_told(database):
    world = make_world(database, trigger=BREAKER, poll_interval=5.0)
    async with running(world.publisher):
        await started(world)
        await publish(world, 2000, 2000, 2000)
        await world.clock.advance(60)
        assert world.tell(3000, 3000, 3000) is None
        assert world.publisher.problem() == "held: 3000 is a jump from 2000.00000000 that waits for confirmation"
        await world.clock.advance(10)
        assert world.tell(3001, 3001, 3001) is None
        await world.clock.advance(6)
        await publish(world, 3002, 3002, 3002)
        for _ in range(100):
            if "oracle.released" in await topics(world):
                break
            await world.clock.advance(1)
    assert [row.answer for row in await publications(world)] == [200_000_000_000, 300_200_000_000]
    told = [topic for topic in await topics(world) if topic in ("oracle.held", "oracle.released")]
    assert told == ["oracle.held", "oracle.released"]


async def test_a_glitch_is_never_published(database):
    world = make_world(database, trigger=BREAKER, poll_interval=5.0)
    async with running(world.publisher):
        await started(world)
        await publish(world, 2000, 2000, 2000)
        await world.clock.advance(60)
        assert world.tell(9000, 9000, 9000) is None
        await world.clock.advance(5)
        assert world.tell(2001, 2001, 2001) is None
        assert world.publisher.problem() is None
        await world.clock.advance(30)
        assert world.tell(9000, 9000, 9000) is None  # it waits anew
    assert len(await publications(world)) == 1


async def held_world(database):
    """A publisher that holds a jump from 2000 to 3000 and has said so."""
    world = make_world(database, trigger=BREAKER, poll_interval=1.0)
    async with running(world.publisher):
        await started(world)
        await publish(world, 2000, 2000, 2000)
        await world.clock.advance(5)
        world.tell(3000, 3000, 3000)
        await world.clock.advance(1.5)
        await until_held(world)
        yield world


async def until_held(world):
    for _ in range(200):
        if world.sample("oracle_answer_held") == 1 and "oracle.held" in await topics(world):
            return
        await world.clock.advance(0.01)
    raise AssertionError("not held")


async def test_a_person_may_confirm_a_jump(database):
    async for world in held_world(database):
        assert world.sample("oracle_answers_held_total") == 1
        (held,) = await database.read(held_feeds)
        assert (held.feed, held.chain) == ("ETH/USD", "home")
        assert held.detail.startswith("held: 3000 is a jump from 2000")
        await database.write(partial(accept, held=held, who="ann", why="listed on two exchanges"))
        await world.clock.advance(1.5)
        await published(world, 2)
        for _ in range(100):
            if "oracle.released" in await topics(world):
                break
            await world.clock.advance(1)
        assert [row.answer for row in await publications(world)] == [200_000_000_000, 300_000_000_000]
        of_holds = ("oracle.held", "oracle.accepted", "oracle.released")
        assert [topic for topic in await topics(world) if topic in of_holds] == [
            "oracle.held",
            "oracle.accepted",
            "oracle.released",
        ]
        assert await database.read(held_feeds) == []
        assert world.sample("oracle_answer_held") == 0


async def test_an_acceptance_is_of_the_jump_that_was_held_then(database):
    async for world in held_world(database):
        (held,) = await database.read(held_feeds)
        world.clock.time += 3 * 10**8  # later than any acceptance that is stored now
        world.publisher._jump = None
        world.tell(9000, 9000, 9000)  # another jump
        await database.write(partial(accept, held=held, who="ann", why="3000 is right"))
        await world.clock.advance(2)
        assert len(await publications(world)) == 1


async def test_another_feeds_acceptance_does_not_count(database):
    async for world in held_world(database):
        (held,) = await database.read(held_feeds)
        other = replace(held, payload={**held.payload, "chain_id": 5})
        await database.write(partial(accept, held=other, who="ann", why="there"))
        await world.clock.advance(2)
        assert len(await publications(world)) == 1


async def test_a_restart_keeps_the_breaker(database):
    first = make_world(database, trigger=BREAKER)
    async with running(first.publisher):
        await started(first)
        await publish(first, 2000, 2000, 2000)
    second = make_world(database, clock=first.clock, chain=first.chain, journal=first.sender.journal, trigger=BREAKER)
    async with running(second.publisher):
        await started(second)
        await second.clock.advance(1)
        assert second.tell(3000, 3000, 3000) is None
        await second.clock.advance(15)
        await publish(second, 3000, 3000, 3000)


async def test_a_round_keeps_every_sources_part(database):
    world = make_world(database)
    async with running(world.publisher):
        await started(world)
        now = world.clock.now()
        told = [quote("a", 2000, now), quote("b", 0, now), quote("c", 2001, now, weight=3, observed_at=now - 4)]
        assert world.publisher.on_quotes(told) is not None
        await world.clock.advance(1)
    (row,) = await publications(world)
    assert row.reason is Reason.FIRST
    assert [(vote.source, vote.weight, vote.age, vote.fault) for vote in row.votes] == [
        ("a", 1, 0.0, None),
        ("b", 1, 0.0, QuoteFault.NOT_POSITIVE),
        ("c", 3, 4.0, None),
    ]
    assert row.quotes == (("a", "2000"), ("c", "2001"))


async def test_a_feed_by_time_weighted_average(database):
    policy = AggregationPolicy(min_venues=2, method=Method.TWAP, window=60.0)
    world = make_world(database, aggregation=policy)
    async with running(world.publisher):
        await started(world)
        await publish(world, 2000, 2000, 2000)
        await world.clock.advance(30)
        assert world.tell(2400, 2400, 2400) is None  # no time has passed at the new price
        await world.clock.advance(15)
        await publish(world, 2400, 2400, 2400)
    rows = await publications(world)
    assert rows[-1].answer is not None
    assert 2130 * 10**8 < rows[-1].answer < 2140 * 10**8  # 30 s of 2000, 15 s of 2400
