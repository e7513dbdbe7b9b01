"""Runs the machine of one configuration. (The interface; the body follows.)"""

from __future__ import annotations

from seamark.evm.ports import Signer
from seamark.oracle.reporting.machine import Context
from seamark.oracle.reporting.ports import (
    SILENT,
    ContractReader,
    ObservationSource,
    ReportingObserver,
    ReportTransmitter,
    TimeLimits,
    Transport,
)
from seamark.oracle.reporting.protocol import State
from seamark.oracle.reporting.store import Place
from seamark.runtime.clock import Clock
from seamark.storage.database import Database

__all__ = ["Driver"]


class Driver:
    """One node in one configuration, until cancelled (or until it is a person's turn: `StopError`)."""

    def __init__(
        self,
        context: Context,
        place: Place,
        *,
        transport: Transport,
        database: Database,
        source: ObservationSource,
        contract: ContractReader,
        signer: Signer,
        transmitter: ReportTransmitter,
        limits: TimeLimits,
        clock: Clock,
        observer: ReportingObserver = SILENT,
    ) -> None:
        self._context = context

    @property
    def state(self) -> State | None:
        """What the node knows; None before its start."""
        return None

    async def run(self) -> None:
        """Load, start, and go on until cancelled.

        Raises:
            StopError: What is stored is damaged, or another process runs this node from the same database.
        """
        raise NotImplementedError
