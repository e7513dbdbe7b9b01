from __future__ import annotations

from seamark.evm.rpc import chain_health
from seamark.runtime.health import Status
from tests.unit.evm.rpc.chains import chain_of
from tests.unit.evm.rpc.fake_node import FakeNode


async def test_all_is_well() -> None:
    async with FakeNode() as first, FakeNode() as second, chain_of(first, second) as chain:
        health = await chain_health(chain)
        assert (health.status, health.detail) == (Status.OK, "block 100, 2 of 2 endpoints")


async def test_each_trouble_is_named() -> None:
    async with FakeNode() as good, FakeNode(head=50) as stale, FakeNode(chain_id=7) as wrong, FakeNode() as gone:
        gone.down = True
        async with chain_of(good, stale, wrong, gone) as chain:
            health = await chain_health(chain)
            assert health.status is Status.DEGRADED
            assert health.detail.startswith("block 100, 1 of 4 endpoints: ")
            for words in ("is 50 blocks behind", "serves chain id 7", "does not answer"):
                assert words in health.detail


async def test_nobody_answers() -> None:
    async with FakeNode() as node, chain_of(node) as chain:
        node.down = True
        health = await chain_health(chain)
        assert health.status is Status.DOWN
        assert "HTTP status 503" in health.detail
