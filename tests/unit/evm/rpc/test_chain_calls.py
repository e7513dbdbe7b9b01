"""Calls, fees and transactions."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from seamark.core.ids import Address
from seamark.evm.crypto import keccak256_hex
from seamark.evm.rpc.errors import (
    BadReply,
    BlockOutOfRange,
    CallReverted,
    InsufficientFunds,
    MethodNotSupported,
    NoEndpoint,
    NonceTooLow,
    RequestRefused,
    WrongChain,
)
from seamark.evm.types import Call
from tests.support.faulty_rpc import Faults, FaultyRpc
from tests.unit.evm.rpc.chains import SOMEBODY, chain_of, refuse
from tests.unit.evm.rpc.fake_node import EMITTER, FakeNode, Refusal

# ---- calls -----------------------------------------------------------------------------------------------------------


async def test_calls_answer_each_for_itself() -> None:
    async with FakeNode() as node, chain_of(node) as chain:

        def call(message: dict[str, str], block: str) -> str:
            if message["data"] == "0x02":
                raise Refusal(3, "execution reverted", "0xabcd")
            return message["data"] + block.removeprefix("0x").rjust(2, "0")

        node.handlers["eth_call"] = call
        good, bad, late = await chain.calls(
            [Call(SOMEBODY, b"\1", block=5), Call(SOMEBODY, b"\2"), Call(SOMEBODY, b"\3", block=6)]
        )
        assert good == b"\1\5"
        assert isinstance(bad, CallReverted)
        assert bad.data == b"\xab\xcd"
        assert late == b"\3\6"
        assert node.batches[-1] == 3
        assert await chain.calls([]) == []


async def test_calls_that_one_endpoint_cannot_answer_go_to_the_next() -> None:
    async with FakeNode() as first, FakeNode() as second, chain_of(first, second) as chain:
        first.handlers["eth_call"] = lambda message, _: (
            message["data"] if message["data"] == "0x01" else refuse(-32000, "header not found")()
        )
        second.handlers["eth_call"] = lambda message, _: message["data"]
        assert await chain.calls([Call(SOMEBODY, b"\1"), Call(SOMEBODY, b"\2")]) == [b"\1", b"\2"]
        assert (first.calls["eth_call"], second.calls["eth_call"]) == (2, 1)


async def test_what_no_endpoint_can_answer_stands_in_the_list() -> None:
    async with FakeNode() as node, chain_of(node) as chain:
        node.handlers["eth_call"] = lambda message, _: (
            "0x01" if message["data"] == "0x01" else refuse(-32000, "header not found")()
        )
        good, bad = await chain.calls([Call(SOMEBODY, b"\1"), Call(SOMEBODY, b"\2")])
        assert good == b"\1"
        assert isinstance(bad, BlockOutOfRange)


async def test_a_revert_is_an_answer() -> None:
    async with FakeNode() as first, FakeNode() as second, chain_of(first, second) as chain:
        first.handlers["eth_call"] = refuse(3, "execution reverted", "0x01")
        with pytest.raises(CallReverted) as caught:
            await chain.call(Call(SOMEBODY, b""))
        assert caught.value.data == b"\1"
        assert second.calls["eth_call"] == 0


async def test_a_refused_question_is_put_to_all_before_it_is_given_up() -> None:
    async with FakeNode() as first, FakeNode() as second, chain_of(first, second) as chain:
        first.handlers["eth_call"] = second.handlers["eth_call"] = refuse(-32602, "invalid argument 0")
        with pytest.raises(RequestRefused):
            await chain.call(Call(SOMEBODY, b""))
        second.handlers["eth_call"] = lambda *_: "0x05"
        assert await chain.call(Call(SOMEBODY, b"")) == b"\5"


async def test_malformed_results_name_the_endpoint() -> None:
    async with FakeNode() as node, chain_of(node) as chain:
        node.handlers["eth_call"] = lambda *_: "0x5"
        with pytest.raises(BadReply, match=node.url.removeprefix("http://")):
            await chain.call(Call(SOMEBODY, b""))


# ---- fees and sending ------------------------------------------------------------------------------------------------


async def test_chains_without_a_fee_market() -> None:
    async with FakeNode() as node, chain_of(node) as chain:
        node.handlers["eth_gasPrice"] = lambda: "0x0"
        assert (await chain.fee_history(5, "latest", [50])).base_fees == ()
        assert await chain.gas_price() == 0
        with pytest.raises(MethodNotSupported):
            await chain.max_priority_fee()


async def test_messages_carry_sender_and_value() -> None:
    seen: list[dict[str, str]] = []
    async with FakeNode() as node, chain_of(node) as chain:

        def note(answer: str) -> Any:
            def handler(message: dict[str, str], _: str = "") -> str:
                seen.append(message)
                return answer

            return handler

        node.handlers["eth_estimateGas"], node.handlers["eth_call"] = note("0x5208"), note("0x")
        assert await chain.estimate_gas(sender=SOMEBODY, to=None, data=b"\1", value=5) == 21000
        assert await chain.simulate(sender=SOMEBODY, to=Address(EMITTER), data=b"\2") == b""
    assert seen == [
        {"from": SOMEBODY, "data": "0x01", "value": "0x5"},
        {"from": SOMEBODY, "to": EMITTER, "data": "0x02", "value": "0x0"},
    ]


RAW = b"\2signed"
HASH = keccak256_hex(RAW)


async def test_the_first_acceptance_wins() -> None:
    async with FakeNode() as first, FakeNode() as second, FakeNode() as third, chain_of(first, second, third) as chain:
        first.handlers["eth_sendRawTransaction"] = refuse(-32000, "nonce too low")
        second.handlers["eth_sendRawTransaction"] = lambda _: HASH
        third.down = True
        assert await chain.send_raw(RAW) == HASH


@pytest.mark.parametrize("text", ["already known", "transaction already imported", "AlreadyKnown"])
async def test_already_known_is_acceptance(text: str) -> None:
    async with FakeNode() as node, chain_of(node) as chain:
        node.handlers["eth_sendRawTransaction"] = refuse(-32000, text)
        assert await chain.send_raw(RAW) == HASH


async def test_a_refusal_says_more_than_silence() -> None:
    async with FakeNode() as first, FakeNode() as second, chain_of(first, second) as chain:
        first.down = True
        second.handlers["eth_sendRawTransaction"] = refuse(-32000, "insufficient funds for gas * price + value")
        with pytest.raises(InsufficientFunds):
            await chain.send_raw(RAW)


async def test_nobody_took_it() -> None:
    async with FakeNode() as first, FakeNode() as second, chain_of(first, second) as chain:
        first.down = second.down = True
        with pytest.raises(NoEndpoint):
            await chain.send_raw(RAW)
    async with FakeNode() as node, chain_of(node) as chain:
        node.handlers["eth_sendRawTransaction"] = refuse(-32000, "nonce too low")
        with pytest.raises(NonceTooLow):
            await chain.send_raw(RAW)


async def test_a_node_that_took_something_else_did_not_take_it() -> None:
    async with FakeNode() as node, chain_of(node) as chain:
        node.handlers["eth_sendRawTransaction"] = lambda _: "0x" + "00" * 32
        with pytest.raises(BadReply):
            await chain.send_raw(RAW)


async def test_a_wrong_chain_never_gets_a_transaction() -> None:
    async with FakeNode(chain_id=5) as wrong, FakeNode() as right, chain_of(wrong, right) as chain:
        wrong.handlers["eth_sendRawTransaction"] = right.handlers["eth_sendRawTransaction"] = lambda _: HASH
        assert await chain.send_raw(RAW) == HASH
        await asyncio.sleep(0)
        assert wrong.calls["eth_sendRawTransaction"] == 0
    async with FakeNode(chain_id=5) as wrong, chain_of(wrong) as chain:
        with pytest.raises(WrongChain):
            await chain.send_raw(RAW)


async def test_closing_ends_what_is_under_way() -> None:
    async with FakeNode() as slow, FaultyRpc(slow.url) as proxy, FakeNode() as quick:
        quick.handlers["eth_sendRawTransaction"] = lambda _: HASH
        async with chain_of(proxy, quick) as chain:
            await chain.header("latest")
            proxy.faults = Faults(hang=True)
            assert await chain.send_raw(RAW) == HASH
        assert not [task for task in asyncio.all_tasks() if "_send_to" in repr(task)]
