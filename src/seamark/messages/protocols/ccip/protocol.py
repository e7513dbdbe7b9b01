"""CCIP as a message protocol: discovery from routers, decoding by generation, names by selectors.

Each generation is a folder with the same file names (`events`, `keys`, `decode`); a ramp's `typeAndVersion` chooses
one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from seamark.core.errors import SettingsError
from seamark.core.ids import Address, ChainId, Hash32, Selector
from seamark.evm.abi import DecodeError, Event
from seamark.evm.ports import Block, ChainReader
from seamark.evm.settings import ChainSettings
from seamark.evm.types import Log, LogFilter
from seamark.messages.model import ConfigChange, Contract, Decoded, Evidence, LaneKey, Malformed, Sighting
from seamark.messages.protocol import ChainRole, LaneNames, TokenInfo, Watch
from seamark.messages.protocols.ccip import discovery, router
from seamark.messages.protocols.ccip.discovery import OFF_RAMP, ON_RAMP, ROUTER_ROLE, UNSUPPORTED
from seamark.messages.protocols.ccip.selectors import NamedChain, SelectorTable
from seamark.messages.protocols.ccip.v1_6 import decode as v1_6
from seamark.messages.protocols.ccip.v1_6 import events
from seamark.messages.protocols.ccip.v1_6.keys import PROTOCOL
from seamark.messages.settings import CcipSettings

__all__ = ["CcipChain", "CcipProtocol", "ccip_chains"]


@dataclass(frozen=True, slots=True)
class CcipChain:
    """A chain whose CCIP messages are followed. `setting` is what errors name."""

    chain_id: ChainId
    selector: Selector
    name: str
    router: Address
    start_block: int | None
    setting: str


def ccip_chains(settings: CcipSettings, chains: Mapping[str, ChainSettings]) -> list[CcipChain]:
    """Join the monitor's settings with those of the chains.

    Raises:
        SettingsError: A chain that is not defined, or one without a selector.
    """
    found = []
    table = SelectorTable()
    for index, item in enumerate(settings.chains):
        chain = chains.get(item.chain)
        if chain is None:
            known = ", ".join(sorted(chains)) or "none"
            raise SettingsError(
                f"ccip.chains[{index}].chain",
                f"there is no chain {item.chain!r}",
                remedy=f"chains defined under `chains`: {known}",
            )
        published = table.of_chain(ChainId(chain.chain_id))
        selector = chain.selector or (published.selector if published else None)
        if selector is None:
            raise SettingsError(
                f"chains.{item.chain}.selector",
                f"chain id {chain.chain_id} has no published CCIP selector",
                remedy="set the selector that its CCIP contracts were deployed with",
            )
        name = chain.label or item.chain
        found.append(
            CcipChain(
                chain_id=ChainId(chain.chain_id),
                selector=Selector(selector),
                name=name,
                router=item.router,
                start_block=item.start_block,
                setting=f"ccip.chains[{index}]",
            )
        )
    return found


class CcipProtocol:
    """CCIP on some chains (`messages.protocol.MessageProtocol`)."""

    name = PROTOCOL

    def __init__(self, chains: Sequence[CcipChain]) -> None:
        self._chains = {chain.chain_id: chain for chain in chains}
        self._by_selector = {str(chain.selector): chain for chain in chains}
        self._table = SelectorTable(NamedChain(chain.chain_id, chain.selector, chain.name) for chain in chains)
        self._tokens: dict[tuple[ChainId, str], TokenInfo] = {}

    @property
    def chains(self) -> Sequence[ChainRole]:
        return [ChainRole(chain.chain_id, chain.name, chain.start_block) for chain in self._chains.values()]

    async def check(self, reader: ChainReader) -> None:
        chain = self._chains[reader.chain_id]
        await discovery.check_router(reader, chain.router, f"{chain.setting}.router")

    async def discover(self, reader: ChainReader, known: Iterable[Contract]) -> list[Contract]:
        chain = self._chains[reader.chain_id]
        before = {item.address: item for item in known}
        peers = [other.selector for other in self._chains.values() if other is not chain]
        # Ramps known from before are asked again: their sources may have changed while nobody was looking.
        ramps = [address for address, item in before.items() if item.role != ROUTER_ROLE]
        ramps += await discovery.find_ramps(reader, chain.router, peers)
        refused = {address for address, item in before.items() if item.role == UNSUPPORTED}
        found = await self._identify(reader, list(dict.fromkeys(ramps)), lenient=refused)
        await self._learn_tokens(reader, found)
        return [self._router(chain), *found]

    async def identify(
        self, reader: ChainReader, changes: Sequence[ConfigChange], known: Iterable[Contract]
    ) -> list[Contract]:
        before = {item.address: item for item in known}
        asked = dict.fromkeys(address for change in changes for address in change.addresses)
        found = await self._identify(reader, list(asked), lenient=asked.keys())
        await self._learn_tokens(reader, found)
        return [item for item in found if before.get(item.address) != item]

    def watch(self, chain_id: ChainId, contracts: Sequence[Contract]) -> Watch:
        chain = self._chains[chain_id]
        watched = [item for item in contracts if item.role in (ROUTER_ROLE, ON_RAMP, OFF_RAMP)]
        topics = [event.topic0 for event in (*router.ROUTER_EVENTS, *events.ON_RAMP_EVENTS, *events.OFF_RAMP_EVENTS)]
        wanted = LogFilter(tuple(item.address for item in watched), tuple(dict.fromkeys(topics)))
        return Watch(wanted, _BlockReader(chain, watched).read)

    def names(self, lane: LaneKey) -> LaneNames:
        source, destination = self._table.of_selector(lane.source), self._table.of_selector(lane.destination)
        return LaneNames(
            source=self._table.name(lane.source),
            destination=self._table.name(lane.destination),
            source_chain=source.chain_id if source else None,
            destination_chain=destination.chain_id if destination else None,
            source_watched=lane.source in self._by_selector,
            destination_watched=lane.destination in self._by_selector,
        )

    def token(self, chain_id: ChainId | None, address: str) -> TokenInfo | None:
        return None if chain_id is None else self._tokens.get((chain_id, address))

    async def _identify(
        self, reader: ChainReader, addresses: Sequence[Address], *, lenient: Collection[Address]
    ) -> list[Contract]:
        chain = self._chains[reader.chain_id]
        setting = f"the selector of chain {chain.name}"
        return await discovery.identify_ramps(reader, addresses, chain.selector, setting, lenient=lenient)

    async def _learn_tokens(self, reader: ChainReader, contracts: Iterable[Contract]) -> None:
        ramps = [item.address for item in contracts if item.role == ON_RAMP]
        for address, token in (await discovery.fee_tokens(reader, ramps)).items():
            self._tokens[reader.chain_id, address] = token

    @staticmethod
    def _router(chain: CcipChain) -> Contract:
        return Contract(chain_id=chain.chain_id, address=chain.router, role=ROUTER_ROLE, version="1.2.0")


@dataclass(frozen=True, slots=True)
class _Findings:
    """What one block has told so far."""

    block: Block
    context: v1_6.BlockContext
    sightings: list[Sighting] = field(default_factory=list)
    changes: list[ConfigChange] = field(default_factory=list)
    malformed: list[Malformed] = field(default_factory=list)


class _BlockReader:
    """Reads the logs of one chain's contracts, by emitter and topic."""

    def __init__(self, chain: CcipChain, contracts: Iterable[Contract]) -> None:
        self._chain = chain
        self._contracts = {item.address: item for item in contracts}
        self._routers = {item.address for item in contracts if item.role == ROUTER_ROLE}

    def read(self, block: Block, whole: bool) -> Decoded:
        if not block.logs:
            return _NOTHING
        found = _Findings(block, self._context(block, whole))
        for log in block.logs:
            contract = self._contracts.get(log.address)
            event = _EVENTS[contract.role].get(log.topics[0]) if contract and log.topics else None
            if contract is None or event is None:
                continue  # of another role's events: the filter is every address with every topic
            try:
                self._take(log, contract, event, found)
            except (DecodeError, ValueError) as error:
                found.malformed.append(
                    Malformed(
                        transaction=log.transaction_hash,
                        log_index=log.log_index,
                        address=log.address,
                        problem=str(error),
                    )
                )
        return Decoded(sightings=tuple(found.sightings), changes=tuple(found.changes), malformed=tuple(found.malformed))

    def _context(self, block: Block, whole: bool) -> v1_6.BlockContext:
        """First pass; what is malformed here is reported by the second."""
        context = v1_6.BlockContext(whole)
        for log in block.logs:
            topic = log.topics[0] if log.topics else ""
            with suppress(DecodeError):
                if topic == router.MESSAGE_EXECUTED.topic0 and log.address in self._routers:
                    record = router.MESSAGE_EXECUTED.decode(log)
                    context.called.add((log.transaction_hash, "0x" + record.messageId.hex()))
                elif topic == events.TRANSMITTED.topic0 and _is_execution(log):
                    context.transmitted.add(log.transaction_hash)
        return context

    def _take(self, log: Log, contract: Contract, event: Event, found: _Findings) -> None:
        record = event.decode(log)
        if event is events.SENT:
            found.sightings.append(v1_6.sent(record, contract.version, log.address, self._evidence(log, found.block)))
        elif event is events.EXECUTED:
            at, own = self._evidence(log, found.block), self._chain.selector
            ramps = contract.details
            found.sightings.append(
                v1_6.executed(record, contract.version, at, on_ramps=ramps, own=own, context=found.context)
            )
        elif event is events.COMMITTED:
            at, own = self._evidence(log, found.block), self._chain.selector
            found.sightings.extend(v1_6.committed(record, contract.version, own, at))
        elif addresses := _NAMES.get(event.name):
            found.changes.append(
                ConfigChange(
                    chain_id=self._chain.chain_id,
                    block_number=found.block.ref.number,
                    event=event.name,
                    addresses=addresses(record, log),
                )
            )

    def _evidence(self, log: Log, block: Block) -> Evidence:
        ref = block.ref
        return Evidence(self._chain.chain_id, ref.number, ref.hash, log.transaction_hash, log.log_index, ref.timestamp)


_NOTHING = Decoded()


def _by_topic(wanted: Iterable[Event]) -> dict[Hash32, Event]:
    return {event.topic0: event for event in wanted}


_EVENTS = {
    ROUTER_ROLE: _by_topic(router.ROUTER_EVENTS),
    ON_RAMP: _by_topic(events.ON_RAMP_EVENTS),
    OFF_RAMP: _by_topic(events.OFF_RAMP_EVENTS),
}


def _is_execution(log: Log) -> bool:
    return bool(events.TRANSMITTED.decode(log).ocrPluginType == events.EXECUTION_PLUGIN)


def _own(_: object, log: Log) -> tuple[Address, ...]:
    return (log.address,)


# Which addresses to look at again after a configuration event. The other events only give context, but must be
# well-formed all the same.
_NAMES: Mapping[str, Callable[..., tuple[Address, ...]]] = {
    router.ON_RAMP_SET.name: lambda record, _: () if int(record.onRamp, 16) == 0 else (record.onRamp,),
    router.OFF_RAMP_ADDED.name: lambda record, _: (record.offRamp,),
    router.OFF_RAMP_REMOVED.name: lambda record, _: (record.offRamp,),
    events.SOURCE_CHAIN_CONFIG_SET.name: _own,
    events.DEST_CHAIN_CONFIG_SET.name: _own,
}
