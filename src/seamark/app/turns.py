"""Whose turn it is to sign: one command at a time with a key on a chain.

Two that took nonces at the same time would stand in each other's way. The turn is a lease in the database: a command
that comes second waits, and says for whom; one that died makes way within `LEASE_MS`. The journal's own constraints
still forbid two transactions with one nonce.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final

import structlog

from seamark.core.errors import TemporaryError
from seamark.core.ids import Address, ChainId
from seamark.evm.address import to_checksum
from seamark.runtime.clock import Clock
from seamark.storage.database import Database
from seamark.storage.leases import lease_holder, take_lease

__all__ = ["signing_turn"]

log = structlog.get_logger("seamark.turns")

LEASE_MS: Final = 12_000
"""After a crash nobody signs for so long; a command that lives renews three times meanwhile."""

RENEW_S: Final = 3.0
POLL_S: Final = 0.25
_PART: Final = " / "  # between what people are told and what makes a holder unique
_numbers = itertools.count(1)


@asynccontextmanager
async def signing_turn(
    chain_id: ChainId,
    signer: Address,
    *,
    database: Database,
    clock: Clock,
    timeout_s: float,
    tell: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[None]:
    """Nobody else signs with this key on this chain until the block ends.

    Args:
        chain_id: Where to.
        signer: Whose key.
        database: The journal's.
        clock: Time of day, and to wait by.
        timeout_s: How long to wait for the turn.
        tell: Where to say that it waits, and for whom.

    Raises:
        TemporaryError: Somebody else kept it for so long; names the process.
    """
    turn = _Turn(f"signer:{chain_id}:{signer}", database, clock)
    if not await turn.take():
        whom = await turn.whom()
        tell(f"waiting: {whom or 'another process'} signs with {to_checksum(signer)} on this chain")
        await turn.wait(timeout_s, signer)
    renewing = asyncio.create_task(turn.keep())
    try:
        yield
    finally:
        renewing.cancel()
        with suppress(asyncio.CancelledError):
            await renewing
        await turn.take(for_ms=0)


class _Turn:
    def __init__(self, name: str, database: Database, clock: Clock) -> None:
        self._name = name
        self._database = database
        self._clock = clock
        self._holder = f"process {os.getpid()} on {socket.gethostname()}{_PART}{next(_numbers)}"

    def _now_ms(self) -> int:
        return round(self._clock.now() * 1000)

    async def take(self, *, for_ms: int = LEASE_MS) -> bool:
        work = partial(take_lease, name=self._name, holder=self._holder, now_ms=self._now_ms(), for_ms=for_ms)
        return await self._database.write(work, urgent=True)

    async def whom(self) -> str:
        holder = await self._database.read(partial(lease_holder, name=self._name, now_ms=self._now_ms()))
        return holder.partition(_PART)[0]

    async def wait(self, timeout_s: float, signer: Address) -> None:
        end = self._clock.now() + timeout_s
        while not await self.take():
            if self._clock.now() >= end:
                whom = await self.whom() or "another process"
                raise TemporaryError(
                    f"{whom} has signed with {to_checksum(signer)} on this chain for more than {timeout_s:g} s;"
                    " nothing was sent",
                    remedy="wait for that command, or end it; then give this one again",
                )
            await self._clock.sleep(POLL_S)

    async def keep(self) -> None:
        while True:
            await self._clock.sleep(RENEW_S)
            try:
                if not await self.take():
                    log.warning("turn to sign was lost", turn=self._name, to=await self.whom())
            except TemporaryError as error:
                log.warning("turn to sign could not be kept", turn=self._name, error=str(error))
