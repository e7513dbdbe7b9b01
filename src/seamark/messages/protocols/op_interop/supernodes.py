"""How far supernodes have got: whether each answers, and its cross-safe and final block of every chain.

`supernode_syncStatus` holds the sync status of each chain's own node under its decimal chain id; since interop
`safe_l2` is the cross-safe block (ethereum-optimism/optimism, op-service/eth: SuperNodeSyncStatusResponse, SyncStatus).
One that does not answer shows no blocks: old ones would look like a chain that stands still.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec
import structlog

from seamark.core.errors import RejectedError, TemporaryError
from seamark.messages.protocols.op_interop.metrics import InteropMetrics
from seamark.runtime.clock import Clock

__all__ = ["Heads", "Supernode", "SupernodeWatch", "read_heads"]

LOOK_EVERY_S: Final = 15.0

log = structlog.get_logger("seamark.messages.interop")


class Heads(NamedTuple):
    """Block numbers of one chain."""

    cross_safe: int
    finalized: int


class _Block(msgspec.Struct):
    number: int


class _Chain(msgspec.Struct):
    safe_l2: _Block
    finalized_l2: _Block


class _Status(msgspec.Struct):
    chains: dict[str, _Chain]


_STATUS: Final = msgspec.json.Decoder(_Status)


def read_heads(raw: msgspec.Raw) -> dict[str, Heads]:
    """By decimal chain id.

    Raises:
        TemporaryError: That is no sync status.
    """
    try:
        status = _STATUS.decode(raw)
    except msgspec.MsgspecError as error:
        raise TemporaryError(f"supernode_syncStatus answered something else: {error}") from error
    return {
        chain_id: Heads(chain.safe_l2.number, chain.finalized_l2.number) for chain_id, chain in status.chains.items()
    }


class Supernode(Protocol):
    """A supernode."""

    @property
    def label(self) -> str: ...

    async def sync_status(self) -> msgspec.Raw:
        """`supernode_syncStatus`. Raises `TemporaryError` or `RejectedError`."""
        ...


class SupernodeWatch:
    """Asks each. A `Service`."""

    name = "interop-supernodes"

    def __init__(self, supernodes: Sequence[Supernode], *, metrics: InteropMetrics, clock: Clock) -> None:
        self._supernodes = supernodes
        self._metrics = metrics
        self._clock = clock
        self._silent: set[str] = set()

    async def run(self) -> None:
        while True:
            await self.look()
            await self._clock.sleep(LOOK_EVERY_S)

    async def look(self) -> Mapping[str, Mapping[str, Heads] | None]:
        """Once; None for one that does not answer."""
        found = {item.label: await self._ask(item) for item in self._supernodes}
        self._metrics.saw_supernodes(found)
        return found

    async def _ask(self, item: Supernode) -> dict[str, Heads] | None:
        try:
            heads = read_heads(await item.sync_status())
        except (TemporaryError, RejectedError) as error:
            if item.label not in self._silent:  # once, until it answers again
                log.warning("a supernode does not answer", endpoint=item.label, error=str(error))
            self._silent.add(item.label)
            return None
        self._silent.discard(item.label)
        return heads
