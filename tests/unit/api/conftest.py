"""A served API around in-memory fakes, and an HTTP client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.support.browser import ServedApi, opened_story, serving
from tests.unit.api.fakes import Story


@pytest.fixture
async def story(tmp_path: Path) -> AsyncIterator[Story]:
    async with opened_story(tmp_path) as opened:
        yield opened


@pytest.fixture
async def api(story: Story) -> AsyncIterator[ServedApi]:
    async with serving(story) as served:
        yield served


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[ServedApi, aiohttp.ClientSession]]:
    """One server for a whole module of tests that change nothing; making one takes longer than most tests."""
    async with (
        opened_story(tmp_path_factory.mktemp("story")) as opened,
        serving(opened) as served,
        aiohttp.ClientSession() as session,
    ):
        yield served, session
