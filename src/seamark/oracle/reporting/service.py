"""A feed of a reporting network, as this node runs it.

    contract announces a configuration -> this node's seat in it -> driver, until another one is announced

What keeps it right:
- What stands on chain decides who takes part and how. A new configuration is run as soon as it is deep enough, without
  a restart; the old one's rounds and turns end with it, because the contract takes none of its reports any more.
- A configuration that this node is not in, or cannot read, stops this feed alone, and shows in its health; the next
  look at the contract may mend it.
- What older configurations left on disk is forgotten once the newer one is final, not before: after a reorg the older
  one may count again, and a node must never sign twice for one round.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.units import format_duration
from seamark.evm.ports import ChainReader, Signer
from seamark.oracle.model import FeedRef, Rejected
from seamark.oracle.reporting.contract import Announced, ReportingContract
from seamark.oracle.reporting.driver import Driver
from seamark.oracle.reporting.machine import Context
from seamark.oracle.reporting.membership import Member, NotInConfig, Seat, take_seat
from seamark.oracle.reporting.metrics import ReportingMeter
from seamark.oracle.reporting.network import Link, PeerNetwork
from seamark.oracle.reporting.observer import FeedObserver
from seamark.oracle.reporting.patience import PatientEchoes, patience_s
from seamark.oracle.reporting.plugin import ContractView, EpochRound
from seamark.oracle.reporting.store import Place, forget_superseded
from seamark.oracle.reporting.transmitter import ReportSender
from seamark.runtime.clock import Clock
from seamark.storage.database import Database

__all__ = ["Connections", "ReportingFeed"]

LOOK_S: Final = 1.0  # how often the driver is looked at: whether it ended, and whether rounds are completed
FINAL_DEPTH: Final = 64  # blocks; where a node knows no finality tag

log = structlog.get_logger("seamark.oracle.reporting")


class Connections(Protocol):
    """Which peers are connected, by fingerprint."""

    def is_up(self, peer: str) -> bool: ...


@dataclass(slots=True)
class _Running:
    """One configuration that is run."""

    announced: Announced
    seat: Seat
    link: Link
    echoes: PatientEchoes
    driver: Driver
    task: asyncio.Task[None]
    progress: EpochRound = (0, 0)
    forgotten: bool = False

    @property
    def context(self) -> Context:
        return self.seat.context


class ReportingFeed:
    """Runs one feed. A `Service`; `run()` may be called again after it failed.

    Args:
        ref: The contract.
        contract: Reads it.
        chain: Says what is final.
        member: This node.
        network: The connections of this process.
        connections: Which of them stand.
        observer: Makes observations.
        signer: Signs reports.
        transmitter: Sends them.
        database: Holds what must not be forgotten.
        clock: Time.
        meter: Counts.
        config_interval: Seconds between looks for a new configuration.
        progress_alarm: Seconds without a completed round that are a problem.
    """

    def __init__(
        self,
        *,
        ref: FeedRef,
        contract: ReportingContract,
        chain: ChainReader,
        member: Member,
        network: PeerNetwork,
        connections: Connections,
        observer: FeedObserver,
        signer: Signer,
        transmitter: ReportSender,
        database: Database,
        clock: Clock,
        meter: ReportingMeter,
        config_interval: float,
        progress_alarm: float,
        seated: Callable[[Context], None] = lambda _: None,
    ) -> None:
        self.ref = ref
        self.name = f"reporting:{ref.name}@{ref.chain}"
        self._contract = contract
        self._chain = chain
        self._member = member
        self._network = network
        self._connections = connections
        self._observer = observer
        self._signer = signer
        self._transmitter = transmitter
        self._database = database
        self._clock = clock
        self._meter = meter
        self._config_interval = config_interval
        self._progress_alarm = progress_alarm
        self._seated = seated
        self._running: _Running | None = None
        self._stopped: str | None = "its contract was not read yet"
        self._unreachable = False
        self._refused = b""
        self._look = asyncio.Event()
        self._log = log.bind(feed=ref.name, chain=ref.chain)

    # ---- the service ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled. Raises what ended the driver."""
        try:
            while True:
                await self._follow_contract()
                await self._until_next_look()
        finally:
            await self._leave()
            await self._transmitter.close()

    async def _until_next_look(self) -> None:
        """The time between two looks, shorter where the contract was seen with another digest."""
        until = self._clock.monotonic() + self._config_interval
        while (left := until - self._clock.monotonic()) > 0 and not self._look.is_set():
            self._check_driver()
            await self._clock.sleep(min(left, LOOK_S))
        self._look.clear()

    async def _follow_contract(self) -> None:
        try:
            announced = await self._contract.announced()
        except (TemporaryError, RejectedError) as error:
            if not self._unreachable:  # once per outage
                self._log.warning("cannot read the contract's configuration", error=str(error))
            self._unreachable = True
            if self._running is None:
                self._stopped = f"its contract cannot be read: {error}"
            return
        self._unreachable = False
        if announced is None:
            if self._running is None:
                self._stopped = "its contract has no configuration, or one too new to count on"
            return
        if self._is_another(announced):
            await self._change(announced)
        await self._forget_older()

    def _is_another(self, announced: Announced) -> bool:
        """A node that is behind tells the older one; only one that is not behind can tell of a reorg."""
        running = self._running
        if running is None:
            return True
        return announced.digest != running.announced.digest and announced.head >= running.announced.block

    def _check_driver(self) -> None:
        running = self._running
        if running is None:
            return
        if running.task.done():
            running.task.result()
            raise TemporaryError(f"the protocol of {self.ref.name} ended by itself")
        state = running.driver.state
        if state is None:
            return
        follow = state.rounds.follow
        done = (state.rounds.epoch, follow.round if follow.completed else follow.round - 1)
        if done[1] > 0 and done > running.progress:
            running.progress = done
            self._meter.progressed()

    # ---- configurations ---------------------------------------------------------------------------------------------

    async def _change(self, announced: Announced) -> None:
        await self._leave()
        try:
            seat = take_seat(announced, self._member, bad_signature=self._meter.bad_signature)
        except RejectedError as error:
            self._stopped = str(error) if isinstance(error, NotInConfig) else f"its configuration is refused: {error}"
            if self._refused != announced.digest:  # once
                self._log.error("configuration not run", digest=announced.digest.hex(), error=str(error))
            self._refused = announced.digest
            return
        self._enter(announced, seat)

    def _enter(self, announced: Announced, seat: Seat) -> None:
        context = seat.context
        network = context.network
        link = self._network.join(announced.digest, [node.peer for node in network.nodes])
        self._seated(context)
        echoes = PatientEchoes(link, announced.digest, patience_s(network.timing.stage))
        driver = Driver(
            context,
            Place(self._place(), announced.digest, context.me),
            transport=echoes,
            database=self._database,
            source=self._observer,
            contract=self,
            signer=self._signer,
            transmitter=self._transmitter,
            limits=seat.limits,
            clock=self._clock,
            observer=self._meter,
        )
        task = asyncio.create_task(driver.run(), name=f"{self.name}:{announced.digest.hex()[:8]}")
        self._running = _Running(announced, seat, link, echoes, driver, task)
        self._stopped, self._refused = None, b""
        self._meter.seated(me=context.me, nodes=network.n, f=network.f, connected=self.connected)
        self._log.info(
            "configuration run", digest=announced.digest.hex(), node=context.me, nodes=network.n, f=network.f
        )
        if link.missing:
            self._log.warning("nodes of the configuration that are no peers here", missing=list(link.missing))

    async def _leave(self) -> None:
        running, self._running = self._running, None
        if running is None:
            return
        self._stopped = "it has just left its configuration"
        self._meter.unseated()
        running.task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(running.task, return_exceptions=True)
        running.echoes.close()
        running.link.leave()
        self._log.info("configuration left", digest=running.announced.digest.hex())

    async def _forget_older(self) -> None:
        running = self._running
        if running is None or running.forgotten:
            return
        digest, place = running.announced.digest, self._place()
        try:
            if running.announced.block <= await self._final_block():
                await self._database.write(lambda connection: forget_superseded(connection, place, digest))
                running.forgotten = True
        except TemporaryError as error:  # the next look tries again
            self._log.debug("older memories are kept for now", error=str(error))

    async def _final_block(self) -> int:
        final = await self._chain.header("finalized")
        if final is not None:
            return final.number
        head = await self._chain.header("latest")
        return -1 if head is None else head.number - FINAL_DEPTH

    def _place(self) -> str:
        return f"{self.ref.chain_id}:{self.ref.address}"

    # ---- ports.ContractReader ---------------------------------------------------------------------------------------

    async def view(self) -> ContractView:
        """As the contract says; another digest than the one that is run has it looked at soon."""
        view = await self._contract.view()
        running = self._running
        if running is not None:
            running.echoes.saw(view)
            if view.digest != running.announced.digest:
                self._look.set()
        return view

    # ---- how it fares -----------------------------------------------------------------------------------------------

    def connected(self) -> int:
        """Nodes of the configuration that can be spoken to, with this one."""
        running = self._running
        if running is None:
            return 0
        nodes = running.context.network.nodes
        return 1 + sum(self._connections.is_up(node.peer) for node in nodes if node.peer != self._member.peer)

    def problem(self) -> str | None:
        """What keeps the feed from being well, in a few words; None if nothing does."""
        running = self._running
        if running is None:
            return self._stopped
        context, connected = running.context, self.connected()
        if connected < 2 * context.f + 1:
            return f"{connected} of {context.n} nodes are connected, and {2 * context.f + 1} are needed"
        waited = self._meter.since_progress()
        if waited > self._progress_alarm:
            return f"no round was completed for {format_duration(waited)}"
        if isinstance(self._observer.result, Rejected):
            return f"no observation: {self._observer.result.detail}"
        return None
