from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from seamark.runtime.http import make_session


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with make_session() as opened:
        yield opened
