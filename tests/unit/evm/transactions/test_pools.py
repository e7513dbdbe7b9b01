"""The sender against the pool of each client family: a replacement is taken the first time, whatever the market."""

from __future__ import annotations

from contextlib import suppress

import pytest
from tests.support.crashes import Crash
from tests.support.mempool import GWEI
from tests.support.pools import FAMILIES, FREE, PAID, Offer
from tests.support.sending import Rig, price

from seamark.core.errors import TemporaryError
from seamark.evm.ports import TxState
from seamark.evm.transactions import CannotReplace, FeePolicy, Patience
from seamark.evm.transactions.ports import Held, Refused, Replaced

MARKETS = [
    pytest.param(GWEI, GWEI, id="even"),
    pytest.param(30 * GWEI, GWEI // 10, id="base fee far above the tip"),
    pytest.param(7, 40 * GWEI, id="tip far above the base fee"),
    pytest.param(1_000_000, 1, id="a quiet layer 2"),
    pytest.param(None, 20 * GWEI, id="before EIP-1559"),
]


@pytest.fixture(params=["geth", "erigon", "nethermind", "besu"])
def family(request, rig: Rig) -> str:
    rig.node.rule = request.param
    return str(request.param)


async def stuck(rig: Rig) -> None:
    """A transaction that waits while blocks come."""
    rig.node.room = 0
    rig.node.mine()
    await rig.sender.submit(price(1))
    rig.node.mine()


@pytest.mark.usefixtures("family")
@pytest.mark.parametrize(("base", "tip"), MARKETS)
async def test_a_replacement_is_taken_the_first_time(rig: Rig, base, tip):
    rig.node.base_fee, rig.node.market_tip = base, tip
    await stuck(rig)
    for _ in range(3):
        await rig.look(31)
        rig.node.mine()
    assert len(rig.node.accepted) == 4, "each look raised the offer, and the pool took it"
    assert len(rig.node.pool) == 1
    assert not rig.told(Refused)
    rig.node.room = 1
    rig.node.mine()
    await rig.look()
    assert await rig.state(1) is TxState.CONFIRMED


@pytest.mark.usefixtures("family")
async def test_type_0_by_choice_is_replaced_too(rig: Rig):
    rig.start(fees=FeePolicy(legacy=True))
    await stuck(rig)
    for _ in range(2):
        await rig.look(31)
        rig.node.mine()
    assert [tx.legacy for tx in rig.node.accepted] == [True] * 3
    assert not rig.told(Refused)


@pytest.mark.usefixtures("family")
@pytest.mark.parametrize("blocks", [1, 2])
async def test_also_where_the_base_fee_has_risen_since_it_was_read(rig: Rig, blocks):
    rig.node.base_fee, rig.node.market_tip = 30 * GWEI, GWEI
    await stuck(rig)
    await rig.sender.look()
    rig.node.base_fee = rig.node.base_fee * 9**blocks // 8**blocks  # the market's snapshot is older
    rig.clock.advance(31)
    rig.start(fee_refresh_s=1000, fee_max_age_s=1000)
    await rig.sender.look()
    assert len(rig.told(Replaced)) <= 1
    assert not rig.told(Refused)


@pytest.mark.usefixtures("family")
async def test_a_newer_intent_is_taken_the_first_time(rig: Rig):
    rig.node.base_fee, rig.node.market_tip = 25 * GWEI, GWEI // 2
    await stuck(rig)
    await rig.sender.replace("price-1", price(2))
    assert [tx.data for tx in rig.node.pool.values()] == [b"price-2"]
    rig.node.room = 1
    rig.node.mine()
    await rig.look()
    assert (await rig.state(1), await rig.state(2)) == (TxState.REPLACED, TxState.CONFIRMED)


@pytest.mark.usefixtures("family")
async def test_what_the_pool_has_already_counts_as_accepted(rig: Rig):
    await stuck(rig)
    rig.start()
    await rig.look()  # a new process sends the same bytes again
    assert await rig.state(1) is TxState.BROADCAST
    assert not rig.told(Refused)


@pytest.mark.usefixtures("family")
async def test_a_used_nonce_may_be_our_own_success(rig: Rig):
    def lose(method: str) -> None:
        if method == "send_raw":
            rig.node.mine()
            raise TemporaryError("time-out")

    rig.node.after = lose
    with pytest.raises(TemporaryError):
        await rig.sender.submit(price(1))
    rig.start()
    await rig.look()  # "nonce too low": the receipt tells why
    assert await rig.state(1) is TxState.CONFIRMED
    assert len(rig.node.mined) == 1


async def test_a_full_pool_takes_it_once_it_pays_more_than_the_cheapest(rig: Rig, family):
    rig.node.pool_size = 5
    rig.node.crowd(5, 3 * GWEI)
    with suppress(TemporaryError):  # Besu takes it and drops it without a word
        await rig.sender.submit(price(1))
    for _ in range(12):
        rig.node.mine()
        await rig.look(31)
    assert await rig.state(1) is TxState.CONFIRMED, family


@pytest.mark.usefixtures("family")
async def test_what_was_evicted_is_sent_again(rig: Rig):
    rig.node.pool_size = 3
    await stuck(rig)
    rig.node.drop_pool()
    rig.node.crowd(3, GWEI)
    rig.node.room = 10
    await rig.look(6)
    rig.node.mine()
    await rig.look()
    assert await rig.state(1) is TxState.CONFIRMED


@pytest.mark.usefixtures("family")
async def test_nonces_that_the_pool_lost_are_filled_in_again(rig: Rig):
    for number in (1, 2, 3):
        await rig.sender.submit(price(number))
    del rig.node.pool[rig.sender.address, 0]
    rig.node.mine()
    assert not rig.node.mined, "the others wait behind the gap"
    await rig.look(6)
    rig.node.mine()
    await rig.look()
    assert [tx.data for tx in rig.node.mined] == [b"price-1", b"price-2", b"price-3"]


async def test_the_ceiling_holds_in_every_pool(rig: Rig, family):
    rig.start(fees=FeePolicy(ceiling=3 * GWEI))
    await stuck(rig)
    for _ in range(8):
        await rig.look(31)
        rig.node.mine()
    assert max(tx.cap for tx in rig.node.accepted) <= 3 * GWEI, family
    assert len(rig.told(Held)) == 1
    assert not rig.told(Refused)


@pytest.mark.parametrize(("depth", "keep"), [(1, True), (3, False), (5, True)])
@pytest.mark.usefixtures("family")
async def test_a_reorg_takes_it_back_and_it_is_mined_again(rig: Rig, depth, keep):
    rig.start(confirmations=3)
    await rig.sender.submit(price(1))
    rig.node.mine(depth)
    await rig.look()
    rig.node.reorg(depth, keep=keep)
    rig.node.room = 0
    for _ in range(3):
        rig.node.mine()
        await rig.look(6)
    assert await rig.state(1) is TxState.BROADCAST
    rig.node.room = 1
    rig.node.mine(3)
    await rig.look(6)
    assert await rig.state(1) is TxState.CONFIRMED
    assert len(rig.node.mined) == 1


@pytest.mark.parametrize("name", FREE)
async def test_a_chain_without_fees_is_never_bumped(rig: Rig, name):
    rig.node.rule, rig.node.base_fee, rig.node.market_tip = name, 0, 0
    await stuck(rig)
    for _ in range(5):
        await rig.look(70)
        rig.node.mine()
    assert {tx.cap for tx in rig.node.accepted} == {0}
    assert len({tx.hash for tx in rig.node.accepted}) == 1
    assert not rig.told(Refused)


def test_the_families_differ_where_their_sources_do():
    """So that passing all of them says something."""
    thin = {name: FAMILIES[name].replaces(Offer(31, 1), Offer(35, 2), 30, 1) for name in PAID}  # 31 -> 32 at base 30
    assert thin == {"geth": True, "erigon": True, "nethermind": False, "nethermind-2025": False, "besu": False}
    exact = {name: FAMILIES[name].replaces(Offer(100, 100), Offer(110, 110), 0, 1) for name in PAID}
    assert exact == {"geth": True, "erigon": True, "nethermind": True, "nethermind-2025": True, "besu": False}
    assert not FAMILIES["erigon"].replaces(Offer(100, 100), Offer(120, 120, value=1), 0, 2), "a larger value"


async def free(rig: Rig, name: str) -> None:
    rig.node.rule, rig.node.base_fee, rig.node.market_tip = name, 0, 0
    await stuck(rig)


async def test_nothing_replaces_nothing_where_the_pool_lets_it(rig: Rig):
    await free(rig, "besu-free-replacing")
    for number in (2, 3):
        await rig.sender.replace(f"price-{number - 1}", price(number))
    assert [tx.data for tx in rig.node.pool.values()] == [b"price-3"]
    assert {tx.cap for tx in rig.node.accepted} == {0}
    rig.node.room = 1
    rig.node.mine()
    await rig.look()
    assert [await rig.state(number) for number in (1, 2, 3)] == [
        TxState.REPLACED,
        TxState.REPLACED,
        TxState.CONFIRMED,
    ]


async def test_where_the_pool_does_not_it_is_tried_once(rig: Rig):
    await free(rig, "besu-free")
    with pytest.raises(TemporaryError, match="journalled"):
        await rig.sender.replace("price-1", price(2))
    with pytest.raises(CannotReplace, match="without fees"):
        await rig.sender.replace("price-2", price(3))
    assert await rig.sender.find("price-3") is None
    await rig.look(70)
    rig.node.room = 1
    rig.node.mine()
    await rig.look()
    assert (await rig.state(1), await rig.state(2)) == (TxState.CONFIRMED, TxState.REPLACED)


async def test_the_newer_one_goes_in_once_the_pool_lost_the_older(rig: Rig):
    await free(rig, "besu-free")
    with pytest.raises(TemporaryError):
        await rig.sender.replace("price-1", price(2))
    rig.node.drop_pool()
    await rig.look(6)
    rig.node.room = 1
    rig.node.mine()
    await rig.look()
    assert (await rig.state(1), await rig.state(2)) == (TxState.REPLACED, TxState.CONFIRMED)


async def test_an_offer_is_not_replaced_before_its_time(rig: Rig):
    rig.start(patience=Patience(replace_ms=30_000))
    await stuck(rig)
    rig.clock.advance(29)
    with pytest.raises(CannotReplace, match="too young"):
        await rig.sender.replace("price-1", price(2))
    assert await rig.sender.find("price-2") is None
    rig.clock.advance(1)
    await rig.sender.replace("price-1", price(2))
    assert [tx.data for tx in rig.node.pool.values()] == [b"price-2"]


@pytest.mark.parametrize("point", ["before write", "after write", "before send_raw", "after send_raw"])
async def test_a_replacement_survives_a_death_at_any_step(rig: Rig, point):
    await stuck(rig)
    rig.fuse.arm(point)
    with pytest.raises(Crash):
        await rig.sender.replace("price-1", price(2))
    rig.start()
    rig.node.room = 1
    for _ in range(3):
        await rig.look(6)
        rig.node.mine()
    await rig.look()
    assert len(rig.node.mined) == 1, "one nonce, one transaction"
    journalled = await rig.sender.find("price-2") is not None
    assert journalled is (point != "before write")
    assert rig.node.mined[0].data == (b"price-2" if journalled else b"price-1")
