"""Who waits for a transaction learns of its end, also where the sender itself learns of it from the journal alone."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.sending import Rig, price

from seamark.core.errors import TemporaryError
from seamark.evm.ports import TxState
from seamark.storage.database import Database


class LostAnswers:
    """A database whose connection may break just after a commit, so that nobody knows of it."""

    def __init__(self, inner: Database) -> None:
        self.url = inner.url
        self.lost = False
        self._inner = inner

    async def read(self, work: Any) -> Any:
        return await self._inner.read(work)

    async def write(self, work: Any, **how: Any) -> Any:
        result = await self._inner.write(work, **how)
        if self.lost:
            raise TemporaryError("the connection broke")
        return result

    async def close(self) -> None:
        await self._inner.close()


async def settle_unnoticed(rig: Rig, number: int) -> None:
    """The journal says that it is confirmed; the running sender could not see that its commit arrived."""
    assert isinstance(rig.database, LostAnswers)
    rig.node.mine()
    rig.database.lost = True
    try:
        await rig.look()
    except TemporaryError:
        rig.database.lost = False
    assert await rig.stored(number) is TxState.CONFIRMED
    assert await rig.state(number) is TxState.BROADCAST


async def test_a_waiter_outlives_a_sender_that_starts_anew(rig: Rig):
    rig.database = LostAnswers(rig.database)
    rig.start()
    await rig.sender.submit(price(1))
    waiting = asyncio.create_task(rig.sender.wait("price-1"))
    await asyncio.sleep(0)
    await settle_unnoticed(rig, 1)
    again = asyncio.create_task(rig.sender.run())
    outcome = await asyncio.wait_for(waiting, 1.5)
    assert (outcome.state, outcome.receipt is not None) == (TxState.CONFIRMED, True)
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)
