"""CCIP 2.0: the service that asks indexers what verifiers have said of messages that wait.

    a page of final messages that nobody executed  ->  those that are due, a few dozen  ->  indexer, destination
    ->  what was verified, in one unit of work

A message is asked for when it is final, and then in steps that grow with its age, so a lane at a stop costs little. An
indexer that does not answer is left alone for a while, longer each time, up to five minutes; the next one is asked
instead. Nothing else waits for this: a message is tracked and judged without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.ids import ChainId, Hash32
from seamark.evm.abi import DecodeError
from seamark.messages.model import LaneKey, Sent, Verified
from seamark.messages.protocol import LaneNames
from seamark.messages.protocols.ccip.generation import PROTOCOL
from seamark.messages.protocols.ccip.v2_0.proofs import IndexerProofs, Said, read_said
from seamark.messages.protocols.ccip.v2_0.verification import encoded_of, verify
from seamark.messages.recovery.port import ExecutionChain
from seamark.messages.store import Changes, record_verified, unverified
from seamark.messages.store.verifications import START, Waiting, sends_of
from seamark.runtime.clock import Clock
from seamark.runtime.events import Signal
from seamark.runtime.health import Health
from seamark.storage.database import Database

__all__ = ["VerificationWatch"]

VERSIONS: Final = "2."
ASKED_AT_ONCE: Final = 40  # messages of one look
TOGETHER: Final = 4  # requests under way
NEWEST, FURTHER = 50, 200  # messages of a lane, and of all, that a look considers
AGE_SHARE: Final = 0.1  # a message is asked for again after a tenth of its age
LONGEST_PAUSE_S: Final = 600.0
INDEXER_PAUSE_S, INDEXER_LONGEST_S = 5.0, 300.0
REMEMBERED: Final = 50_000  # messages whose next turn is known; some megabytes

log = structlog.get_logger("seamark.messages.verification")


@dataclass(slots=True)
class _Indexer:
    """One indexer, and when it may be asked again."""

    source: IndexerProofs
    failures: int = 0
    rests_until: float = 0.0
    error: str = ""

    def failed(self, now: float, error: str) -> None:
        self.rests_until = now + min(INDEXER_PAUSE_S * 2**self.failures, INDEXER_LONGEST_S)
        self.failures = min(self.failures + 1, 16)
        self.error = error

    def answered(self) -> None:
        self.failures, self.error = 0, ""


class VerificationWatch:
    """Asks for messages of CCIP 2.0; a `runtime.service.Service`.

    Args:
        names: `CcipProtocol.names`.
        chains: Those that are watched: the destinations decide.
        indexers: Asked in their order.
        follow: Takes what changed in the ledger, for metrics.
    """

    name = "ccip-verification"

    def __init__(
        self,
        names: Callable[[LaneKey], LaneNames],
        *,
        chains: Mapping[ChainId, ExecutionChain],
        indexers: Sequence[IndexerProofs],
        every_s: float,
        follow: Callable[[Changes], None],
        database: Database,
        registry: CollectorRegistry,
        signal: Signal,
        clock: Clock,
    ) -> None:
        self._names = names
        self._chains = chains
        self._indexers = [_Indexer(source) for source in indexers]
        self._every_s = every_s
        self._follow = follow
        self._database = database
        self._signal = signal
        self._clock = clock
        self._next: dict[int, float] = {}
        self._after = START
        self._waiting = 0
        self._asked = Counter(
            "ccip_indexer_requests",
            "Questions to indexers of verifier results, by how they ended.",
            ("outcome",),
            registry=registry,
        )

    async def run(self) -> None:
        """Until cancelled.

        Raises:
            TemporaryError: The database does not answer; try again.
        """
        while True:
            await self.look()
            await self._clock.sleep(self._every_s)

    async def health(self) -> Health:
        errors = [item.error for item in self._indexers if item.error]
        if errors and len(errors) == len(self._indexers):
            return Health.degraded(errors[0])
        return Health.ok(f"{self._waiting} messages wait for their verifiers")

    async def look(self) -> list[Verified]:
        """Ask once for what is due; what was verified."""
        due = await self._due()
        sends = await self._database.read(partial(sends_of, numbers=[item.no for item in due]))
        limit = asyncio.Semaphore(TOGETHER)
        told = await asyncio.gather(
            *(self._one(limit, item, sends[item.no]) for item in due if item.no in sends and self._awake())
        )
        found = [item for item in told if item is not None]
        if found:
            now_ms = int(self._clock.now() * 1000)
            changes = await self._database.write(
                lambda connection: record_verified(connection, PROTOCOL, self._names, found, now_ms)
            )
            self._follow(changes)
            self._signal.fire()
        return found

    # ---- whom to ask for --------------------------------------------------------------------------------------------

    async def _due(self) -> list[Waiting]:
        items, self._after = await self._database.read(
            lambda connection: unverified(connection, PROTOCOL, VERSIONS, self._after, newest=NEWEST, further=FURTHER)
        )
        self._waiting = len(items)
        now = self._clock.now()
        if len(self._next) > REMEMBERED:
            self._next = {no: at for no, at in self._next.items() if at > now}
        due = [item for item in items if self._next.get(item.no, 0.0) <= now and self._destination(item) is not None]
        # New ones first, then those whose turn is longest ago.
        due.sort(key=lambda item: self._next.get(item.no, 0.0))
        return due[:ASKED_AT_ONCE]

    def _destination(self, item: Waiting) -> ExecutionChain | None:
        chain_id = self._names(item.lane).destination_chain
        return None if chain_id is None else self._chains.get(chain_id)

    def _awake(self) -> bool:
        now = self._clock.now()
        return any(item.rests_until <= now for item in self._indexers)

    # ---- asking -----------------------------------------------------------------------------------------------------

    async def _one(self, limit: asyncio.Semaphore, item: Waiting, told: Sent) -> Verified | None:
        async with limit:
            said = await self._said(Hash32(item.id))
            now = self._clock.now()
            if said is None:
                return None
            self._next[item.no] = now + min(max((now - item.time) * AGE_SHARE, self._every_s), LONGEST_PAUSE_S)
            chain, encoded = self._destination(item), encoded_of(told, Hash32(item.id))
            if not said or chain is None or encoded is None:
                return None
            try:
                found = await verify(chain, Hash32(item.id), encoded, said, now=int(now))
            except (TemporaryError, RejectedError, DecodeError) as error:
                log.info("cannot be verified now", message=item.id, error=str(error))
                return None
        if isinstance(found, str):
            log.debug("not verified yet", message=item.id, why=found)
            return None
        log.debug("verified", message=item.id, **found.details)
        return found

    async def _said(self, name: Hash32) -> list[Said] | None:
        """By the first indexer that knows the message; None where none of them answered."""
        answered = False
        for indexer in self._indexers:
            if indexer.rests_until > self._clock.now():
                continue
            try:
                body = await indexer.source.ask(name)
                said = [] if body is None else read_said(body, name)
            except (TemporaryError, RejectedError) as error:
                self._asked.labels("failed").inc()
                if not indexer.error:
                    log.warning("indexer does not answer", error=error.message)
                indexer.failed(self._clock.now(), error.message)
                continue
            indexer.answered()
            answered = True
            self._asked.labels("found" if said else "unknown").inc()
            if said:
                return said
        return [] if answered else None
