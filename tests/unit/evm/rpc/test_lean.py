"""Headers without transaction hashes, logs by block hash: used where an endpoint knows them, and given up where not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from seamark.core.errors import TemporaryError
from seamark.core.ids import Address, ChainId, Hash32
from seamark.evm.rpc import Chain
from seamark.evm.rpc.lean import TRY_AGAIN_S
from seamark.evm.types import LogFilter
from tests.support.clock import FakeClock
from tests.unit.evm.rpc.fake_node import EMITTER, TOPIC, FakeNode, Refusal, block_hash, make_log

WANTED = LogFilter((Address(EMITTER),), (Hash32(TOPIC),))


def big(node: FakeNode) -> None:
    """Blocks of 100 transactions."""
    plain = node.on_eth_getBlockByNumber

    def handler(block: str, full: bool) -> Any:
        found = plain(block, full)
        return None if found is None else found | {"transactions": ["0x" + "ab" * 32] * 100}

    node.handlers["eth_getBlockByNumber"] = handler


def knows_headers(node: FakeNode) -> None:
    def handler(block: str) -> Any:
        found = node.on_eth_getBlockByNumber(block, False)
        return None if found is None else {key: value for key, value in found.items() if key != "transactions"}

    node.handlers["eth_getHeaderByNumber"] = handler


def knows_hashes(node: FakeNode, *, count: Callable[[str], str | None] | None = None) -> None:
    numbers = {block_hash(number): number for number in range(node.head + 1)}
    by_range = node.on_eth_getLogs

    def logs(query: dict[str, Any]) -> Any:
        if "blockHash" not in query:
            return by_range(query)
        number = numbers.get(query["blockHash"])
        return [] if number is None else [make_log(number)]

    node.handlers["eth_getLogs"] = logs
    node.handlers["eth_getBlockTransactionCountByHash"] = count or (lambda item: "0x64" if item in numbers else None)


async def test_small_blocks_are_asked_as_ever(session: aiohttp.ClientSession) -> None:
    async with FakeNode() as node:
        knows_headers(node)
        chain = Chain(ChainId(1), [node.url], session=session)
        for _ in range(3):
            await chain.header("latest")
        assert node.calls["eth_getHeaderByNumber"] == 0


async def test_after_a_big_block_one_question_is_put_both_ways_and_then_the_small_one_alone(
    session: aiohttp.ClientSession,
) -> None:
    async with FakeNode() as node:
        big(node)
        knows_headers(node)
        chain = Chain(ChainId(1), [node.url], session=session)
        for _ in range(4):
            header = await chain.header("latest")
            assert header is not None
            assert header.number == 100
        assert node.calls["eth_getBlockByNumber"] == 2
        assert node.calls["eth_getHeaderByNumber"] == 3
        assert [item.number for item in await chain.headers([5, 6]) if item] == [5, 6]
        assert node.calls["eth_getBlockByNumber"] == 2


async def test_an_endpoint_without_the_method_is_tried_again_much_later(session: aiohttp.ClientSession) -> None:
    clock = FakeClock()
    async with FakeNode() as node:
        big(node)
        chain = Chain(ChainId(1), [node.url], session=session, clock=clock)
        for _ in range(5):
            assert await chain.header("latest") is not None
        assert node.calls["eth_getHeaderByNumber"] == 1
        clock.advance(TRY_AGAIN_S + 1)
        assert await chain.header("latest") is not None
        assert node.calls["eth_getHeaderByNumber"] == 2


async def test_an_answer_about_another_block_is_not_believed(session: aiohttp.ClientSession) -> None:
    async with FakeNode() as node:
        big(node)
        node.handlers["eth_getHeaderByNumber"] = lambda _: node.header(100) | {"hash": block_hash(100, "f")}  # type: ignore[operator]
        chain = Chain(ChainId(1), [node.url], session=session)
        for _ in range(4):
            header = await chain.header("latest")
            assert header is not None
            assert header.hash == block_hash(100)
        assert node.calls["eth_getHeaderByNumber"] == 1


async def test_a_method_that_is_switched_off_later_costs_one_more_question(session: aiohttp.ClientSession) -> None:
    async with FakeNode() as node:
        big(node)
        knows_headers(node)
        chain = Chain(ChainId(1), [node.url], session=session)
        await chain.header("latest")
        await chain.header("latest")

        def gone(_: str) -> Any:
            raise Refusal(-32601, "the method eth_getHeaderByNumber does not exist/is not available")

        node.handlers["eth_getHeaderByNumber"] = gone
        assert await chain.header("latest") is not None
        assert [item is not None for item in await chain.headers([1, 2])] == [True, True]


async def lean_chain(node: FakeNode, session: aiohttp.ClientSession) -> Chain:
    big(node)
    knows_headers(node)
    chain = Chain(ChainId(1), [node.url], session=session)
    await chain.header("latest")
    await chain.header("latest")
    return chain


async def test_one_blocks_logs_are_asked_by_its_hash(session: aiohttp.ClientSession) -> None:
    async with FakeNode() as node:
        knows_hashes(node)
        chain = await lean_chain(node, session)
        before = node.calls["eth_getHeaderByNumber"]
        (log,) = await chain.logs(WANTED, 100, 100, end=Hash32(block_hash(100)))
        assert log.block_number == 100
        assert (node.ranges, node.calls["eth_getHeaderByNumber"]) == ([], before)


async def test_a_node_that_does_not_have_the_block_is_not_believed_to_have_no_logs(
    session: aiohttp.ClientSession,
) -> None:
    async with FakeNode() as node:
        knows_hashes(node)
        chain = await lean_chain(node, session)
        with pytest.raises(TemporaryError):
            await chain.logs(WANTED, 100, 100, end=Hash32(block_hash(100, "f")))


async def test_without_the_count_the_range_and_its_header_are_asked(session: aiohttp.ClientSession) -> None:
    def unknown(_: str) -> Any:
        raise Refusal(-32601, "Method not found")

    async with FakeNode() as node:
        knows_hashes(node, count=unknown)
        chain = await lean_chain(node, session)
        (log,) = await chain.logs(WANTED, 100, 100, end=Hash32(block_hash(100)))
        assert log.block_number == 100
        assert node.ranges == [(100, 100)]


async def test_logs_are_pinned_also_where_headers_come_with_everything(session: aiohttp.ClientSession) -> None:
    async with FakeNode() as node:
        big(node)
        knows_hashes(node)
        chain = Chain(ChainId(1), [node.url], session=session)
        await chain.header("latest")
        (log,) = await chain.logs(WANTED, 100, 100, end=Hash32(block_hash(100)))
        assert (log.block_number, node.ranges) == (100, [])


async def test_an_endpoint_that_cannot_pin_is_not_asked_again_soon(session: aiohttp.ClientSession) -> None:
    def unknown(_: str) -> Any:
        raise Refusal(-32601, "Method not found")

    clock = FakeClock()
    async with FakeNode() as node:
        knows_hashes(node, count=unknown)
        big(node)
        chain = Chain(ChainId(1), [node.url], session=session, clock=clock)
        await chain.header("latest")
        for _ in range(3):
            await chain.logs(WANTED, 100, 100, end=Hash32(block_hash(100)))
        assert node.calls["eth_getBlockTransactionCountByHash"] == 1
        clock.advance(TRY_AGAIN_S + 1)
        await chain.logs(WANTED, 100, 100, end=Hash32(block_hash(100)))
        assert node.calls["eth_getBlockTransactionCountByHash"] == 2
