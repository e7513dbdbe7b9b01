"""One node, one journal, one clock, and a sender on top of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.support.sending import Rig


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    one = await Rig.open()
    yield one
    await one.close()
