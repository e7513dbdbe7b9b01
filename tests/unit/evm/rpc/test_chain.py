from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from seamark.core.errors import SettingsError, TemporaryError
from seamark.core.ids import Address, ChainId, Hash32
from seamark.evm.crypto import keccak256_hex
from seamark.evm.rpc import Chain, chain_health
from seamark.evm.rpc.chain import TAG_RECHECK_S
from seamark.evm.rpc.errors import (
    BadReply,
    BlockOutOfRange,
    CallReverted,
    EndpointBehind,
    InsufficientFunds,
    MethodNotSupported,
    NoEndpoint,
    NonceTooLow,
    RateLimited,
    RequestRefused,
    ResultTooLarge,
    RpcUnavailable,
    WrongChain,
)
from seamark.evm.rpc.limits import FIRST_BLOCK_RANGE
from seamark.evm.rpc.pool import HEAD_COUNTS_S, SECOND_TRY_S, SURVEY_EVERY_S, WRONG_CHAIN_REST_S
from seamark.evm.types import Call, LogFilter
from seamark.runtime.http import make_session
from tests.support.clock import FakeClock
from tests.support.faulty_rpc import Faults, FaultyRpc
from tests.unit.evm.rpc.fake_node import EMITTER, TOPIC, FakeNode, Refusal, block_hash, make_log

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


# ---- logs -----------------------------------------------------------------------------------------------------------


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


# ---- chain id -------------------------------------------------------------------------------------------------------


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


# ---- choosing endpoints ---------------------------------------------------------------------------------------------


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


# ---- headers --------------------------------------------------------------------------------------------------------


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


# ---- calls ----------------------------------------------------------------------------------------------------------


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


# ---- fees and sending -----------------------------------------------------------------------------------------------


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


# ---- heads that nobody confirms -------------------------------------------------------------------------------------

FAR = 10**9


def claiming(node: FakeNode, number: int) -> None:
    """It answers as before, but tells another head."""
    node.handlers["eth_blockNumber"] = lambda: hex(number)
    header = node.on_eth_getBlockByNumber
    latest = {"number": hex(number), "hash": block_hash(number), "parentHash": block_hash(number - 1)}
    node.handlers["eth_getBlockByNumber"] = lambda block, full: (
        header("0x64", full) | latest if block == "latest" else header(block, full)
    )


async def latest_of(chain: Chain) -> int:
    header = await chain.header("latest")
    assert header is not None
    return header.number


@pytest.mark.parametrize("honest", [1, 2])
async def test_an_absurd_head_does_not_shut_out_the_others(honest: int) -> None:
    async with FakeNode() as liar, FakeNode() as good, FakeNode(head=99) as other:
        claiming(liar, FAR)
        async with chain_of(liar, *[good, other][:honest]) as chain:
            for _ in range(3):
                assert await latest_of(chain) == 100
            assert chain.pool.best_head == 100
            assert liar.calls["eth_getBlockByNumber"] == 0
            assert "claims a head 999999900 blocks beyond the others" in (await chain_health(chain)).detail


async def test_an_absurd_head_later_is_judged_by_the_past() -> None:
    clock = FakeClock()
    async with FakeNode() as liar, FakeNode() as good, chain_of(liar, good, clock=clock) as chain:
        assert await latest_of(chain) == 100
        claiming(liar, FAR)
        clock.advance(SURVEY_EVERY_S)
        for _ in range(200):
            await latest_of(chain)
            if chain.pool.members[0].current_head == FAR:
                break
            await asyncio.sleep(0.005)  # the survey runs beside
        good.head = 101
        assert await latest_of(chain) == 101


async def test_one_that_falls_far_back_later_is_behind_all_the_same() -> None:
    clock = FakeClock()
    async with FakeNode(head=FAR) as syncing, FakeNode(head=FAR) as good, chain_of(syncing, good, clock=clock) as chain:
        assert await latest_of(chain) == FAR
        syncing.head = 5
        assert await latest_of(chain) == FAR
        assert chain.pool.behind(chain.pool.members[0]) == FAR - 5
        assert "blocks behind" in (await chain_health(chain)).detail


async def test_a_node_that_begins_to_sync_says_nothing_about_the_others() -> None:
    async with FakeNode(head=0) as syncing, FakeNode(head=FAR) as good, chain_of(syncing, good) as chain:
        assert await latest_of(chain) == FAR
        assert syncing.calls["eth_getBlockByNumber"] == 0


async def test_an_absurd_head_is_asked_when_all_others_fail() -> None:
    async with FakeNode() as liar, FakeNode() as good, chain_of(liar, good) as chain:
        claiming(liar, FAR)
        liar.handlers["eth_getTransactionCount"] = lambda *_: "0x7"
        assert await latest_of(chain) == 100
        good.down = True
        assert await chain.nonce(SOMEBODY) == 7


async def test_those_behind_are_asked_when_all_others_fail() -> None:
    async with FakeNode(head=80) as stale, FakeNode(head=100) as good, chain_of(stale, good) as chain:
        stale.handlers["eth_getTransactionCount"] = lambda *_: "0x7"
        good.handlers["eth_getTransactionCount"] = lambda *_: "0x9"
        assert await chain.nonce(SOMEBODY) == 9
        good.down = True
        assert await chain.nonce(SOMEBODY) == 7
        with pytest.raises(NoEndpoint, match="20 blocks behind"):
            await chain.header("latest")


async def test_what_all_refuse_is_not_put_to_those_behind() -> None:
    async with FakeNode(head=80) as stale, FakeNode(head=100) as good, chain_of(stale, good) as chain:
        with pytest.raises(MethodNotSupported):
            await chain.max_priority_fee()
        assert good.calls["eth_maxPriorityFeePerGas"] == 1
        assert stale.calls["eth_maxPriorityFeePerGas"] == 0
