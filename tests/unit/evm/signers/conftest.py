"""A session and a clock for signers that ask services."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.support.clock import FakeClock

from seamark.runtime.http import make_session
from seamark.runtime.http_exchange import HttpSession


@pytest.fixture
async def session() -> AsyncIterator[HttpSession]:
    async with make_session() as one:
        yield one


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
