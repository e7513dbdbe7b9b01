"""How far each chain has been read, as the message trackers have stored it: true in whatever process they run."""

from __future__ import annotations

from collections.abc import Sequence

from seamark.api.names import ChainNames
from seamark.api.ports import chain_view
from seamark.api.times import iso_seconds
from seamark.api.views import ChainState
from seamark.core.ids import ChainId
from seamark.messages.store import ChainView, read_chains
from seamark.storage.database import Database

__all__ = ["StoredChains"]


class StoredChains:
    """Callable as `ChainStates`."""

    def __init__(self, database: Database, names: ChainNames) -> None:
        self._database = database
        self._names = names

    async def __call__(self) -> Sequence[ChainState]:
        """The chains of the settings in their order, then others that trackers know."""
        stored = await self._database.read(read_chains)
        newest: dict[int, ChainView] = {}
        for view in stored:
            known = newest.get(view.chain_id)
            if known is None or view.scanned > known.scanned:
                newest[view.chain_id] = view
        named = [int(chain.chain_id) for chain in self._names.all if chain.chain_id and chain.chain_id in newest]
        others = sorted(chain_id for chain_id in newest if chain_id not in named)
        return [self._state(newest[chain_id]) for chain_id in [*named, *others]]

    def _state(self, view: ChainView) -> ChainState:
        seen = view.scanned_time > 0
        return ChainState(
            chain=chain_view(self._names.by_chain_id(ChainId(view.chain_id))),
            block=str(view.scanned) if seen else None,
            block_at=iso_seconds(view.scanned_time) if seen else None,
            finalized=str(view.finalized) if view.finalized >= 0 else None,
            reorgs=view.reorgs,
        )
