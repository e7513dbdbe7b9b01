"""How much is asked of a node: a mined transaction waits for finality without costing a question per look."""

from __future__ import annotations

from tests.support.sending import Rig, price

from seamark.evm.ports import TxState


async def test_what_is_mined_is_asked_for_once_per_block(rig: Rig):
    rig.start(confirmations=10)
    await rig.sender.submit(price(1))
    rig.node.mine()
    await rig.look()
    assert await rig.state(1) is TxState.MINED
    asked = rig.node.calls.count("receipts")
    for _ in range(5):
        await rig.look(1)
    assert rig.node.calls.count("receipts") == asked, "no new block: nothing can have changed"
    rig.node.mine()
    await rig.look(1)
    assert rig.node.calls.count("receipts") == asked + 1
    assert await rig.state(1) is TxState.MINED


async def test_a_newer_one_is_asked_for_though_an_older_one_is_known(rig: Rig):
    rig.start(confirmations=10)
    await rig.sender.submit(price(1))
    rig.node.mine()
    await rig.look()
    await rig.sender.submit(price(2))
    await rig.look(1)
    assert (await rig.state(1), await rig.state(2)) == (TxState.MINED, TxState.BROADCAST)
    rig.node.mine()
    await rig.look(1)
    assert (await rig.state(1), await rig.state(2)) == (TxState.MINED, TxState.MINED)


async def test_a_reorg_at_the_same_height_is_another_head(rig: Rig):
    rig.start(confirmations=10)
    await rig.sender.submit(price(1))
    rig.node.mine()
    await rig.look()
    await rig.look(1)
    rig.node.reorg(1, keep=False)
    await rig.look(1)
    assert await rig.state(1) is TxState.BROADCAST
