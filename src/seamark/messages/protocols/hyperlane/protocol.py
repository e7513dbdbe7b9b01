"""Hyperlane as a message protocol: one Mailbox per chain, domains for chain numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from seamark.core.errors import SettingsError
from seamark.core.ids import Address, ChainId
from seamark.evm.address import ZERO_ADDRESS
from seamark.evm.contract import Contract as Reader
from seamark.evm.ports import ChainReader
from seamark.evm.settings import ChainSettings
from seamark.evm.types import LogFilter
from seamark.messages.model import ConfigChange, Contract, LaneKey
from seamark.messages.protocol import ChainRole, Counter, LaneNames, Profile, TokenInfo, Watch
from seamark.messages.protocols.hyperlane import discovery, events
from seamark.messages.protocols.hyperlane.decode import PROTOCOL, BlockReader
from seamark.messages.protocols.hyperlane.settings import HyperlaneSettings

__all__ = ["HyperlaneChain", "HyperlaneProtocol", "hyperlane_chains"]

EVERY_DESTINATION: Final = ""
_NATIVE: Final = TokenInfo("native", 18)


@dataclass(frozen=True, slots=True)
class HyperlaneChain:
    """A chain whose Mailbox is followed. `setting` is what errors name."""

    chain_id: ChainId
    domain: int | None  # None until the Mailbox has told it
    name: str
    mailbox: Address
    gas_paymasters: tuple[Address, ...]
    start_block: int | None
    setting: str


def hyperlane_chains(settings: HyperlaneSettings, chains: Mapping[str, ChainSettings]) -> list[HyperlaneChain]:
    """Join the monitor's settings with those of the chains.

    Raises:
        SettingsError: A chain that is not defined.
    """
    found = []
    for index, item in enumerate(settings.chains):
        chain = chains.get(item.chain)
        if chain is None:
            known = ", ".join(sorted(chains)) or "none"
            raise SettingsError(
                f"hyperlane.chains[{index}].chain",
                f"there is no chain {item.chain!r}",
                remedy=f"chains defined under `chains`: {known}",
            )
        found.append(
            HyperlaneChain(
                chain_id=ChainId(chain.chain_id),
                domain=item.domain,
                name=chain.label or item.chain,
                mailbox=item.mailbox,
                gas_paymasters=item.gas_paymasters,
                start_block=item.start_block,
                setting=f"hyperlane.chains[{index}]",
            )
        )
    return found


class HyperlaneProtocol:
    """Hyperlane on some chains (`messages.protocol.MessageProtocol`).

    A Mailbox counts its messages over all destinations, so gaps are looked for per Mailbox.
    """

    name = PROTOCOL
    numbering: Final = "source"

    def __init__(self, chains: Sequence[HyperlaneChain]) -> None:
        self._chains = {chain.chain_id: chain for chain in chains}

    @property
    def chains(self) -> Sequence[ChainRole]:
        return [ChainRole(chain.chain_id, chain.name, chain.start_block) for chain in self._chains.values()]

    async def check(self, reader: ChainReader) -> None:
        await self._ask_mailbox(reader)

    async def discover(self, reader: ChainReader, known: Iterable[Contract]) -> list[Contract]:
        version = await self._ask_mailbox(reader)
        chain = self._chains[reader.chain_id]
        mailbox = Contract(chain_id=chain.chain_id, address=chain.mailbox, role=discovery.MAILBOX, version=version)
        hooks = await discovery.mailbox_hooks(reader, chain.mailbox)
        named = [
            Contract(chain_id=chain.chain_id, address=address, role=discovery.GAS_PAYMASTER)
            for address in chain.gas_paymasters
        ]
        found = [*known, *named, *await discovery.find_paymasters(reader, hooks), mailbox]
        return list({item.address: item for item in found}.values())

    async def identify(
        self, reader: ChainReader, changes: Sequence[ConfigChange], known: Iterable[Contract]
    ) -> list[Contract]:
        before = {item.address for item in known}
        hooks = dict.fromkeys(address for change in changes for address in change.addresses)
        return [item for item in await discovery.find_paymasters(reader, hooks) if item.address not in before]

    def watch(self, chain_id: ChainId, contracts: Sequence[Contract]) -> Watch:
        watched = {item.address: item for item in contracts}
        topics = {
            event.topic0
            for event in (
                events.DISPATCH,
                events.PROCESS,
                events.PROCESS_ID,
                *events.PAYMASTER_EVENTS,
                *events.CONFIGURATION,
            )
        }
        reader = BlockReader(chain_id, self._domain(chain_id), self._mailboxes(), watched)
        return Watch(LogFilter(tuple(watched), tuple(sorted(topics))), reader.read)

    def names(self, lane: LaneKey) -> LaneNames:
        source, destination = self._of_domain(lane.source), self._of_domain(lane.destination)
        return LaneNames(
            source=source.name if source else f"domain {lane.source}",
            destination=destination.name if destination else f"domain {lane.destination}",
            source_chain=source.chain_id if source else None,
            destination_chain=destination.chain_id if destination else None,
            source_watched=source is not None,
            destination_watched=destination is not None,
        )

    def token(self, chain_id: ChainId | None, address: str) -> TokenInfo | None:  # noqa: ARG002 - one for all chains
        """Gas is paid in the chain's own currency."""
        return _NATIVE if address == ZERO_ADDRESS else None

    def profile(self, lane: LaneKey) -> Profile:  # noqa: ARG002 - the same for all
        """Nothing is committed: a final message is delivered next. How long its source takes to be final is learned."""
        return Profile(commits=False)

    async def counters(self, reader: ChainReader, contracts: Sequence[Contract]) -> list[Counter]:
        """The nonce of the newest message of each Mailbox, over all destinations."""
        found = []
        for item in contracts:
            if item.role == discovery.MAILBOX:
                following = await Reader(reader, item.address, events.MAILBOX).read("nonce")
                lane = LaneKey(PROTOCOL, str(self._domain(reader.chain_id)), item.address, EVERY_DESTINATION)
                if following:
                    found.append(Counter(lane, "sent", following - 1))
        return found

    async def _ask_mailbox(self, reader: ChainReader) -> str:
        chain = self._chains[reader.chain_id]
        version, domain = await discovery.check_mailbox(reader, chain.mailbox, chain.domain, chain.setting)
        twin = self._of_domain(str(domain))
        if twin is not None and twin.chain_id != chain.chain_id:
            raise SettingsError(
                f"{chain.setting}.mailbox",
                f"its domain {domain} is also that of {twin.setting}",
                remedy="each chain has a domain of its own; check the addresses",
            )
        self._chains[chain.chain_id] = replace(chain, domain=domain)
        return version

    def _domain(self, chain_id: ChainId) -> int:
        domain = self._chains[chain_id].domain
        assert domain is not None, "discovery comes first"
        return domain

    def _mailboxes(self) -> dict[int, Address]:
        return {chain.domain: chain.mailbox for chain in self._chains.values() if chain.domain is not None}

    def _of_domain(self, text: str) -> HyperlaneChain | None:
        return next((chain for chain in self._chains.values() if str(chain.domain) == text), None)
