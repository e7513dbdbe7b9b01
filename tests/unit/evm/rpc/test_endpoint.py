from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from seamark.evm.rpc import SilentObserver
from seamark.evm.rpc.endpoint import Endpoint, Request
from seamark.evm.rpc.errors import (
    BadReply,
    CallReverted,
    MethodNotSupported,
    NodeFault,
    RateLimited,
    ResultTooLarge,
    RpcTimeout,
    RpcUnavailable,
)
from seamark.runtime.clock import SystemClock
from tests.support.clock import FakeClock
from tests.support.faulty_rpc import Faults, FaultyRpc
from tests.unit.evm.rpc.fake_node import FakeNode, Refusal


class Witness(SilentObserver):
    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def requested(self, endpoint: str, method: str, items: int, seconds: float) -> None:
        self.seen.append(("requested", method, items))

    def failed(self, endpoint: str, method: str, kind: str) -> None:
        self.seen.append(("failed", method, kind))

    def limit(self, endpoint: str, name: str, value: float) -> None:
        self.seen.append(("limit", name, value))


def endpoint_at(url: str, session: aiohttp.ClientSession, **extra: Any) -> Endpoint:
    return Endpoint(url, session=session, **(dict[str, Any](clock=SystemClock(), observer=SilentObserver()) | extra))


NUMBERS = [Request("eth_getBlockByNumber", (hex(number), False)) for number in range(5)]


async def test_one_call_is_no_batch(session) -> None:
    async with FakeNode(chain_id=5) as node:
        assert bytes(await endpoint_at(node.url, session).ask("eth_chainId")) == b'"0x5"'
        assert node.batches == [1]


async def test_replies_are_matched_by_id_in_any_order(session) -> None:
    async with FakeNode() as node, FaultyRpc(node.url) as proxy:
        proxy.faults = Faults(reversed_order=True)
        answers = await endpoint_at(proxy.url, session).ask_together(NUMBERS)
        assert [b'"number": "' + hex(at).encode() in bytes(answer) for at, answer in enumerate(answers)] == [True] * 5  # type: ignore[arg-type]


async def test_a_call_s_own_error_leaves_the_others_alone(session) -> None:
    async with FakeNode() as node:
        witness = Witness()
        endpoint = endpoint_at(node.url, session, observer=witness)
        good, bad = await endpoint.ask_together([Request("eth_chainId"), Request("eth_nope")])
        assert not isinstance(good, Exception)
        assert isinstance(bad, MethodNotSupported)
        assert witness.seen == [("requested", "eth_chainId", 2), ("failed", "eth_nope", "MethodNotSupported")]


@pytest.mark.parametrize(
    ("faults", "kind"),
    [
        (Faults(close=True), RpcUnavailable),
        (Faults(status=500), RpcUnavailable),
        (Faults(status=502), RpcUnavailable),
        (Faults(status=429), RateLimited),
        (Faults(status=413), ResultTooLarge),
        (Faults(status=404), BadReply),
        (Faults(status=302, headers={"Location": "http://127.0.0.1:1/"}), BadReply),
        (Faults(body=b""), BadReply),
        (Faults(body=b"null"), BadReply),
        (Faults(body=b"<html>"), BadReply),
        (Faults(body=b"[1, 2]"), BadReply),
        (Faults(body=b"[]"), BadReply),
        (Faults(body=b'{"jsonrpc": "2.0", "id": 0, "resu'), BadReply),
        (Faults(body=b'{"id": "zero", "result": 1}'), BadReply),
        (Faults(body=b'{"result": 1}'), BadReply),
        (Faults(body=b'{"id": 0}'), BadReply),
        (Faults(body=b"\xff\xfe"), BadReply),
        (Faults(body=b'[{"id": 0, "result": 1}, {"id": 1, "result": 2}, {"id": 0, "result": 3}]'), BadReply),
        (Faults(half_reply=True), BadReply),
        (Faults(wrong_ids=True), BadReply),
        (Faults(missing_items=1), BadReply),
        (Faults(duplicated_items=True), BadReply),
    ],
    ids=str,
)
async def test_unusable_replies_are_never_used(session, faults: Faults, kind: type[Exception]) -> None:
    async with FakeNode() as node, FaultyRpc(node.url) as proxy:
        proxy.faults = faults
        witness = Witness()
        endpoint = endpoint_at(proxy.url, session, observer=witness)
        # One alone cannot be matched wrongly by order, so a batch; and again, so that no state is left behind.
        for _ in range(2):
            with pytest.raises(NodeFault) as caught:
                await endpoint_at(proxy.url, session, observer=witness).ask_together(NUMBERS[:2])
            assert isinstance(caught.value, kind)
        assert ("failed", "eth_getBlockByNumber", kind.__name__) in witness.seen
        proxy.faults = Faults()
        assert len(await endpoint.ask_together(NUMBERS)) == 5


async def test_a_revert_that_comes_alone_is_one_call_s_answer_and_not_the_batch_s(session) -> None:
    """The other answer is missing: the whole is of no use, and another endpoint may have it."""

    def revert(*_: object) -> None:
        raise Refusal(3, "execution reverted", "0x")

    async with FakeNode() as node, FaultyRpc(node.url) as proxy:
        node.handlers["eth_call"] = revert
        calls = [Request("eth_call", ({"to": "0x" + "11" * 20}, "latest")), Request("eth_chainId")]
        proxy.faults = Faults(missing_items=1)
        with pytest.raises(BadReply, match="1 of 2 calls was answered"):
            await endpoint_at(proxy.url, session).ask_together(calls)
        proxy.faults = Faults()
        reverted, chain_id = await endpoint_at(proxy.url, session).ask_together(calls)
        assert isinstance(reverted, CallReverted)
        assert not isinstance(chain_id, Exception)


async def test_silence_ends_at_the_deadline(session) -> None:
    async with FakeNode() as node, FaultyRpc(node.url) as proxy:
        proxy.faults = Faults(hang=True)
        with pytest.raises(RpcTimeout, match=r"no answer within 0\.05 s"):
            await endpoint_at(proxy.url, session, deadline_s=0.05).ask("eth_chainId")


async def test_one_broken_connection_is_tried_again(session) -> None:
    async with FakeNode() as node, FaultyRpc(node.url) as proxy:
        proxy.fail_next(1, Faults(close=True))
        assert await endpoint_at(proxy.url, session).ask("eth_chainId")
        assert proxy.requests == 2


async def test_nobody_listens(session) -> None:
    with pytest.raises(RpcUnavailable, match="no connection"):
        await endpoint_at("http://127.0.0.1:9", session).ask("eth_chainId")


async def test_large_questions_go_in_batches_side_by_side(session) -> None:
    async with FakeNode(head=1000) as node:
        requests = [Request("eth_getBlockByNumber", (hex(number), False)) for number in range(250)]
        answers = await endpoint_at(node.url, session).ask_many(requests)
        assert all(hex(at).encode() in bytes(answer) for at, answer in enumerate(answers))  # type: ignore[arg-type]
        assert sorted(node.batches) == [50, 100, 100]


async def test_the_batch_limit_is_learned(session) -> None:
    async with FakeNode() as node:
        node.max_batch = 10
        witness = Witness()
        endpoint = endpoint_at(node.url, session, observer=witness)
        requests = [Request("eth_getBlockByNumber", (hex(number), False)) for number in range(40)]
        assert len(await endpoint.ask_many(requests)) == 40
        assert endpoint.batch_size.value == 10
        assert ("limit", "batch_size", 10) in witness.seen
        node.batches.clear()
        assert len(await endpoint.ask_many(requests)) == 40
        assert node.batches == [10, 10, 10, 10]


async def test_nodes_without_batches_are_asked_one_by_one(session) -> None:
    async with FakeNode() as node:
        node.max_batch = 1
        endpoint = endpoint_at(node.url, session)
        answers = await endpoint.ask_many(NUMBERS)
        assert [b'"number": "' + hex(at).encode() in bytes(answer) for at, answer in enumerate(answers)] == [True] * 5  # type: ignore[arg-type]
        assert endpoint.batch_size.value == 1


async def test_a_rate_limit_pauses_the_endpoint(session) -> None:
    async with FakeNode() as node:
        clock = FakeClock()
        endpoint = endpoint_at(node.url, session, clock=clock)
        node.rate_limited = 1
        with pytest.raises(RateLimited) as caught:
            await endpoint.ask("eth_chainId")
        assert caught.value.retry_after == 2.0
        with pytest.raises(RateLimited, match="pausing"):
            await endpoint.ask("eth_chainId")
        assert not node.calls, "nothing is sent during the pause"
        clock.advance(2)
        assert await endpoint.ask("eth_chainId")


async def test_a_failed_batch_abandons_the_others(session) -> None:
    async with FakeNode(head=1000) as node, FaultyRpc(node.url) as proxy:
        proxy.fail_next(1, Faults(status=500))
        requests = [Request("eth_getBlockByNumber", (hex(number), False)) for number in range(300)]
        endpoint = endpoint_at(proxy.url, session)
        with pytest.raises(RpcUnavailable):
            await endpoint.ask_many(requests)
        assert endpoint.in_flight.running == 0


async def test_replies_have_a_size_limit(session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seamark.evm.rpc.endpoint.MAX_REPLY_BYTES", 100)
    async with FakeNode() as node:
        with pytest.raises(ResultTooLarge, match="larger than 100 bytes"):
            await endpoint_at(node.url, session).ask("eth_getBlockByNumber", "0x1", False)


SECRET = "k3y-of-the-operator"


@pytest.mark.parametrize("form", ["http://{host}/v2/{key}", "http://{host}/?apikey={key}", "http://user:{key}@{host}/"])
@pytest.mark.parametrize(
    "faults", [Faults(), Faults(status=500), Faults(close=True), Faults(hang=True), Faults(body=b"?")]
)
async def test_secrets_in_the_url_stay_there(session, form: str, faults: Faults) -> None:
    async with FakeNode() as node, FaultyRpc(node.url) as proxy:
        host = proxy.url.removeprefix("http://")
        url = form.format(host=host, key=SECRET)

        def tell(*_: Any) -> Any:
            raise Refusal(-32000, f"invalid key {SECRET} for {url}")

        node.handlers["eth_chainId"] = tell
        proxy.faults = faults
        endpoint = endpoint_at(url, session, deadline_s=0.05)
        with pytest.raises(NodeFault) as caught:
            await endpoint.ask("eth_chainId")
        chain: BaseException | None = caught.value
        while chain is not None:
            assert SECRET not in str(chain)
            assert SECRET not in repr(chain)
            chain = chain.__cause__
        assert host in str(caught.value)
        assert SECRET not in repr(endpoint)
        assert endpoint.label == host


async def test_cancelling_leaves_nothing_behind(session) -> None:
    async with FakeNode() as node, FaultyRpc(node.url) as proxy:
        proxy.faults = Faults(hang=True)
        endpoint = endpoint_at(proxy.url, session)
        task = asyncio.create_task(endpoint.ask("eth_chainId"))
        while not proxy.requests:  # noqa: ASYNC110 - a counter, not an event
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert endpoint.in_flight.running == 0
