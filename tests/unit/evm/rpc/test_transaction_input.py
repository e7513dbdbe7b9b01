"""With what calldata a transaction was sent."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.core.errors import TemporaryError
from seamark.core.ids import ChainId, Hash32
from seamark.evm.rpc import Chain
from seamark.runtime.http import make_session
from tests.support.clock import FakeClock
from tests.unit.evm.rpc.fake_node import FakeNode

NAME = Hash32("0x" + "ab" * 32)


async def asked(reply: Any) -> bytes | None:
    async with FakeNode() as node, make_session() as session:
        node.handlers["eth_getTransactionByHash"] = lambda name: reply if name == NAME else None
        chain = Chain(ChainId(1), [node.url], session=session, clock=FakeClock())
        try:
            return await chain.transaction_input(NAME)
        finally:
            await chain.close()


async def test_the_calldata() -> None:
    assert await asked({"hash": NAME.upper().replace("X", "x"), "input": "0x01ff", "value": "0x0"}) == b"\x01\xff"


async def test_a_transaction_that_the_node_does_not_know() -> None:
    assert await asked(None) is None


@pytest.mark.parametrize(
    "reply",
    [
        {"hash": "0x" + "cd" * 32, "input": "0x"},  # of another transaction
        {"hash": NAME, "input": "01"},
        {"hash": NAME},
        {"hash": "0x12", "input": "0x"},
        [],
    ],
)
async def test_a_reply_that_cannot_be_true_is_no_answer(reply: Any) -> None:
    with pytest.raises(TemporaryError):
        await asked(reply)
