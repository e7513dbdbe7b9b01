"""Every test of the database port runs on all engines: a SQLite file, SQLite in memory, PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from seamark.storage.database import Database, open_database
from tests.support.postgres import new_database

ENGINES = [
    pytest.param("file", id="sqlite-file"),
    pytest.param("memory", id="sqlite-memory"),
    pytest.param("postgres", id="postgres", marks=[pytest.mark.postgres, pytest.mark.timeout(60)]),
]
SHARED_ENGINES = [ENGINES[0], ENGINES[2]]
"""The engines that more than one process can use."""


async def make_url(engine: str, folder: Path) -> AsyncIterator[str]:
    if engine == "postgres":
        async with new_database() as url:
            yield url
    else:
        yield f"sqlite:///{folder}/seamark.db" if engine == "file" else "sqlite://"


@pytest.fixture(params=ENGINES)
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    async for made in make_url(request.param, tmp_path):
        yield made


@pytest.fixture(params=SHARED_ENGINES)
async def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    async for made in make_url(request.param, tmp_path):
        yield made


@pytest.fixture(params=[ENGINES[2]])
async def postgres_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    async for made in make_url(request.param, tmp_path):
        yield made


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    opened = await open_database(url)
    yield opened
    await opened.close()
