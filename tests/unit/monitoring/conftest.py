"""A database on each engine that several processes can share, and a short way to work on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from seamark.storage.database import Database, open_database
from tests.unit.storage.conftest import make_url


@pytest.fixture(params=["memory", pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.timeout(60)])])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    async for url in make_url(request.param, tmp_path):
        opened = await open_database(url)
        yield opened
        await opened.close()


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Database]:
    """Where the engine makes no difference."""
    opened = await open_database("sqlite://")
    yield opened
    await opened.close()
