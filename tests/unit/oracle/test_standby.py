"""A publisher while another replica leads: warm, and silent; and how it takes over."""

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

from seamark.oracle.assembly import Parts
from seamark.oracle.model import Answer, PublicationState, Reason
from seamark.oracle.publications import attempt_key
from seamark.oracle.store import list_feeds
from seamark.runtime.leadership import NotLeadingError

from .conftest import running
from .fakes import REF, breathe, make_world, until
from .publishing import chain_state, publications, publish, published, started, topics


@asynccontextmanager
async def standing_by(publisher):
    task = asyncio.create_task(publisher.stand_by())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_it_knows_the_chain_and_the_price_and_publishes_and_stores_nothing(database):
    world = make_world(database)
    async with standing_by(world.publisher):
        await until(lambda: world.publisher.state is not None)
        assert world.tell(2000, 2000, 2000) is None
        await breathe()
        assert isinstance(world.publisher.result, Answer)
        assert world.sample("oracle_price") == 2000
        assert world.publisher.problem() is None
    assert not world.sender.submitted
    assert await topics(world) == []
    assert await database.read(list_feeds) == []


async def test_it_follows_what_the_leader_publishes(database):
    leader = make_world(database)
    standby = make_world(database, clock=leader.clock, chain=leader.chain, journal=leader.sender.journal)
    async with running(leader.publisher), standing_by(standby.publisher):
        await started(leader)
        await publish(leader, 2000, 2000, 2000)
        await leader.clock.advance(60)
        await until(lambda: chain_state(standby).round == 1)
        assert standby.sample("oracle_onchain_price") == 2000
    assert await topics(leader) == await topics(standby)


async def test_a_chain_that_does_not_answer_ends_nothing(database):
    world = make_world(database)
    world.chain.down = True
    async with standing_by(world.publisher) as task:
        await breathe()
        assert world.publisher.state is None
        world.chain.down = False
        await world.clock.advance(60)
        await until(lambda: world.publisher.state is not None)
        assert not task.done()


async def test_the_first_publication_after_a_takeover_waits_for_no_source(database):
    """The sources were heard while standing by: nothing has to be told again."""
    world = make_world(database)
    async with standing_by(world.publisher):
        await until(lambda: world.publisher.state is not None)
        world.tell(2000, 2000, 2000)
    async with running(world.publisher):
        await published(world, 1)
    (row,) = await publications(world)
    assert (row.state, row.reason, row.answer) == (PublicationState.MINED, Reason.FIRST, 2000 * 10**8)


async def test_it_takes_over_what_the_former_leader_had_on_its_way(database):
    leader = make_world(database)
    standby = make_world(database, clock=leader.clock, chain=leader.chain, journal=leader.sender.journal)
    leader.sender.mining = False
    async with standing_by(standby.publisher):
        async with running(leader.publisher):
            await started(leader)
            leader.tell(2000, 2000, 2000)
            await until(lambda: leader.sample("oracle_tx_accepted_seconds_count"))
            await asyncio.sleep(0.02)
        standby.tell(2000, 2000, 2000)
    async with running(standby.publisher):
        await until(lambda: standby.publisher._busy)
        standby.sender.mine(attempt_key(REF, 1, 1))
        await published(standby, 1)
    (row,) = await publications(standby)
    assert (row.state, len(standby.sender.submitted)) == (PublicationState.MINED, 0), "followed, not sent anew"


class NotOurs:
    """The database of a replica that stands by."""

    async def write(self, _work, *, urgent=False):
        raise NotLeadingError("another replica leads; nothing was stored")


async def test_other_settings_reach_a_standby_too(database):
    world = make_world(database)
    refusing: Any = NotOurs()
    nothing: Any = None
    parts = Parts({}, refusing, world.clock, nothing, nothing)
    plan = world.publisher.plan
    await parts.change(world.publisher, replace(plan, refresh_interval=plan.refresh_interval + 1))
    assert world.publisher.plan.refresh_interval == plan.refresh_interval + 1
