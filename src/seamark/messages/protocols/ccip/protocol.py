"""CCIP as a message protocol: discovery from routers, decoding by generation, names by selectors.

Each generation is a folder with the same file names; a contract's `typeAndVersion` chooses one (`generations`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from seamark.core.errors import SettingsError
from seamark.core.ids import Address, ChainId, Selector
from seamark.evm.abi import DecodeError
from seamark.evm.ports import Block, ChainReader
from seamark.evm.settings import ChainSettings
from seamark.evm.types import Log, LogFilter
from seamark.messages.model import ConfigChange, Contract, Decoded, LaneKey, Malformed
from seamark.messages.protocol import ChainRole, Counter, LaneNames, Profile, TokenInfo, Watch
from seamark.messages.protocols.ccip import discovery
from seamark.messages.protocols.ccip.applications import APPLICATION, application
from seamark.messages.protocols.ccip.counters import read_counters
from seamark.messages.protocols.ccip.evm2evm.keys import SOURCE, SOURCE_RAMP
from seamark.messages.protocols.ccip.finality import finality_profile
from seamark.messages.protocols.ccip.generation import (
    FEE_TOKEN,
    MANUAL_AFTER,
    OFF_RAMP,
    ON_RAMP,
    PROTOCOL,
    UNSUPPORTED,
    Place,
    Reading,
    Scene,
)
from seamark.messages.protocols.ccip.generations import generation_of
from seamark.messages.protocols.ccip.pools import PoolTokens
from seamark.messages.protocols.ccip.selectors import NamedChain, SelectorTable
from seamark.messages.protocols.ccip.settings import CcipSettings

__all__ = ["CcipChain", "CcipProtocol", "ccip_chains"]

WITHOUT_COMMITS = "2."
"""Versions of ramps that execute what their verifiers signed, with no commit on chain before."""


@dataclass(frozen=True, slots=True)
class CcipChain:
    """A chain whose CCIP messages are followed. `setting` is what errors name."""

    chain_id: ChainId
    selector: Selector
    name: str
    router: Address
    start_block: int | None
    setting: str
    applications: tuple[Address, ...] = ()


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
                applications=_applications(settings, index),
            )
        )
    return found


def _applications(settings: CcipSettings, index: int) -> tuple[Address, ...]:
    """Our own contracts on a chain: those named there, and those whose money is watched."""
    item = settings.chains[index]
    senders = [sender.address for sender in settings.checks.senders if sender.chain == item.chain]
    return tuple(dict.fromkeys([*item.contracts, *senders]))


class CcipProtocol:
    """CCIP on some chains (`messages.protocol.MessageProtocol`)."""

    name = PROTOCOL

    def __init__(self, chains: Sequence[CcipChain]) -> None:
        self._chains = {chain.chain_id: chain for chain in chains}
        self._by_selector = {str(chain.selector): chain for chain in chains}
        self._table = SelectorTable(NamedChain(chain.chain_id, chain.selector, chain.name) for chain in chains)
        self._tokens: dict[tuple[ChainId, str], TokenInfo] = {}
        self._pools = PoolTokens()
        self._found: dict[tuple[ChainId, Address], Contract] = {}
        self._profiles: dict[LaneKey, Profile] = {}

    @property
    def chains(self) -> Sequence[ChainRole]:
        return [ChainRole(chain.chain_id, chain.name, chain.start_block) for chain in self._chains.values()]

    async def check(self, reader: ChainReader) -> None:
        chain = self._chains[reader.chain_id]
        await discovery.check_router(reader, chain.router, f"{chain.setting}.router")

    async def discover(self, reader: ChainReader, known: Iterable[Contract]) -> list[Contract]:
        chain = self._chains[reader.chain_id]
        before = {item.address: item for item in known}
        peers = self._place(chain.chain_id).peers
        # Contracts known from before are asked again: their sources may have changed while nobody was looking.
        asked = [address for address, item in before.items() if item.role not in (FEE_TOKEN, APPLICATION)]
        addresses = [chain.router, *asked, *await discovery.find_ramps(reader, chain.router, peers)]
        refused = {address for address, item in before.items() if item.role == UNSUPPORTED}
        found = {item.address: item for item in await self._explore(reader, addresses, before, lenient=refused)}
        ours = {address: application(chain.chain_id, address) for address in chain.applications}
        return list({**before, **found, **ours}.values())

    async def identify(
        self, reader: ChainReader, changes: Sequence[ConfigChange], known: Iterable[Contract]
    ) -> list[Contract]:
        before = {item.address: item for item in known}
        asked = dict.fromkeys(address for change in changes for address in change.addresses)
        found = await self._explore(reader, asked, before, lenient=asked.keys())
        return [item for item in found if before.get(item.address) != item]

    def watch(self, chain_id: ChainId, contracts: Sequence[Contract]) -> Watch:
        place = self._place(chain_id)
        readings = {}
        for contract in contracts:
            generation = generation_of(contract)
            if generation is not None:
                readings[contract.address] = generation.reading(contract, place)
        topics = {topic for reading in readings.values() for topic in (*reading.takes, *reading.notes)}
        return Watch(LogFilter(tuple(readings), tuple(sorted(topics))), _BlockReader(chain_id, readings).read)

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

    async def counters(self, reader: ChainReader, contracts: Sequence[Contract]) -> list[Counter]:
        """What the ramps on the reader's chain count themselves (`messages.protocol.CountsByCall`)."""
        return await read_counters(reader, contracts, self._place(reader.chain_id))

    async def pool_tokens(self, reader: ChainReader, pools: Iterable[str]) -> dict[str, Address]:
        """The tokens of pools on the reader's chain (the `source_pool` of what a 1.6 message carries)."""
        return await self._pools.find(reader, pools)

    def profile(self, lane: LaneKey) -> Profile:
        """The typical finality of the lane's source, and how its ramps work (`messages.protocol.KnowsProfiles`)."""
        found = self._profiles.get(lane)
        if found is None:
            found = self._profiles[lane] = self._profile(lane)
        return found

    def _profile(self, lane: LaneKey) -> Profile:
        source = self._table.of_selector(lane.source)
        ramps = [item for item in self._found.values() if self._serves(item, lane)]
        waits = [int(item.details[MANUAL_AFTER]) for item in ramps if MANUAL_AFTER in item.details]
        verified = any(item.version.startswith(WITHOUT_COMMITS) for item in ramps)
        return replace(
            finality_profile(source.chain_id if source else None),
            manual_after_s=max(waits, default=None),
            commits=not verified,
            verifiers=verified,
        )

    def _serves(self, contract: Contract, lane: LaneKey) -> bool:
        """Is it the lane's OnRamp, or an OffRamp that takes its messages?"""
        if contract.role == ON_RAMP:
            return contract.address == lane.channel
        if contract.role != OFF_RAMP or str(self._chains[contract.chain_id].selector) != lane.destination:
            return False
        if contract.details.get(SOURCE) == lane.source:
            return contract.details[SOURCE_RAMP] == lane.channel
        return bool(lane.channel) and lane.channel in contract.details.get(lane.source, "")

    async def _explore(
        self,
        reader: ChainReader,
        addresses: Iterable[Address],
        known: Mapping[Address, Contract],
        *,
        lenient: Collection[Address],
    ) -> list[Contract]:
        """The contracts, and the fee tokens that they name."""
        chain_id, place = reader.chain_id, self._place(reader.chain_id)
        found = await discovery.explore(reader, addresses, place, known=known, lenient=lenient)
        tokens = {address: _token_info(item) for address, item in known.items() if item.role == FEE_TOKEN}
        tokens |= await discovery.fee_tokens(reader, found, tokens)
        self._tokens.update({(chain_id, address): token for address, token in tokens.items()})
        self._found.update({(chain_id, item.address): item for item in found})
        self._profiles.clear()
        new = [address for address in tokens if address not in known]
        return [*found, *(_token_contract(chain_id, address, tokens[address]) for address in new)]

    def _place(self, chain_id: ChainId) -> Place:
        chain = self._chains[chain_id]
        peers = tuple(other.selector for other in self._chains.values() if other is not chain)
        return Place(chain_id, chain.selector, chain.router, f"the selector of chain {chain.name}", peers)


class _BlockReader:
    """Reads the logs of one chain's contracts, by emitter and topic."""

    def __init__(self, chain_id: ChainId, readings: Mapping[Address, Reading]) -> None:
        self._chain_id = chain_id
        self._notes = {address: reading.notes for address, reading in readings.items() if reading.notes}
        self._takes = {address: reading.takes for address, reading in readings.items()}

    def read(self, block: Block, whole: bool) -> Decoded:
        if not block.logs:
            return _NOTHING
        scene = Scene(self._chain_id, block.ref, whole)
        malformed: list[Malformed] = []
        for tables in (self._notes, self._takes):
            for log in block.logs:
                # The filter is every address with every topic: some logs are of another role's events.
                table = tables.get(log.address)
                take = table.get(log.topics[0]) if table and log.topics else None
                if take is None:
                    continue
                try:
                    take(log, scene)
                except (DecodeError, ValueError) as error:
                    malformed.append(_malformed(log, error))
        return Decoded(
            sightings=tuple(scene.sightings),
            changes=tuple(scene.changes),
            malformed=tuple(malformed),
            notices=tuple(scene.notices),
        )


_NOTHING = Decoded()


def _token_contract(chain_id: ChainId, address: Address, token: TokenInfo) -> Contract:
    """A fee token as it is stored, so that its name is known to whoever reads the database."""
    details = {"symbol": token.symbol, "decimals": str(token.decimals)}
    return Contract(chain_id=chain_id, address=address, role=FEE_TOKEN, details=details)


def _token_info(contract: Contract) -> TokenInfo:
    return TokenInfo(contract.details["symbol"], int(contract.details["decimals"]))


def _malformed(log: Log, error: Exception) -> Malformed:
    return Malformed(transaction=log.transaction_hash, log_index=log.log_index, address=log.address, problem=str(error))
