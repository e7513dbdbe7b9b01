"""A process that submits transactions until it is killed with SIGKILL at a chosen point.

    python -m tests.support.killed_sender URL DATABASE POINT PASSES

It kills itself from inside a collaborator (a database or chain that wraps the real one), so production code knows
nothing of it. Used by tests/integration/test_transactions.py.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

from seamark.core.ids import ChainId, Hash32
from seamark.evm.rpc import Chain
from seamark.evm.signers import RawKeySigner
from seamark.evm.transactions import Sender
from seamark.runtime.clock import SystemClock
from seamark.runtime.http import make_session
from seamark.storage.database import open_database
from tests.support.crashes import Crash, CrashingDatabase, Fuse
from tests.support.sending import price

DEV_KEY = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"  # anvil's first well-known account
INTENTS = 6


class LethalFuse(Fuse):
    def pass_by(self, point: str) -> None:
        try:
            super().pass_by(point)
        except Crash:
            os.kill(os.getpid(), signal.SIGKILL)


class CrashingChain(Chain):
    fuse: Fuse

    async def send_raw(self, raw: bytes) -> Hash32:
        self.fuse.pass_by("before send_raw")
        taken = await super().send_raw(raw)
        self.fuse.pass_by("after send_raw")
        return taken


async def main(url: str, database_url: str, point: str, passes: str) -> None:
    fuse = LethalFuse()
    database: Any = CrashingDatabase(await open_database(database_url), fuse)
    async with make_session() as session:
        chain = CrashingChain(ChainId(31337), [url], session=session)
        chain.fuse = fuse
        signer = RawKeySigner.from_hex(DEV_KEY)
        sender = Sender(chain=chain, signer=signer, database=database, clock=SystemClock())
        await sender.look()
        fuse.arm(point, int(passes))
        await asyncio.gather(*(sender.submit(price(number)) for number in range(INTENTS // 2)))
        for number in range(INTENTS // 2, INTENTS):
            await sender.submit(price(number))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
