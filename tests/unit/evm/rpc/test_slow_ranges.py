"""Ranges that a node cannot read in time: they become smaller, here and for the reads that follow."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from seamark.core.ids import Address, ChainId, Hash32
from seamark.evm.rpc import Chain
from seamark.evm.rpc.errors import RpcTimeout
from seamark.evm.types import Log, LogFilter
from seamark.runtime.http import make_session
from tests.support.clock import FakeClock
from tests.unit.evm.rpc.fake_node import EMITTER, TOPIC, FakeNode, Refusal, make_log

WANTED = LogFilter((Address(EMITTER),), (Hash32(TOPIC),))


@asynccontextmanager
async def chain_of(node: FakeNode) -> AsyncIterator[Chain]:
    async with make_session() as session:
        chain = Chain(ChainId(1), [node.url], session=session, clock=FakeClock())
        try:
            yield chain
        finally:
            await chain.close()


def timed_out(*_: Any) -> Any:
    raise Refusal(-32002, "request timed out")


def slow_beyond(node: FakeNode, width: int) -> list[int]:
    """Let the node time out over more blocks; returns the widths that it was asked for."""
    asked: list[int] = []

    def answer(wanted: dict[str, Any]) -> list[dict[str, Any]]:
        first, last = int(wanted["fromBlock"], 16), int(wanted["toBlock"], 16)
        asked.append(last - first + 1)
        if last - first + 1 > width:
            timed_out()
        return [make_log(number) for number in range(first, last + 1)]

    node.handlers["eth_getLogs"] = answer
    return asked


async def test_a_range_that_takes_too_long_is_read_in_smaller_parts() -> None:
    async with FakeNode(head=79) as node, chain_of(node) as chain:
        asked = slow_beyond(node, 40)
        logs = await chain.logs(WANTED, 0, 79)
        assert [log.block_number for log in logs] == list(range(80))
        assert max(asked) == 80
        await chain.logs(WANTED, 0, 79)
        assert sum(width > 40 for width in asked) == 1, "remembered"


async def test_an_endpoint_that_is_silent_about_everything_is_given_up_at_once() -> None:
    async with FakeNode(head=79) as node, chain_of(node) as chain:
        asked = slow_beyond(node, 0)
        node.handlers["eth_blockNumber"] = timed_out
        for _ in range(3):
            with pytest.raises(RpcTimeout):
                await chain.logs(WANTED, 0, 79)
        assert asked == [80, 80, 80], "the range is not to blame"


async def test_a_single_block_that_takes_too_long_is_an_error() -> None:
    async with FakeNode(head=79) as node, chain_of(node) as chain:
        slow_beyond(node, 0)
        with pytest.raises(RpcTimeout):
            await chain.logs(WANTED, 79, 79)


@pytest.mark.parametrize("width", [1, 3, 10])
async def test_each_read_that_fails_makes_the_next_one_smaller_until_one_succeeds(width: int) -> None:
    async with FakeNode(head=99) as node, chain_of(node) as chain:
        slow_beyond(node, width)
        logs: list[Log] = []
        for _ in range(5):
            with suppress(RpcTimeout):
                logs = logs or await chain.logs(WANTED, 0, 99)
        assert [log.block_number for log in logs] == list(range(100))
