"""What a protocol must know so that its messages can be executed by hand.

A protocol offers a `RecoveryProtocol`; it chooses a `Recoverer` for a case by the version of the destination's
contracts. One recoverer serves the cases of one lane for a short time: it may remember what it has read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from seamark.core.ids import Address, ChainId
from seamark.evm.ports import ChainReader
from seamark.messages.recovery.model import Case, Gas, ManualCall, Standing, Trial

__all__ = ["ExecutionChain", "Recoverer", "RecoveryProtocol"]


class ExecutionChain(ChainReader, Protocol):
    """A chain on which calls can be tried (`evm.rpc.Chain`)."""

    async def estimate_gas(self, *, sender: Address, to: Address | None, data: bytes, value: int = 0) -> int: ...

    async def simulate(
        self, *, sender: Address, to: Address | None, data: bytes, value: int = 0, gas: int | None = None
    ) -> bytes: ...


class Recoverer(Protocol):
    """How messages of one generation are executed by hand.

    Every method raises `TemporaryError` where a node does not answer, and `RejectedError` with a remedy where this
    message cannot be dealt with (its send is not known, old logs are gone, the root is not of the messages sent).
    """

    async def standing(self, case: Case) -> Standing:
        """Ask the destination's contracts, at the newest block."""
        ...

    async def trial(self, case: Case, standing: Standing, gas: Gas) -> Trial:
        """Run the message's part of an execution on the destination, without sending anything."""
        ...

    async def build(self, cases: Sequence[Case], standings: Sequence[Standing], gas: Gas) -> list[ManualCall]:
        """The transactions that execute the cases, in their order: as few as the contracts allow.

        The result is proven before it is given: what is executed hashes to what was committed.
        """
        ...


class RecoveryProtocol(Protocol):
    """One family of message contracts."""

    @property
    def name(self) -> str:
        """As in lane keys ("ccip")."""
        ...

    def recoverer(self, case: Case, chains: Mapping[ChainId, ExecutionChain]) -> Recoverer:
        """Who can recover the case.

        Raises:
            RejectedError: Nobody: a generation that is not supported, a chain that is not configured.
        """
        ...
