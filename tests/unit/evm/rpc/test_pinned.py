"""One block's logs whatever their topics, and the access lists of transactions."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from seamark.core.errors import TemporaryError
from seamark.core.ids import Address, ChainId, Hash32
from seamark.evm.rpc import Chain
from tests.unit.evm.rpc.fake_node import EMITTER, FakeNode, block_hash, make_log

OTHER = "0x" + "bb" * 20
TRANSACTION = Hash32("0x" + "cd" * 32)


def serve(node: FakeNode, *logs: dict[str, Any]) -> list[dict[str, Any]]:
    asked: list[dict[str, Any]] = []

    def handler(query: dict[str, Any]) -> Any:
        asked.append(query)
        return [log for log in logs if "address" not in query or log["address"] in query["address"]]

    node.handlers["eth_getLogs"] = handler
    return asked


async def test_the_logs_of_an_address_and_all_logs(session: aiohttp.ClientSession) -> None:
    async with FakeNode() as node:
        asked = serve(node, make_log(7, 1), make_log(7, 0, address=OTHER, topics=[]))
        chain = Chain(ChainId(1), [node.url], session=session)
        some = await chain.block_logs(7, [Address(EMITTER)])
        whole = await chain.block_logs(7)
        assert some is not None
        assert whole is not None
        assert ([log.log_index for log in some.logs], some.whole) == ([1], False)
        assert ([log.log_index for log in whole.logs], whole.whole) == ([0, 1], True)
        assert whole.header.hash == block_hash(7)
        assert asked == [
            {"fromBlock": "0x7", "toBlock": "0x7", "address": [EMITTER]},
            {"fromBlock": "0x7", "toBlock": "0x7"},
        ]


async def test_a_block_that_does_not_exist_yet(session: aiohttp.ClientSession) -> None:
    async with FakeNode(head=6) as node:
        serve(node)
        assert await Chain(ChainId(1), [node.url], session=session).block_logs(7) is None


async def test_an_endpoint_that_is_down_is_no_block_that_is_missing(session: aiohttp.ClientSession) -> None:
    async with FakeNode() as node:
        node.down = True
        with pytest.raises(TemporaryError):
            await Chain(ChainId(1), [node.url], session=session).block_logs(7)


@pytest.mark.parametrize(
    "wrong", [make_log(7, blockHash=block_hash(7, "f")), make_log(8), make_log(7, address=OTHER)], ids=str
)
async def test_logs_of_something_else_are_no_answer(session: aiohttp.ClientSession, wrong: dict[str, Any]) -> None:
    async with FakeNode() as node:
        node.handlers["eth_getLogs"] = lambda _: [wrong]
        with pytest.raises(TemporaryError):
            await Chain(ChainId(1), [node.url], session=session).block_logs(7, [Address(EMITTER)])


async def test_a_second_look_asks_another_endpoint(session: aiohttp.ClientSession) -> None:
    async with FakeNode() as first, FakeNode() as second:
        serve(first)
        serve(second, make_log(7))
        chain = Chain(ChainId(1), [first.url, second.url], session=session)
        one, two = await chain.block_logs(7), await chain.block_logs(7, second=True)
        assert one is not None
        assert two is not None
        assert {len(one.logs), len(two.logs)} == {0, 1}
        await chain.close()


async def test_access_lists(session: aiohttp.ClientSession) -> None:
    key = "0x03" + "AB" * 31
    replies = {
        TRANSACTION: {
            "hash": TRANSACTION,
            "accessList": [{"address": EMITTER.upper().replace("X", "x"), "storageKeys": [key]}],
        },
        Hash32("0x" + "01" * 32): {"hash": "0x" + "01" * 32},
    }
    async with FakeNode() as node:
        node.handlers["eth_getTransactionByHash"] = replies.get
        chain = Chain(ChainId(1), [node.url], session=session)
        found = await chain.access_lists([*replies, Hash32("0x" + "02" * 32)])
        assert found == [{EMITTER: {key.lower()}}, {}, None]


async def test_another_transaction_is_no_answer(session: aiohttp.ClientSession) -> None:
    async with FakeNode() as node:
        node.handlers["eth_getTransactionByHash"] = lambda _: {"hash": "0x" + "01" * 32}
        with pytest.raises(TemporaryError):
            await Chain(ChainId(1), [node.url], session=session).access_lists([TRANSACTION])
