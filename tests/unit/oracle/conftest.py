import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from seamark.runtime.service import Service
from seamark.storage.database import Database, open_database


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    opened = await open_database("sqlite://")
    yield opened
    await opened.close()


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[asyncio.Task[None]]:
    """A service that runs for the length of a test, and is ended as a process ends it."""
    task = asyncio.create_task(service.run())
    try:
        yield task
    finally:
        if not task.done():  # one that failed is the test's to look at
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
