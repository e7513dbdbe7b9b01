"""A `Chain` over nodes of the test, and what its tests ask of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from seamark.core.ids import Address, ChainId, Hash32
from seamark.evm.rpc import Chain
from seamark.evm.types import LogFilter
from seamark.runtime.http import make_session
from tests.support.clock import FakeClock
from tests.support.faulty_rpc import FaultyRpc
from tests.unit.evm.rpc.fake_node import EMITTER, TOPIC, FakeNode, Refusal

__all__ = ["SOMEBODY", "WANTED", "chain_of", "refuse", "told"]

WANTED = LogFilter((Address(EMITTER),), (Hash32(TOPIC),))
SOMEBODY = Address("0x" + "22" * 20)


@asynccontextmanager
async def chain_of(*nodes: FakeNode | FaultyRpc, clock: FakeClock | None = None, **extra: Any) -> AsyncIterator[Chain]:
    async with make_session() as session:
        chain = Chain(ChainId(1), [node.url for node in nodes], session=session, clock=clock or FakeClock(), **extra)
        try:
            yield chain
        finally:
            await chain.close()


def refuse(code: int, message: str, data: Any = None) -> Any:
    def handler(*_: Any) -> Any:
        raise Refusal(code, message, data)

    return handler


def told(logs) -> list[int]:
    return [log.block_number for log in logs]
