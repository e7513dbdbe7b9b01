from __future__ import annotations

from typing import Any

import pytest

from seamark.core.ids import Address
from seamark.evm.abi import Abi, DecodeError
from seamark.evm.contract import Contract
from seamark.evm.rpc.errors import CallReverted
from seamark.evm.types import Call

ADDRESS = Address("0x" + "11" * 20)
ABI = Abi.parse(
    "function decimals() view returns (uint8)",
    "function round(uint80 id) view returns (uint80 roundId, int256 answer)",
)


def contract_of(node) -> Contract:
    return Contract(node, ADDRESS, ABI)


class Node:
    """Answers calls by their calldata."""

    def __init__(self, answers) -> None:
        self.answers: dict[bytes, Any] = answers
        self.asked: list[Call] = []

    async def call(self, call: Call) -> Any:
        (answer,) = await self.calls([call])
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def calls(self, calls):
        self.asked += calls
        return [self.answers[call.data] for call in calls]


def word(number: int) -> bytes:
    return number.to_bytes(32, "big")


ANSWERS = {ABI.encode_call("decimals"): word(8), ABI.encode_call("round", 3): word(3) + word(99)}


async def test_one_output_is_bare_and_many_are_a_record() -> None:
    node = Node(ANSWERS)
    contract = contract_of(node)
    assert await contract.read("decimals") == 8
    assert (await contract.read("round", 3, block=7)).answer == 99
    assert [(call.to, call.block) for call in node.asked] == [(ADDRESS, "latest"), (ADDRESS, 7)]


async def test_many_reads_keep_their_order() -> None:
    decimals, found = await contract_of(Node(ANSWERS)).read_many([("decimals", ()), ("round", (3,))], block=5)
    assert (decimals, found.roundId) == (8, 3)


async def test_failures_are_raised() -> None:
    reverted = CallReverted("no", data=b"")
    contract = contract_of(Node({**ANSWERS, ABI.encode_call("decimals"): reverted}))
    with pytest.raises(CallReverted):
        await contract.read("decimals")
    with pytest.raises(CallReverted):
        await contract.read_many([("round", (3,)), ("decimals", ())])


async def test_no_contract_at_the_address() -> None:
    with pytest.raises(DecodeError, match="no such contract"):
        await contract_of(Node({ABI.encode_call("decimals"): b""})).read("decimals")
