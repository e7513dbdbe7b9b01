from seamark.oracle.model import PublicationState, Reason
from seamark.oracle.store import list_publications

from .conftest import running
from .fakes import make_world, until


async def publications(world):
    return await world.database.read(lambda connection: list_publications(connection))


async def test_the_first_price_is_published_at_once(database):
    world = make_world(database)
    async with running(world.publisher):
        await until(lambda: world.publisher.state)
        world.tell("2000", "2001", "2002")
        await until(lambda: world.sample("oracle_updates_sent_total", reason="first"))
    assert world.chain.feed.rounds == {1: (200_100_000_000, 1_700_000_000, 1_700_000_000)}
    (row,) = await publications(world)
    assert (row.state, row.reason, row.round, row.answer) == (PublicationState.MINED, Reason.FIRST, 1, 200_100_000_000)
