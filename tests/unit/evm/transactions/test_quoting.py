"""Fees and gas limits: read beside the hot path, never older than allowed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.support.clock import FakeClock
from tests.support.mempool import GWEI, MemoryNode, refusal
from tests.support.sending import TO, price

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.ids import Hash32
from seamark.evm.transactions import SenderSettings
from seamark.evm.transactions.fees import Market
from seamark.evm.transactions.quoting import FeeDesk, GasDesk
from seamark.evm.types import Receipt

SETTINGS = SenderSettings(fee_refresh_s=4, fee_max_age_s=30, gas_max_age_s=600)
ME = TO


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def fee_desk(node: MemoryNode) -> tuple[FeeDesk, FakeClock]:
    clock = FakeClock()
    return FeeDesk(node, clock, SETTINGS), clock


async def test_the_market_is_the_next_base_fee_and_what_others_tip():
    desk, _ = fee_desk(MemoryNode(base_fee=3 * GWEI, market_tip=GWEI))
    assert await desk.market() == Market(3 * GWEI, GWEI, 4 * GWEI)


async def test_a_fresh_snapshot_costs_nothing():
    node = MemoryNode()
    desk, clock = fee_desk(node)
    await desk.market()
    node.calls.clear()
    clock.advance(4)
    await desk.market()
    assert node.calls == []


async def test_an_ageing_one_is_used_while_a_newer_is_read():
    node = MemoryNode(base_fee=GWEI)
    desk, clock = fee_desk(node)
    await desk.market()
    node.base_fee = 9 * GWEI
    clock.advance(5)
    assert (await desk.market()).next_base == GWEI
    await settle()
    assert (await desk.market()).next_base == 9 * GWEI


async def test_too_old_a_snapshot_is_never_offered_upon():
    node = MemoryNode(base_fee=GWEI)
    desk, clock = fee_desk(node)
    await desk.market()
    clock.advance(31)
    node.base_fee = 9 * GWEI
    assert (await desk.market()).next_base == 9 * GWEI


async def test_without_a_node_there_is_no_old_price():
    node = MemoryNode()
    desk, clock = fee_desk(node)
    await desk.market()
    clock.advance(31)
    node.before = lambda _method: (_ for _ in ()).throw(TemporaryError("no endpoint"))
    await desk.keep_fresh()  # told in the log
    with pytest.raises(TemporaryError):
        await desk.market()


async def test_many_ask_once():
    node = MemoryNode()
    desk, _ = fee_desk(node)
    await asyncio.gather(*(desk.market() for _ in range(10)))
    assert node.calls.count("gas_price") == 1


async def test_before_eip_1559_only_the_gas_price_is_asked():
    node = MemoryNode(base_fee=None, market_tip=7)
    desk, _ = fee_desk(node)
    assert await desk.market() == Market(None, 0, 7)
    assert "fee_history" not in node.calls


async def test_where_nobody_tips_the_node_suggests():
    node = MemoryNode(base_fee=5)
    node.market_tip = 0

    async def suggested() -> int:
        return 3

    node.max_priority_fee = suggested  # type: ignore[method-assign]
    desk, _ = fee_desk(node)
    assert (await desk.market()).tip == 3


async def test_a_node_without_the_newer_methods_still_gives_a_market():
    node = MemoryNode(base_fee=5)

    def missing(method: str) -> None:
        if method in ("fee_history", "max_priority_fee"):
            raise refusal(f"the method {method} does not exist/is not available", method)

    node.before = missing
    desk, _ = fee_desk(node)
    assert (await desk.market()).next_base == 5
    assert (await desk.market()).tip == 0


# ---- gas ------------------------------------------------------------------------------------------------------------


def gas_desk(node: MemoryNode) -> tuple[GasDesk, FakeClock]:
    clock = FakeClock()
    return GasDesk(node, clock, SETTINGS, ME), clock


async def test_an_estimate_gets_a_fifth_more_and_is_kept_per_selector():
    node = MemoryNode(gas_needed=50_001)
    desk, _ = gas_desk(node)
    first = price(1, data=b"\x01\x02\x03\x04" + b"a", gas_limit=None)
    assert await desk.limit(first) == 60_002
    node.gas_needed = 90_000
    assert desk.known(replace(first, data=b"\x01\x02\x03\x04" + b"b")) == 60_002
    assert desk.known(replace(first, data=b"\x01\x02\x03\x05")) is None


async def test_an_old_estimate_is_used_while_it_is_made_again():
    node = MemoryNode(gas_needed=50_000)
    desk, clock = gas_desk(node)
    intent = price(1, gas_limit=None)
    await desk.limit(intent)
    node.gas_needed = 80_000
    clock.advance(601)
    assert desk.known(intent) == 60_000
    await settle()
    assert desk.known(intent) == 96_000
    assert node.calls.count("estimate_gas") == 2


async def test_a_failed_refresh_keeps_the_old_estimate():
    node = MemoryNode()
    desk, clock = gas_desk(node)
    intent = price(1, gas_limit=None)
    await desk.limit(intent)
    node.revert = RejectedError("execution reverted")
    clock.advance(601)
    assert desk.known(intent) == 60_000
    await settle()
    assert desk.known(intent) == 60_000


@pytest.mark.parametrize(
    ("used", "succeeded", "kept"), [(60_000, False, False), (30_000, False, True), (60_000, True, True)]
)
async def test_running_out_of_gas_forgets_the_estimate(used, succeeded, kept):
    desk, _ = gas_desk(MemoryNode())
    intent = price(1, gas_limit=None)
    gas = await desk.limit(intent)
    nothing = Hash32("0x" + "00" * 32)
    desk.learn(intent.to, intent.data, gas, Receipt(nothing, 1, nothing, succeeded, used, 1, ()))
    assert (desk.known(intent) is not None) is kept
