"""Heads that nobody confirms."""

from __future__ import annotations

import asyncio

import pytest

from seamark.evm.rpc import Chain, chain_health
from seamark.evm.rpc.errors import (
    MethodNotSupported,
    NoEndpoint,
)
from seamark.evm.rpc.pool import SURVEY_EVERY_S
from tests.support.clock import FakeClock
from tests.unit.evm.rpc.chains import SOMEBODY, chain_of
from tests.unit.evm.rpc.fake_node import FakeNode, block_hash

FAR = 10**9


def claiming(node: FakeNode, number: int) -> None:
    """It answers as before, but tells another head."""
    node.handlers["eth_blockNumber"] = lambda: hex(number)
    header = node.on_eth_getBlockByNumber
    latest = {"number": hex(number), "hash": block_hash(number), "parentHash": block_hash(number - 1)}
    node.handlers["eth_getBlockByNumber"] = lambda block, full: (
        header("0x64", full) | latest if block == "latest" else header(block, full)
    )


async def latest_of(chain: Chain) -> int:
    header = await chain.header("latest")
    assert header is not None
    return header.number


@pytest.mark.parametrize("honest", [1, 2])
async def test_an_absurd_head_does_not_shut_out_the_others(honest: int) -> None:
    async with FakeNode() as liar, FakeNode() as good, FakeNode(head=99) as other:
        claiming(liar, FAR)
        async with chain_of(liar, *[good, other][:honest]) as chain:
            for _ in range(3):
                assert await latest_of(chain) == 100
            assert chain.pool.best_head == 100
            assert liar.calls["eth_getBlockByNumber"] == 0
            assert "claims a head 999999900 blocks beyond the others" in (await chain_health(chain)).detail


async def test_an_absurd_head_later_is_judged_by_the_past() -> None:
    clock = FakeClock()
    async with FakeNode() as liar, FakeNode() as good, chain_of(liar, good, clock=clock) as chain:
        assert await latest_of(chain) == 100
        claiming(liar, FAR)
        clock.advance(SURVEY_EVERY_S)
        for _ in range(200):
            await latest_of(chain)
            if chain.pool.members[0].current_head == FAR:
                break
            await asyncio.sleep(0.005)  # the survey runs beside
        good.head = 101
        assert await latest_of(chain) == 101


async def test_one_that_falls_far_back_later_is_behind_all_the_same() -> None:
    clock = FakeClock()
    async with FakeNode(head=FAR) as syncing, FakeNode(head=FAR) as good, chain_of(syncing, good, clock=clock) as chain:
        assert await latest_of(chain) == FAR
        syncing.head = 5
        assert await latest_of(chain) == FAR
        assert chain.pool.behind(chain.pool.members[0]) == FAR - 5
        assert "blocks behind" in (await chain_health(chain)).detail


async def test_a_node_that_begins_to_sync_says_nothing_about_the_others() -> None:
    async with FakeNode(head=0) as syncing, FakeNode(head=FAR) as good, chain_of(syncing, good) as chain:
        assert await latest_of(chain) == FAR
        assert syncing.calls["eth_getBlockByNumber"] == 0


async def test_an_absurd_head_is_asked_when_all_others_fail() -> None:
    async with FakeNode() as liar, FakeNode() as good, chain_of(liar, good) as chain:
        claiming(liar, FAR)
        liar.handlers["eth_getTransactionCount"] = lambda *_: "0x7"
        assert await latest_of(chain) == 100
        good.down = True
        assert await chain.nonce(SOMEBODY) == 7


async def test_those_behind_are_asked_when_all_others_fail() -> None:
    async with FakeNode(head=80) as stale, FakeNode(head=100) as good, chain_of(stale, good) as chain:
        stale.handlers["eth_getTransactionCount"] = lambda *_: "0x7"
        good.handlers["eth_getTransactionCount"] = lambda *_: "0x9"
        assert await chain.nonce(SOMEBODY) == 9
        good.down = True
        assert await chain.nonce(SOMEBODY) == 7
        with pytest.raises(NoEndpoint, match="20 blocks behind"):
            await chain.header("latest")


async def test_what_all_refuse_is_not_put_to_those_behind() -> None:
    async with FakeNode(head=80) as stale, FakeNode(head=100) as good, chain_of(stale, good) as chain:
        with pytest.raises(MethodNotSupported):
            await chain.max_priority_fee()
        assert good.calls["eth_maxPriorityFeePerGas"] == 1
        assert stale.calls["eth_maxPriorityFeePerGas"] == 0
