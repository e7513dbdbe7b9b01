"""The driver's calls of its ports: each with its time, in a task of its own, answered as an event of the machine.

A call that fails, hangs or raises has an answer too (None), so that the machine knows that it must do without. An
answer that comes too late for its round is dropped by the machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

import structlog

from seamark.evm.ports import Signer
from seamark.oracle.reporting.machine import (
    ContractRead,
    Event,
    MakeObservation,
    Observed,
    Purpose,
    ReadContract,
    ReportSigned,
    SignReport,
    Transmit,
)
from seamark.oracle.reporting.plugin import ContractView
from seamark.oracle.reporting.ports import (
    ContractReader,
    ObservationSource,
    Port,
    ReportingObserver,
    ReportTransmitter,
    TimeLimits,
)
from seamark.oracle.reporting.signatures import ReportSignature
from seamark.runtime.clock import Clock

__all__ = ["Calls"]

T = TypeVar("T")

SECOND: Final = 1_000_000_000  # nanoseconds
START_READ_S: Final = 5.0  # the contract's epoch only makes a start quicker

log = structlog.get_logger("seamark.oracle.reporting")


class Calls:
    """The ports of one node. `answer` is given each event, in the event loop."""

    def __init__(
        self,
        *,
        source: ObservationSource,
        contract: ContractReader,
        signer: Signer,
        transmitter: ReportTransmitter,
        limits: TimeLimits,
        clock: Clock,
        observer: ReportingObserver,
        answer: Callable[[Event], None],
        node: str,
    ) -> None:
        self._source = source
        self._contract = contract
        self._signer = signer
        self._transmitter = transmitter
        self._limits = limits
        self._clock = clock
        self._observer = observer
        self._answer = answer
        self._node = node
        self._running: set[asyncio.Task[None]] = set()

    def begin(self, wanted: MakeObservation | ReadContract | SignReport | Transmit) -> None:
        """Start the call; does not wait."""
        task = asyncio.create_task(self._carry_out(wanted))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def end(self) -> None:
        """Let go of all that run."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def first_view(self) -> ContractView | None:
        """What the contract says when a node starts."""
        return await self._call(Port.READ, self._contract.view, round(START_READ_S * SECOND))

    def _carry_out(self, wanted: MakeObservation | ReadContract | SignReport | Transmit) -> Coroutine[Any, Any, None]:
        match wanted:
            case MakeObservation():
                return self._observe(wanted)
            case ReadContract():
                return self._read(wanted)
            case SignReport():
                return self._sign(wanted)
            case Transmit():
                return self._transmit(wanted)

    async def _observe(self, wanted: MakeObservation) -> None:
        async def observe() -> bytes | None:
            seen = await self._source.observe(wanted.at)
            return None if seen is None else seen.encode()

        self._answer(Observed(wanted.at, await self._call(Port.OBSERVE, observe, self._limits.observation)))

    async def _read(self, wanted: ReadContract) -> None:
        view = await self._call(Port.READ, self._contract.view, self._time_to_read(wanted.purpose))
        self._answer(ContractRead(wanted.purpose, wanted.at, view))

    def _time_to_read(self, purpose: Purpose) -> int:
        match purpose:
            case Purpose.REPORT:
                return self._limits.report
            case Purpose.ACCEPT:
                return self._limits.accept
            case Purpose.TRANSMIT:
                return self._limits.transmit

    async def _sign(self, wanted: SignReport) -> None:
        async def sign() -> ReportSignature:
            return ReportSignature(*await self._signer.sign(wanted.preimage))

        self._answer(ReportSigned(wanted.at, await self._call(Port.SIGN, sign, self._limits.report)))

    async def _transmit(self, wanted: Transmit) -> None:
        async def transmit() -> bool:
            await self._transmitter.transmit(wanted.at, wanted.call)
            return True

        if await self._call(Port.TRANSMIT, transmit, self._limits.contract):
            self._observer.transmitted(wanted.at)

    async def _call(self, port: Port, work: Callable[[], Awaitable[T]], limit: int) -> T | None:
        """Its answer, or None where it fails or takes too long (nanoseconds)."""
        started = self._clock.monotonic()
        failure: str | None = None
        try:
            async with asyncio.timeout(limit / SECOND):
                return await work()
        except TimeoutError:
            failure = "timeout"
        except Exception as error:  # noqa: BLE001 - whatever it is, the node goes on without this answer
            failure = type(error).__name__
            log.warning("call failed", call=port.value, node=self._node, kind=failure, error=str(error))
        finally:
            self._observer.called(port, self._clock.monotonic() - started, failure)
        return None
