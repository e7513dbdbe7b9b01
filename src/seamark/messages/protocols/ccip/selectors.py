"""CCIP chain selectors: the published table (EVM chains), and private ones from the settings.

A selector is a random uint64 that is not derived from the chain id. Source of the table:
smartcontractkit/chain-selectors. Chain 138 and other private chains are not in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files

import msgspec

from seamark.core.ids import ChainId, Selector

__all__ = ["NamedChain", "SelectorTable", "published_selectors"]


class NamedChain(msgspec.Struct, frozen=True):
    """A chain as CCIP knows it."""

    chain_id: ChainId
    selector: Selector
    name: str


@lru_cache(maxsize=1)
def published_selectors() -> tuple[NamedChain, ...]:
    """The table that ships with Seamark."""
    document = msgspec.json.decode((files(__package__) / "data" / "selectors.json").read_bytes())
    return tuple(NamedChain(ChainId(number), Selector(int(text)), name) for number, text, name in document["chains"])


class SelectorTable:
    """Published selectors, overridden by private ones.

    Args:
        private: Chains of the settings; their names and selectors win over published ones.
    """

    def __init__(self, private: Iterable[NamedChain] = ()) -> None:
        chains = (*published_selectors(), *private)
        self._by_chain = {chain.chain_id: chain for chain in chains}
        self._by_selector = {str(chain.selector): chain for chain in chains}

    def of_chain(self, chain_id: ChainId) -> NamedChain | None:
        return self._by_chain.get(chain_id)

    def of_selector(self, selector: str) -> NamedChain | None:
        return self._by_selector.get(selector)

    def name(self, selector: str) -> str:
        """The chain's name, or the selector itself where nobody knows it."""
        chain = self._by_selector.get(selector)
        return chain.name if chain else selector
