"""A sender with everything around it in memory, which can be killed and started again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any, Self

from seamark.core.ids import Address
from seamark.evm.ports import Intent, Outcome, TxState
from seamark.evm.signers import RawKeySigner
from seamark.evm.transactions import Event, Sender, SenderSettings
from seamark.evm.transactions.store import Journal
from seamark.storage.database import Database, open_database
from tests.support.clock import FakeClock
from tests.support.crashes import CrashingDatabase, Fuse
from tests.support.mempool import MemoryNode

KEY = "11" * 32
TO = Address("0x" + "22" * 20)


def price(number: int, **changes: Any) -> Intent:
    """An intent whose data names it."""
    return replace(Intent(f"price-{number}", TO, f"price-{number}".encode(), gas_limit=60_000), **changes)


async def stop_all_tasks() -> None:
    """What dies with a process."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@dataclass
class Rig:
    node: MemoryNode
    database: Database
    clock: FakeClock
    fuse: Fuse
    settings: SenderSettings
    events: list[Event] = field(default_factory=list)
    sender: Sender = field(init=False)

    @classmethod
    async def open(cls, settings: SenderSettings | None = None) -> Self:
        rig = cls(MemoryNode(), await open_database("sqlite://"), FakeClock(), Fuse(), settings or SenderSettings())
        rig.node.before = lambda method: rig.fuse.pass_by(f"before {method}")
        rig.node.after = lambda method: rig.fuse.pass_by(f"after {method}")
        rig.start()
        return rig

    def start(self, **changes: Any) -> Sender:
        """A new process on the same journal."""
        self.fuse.disarm()
        self.settings = replace(self.settings, **changes)
        self.sender = Sender(
            chain=self.node,
            signer=RawKeySigner.from_hex(KEY),
            database=CrashingDatabase(self.database, self.fuse),
            clock=self.clock,
            settings=self.settings,
            observer=self.events.append,
        )
        return self.sender

    async def close(self) -> None:
        await stop_all_tasks()
        await self.database.close()

    async def look(self, seconds: float = 0) -> None:
        self.clock.advance(seconds)
        await self.sender.look()

    async def state(self, number: int) -> TxState:
        return (await self.found(number)).state

    async def found(self, number: int) -> Outcome:
        outcome = await self.sender.find(f"price-{number}")
        assert outcome is not None
        return outcome

    async def stored(self, number: int) -> TxState | None:
        """What the database itself says."""
        journal = Journal(self.node.chain_id, self.sender.address)
        entry = await self.database.read(lambda c: journal.find(c, f"price-{number}"))
        return entry.state if entry else None

    def told(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]
