"""The devnet against real anvil nodes and the real CCIP contracts."""

from __future__ import annotations

import pytest

from seamark.devnet.ccip.model import ExecutionState
from tests.support.world import World, world  # noqa: F401 - a fixture

pytestmark = pytest.mark.integration


async def test_a_message_goes_each_way(world: World):  # noqa: F811
    for lane in (world.outbound, world.inbound):
        (message,) = await world.send(lane)
        (execution,) = await world.deliver(lane)
        assert execution.message == message
        assert execution.state is ExecutionState.SUCCESS
        assert await lane.state(message) is ExecutionState.SUCCESS
