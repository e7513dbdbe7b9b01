"""Finality tags where some endpoints do not answer: what one says for the others, and what it does not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from seamark.core.errors import TemporaryError
from seamark.core.ids import ChainId
from seamark.evm.rpc import Chain
from seamark.evm.rpc.chain import TAG_RECHECK_S, TAG_TRUST_S
from seamark.runtime.http import make_session
from tests.support.clock import FakeClock
from tests.unit.evm.rpc.fake_node import FakeNode


@asynccontextmanager
async def chain_of(one: FakeNode, other: FakeNode, clock: FakeClock) -> AsyncIterator[Chain]:
    async with make_session() as session:
        chain = Chain(ChainId(1), [one.url, other.url], session=session, clock=clock)
        try:
            yield chain
        finally:
            await chain.close()


def without_tag(node: FakeNode, tag: str = "finalized") -> None:
    node.handlers["eth_getBlockByNumber"] = lambda block, _: (
        None if block == tag else node.header(node.head if block == "latest" else int(block, 16))
    )


async def test_on_a_chain_without_the_tag_a_dead_endpoint_changes_nothing() -> None:
    clock = FakeClock()
    async with FakeNode() as alive, FakeNode() as dead, chain_of(alive, dead, clock) as chain:
        without_tag(alive)
        dead.down = True
        assert await chain.header("finalized") is None
        clock.advance(2 * TAG_RECHECK_S)
        assert await chain.header("finalized") is None, "one that answers has no such tag, and nobody ever had"


async def test_a_tag_that_one_endpoint_lacks_is_waited_for_where_another_had_it() -> None:
    clock = FakeClock()
    async with FakeNode() as poor, FakeNode() as rich, chain_of(poor, rich, clock) as chain:
        without_tag(poor)
        header = await chain.header("finalized")
        assert header is not None
        assert header.number == 90
        rich.down = True
        with pytest.raises(TemporaryError):
            await chain.header("finalized")


async def test_a_tag_that_was_known_does_not_go_away_in_a_moment() -> None:
    clock = FakeClock()
    async with FakeNode() as one, FakeNode() as other, chain_of(one, other, clock) as chain:
        assert await chain.header("finalized") is not None
        without_tag(one)
        without_tag(other)
        with pytest.raises(TemporaryError, match="knows no finalized block"):
            await chain.header("finalized")
        assert chain.knows_tag("finalized")
        clock.advance(TAG_TRUST_S)
        assert await chain.header("finalized") is None, "it has been gone for long: another kind of node is there now"
