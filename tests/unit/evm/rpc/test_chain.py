"""Which endpoint is asked, and what is believed of it."""

from __future__ import annotations

import asyncio

import pytest

from seamark.core.errors import SettingsError, TemporaryError
from seamark.evm.rpc.chain import TAG_RECHECK_S
from seamark.evm.rpc.errors import (
    BadReply,
    NoEndpoint,
    RateLimited,
    RpcUnavailable,
    WrongChain,
)
from seamark.evm.rpc.pool import HEAD_COUNTS_S, SECOND_TRY_S, SURVEY_EVERY_S, WRONG_CHAIN_REST_S
from tests.support.clock import FakeClock
from tests.support.faulty_rpc import Faults, FaultyRpc
from tests.unit.evm.rpc.chains import chain_of, refuse
from tests.unit.evm.rpc.fake_node import FakeNode

# ---- chain id --------------------------------------------------------------------------------------------------------


async def test_the_chain_id_is_asked_once() -> None:
    async with FakeNode() as node, chain_of(node) as chain:
        for _ in range(3):
            await chain.header("latest")
        assert node.calls["eth_chainId"] == 1


async def test_a_wrong_chain_stops_when_it_is_the_only_one() -> None:
    async with FakeNode(chain_id=5) as node, chain_of(node) as chain:
        with pytest.raises(WrongChain, match=r"127\.0\.0\.1:\d+ serves chain id 5, but the settings say 1;") as caught:
            await chain.header("latest")
        assert isinstance(caught.value, SettingsError)
        with pytest.raises(WrongChain):
            await chain.header("latest")


async def test_all_wrong_stops_one_wrong_does_not() -> None:
    async with FakeNode(chain_id=5) as wrong, FakeNode(chain_id=6) as other, FakeNode() as right:
        async with chain_of(wrong, other) as chain:
            with pytest.raises(WrongChain):
                await chain.header("latest")
        wrong.calls.clear()
        async with chain_of(wrong, right) as chain:
            for _ in range(3):
                assert await chain.header("latest") is not None
            assert wrong.calls["eth_chainId"] == 1
            assert wrong.calls.total() == 1, "a wrong chain is never asked for anything else"


async def test_wrong_and_unreachable_is_temporary() -> None:
    async with FakeNode(chain_id=5) as wrong, FakeNode() as right, chain_of(wrong, right) as chain:
        right.down = True
        with pytest.raises(NoEndpoint):
            await chain.header("latest")
        right.down = False
        assert await chain.header("latest") is not None


async def test_a_corrected_endpoint_is_used_again() -> None:
    clock = FakeClock()
    async with FakeNode(chain_id=5) as node, FakeNode() as right, chain_of(node, right, clock=clock) as chain:
        await chain.header("latest")
        node.chain_id = 1
        clock.advance(WRONG_CHAIN_REST_S)
        await chain.header("latest")
        assert chain.pool.members[0].wrong_chain is None


async def test_after_a_lost_connection_the_chain_id_is_asked_again() -> None:
    async with FakeNode() as node, chain_of(node) as chain:
        await chain.header("latest")
        node.down = True
        with pytest.raises(RpcUnavailable):
            await chain.header("latest")
        node.down, node.chain_id = False, 5
        with pytest.raises(WrongChain):
            await chain.header("latest")


# ---- choosing endpoints ----------------------------------------------------------------------------------------------


async def test_the_first_endpoint_is_preferred() -> None:
    async with FakeNode() as first, FakeNode() as second, chain_of(first, second) as chain:
        for _ in range(10):
            await chain.header(5)
        assert (first.calls["eth_getBlockByNumber"], second.calls["eth_getBlockByNumber"]) == (10, 0)


async def test_a_failure_in_passing_is_not_the_callers_business() -> None:
    clock = FakeClock()
    async with FakeNode() as node, FaultyRpc(node.url) as proxy, chain_of(proxy, clock=clock) as chain:
        for faults in (Faults(half_reply=True), Faults(status=500), Faults(wrong_ids=True)):
            proxy.fail_next(1, faults)
            assert (await chain.headers([3]))[0] is not None
        assert clock.slept == [SECOND_TRY_S] * 3
        proxy.faults, asked = Faults(status=500), proxy.requests
        with pytest.raises(RpcUnavailable):
            await chain.headers([3])
        assert proxy.requests == asked + 2, "once more, not for ever"


async def test_a_failing_endpoint_rests_and_comes_back() -> None:
    clock = FakeClock()
    async with FakeNode() as first, FakeNode() as second, chain_of(first, second, clock=clock) as chain:
        await chain.header(5)
        first.down = True
        await chain.header(5)
        first.down = False
        before = first.calls.total()
        await chain.header(5)
        assert first.calls.total() == before, "resting"
        for _ in range(20):
            clock.advance(SURVEY_EVERY_S)
            await chain.header(5)
            await asyncio.sleep(0.01)  # the survey runs beside
        assert first.calls["eth_getBlockByNumber"] > 1


async def test_every_failure_is_told() -> None:
    async with FakeNode() as first, FakeNode() as second, chain_of(first, second) as chain:
        first.down = second.down = True
        with pytest.raises(NoEndpoint) as caught:
            await chain.header("latest")
        assert first.url.removeprefix("http://") in str(caught.value)
        assert second.url.removeprefix("http://") in str(caught.value)
        assert len(caught.value.causes) == 2
        first.down = second.down = False
        assert await chain.header("latest") is not None, "resting endpoints are asked when there is no other"


async def test_short_rate_limits_are_waited_out() -> None:
    clock = FakeClock()
    async with FakeNode() as node, chain_of(node, clock=clock) as chain:
        await chain.header("latest")
        node.rate_limited = 2
        assert await chain.header("latest") is not None
        assert clock.slept == [2.0, 2.0]


async def test_long_rate_limits_are_told() -> None:
    async with FakeNode() as node, FaultyRpc(node.url) as proxy, chain_of(proxy) as chain:
        proxy.faults = Faults(status=429, headers={"Retry-After": "60"})
        with pytest.raises(RateLimited) as caught:
            await chain.header("latest")
        assert caught.value.retry_after == 60


async def test_a_lagging_endpoint_is_not_asked_about_the_head() -> None:
    async with FakeNode(head=80) as stale, FakeNode(head=100) as good, chain_of(stale, good) as chain:
        for _ in range(3):
            header = await chain.header("latest")
            assert header is not None
            assert header.number == 100
        assert stale.calls["eth_getBlockByNumber"] == 0


async def test_an_endpoint_that_freezes_later_is_noticed() -> None:
    clock = FakeClock()
    async with (
        FakeNode(head=100) as freezing,
        FakeNode(head=100) as good,
        chain_of(freezing, good, clock=clock) as chain,
    ):
        await chain.header("latest")
        good.head = 120
        clock.advance(SURVEY_EVERY_S)
        for _ in range(200):
            header = await chain.header("latest")
            assert header is not None
            if header.number == 120:
                break
            await asyncio.sleep(0.005)  # the survey runs beside
        else:
            pytest.fail("the frozen endpoint was believed for good")


async def test_small_differences_are_normal() -> None:
    async with FakeNode(head=98) as first, FakeNode(head=100) as second, chain_of(first, second) as chain:
        header = await chain.header("latest")
        assert header is not None
        assert header.number == 98


async def test_a_lagging_endpoint_alone_is_believed_again_after_a_while() -> None:
    clock = FakeClock()
    async with FakeNode(head=80) as stale, FakeNode(head=100) as good, chain_of(stale, good, clock=clock) as chain:
        await chain.header("latest")
        good.down = True
        with pytest.raises(TemporaryError):
            await chain.header("latest")
        clock.advance(HEAD_COUNTS_S + 1)
        header = await chain.header("latest")
        assert header is not None
        assert header.number == 80, "nothing else is known any more"


async def test_a_shorter_chain_of_the_only_endpoint_is_believed() -> None:
    async with FakeNode(head=100) as node, chain_of(node) as chain:
        await chain.header("latest")
        node.head = 50
        header = await chain.header("latest")
        assert header is not None
        assert header.number == 50
        assert await chain.header(60) is None


# ---- headers ---------------------------------------------------------------------------------------------------------


async def test_headers_of_one_call_come_from_one_endpoint() -> None:
    async with FakeNode(head=300) as node, chain_of(node) as chain:
        headers = await chain.headers(list(range(295, 303)))
        assert [header and header.number for header in headers] == [295, 296, 297, 298, 299, 300, None, None]
        assert await chain.headers([]) == []


async def test_a_block_that_should_exist_is_looked_for_elsewhere() -> None:
    async with FakeNode(head=98) as first, FakeNode(head=100) as second, chain_of(first, second) as chain:
        header = await chain.header(100)
        assert header is not None
        assert [found and found.number for found in await chain.headers([97, 99, 101])] == [97, 99, None]
        assert await chain.header(101) is None


async def test_another_block_than_asked_for_is_refused() -> None:
    async with FakeNode() as node, chain_of(node) as chain:
        node.handlers["eth_getBlockByNumber"] = lambda *_: node.header(7)
        with pytest.raises(BadReply, match="block 7 was sent for block 5"):
            await chain.header(5)


async def test_no_latest_block_is_an_error() -> None:
    async with FakeNode() as node, chain_of(node) as chain:
        node.handlers["eth_getBlockByNumber"] = lambda *_: None
        with pytest.raises(BadReply, match="no latest block"):
            await chain.header("latest")


@pytest.mark.parametrize(
    "handler",
    [
        lambda *_: None,  # Nethermind, reth, ethrex
        refuse(-32000, "safe block not found"),  # geth
        refuse(-32000, "finalized block not found"),
        refuse(-39001, "Unknown block"),  # Besu, Erigon
        refuse(-32603, "failed to parse block number"),  # IoTeX
        refuse(-32602, "invalid argument 0: hex string without 0x prefix"),
    ],
)
async def test_chains_without_finality_tags(handler) -> None:
    clock = FakeClock()
    async with FakeNode() as node, chain_of(node, clock=clock) as chain:
        node.handlers["eth_getBlockByNumber"] = handler
        assert await chain.header("finalized") is None
        assert not chain.knows_tag("finalized")
        assert chain.knows_tag("safe")
        asked = node.calls["eth_getBlockByNumber"]
        assert await chain.header("finalized") is None
        assert node.calls["eth_getBlockByNumber"] == asked, "remembered"
        del node.handlers["eth_getBlockByNumber"]
        clock.advance(TAG_RECHECK_S)
        header = await chain.header("finalized")
        assert header is not None
        assert header.number == 90


async def test_trouble_is_not_a_missing_tag() -> None:
    async with FakeNode() as node, chain_of(node) as chain:
        node.handlers["eth_getBlockByNumber"] = refuse(-32603, "Internal error")
        with pytest.raises(RpcUnavailable):
            await chain.header("finalized")
        assert chain.knows_tag("finalized")


async def test_one_endpoint_with_the_tag_is_enough() -> None:
    async with FakeNode() as without, FakeNode() as having, chain_of(without, having) as chain:
        without.handlers["eth_getBlockByNumber"] = lambda *_: None
        for _ in range(2):
            header = await chain.header("finalized")
            assert header is not None
