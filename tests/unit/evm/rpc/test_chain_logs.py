"""Logs of a range, however long it is and whatever a node refuses."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.core.ids import Hash32
from seamark.evm.rpc.errors import (
    BadReply,
    BlockOutOfRange,
    EndpointBehind,
    NoEndpoint,
    ResultTooLarge,
)
from seamark.evm.rpc.limits import FIRST_BLOCK_RANGE
from tests.support.faulty_rpc import Faults, FaultyRpc
from tests.unit.evm.rpc.chains import WANTED, chain_of, told
from tests.unit.evm.rpc.fake_node import FakeNode, block_hash, make_log


async def test_long_ranges_are_cut_and_put_together_in_order() -> None:
    async with FakeNode(head=3000) as node, chain_of(node) as chain:
        assert told(await chain.logs(WANTED, 0, 3000)) == list(range(3001))
        assert node.ranges[0] == (0, FIRST_BLOCK_RANGE - 1)
        assert len(node.ranges) < 3000 / FIRST_BLOCK_RANGE, "small answers let the parts grow"
        assert node.calls["eth_getBlockByNumber"] == len(node.ranges), "each part proves the last block"


async def test_large_answers_make_the_parts_smaller() -> None:
    async with FakeNode(head=100) as node, chain_of(node) as chain:
        node.handlers["eth_getLogs"] = lambda wanted: [
            make_log(number, index)
            for number in range(int(wanted["fromBlock"], 16), int(wanted["toBlock"], 16) + 1)
            for index in range(40)
        ]
        assert len(await chain.logs(WANTED, 0, 100)) == 101 * 40
        assert chain.pool.members[0].endpoint.block_range.value < FIRST_BLOCK_RANGE


async def test_the_suggested_range_is_taken_and_remembered() -> None:
    async with FakeNode(head=1000) as node, chain_of(node) as chain:
        node.max_range = 70
        assert told(await chain.logs(WANTED, 0, 1000)) == list(range(1001))
        assert chain.pool.members[0].endpoint.block_range.value == 70
        node.ranges.clear()
        assert told(await chain.logs(WANTED, 0, 1000)) == list(range(1001))
        assert all(last - first + 1 <= 70 for first, last in node.ranges)


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
async def test_tiny_ranges_without_a_hint_are_found(limit: int) -> None:
    async with FakeNode(head=40) as node, chain_of(node) as chain:
        node.max_range, node.range_error = limit, "block range is too wide"
        assert told(await chain.logs(WANTED, 3, 40)) == list(range(3, 41))


async def test_too_many_results_make_it_smaller() -> None:
    async with FakeNode(head=400) as node, chain_of(node) as chain:
        node.max_results = 30
        assert told(await chain.logs(WANTED, 0, 400)) == list(range(401))


async def test_one_block_with_too_many_results_is_an_error() -> None:
    async with FakeNode(head=4) as node, chain_of(node) as chain:
        node.max_results = 0
        with pytest.raises(ResultTooLarge):
            await chain.logs(WANTED, 0, 4)


async def test_beyond_the_head_is_an_error_not_a_short_answer() -> None:
    async with FakeNode(head=10) as node, chain_of(node) as chain:
        with pytest.raises(BlockOutOfRange, match="does not have block 11"):
            await chain.logs(WANTED, 0, 11)


async def test_an_empty_range_asks_nobody() -> None:
    async with FakeNode() as node, chain_of(node) as chain:
        assert await chain.logs(WANTED, 5, 4) == []
        assert not node.calls


async def test_only_an_endpoint_with_the_right_last_block_may_answer() -> None:
    async with FakeNode(head=10) as forked, FakeNode(head=10) as right, chain_of(forked, right) as chain:
        forked.handlers["eth_getBlockByNumber"] = lambda block, _: (
            forked.header(int(block, 16))
            | {  # type: ignore[operator]
                "hash": block_hash(int(block, 16), "f")
            }
        )
        logs = await chain.logs(WANTED, 0, 10, end=Hash32(block_hash(10)))
        assert told(logs) == list(range(11))
        assert right.calls["eth_getLogs"] == 1
        with pytest.raises(NoEndpoint):
            await chain.logs(WANTED, 0, 10, end=Hash32(block_hash(10, "e")))


async def test_logs_of_another_block_than_the_header_are_refused() -> None:
    async with FakeNode(head=10) as node, chain_of(node) as chain:
        node.handlers["eth_getLogs"] = lambda _: [make_log(10, blockHash=block_hash(10, "f"))]
        with pytest.raises(BadReply, match="another block than its header"):
            await chain.logs(WANTED, 0, 10)


async def test_a_chain_that_changes_while_it_is_read_is_refused() -> None:
    async with FakeNode(head=2000) as node, chain_of(node) as chain:
        seen = 0

        def header(block: str, _: bool) -> Any:
            nonlocal seen
            seen += 1
            return node.header(int(block, 16)) | ({"hash": block_hash(1999, "f")} if seen > 2 else {})  # type: ignore[operator]

        node.handlers["eth_getBlockByNumber"] = header
        with pytest.raises(EndpointBehind, match="changed while"):
            await chain.logs(WANTED, 0, 1999)


async def test_one_bad_part_is_asked_for_again() -> None:
    async with FakeNode(head=3000) as node, FaultyRpc(node.url) as proxy, chain_of(proxy) as chain:
        await chain.header(1)
        proxy.fail_next(2, Faults(half_reply=True))
        assert told(await chain.logs(WANTED, 0, 3000)) == list(range(3001))


async def test_a_failing_endpoint_hands_over_in_the_middle() -> None:
    async with FakeNode(head=3000) as node, FaultyRpc(node.url) as proxy, chain_of(proxy, node) as chain:
        proxy.faults = Faults(missing_items=1)
        assert told(await chain.logs(WANTED, 0, 3000)) == list(range(3001))
