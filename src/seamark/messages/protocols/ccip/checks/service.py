"""The checks on a timer: look at every chain, report findings, show metrics.

    contracts of the last discovery, spending of the last days (both from the ledger)  ->  view calls  ->  findings

`Checks.look` is one round without a timer, for the command line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import structlog
from sqlalchemy import Connection

from seamark.core.errors import RejectedError, SettingsError, TemporaryError
from seamark.core.findings import Finding
from seamark.core.ids import Address, ChainId
from seamark.evm.ports import ChainReader
from seamark.messages.model import Contract, NoticeKind
from seamark.messages.protocol import Counter, counters_of
from seamark.messages.protocols.ccip.checks.metrics import CheckMetrics
from seamark.messages.protocols.ccip.checks.model import ChainCheck
from seamark.messages.protocols.ccip.checks.reads import Chain, check_chain
from seamark.messages.protocols.ccip.checks.rules import SEND_FAILURES_S, judge_chain, judge_failed_sends
from seamark.messages.protocols.ccip.checks.settings import ChecksSettings, SenderSettings
from seamark.messages.protocols.ccip.protocol import CcipChain, CcipProtocol
from seamark.messages.store import list_notices, read_contracts
from seamark.messages.store.spending import spending
from seamark.runtime.clock import Clock
from seamark.runtime.health import Health
from seamark.storage.database import Database

__all__ = ["CheckService", "Checks", "Report", "open_checks"]

BURN_WINDOW_S = 7 * 86_400
MOST_NOTICES = 500
LATE_ROUNDS = 3  # without a look the checks themselves are unwell

Report = Callable[[Connection, str, Sequence[Finding]], None]

log = structlog.get_logger("seamark.messages.ccip")


@dataclass(frozen=True, slots=True)
class _Watched:
    """A chain with what the settings say of its money."""

    chain: CcipChain
    reader: ChainReader
    senders: tuple[SenderSettings, ...]
    pools: tuple[Address, ...]


class Checks:
    """All chains of one monitor."""

    def __init__(
        self,
        protocol: CcipProtocol,
        watched: Sequence[_Watched],
        settings: ChecksSettings,
        *,
        database: Database | None,
        clock: Clock,
    ) -> None:
        self._protocol = protocol
        self._watched = watched
        self._settings = settings
        self._database = database
        self._clock = clock

    async def look(self) -> list[tuple[ChainCheck, list[Finding]]]:
        """Every chain, side by side; in the order of the settings."""
        checks = await asyncio.gather(*(self._look_at(item) for item in self._watched))
        return [
            (check, judge_chain(check, self._settings, item.senders))
            for check, item in zip(checks, self._watched, strict=True)
        ]

    async def failed_sends(self) -> list[Finding]:
        """What our own contracts could not send lately."""
        if self._database is None:
            return []
        since = int(self._clock.now()) - SEND_FAILURES_S
        kinds = (NoticeKind.SEND_FAILED,)
        name = self._protocol.name
        notices = await self._database.read(
            lambda connection: list_notices(connection, protocol=name, kinds=kinds, since=since, limit=MOST_NOTICES)
        )
        names = {str(item.chain.chain_id): item.chain.name for item in self._watched}
        names |= {str(item.chain.selector): item.chain.name for item in self._watched}
        own = {item.chain.chain_id for item in self._watched}  # others may be another monitor's on this database
        return judge_failed_sends([item for item in notices if item.chain_id in own], names)

    async def _look_at(self, item: _Watched) -> ChainCheck:
        chain, reader = item.chain, item.reader
        wanted = partial(
            Chain,
            name=chain.name,
            chain_id=chain.chain_id,
            selector=chain.selector,
            router=chain.router,
            peers={other.chain.selector: other.chain.name for other in self._watched if other is not item},
            senders=item.senders,
            pools=item.pools,
        )
        try:
            contracts = await self._contracts(reader)
        except (TemporaryError, RejectedError, SettingsError):  # the look itself tells what is wrong, better than this
            return await check_chain(reader, wanted())
        try:
            counters: Sequence[Counter] = await counters_of(self._protocol, reader, contracts)
        except (TemporaryError, RejectedError):  # nothing else depends on them
            counters = ()
        burns = await self._burns(chain.chain_id, item.senders)
        return await check_chain(reader, wanted(contracts=contracts, counters=counters, burns=burns))

    async def _contracts(self, reader: ChainReader) -> Sequence[Contract]:
        name, chain_id = self._protocol.name, reader.chain_id
        if self._database is not None:
            known = await self._database.read(lambda connection: read_contracts(connection, name, chain_id))
            if known:
                return known
        return await self._protocol.discover(reader, ())

    async def _burns(self, chain_id: ChainId, senders: Sequence[SenderSettings]) -> dict[tuple[str, str], float]:
        if self._database is None or not senders:
            return {}
        now = int(self._clock.now())
        return await self._database.read(
            lambda connection: spending(
                connection, chain_id, [item.address for item in senders], since=now - BURN_WINDOW_S, now=now
            )
        )


class CheckService:
    """Looks every so often; a `runtime.service.Service`."""

    name = "ccip-checks"

    def __init__(
        self,
        checks: Checks,
        *,
        every_s: float,
        report: Report | None,
        metrics: CheckMetrics,
        database: Database,
        clock: Clock,
    ) -> None:
        self._checks = checks
        self._every_s = every_s
        self._report = report
        self._metrics = metrics
        self._database = database
        self._clock = clock
        self._looked = clock.monotonic()
        self._found: dict[int, list[Finding]] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.turn()
            await self._clock.sleep(self._every_s)

    async def turn(self) -> None:
        """Look at every chain once, and report.

        What a chain was last known for stays while its node is away: nobody knows that it is over.
        """
        looks = await self._checks.look()
        self._found = {
            check.chain_id: self._found.get(check.chain_id, []) if check.unreachable else found
            for check, found in looks
        }
        findings = [finding for found in self._found.values() for finding in found]
        findings += await self._checks.failed_sends()
        for check, _ in looks:
            self._metrics.show(check)
            if check.problem:
                log.warning("chain cannot be checked", chain=check.chain, problem=check.problem)
        report = self._report
        if report is not None:
            await self._database.write(lambda connection: report(connection, self.name, findings))
        self._looked = self._clock.monotonic()

    async def health(self) -> Health:
        """Are looks being taken?"""
        silent = self._clock.monotonic() - self._looked
        if silent > LATE_ROUNDS * self._every_s + LATE_ROUNDS:
            return Health.degraded(f"no look for {silent:.0f} s")
        return Health.ok("")


def open_checks(
    protocol: CcipProtocol,
    chains: Sequence[tuple[str, CcipChain]],
    settings: ChecksSettings,
    *,
    readers: Mapping[ChainId, ChainReader],
    database: Database | None,
    clock: Clock,
) -> Checks:
    """From settings to checks.

    Args:
        protocol: Finds contracts where the ledger knows none.
        chains: Each with its key under `chains`.
        settings: Whose money and limits to watch.
        readers: By chain id.
        database: Of the monitor; None: what was spent is not known.
        clock: Time.

    Raises:
        SettingsError: A sender or a pool on a chain that is not watched.
    """
    known = {key for key, _ in chains}
    wanted = [
        *((f"senders[{index}]", item.chain) for index, item in enumerate(settings.senders)),
        *((f"pools[{index}]", item.chain) for index, item in enumerate(settings.pools)),
    ]
    for setting, name in wanted:
        if name not in known:
            raise SettingsError(
                f"ccip.checks.{setting}.chain",
                f"{name!r} is not among ccip.chains",
                remedy=f"one of {', '.join(sorted(known)) or 'none'}",
            )
    watched = [
        _Watched(
            chain,
            readers[chain.chain_id],
            tuple(item for item in settings.senders if item.chain == key),
            tuple(item.address for item in settings.pools if item.chain == key),
        )
        for key, chain in chains
    ]
    return Checks(protocol, watched, settings, database=database, clock=clock)
