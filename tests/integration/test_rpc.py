"""The pool against a real node behind a proxy that misbehaves."""

from __future__ import annotations

import asyncio
import itertools
import re

import pytest

from seamark.core.errors import SettingsError, TemporaryError
from seamark.core.ids import ChainId, Hash32
from seamark.evm.rpc import Chain
from seamark.evm.rpc.errors import BlockOutOfRange, CallReverted, EndpointBehind, TransactionRefused
from seamark.evm.types import Call, LogFilter
from seamark.runtime.http import make_session
from tests.support.anvil import ACCOUNT, anvil, deploy, send
from tests.support.faulty_rpc import Faults, FaultyRpc

CHAIN = ChainId(138)
TOPIC = Hash32("0x" + "11" * 32)
# PUSH32 topic, CALLDATASIZE, PUSH0, PUSH0, CALLDATACOPY, CALLDATASIZE, PUSH0, LOG1, STOP: logs its calldata
LOGGER = "365f5f37" + "7f" + "11" * 32 + "365fa1" + "00"
REVERTER = "5f5ffd"
BLOCKS = 40


@pytest.fixture
async def node():
    async with anvil(CHAIN) as running:
        yield running


@pytest.fixture
async def session():
    async with make_session() as opened:
        yield opened


@pytest.fixture
async def logger(node):
    """A contract with one log in each of the blocks 2 to 41."""
    address = await deploy(node, LOGGER)
    for number in range(BLOCKS):
        await send(node, to=address, data=f"0x{number:064x}")
    return address


def numbers(logs) -> list[int]:
    return [int(log.data, 16) for log in logs]


async def test_reads_and_writes_on_a_real_node(node, session, logger) -> None:
    chain = Chain(CHAIN, [node.url], session=session)
    latest = await chain.header("latest")
    assert latest is not None
    assert latest.number == BLOCKS + 1
    headers = await chain.headers(range(latest.number + 2))
    assert headers[-1] is None
    assert headers[-2] == latest
    assert all(child.parent_hash == parent.hash for parent, child in itertools.pairwise(headers[:-1]))  # type: ignore[union-attr]
    logs = await chain.logs(LogFilter((logger,), (TOPIC,)), 0, latest.number, end=latest.hash)
    assert numbers(logs) == list(range(BLOCKS))
    assert logs[0].block_timestamp == headers[2].timestamp  # type: ignore[union-attr]
    receipt = await chain.receipt(logs[0].transaction_hash)
    assert receipt is not None
    assert receipt.succeeded
    assert receipt.logs == (logs[0],)
    assert await chain.code(logger) == bytes.fromhex(LOGGER)
    assert await chain.nonce(ACCOUNT) == await chain.nonce(ACCOUNT, "pending") == BLOCKS + 1
    assert await chain.balance(ACCOUNT) > 0
    history = await chain.fee_history(3, "latest", [50])
    assert (len(history.base_fees), len(history.rewards)) == (4, 3)
    assert await chain.gas_price() >= await chain.max_priority_fee() > 0
    assert await chain.estimate_gas(sender=ACCOUNT, to=logger, data=b"x") > 21000


async def test_reverts_and_refusals(node, session) -> None:
    reverter = await deploy(node, REVERTER)
    chain = Chain(CHAIN, [node.url], session=session)
    with pytest.raises(CallReverted):
        await chain.call(Call(reverter, b""))
    with pytest.raises(CallReverted):
        await chain.estimate_gas(sender=ACCOUNT, to=reverter, data=b"")
    with pytest.raises(CallReverted):
        await chain.simulate(sender=ACCOUNT, to=reverter, data=b"")
    answers = await chain.calls([Call(ACCOUNT, b""), Call(reverter, b"")])
    assert answers[0] == b""
    assert isinstance(answers[1], CallReverted)
    with pytest.raises(TransactionRefused):
        await chain.send_raw(b"\2garbage")


async def test_a_range_beyond_the_head_is_an_error_not_an_empty_list(node, session) -> None:
    chain = Chain(CHAIN, [node.url], session=session)
    with pytest.raises(BlockOutOfRange):
        await chain.logs(LogFilter((ACCOUNT,), (TOPIC,)), 0, 5)


async def test_a_range_of_another_chain_is_an_error(node, session, logger) -> None:
    chain = Chain(CHAIN, [node.url], session=session)
    with pytest.raises(EndpointBehind, match="not 0x2222"):
        await chain.logs(LogFilter((logger,), (TOPIC,)), 0, 10, end=Hash32("0x" + "22" * 32))


async def test_reorganised_chain_is_not_read_as_the_old_one(node, session, logger) -> None:
    chain = Chain(CHAIN, [node.url], session=session)
    old = await chain.header("latest")
    assert old is not None
    await node.request("anvil_reorg", 5, [])
    new = await chain.header(old.number)
    assert new is not None
    assert new.hash != old.hash
    with pytest.raises(EndpointBehind):
        await chain.logs(LogFilter((logger,), (TOPIC,)), 0, old.number, end=old.hash)
    logs = await chain.logs(LogFilter((logger,), (TOPIC,)), 0, old.number, end=new.hash)
    assert numbers(logs) == list(range(BLOCKS - 5))


@pytest.mark.parametrize(
    "faults",
    [
        Faults(hang=True),
        Faults(close=True),
        Faults(status=500),
        Faults(status=429, headers={"Retry-After": "60"}),
        Faults(status=200),
        Faults(body=b'{"jsonrpc":'),
        Faults(body=b"[]"),
        Faults(half_reply=True),
        Faults(missing_items=1),
        Faults(duplicated_items=True),
        Faults(wrong_ids=True),
        Faults(error={"code": -32000, "message": "no backend is currently healthy to serve traffic"}),
        Faults(single_error={"code": -32005, "message": "daily request count exceeded, request rate limited"}),
    ],
    ids=lambda faults: re.sub(r"[^a-z_0-9]+", " ", str({k: v for k, v in vars(faults).items() if v})).strip()[:40],
)
async def test_a_failing_endpoint_is_passed_over(node, session, logger, faults: Faults) -> None:
    async with FaultyRpc(node.url) as bad, FaultyRpc(node.url) as good:
        chain = Chain(CHAIN, [bad.url, good.url], session=session, deadline_s=0.5)
        wanted = LogFilter((logger,), (TOPIC,))
        assert numbers(await chain.logs(wanted, 0, BLOCKS + 1)) == list(range(BLOCKS))
        bad.faults = faults
        for _ in range(3):
            assert numbers(await chain.logs(wanted, 0, BLOCKS + 1)) == list(range(BLOCKS))
            head = await chain.header("latest")
            assert head is not None
            assert head.number == BLOCKS + 1
        await chain.close()


async def test_recovery_takes_seconds(node, session, logger) -> None:
    async with FaultyRpc(node.url) as proxy:
        chain = Chain(CHAIN, [proxy.url], session=session, deadline_s=0.5)
        proxy.faults = Faults(status=503)
        with pytest.raises(TemporaryError):
            await chain.header("latest")
        proxy.faults = Faults()
        assert await chain.header("latest") is not None


async def test_an_endpoint_20_blocks_behind_is_not_believed(node, session, logger) -> None:
    async with FaultyRpc(node.url) as stale, FaultyRpc(node.url) as good:
        stale.faults = Faults(frozen_at=BLOCKS + 1 - 20)
        chain = Chain(CHAIN, [stale.url, good.url], session=session)
        head = await chain.header("latest")
        assert head is not None
        assert head.number == BLOCKS + 1
        assert await chain.nonce(ACCOUNT) == BLOCKS + 1
        logs = await chain.logs(LogFilter((logger,), (TOPIC,)), 0, head.number, end=head.hash)
        assert numbers(logs) == list(range(BLOCKS))
        assert await chain.header(head.number) == head
        receipt = await chain.receipt(logs[-1].transaction_hash)
        assert receipt is not None
        await chain.close()


async def test_a_stale_endpoint_alone_stays_silent_about_what_it_lacks(node, session, logger) -> None:
    async with FaultyRpc(node.url) as stale, FaultyRpc(node.url) as good:
        stale.faults = Faults(frozen_at=20)
        chain = Chain(CHAIN, [stale.url, good.url], session=session)
        head = await chain.header("latest")
        assert head is not None
        good.faults = Faults(status=500)
        with pytest.raises(TemporaryError):
            await chain.header("latest")
        with pytest.raises(TemporaryError):
            await chain.logs(LogFilter((logger,), (TOPIC,)), 0, head.number, end=head.hash)
        await chain.close()


async def test_wrong_chain_is_named_and_the_right_one_goes_on(node, session) -> None:
    async with anvil(139) as other:
        only = Chain(CHAIN, [other.url + "/v2/secret-key-123"], session=session)
        # The chain id is asked at the host, wherever the path leads: anvil answers at the root only.
        with pytest.raises(TemporaryError) as caught:
            await only.header("latest")
        assert "secret-key-123" not in str(caught.value)
        only = Chain(CHAIN, [other.url], session=session)
        with pytest.raises(SettingsError, match="serves chain id 139, but the settings say 138"):
            await only.header("latest")
        both = Chain(CHAIN, [other.url, node.url], session=session)
        assert await both.header("latest") is not None
        await both.close()


async def test_a_transaction_goes_to_every_endpoint(node, session) -> None:
    from eth_account import Account  # noqa: PLC0415 - slow to import

    key = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
    fields = {"chainId": CHAIN, "nonce": 0, "to": "0x" + "22" * 20, "value": 1, "gas": 21000, "maxFeePerGas": 10**10}
    signed = Account.sign_transaction(fields | {"maxPriorityFeePerGas": 1, "type": 2}, key)
    raw, expected = bytes(signed.raw_transaction), "0x" + bytes(signed.hash).hex()
    async with FaultyRpc(node.url) as slow, FaultyRpc(node.url) as quick:
        chain = Chain(CHAIN, [slow.url, quick.url], session=session)
        await chain.header("latest")
        slow.faults = Faults(delay_s=0.3)
        assert await chain.send_raw(raw) == expected
        assert await chain.receipt(Hash32(expected)) is not None
        async with asyncio.timeout(5):
            while not slow.calls["eth_sendRawTransaction"]:  # noqa: ASYNC110 - a counter, not an event
                await asyncio.sleep(0.01)
        await chain.close()
