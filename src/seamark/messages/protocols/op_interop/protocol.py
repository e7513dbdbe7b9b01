"""OP Stack interop as a message protocol: predeploys at fixed addresses, chain ids for chain numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from seamark.core.errors import SettingsError
from seamark.core.ids import ChainId
from seamark.evm.ports import ChainReader
from seamark.evm.types import LogFilter
from seamark.messages.model import ConfigChange, Contract, LaneKey
from seamark.messages.protocol import ChainRole, LaneNames, Profile, TokenInfo, Watch
from seamark.messages.protocols.op_interop import events
from seamark.messages.protocols.op_interop.decode import MessengerReader
from seamark.messages.protocols.op_interop.model import PROTOCOL
from seamark.messages.protocols.op_interop.network import InteropChain

__all__ = ["InteropProtocol"]

_ROLES: Final = {
    events.INBOX: "cross_l2_inbox",
    events.MESSENGER: "l2_to_l2_messenger",
    events.ETH_BRIDGE: "eth_bridge",
    events.TOKEN_BRIDGE: "token_bridge",
}
FINALITY_S: Final = 1200.0  # two epochs of L1 (12.8 minutes) and the time until a batch is posted


class InteropProtocol:
    """Interop on some chains (`messages.protocol.MessageProtocol`).

    A messenger counts its messages over all destinations, so gaps are looked for per messenger. Relayers need not wait
    for finality: two chains of one set trust each other's newest blocks.
    """

    name = PROTOCOL
    numbering: Final = "source"

    def __init__(self, chains: Sequence[InteropChain]) -> None:
        self._chains = {int(chain.chain_id): chain for chain in chains}

    @property
    def chains(self) -> Sequence[ChainRole]:
        return [ChainRole(chain.chain_id, chain.name, chain.start_block) for chain in self._chains.values()]

    async def check(self, reader: ChainReader) -> None:
        chain = self._chains[reader.chain_id]
        if chain.activation_time is None and not await reader.code(events.INBOX):
            raise SettingsError(
                f"{chain.setting}.chain",
                f"{chain.name} has no CrossL2Inbox at {events.INBOX}",
                remedy="interop is not active there: name its activation_time, or remove the chain",
            )

    async def discover(self, reader: ChainReader, known: Iterable[Contract]) -> list[Contract]:
        found = [Contract(chain_id=reader.chain_id, address=address, role=role) for address, role in _ROLES.items()]
        return list({item.address: item for item in (*known, *found)}.values())

    async def identify(
        self,
        reader: ChainReader,  # noqa: ARG002 - of the port
        changes: Sequence[ConfigChange],  # noqa: ARG002
        known: Iterable[Contract],  # noqa: ARG002
    ) -> list[Contract]:
        """Nothing: the contracts never move."""
        return []

    def watch(self, chain_id: ChainId, contracts: Sequence[Contract]) -> Watch:  # noqa: ARG002 - always the same ones
        return Watch(LogFilter(events.WATCHED_ADDRESSES, events.WATCHED_TOPICS), MessengerReader(chain_id).read)

    def names(self, lane: LaneKey) -> LaneNames:
        source, destination = self._chains.get(int(lane.source)), self._chains.get(int(lane.destination))
        return LaneNames(
            source=source.name if source else f"chain {lane.source}",
            destination=destination.name if destination else f"chain {lane.destination}",
            source_chain=source.chain_id if source else None,
            destination_chain=destination.chain_id if destination else None,
            source_watched=source is not None,
            destination_watched=destination is not None,
        )

    def token(self, chain_id: ChainId | None, address: str) -> TokenInfo | None:  # noqa: ARG002 - of the port
        """None: a message costs nothing but gas."""
        return None

    def profile(self, lane: LaneKey) -> Profile:  # noqa: ARG002 - the same for all
        return Profile(finality_s=FINALITY_S, instant=True, commits=False)
