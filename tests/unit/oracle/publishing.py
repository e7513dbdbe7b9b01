"""What tests of the publisher do and ask, over and over."""

from seamark.oracle.model import FeedState
from seamark.oracle.store import list_publications
from seamark.storage.events import read_events
from seamark.storage.totals import read_totals

from .fakes import World, until

__all__ = ["chain_state", "failed", "publications", "publish", "published", "started", "topics", "totals"]


async def publications(world):
    return await world.database.read(lambda connection: list(reversed(list_publications(connection))))


async def topics(world):
    return [event.topic for event in await world.database.read(lambda connection: read_events(connection, 0))]


async def totals(world):
    found = await world.database.read(lambda connection: list(read_totals(connection, "oracle_")))
    return {(item.metric, item.labels.get("reason") or item.labels.get("class", "")): int(item.value) for item in found}


async def started(world):
    await until(lambda: world.publisher.state is not None and world.publisher._ready and not world.publisher._busy)


async def published(world, rounds):
    """Wait until so many rounds are on chain and stored."""
    publisher = world.publisher
    await until(lambda: publisher.state is not None and publisher.state.round >= rounds and not publisher._busy)


async def failed(world, times):
    """Wait until so many publications in a row have failed."""
    await until(lambda: world.publisher._failures == times and not world.publisher._busy)


def chain_state(world: World) -> FeedState:
    """What the publisher knows of the contract."""
    assert world.publisher.state is not None
    return world.publisher.state


async def publish(world, *prices):
    """Quote and see it through."""
    rounds = chain_state(world).round
    assert world.tell(*prices) is not None
    await published(world, rounds + 1)
