"""Echoes of final reports wait a little, and are not said where the chain has the report already.

An echo is there so that a leader cannot keep a final report from some nodes: it brings others to transmit, and nothing
else. Said at once by everybody to everybody, n^2 messages compete with the one transaction that matters. Once the
contract has the round no node would transmit it, so nobody needs the echo. Where the chain is slower than our patience,
or the transmitter fails, all echoes are said, later by that patience: time is all that it can cost.

`Transport` promises nothing about when a message arrives, so the protocol does not know of this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from seamark.oracle.reporting.messages import FinalEcho, Message
from seamark.oracle.reporting.plugin import ContractView, EpochRound
from seamark.oracle.reporting.ports import Transport

__all__ = ["PatientEchoes", "patience_s"]

LONGEST_S: Final = 0.5
PART_OF_STAGE: Final = 4  # echoes must be heard well before the next transmitter's turn
_SECOND: Final = 1_000_000_000


def patience_s(stage: int) -> float:
    """How long an echo waits, in seconds, where the next transmitter waits `stage` nanoseconds."""
    return min(LONGEST_S, stage / _SECOND / PART_OF_STAGE)


class PatientEchoes:
    """`ports.Transport` in front of another one.

    Args:
        transport: The connections.
        digest: Of the configuration.
        wait_s: How long an echo waits.
    """

    def __init__(self, transport: Transport, digest: bytes, wait_s: float) -> None:
        self._transport = transport
        self._digest = digest
        self._wait_s = wait_s
        self._on_chain: EpochRound = (0, 0)
        self._waiting: set[asyncio.TimerHandle] = set()

    def saw(self, view: ContractView) -> None:
        """What the contract has, whenever somebody read it."""
        if view.digest == self._digest:
            self._on_chain = max(self._on_chain, view.at)

    def send(self, to: int, message: Message) -> None:
        """At once: whoever is answered waits for it."""
        self._transport.send(to, message)

    def broadcast(self, message: Message) -> None:
        """At once, but for echoes."""
        if isinstance(message, FinalEcho):
            self._later(message)
        else:
            self._transport.broadcast(message)

    def receive(self) -> tuple[int, Message] | None:
        return self._transport.receive()

    def on_arrival(self, notify: Callable[[], None]) -> None:
        self._transport.on_arrival(notify)

    def close(self) -> None:
        """Say nothing any more."""
        for timer in self._waiting:
            timer.cancel()
        self._waiting.clear()

    def _later(self, echo: FinalEcho) -> None:
        def say() -> None:
            self._waiting.discard(timer)
            if echo.final.at > self._on_chain:
                self._transport.broadcast(echo)

        timer = asyncio.get_running_loop().call_later(self._wait_s, say)
        self._waiting.add(timer)
