"""A second opinion on logs: another endpoint than the preferred one, soon or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from seamark.core.errors import TemporaryError
from seamark.core.ids import Address, ChainId, Hash32
from seamark.evm.rpc import Chain
from seamark.evm.rpc import chain as chain_module
from seamark.evm.rpc.chain import Witness
from seamark.evm.rpc.errors import NoEndpoint, RpcTimeout
from seamark.evm.types import LogFilter
from seamark.runtime.http import make_session
from tests.support.clock import FakeClock
from tests.support.faulty_rpc import Faults, FaultyRpc
from tests.unit.evm.rpc.fake_node import EMITTER, TOPIC, FakeNode

WANTED = LogFilter((Address(EMITTER),), (Hash32(TOPIC),))


@asynccontextmanager
async def chain_of(*nodes: FakeNode | FaultyRpc, clock: FakeClock | None = None) -> AsyncIterator[Chain]:
    async with make_session() as session:
        opened = Chain(ChainId(1), [node.url for node in nodes], session=session, clock=clock or FakeClock())
        try:
            yield opened
        finally:
            await opened.close()


def witness_of(chain: Chain) -> Witness:
    assert chain.witness is not None
    return chain.witness


async def test_one_endpoint_is_no_witness_of_itself() -> None:
    async with FakeNode() as node, chain_of(node) as chain:
        assert chain.witness is None


async def test_the_witness_is_another_endpoint() -> None:
    async with FakeNode() as first, FakeNode() as second, chain_of(first, second) as chain:
        first.handlers["eth_getLogs"] = lambda _wanted: []
        assert await chain.logs(WANTED, 1, 3) == []
        assert [log.block_number for log in await witness_of(chain).logs(WANTED, 1, 3)] == [1, 2, 3]
        assert first.calls["eth_getLogs"] == second.calls["eth_getLogs"] == 1


async def test_a_witness_that_lacks_the_last_block_says_nothing() -> None:
    async with FakeNode() as first, FakeNode(head=2) as second, chain_of(first, second) as chain:
        with pytest.raises(TemporaryError):
            await witness_of(chain).logs(WANTED, 1, 3)


async def test_a_witness_that_mostly_fails_is_not_asked() -> None:
    clock = FakeClock()
    async with FakeNode() as first, FakeNode() as second, chain_of(first, second, clock=clock) as chain:
        second.down = True
        for _ in range(5):
            clock.advance(20)  # it has rested
            with pytest.raises(NoEndpoint):
                await witness_of(chain).logs(WANTED, 1, 3)
        assert chain.pool.members[1].failing
        second.down, asked = False, second.calls.total()
        clock.advance(20)
        with pytest.raises(NoEndpoint):
            await chain.pool.ask(lambda endpoint: endpoint.ask("eth_blockNumber"), second=True)
        assert second.calls.total() <= asked + 2, "the survey of heads alone"


async def test_a_silent_witness_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_module, "SECOND_DEADLINE_S", 0.05)
    async with FakeNode() as first, FakeNode() as node, FaultyRpc(node.url) as second, chain_of(first, second) as chain:
        assert await chain.logs(WANTED, 1, 1)
        second.faults = Faults(hang=True)
        with pytest.raises(RpcTimeout, match="second opinion"):
            await witness_of(chain).logs(WANTED, 1, 3)
