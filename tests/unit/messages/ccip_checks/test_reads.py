"""A look at a chain: a handful of requests, however many lanes, pools and senders there are."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from eth_abi.abi import encode

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.ids import Address, ChainId, Selector
from seamark.evm.address import ZERO_ADDRESS
from seamark.evm.types import BlockHeader, Call
from seamark.messages.model import Contract
from seamark.messages.protocols.ccip.checks import calls
from seamark.messages.protocols.ccip.checks.reads import Chain, check_chain
from seamark.messages.protocols.ccip.checks.settings import SenderSettings
from seamark.messages.protocols.ccip.checks.together import Together
from seamark.messages.protocols.ccip.generation import FEE_QUOTER

ROUTER, PROXY, QUOTER, LINK = (Address("0x" + f"{number:02x}" * 20) for number in (1, 2, 3, 4))
AT = 1_750_000_000


def ramp(number: int) -> Address:
    return Address("0x" + f"{0x1000 + number:040x}")


class Node:
    """A chain with `lanes` lanes of CCIP 1.6; counts requests."""

    chain_id = ChainId(138)

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.requests: list[int] = []
        self.fails: Exception | None = None
        self.moved: dict[int, Address] = {}  # what ramps say of the pool of LINK, by destination

    async def header(self, block: Any) -> BlockHeader:
        zero = "0x" + "00" * 32
        return BlockHeader(1, zero, zero, AT)  # type: ignore[arg-type]

    async def balance(self, address: Address) -> int:
        return 7

    async def calls(self, wanted: Sequence[Call]) -> list[bytes | Exception]:
        self.requests.append(len(wanted))
        await asyncio.sleep(0)
        if self.fails is not None:
            raise self.fails
        return [self._answer(call) for call in wanted]

    def _answer(self, call: Call) -> bytes | Exception:
        to, data = str(call.to).lower(), bytes(call.data)
        for abi, name, types, values in self._known(to, data):
            if data[:4] == abi.function(name).selector:
                return encode(types, values)
        return RejectedError(f"{to} does not know this")

    def _known(self, to: str, data: bytes) -> list[tuple[Any, str, list[str], list[Any]]]:
        peer = int.from_bytes(data[4:36])
        offs = [(100 + number, ramp(500 + number)) for number in range(self.lanes)]
        if to == ROUTER:
            return [
                (calls.ROUTER, "typeAndVersion", ["string"], ["Router 1.2.0"]),
                (calls.ROUTER, "getArmProxy", ["address"], [PROXY]),
                (calls.ROUTER, "getOffRamps", ["(uint64,address)[]"], [offs]),
                (calls.ROUTER, "getOnRamp", ["address"], [ramp(max(peer - 100, 0) % 10_000)]),
                (calls.ROUTER, "getFee", ["uint256"], [10**17]),
            ]
        if to == QUOTER:
            return [
                (calls.STATIC_2_0, "getStaticConfig", ["uint96", "address"], [1, LINK]),
                (calls.FEE_QUOTER, "getDestinationChainGasPrice", ["uint224", "uint32"], [1, AT - 30]),
                (calls.FEE_QUOTER, "getTokenPrice", ["uint224", "uint32"], [1, AT - 60]),
            ]
        if to == LINK:
            return [
                (calls.ERC20, "balanceOf", ["uint256"], [5]),
                (calls.ERC20, "allowance", ["uint256"], [6]),
                (calls.ERC20, "symbol", ["string"], ["LINK"]),
            ]
        bucket = ["uint128", "uint32", "bool", "uint128", "uint128"]
        return [
            (calls.ROUTER, "typeAndVersion", ["string"], ["OnRamp 1.6.0"]),
            (calls.POOL, "getToken", ["address"], [LINK]),
            (calls.ON_RAMP_POOL, "getPoolBySourceToken", ["address"], [self.moved.get(peer, ZERO_ADDRESS)]),
            (calls.POOL, "getCurrentOutboundRateLimiterState", bucket, [peer, 0, True, 1000, 1]),
            (calls.POOL, "getCurrentInboundRateLimiterState", bucket, [1, 0, False, 1000, 1]),
        ]


def chain(lanes: int, pools: int = 0, senders: int = 0) -> Chain:
    return Chain(
        name="besu",
        chain_id=ChainId(138),
        selector=Selector(1),
        router=ROUTER,
        peers={Selector(100 + number): f"peer {number}" for number in range(lanes)},
        contracts=[
            Contract(chain_id=ChainId(138), address=ramp(number), role="on_ramp", details={FEE_QUOTER: QUOTER})
            for number in range(lanes)
        ],
        pools=[ramp(900 + number) for number in range(pools)],
        senders=[SenderSettings(chain="besu", address=ramp(800 + number)) for number in range(senders)],
    )


async def test_sixty_lanes_take_no_more_requests_than_two() -> None:
    few, many = Node(2), Node(60)
    small = await check_chain(few, chain(2, pools=1, senders=1))  # type: ignore[arg-type]
    large = await check_chain(many, chain(60, pools=5, senders=4))  # type: ignore[arg-type]
    assert (small.problem, large.problem) == ("", "")
    assert len(many.requests) == len(few.requests) <= 9
    assert (len(large.lanes), len(large.senders), len(large.pools)) == (60, 4, 300)


async def test_each_gets_its_own_answers() -> None:
    found = await check_chain(Node(3), chain(3, pools=2, senders=1))  # type: ignore[arg-type]
    assert [(lane.name, lane.on_ramp) for lane in found.lanes] == [(f"peer {n}", ramp(n)) for n in range(3)]
    assert {lane.gas_price_age for lane in found.lanes} == {30}
    assert [[quote.token for quote in lane.quotes] for lane in found.lanes] == [["native", "LINK"]] * 3
    assert [(price.age, price.token) for price in found.prices] == [(60, "LINK")]
    (sender,) = found.senders
    assert (sender.link, sender.allowance, sender.native, sender.paused) == (5, 6, 7, "")
    outbound = [(pool.pool, pool.outbound.tokens) for pool in found.pools if pool.outbound and pool.inbound is None]
    assert outbound == [(ramp(900 + pool), 100 + peer) for pool in range(2) for peer in range(3)]


async def test_limits_are_those_of_the_pool_that_the_token_has_moved_to() -> None:
    node, old, new = Node(3), ramp(900), ramp(950)
    assert {pool.instead_of for pool in (await check_chain(node, chain(3, pools=1))).pools} == {""}  # type: ignore[arg-type]
    node.moved = {100: new, 101: old}  # and nothing for the third
    found = await check_chain(node, chain(3, pools=1))  # type: ignore[arg-type]
    assert [(pool.selector, pool.pool, pool.instead_of) for pool in found.pools] == [
        ("100", new, old),
        ("101", old, ""),
        ("102", old, ""),
    ]


async def test_a_node_that_is_away_ends_the_look_and_leaves_no_task_behind() -> None:
    node = Node(3)
    node.fails = TemporaryError("no endpoint answers")
    found = await check_chain(node, chain(3))  # type: ignore[arg-type]
    assert (found.unreachable, found.problem) == (True, "no endpoint answers")
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_questions_of_one_moment_are_one_request_and_later_ones_another() -> None:
    node = Node(1)
    together = Together(node)  # type: ignore[arg-type]
    one = Call(ROUTER, calls.ROUTER.function("typeAndVersion").encode())

    async def twice() -> int:
        return len(await together.ask([one, one])) + len(await together.ask([one]))

    assert list(await asyncio.gather(twice(), twice(), twice())) == [3, 3, 3]
    assert node.requests == [6, 3]


async def test_an_error_reaches_all_who_asked() -> None:
    node = Node(1)
    node.fails = TemporaryError("away")
    together = Together(node)  # type: ignore[arg-type]
    found = await asyncio.gather(together.ask([]), together.ask([]), return_exceptions=True)
    assert [str(item) for item in found] == ["away", "away"]
    with pytest.raises(TemporaryError):
        await together.ask([])
