"""Chains as people call them: the settings' key, the label, the chain id and the CCIP selector of each, one table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from seamark.core.ids import ChainId, Selector

__all__ = ["NATIVE_DECIMALS", "ChainName", "ChainNames", "Token", "TokenFinder", "TokenName", "no_tokens"]


@dataclass(frozen=True, slots=True)
class ChainName:
    """One chain. `key` is its name in the settings, `label` what people read, `native` the symbol of its currency."""

    key: str
    label: str
    chain_id: ChainId | None = None
    selector: Selector | None = None
    native: str = "ETH"


NATIVE_DECIMALS = 18  # of every EVM chain's own currency


class Token(Protocol):
    """How amounts of a fee token are shown; `seamark.messages.protocol.TokenInfo` is one."""

    @property
    def symbol(self) -> str: ...

    @property
    def decimals(self) -> int: ...


@dataclass(frozen=True, slots=True)
class TokenName:
    """A `Token`."""

    symbol: str
    decimals: int


TokenFinder = Callable[[ChainId | None, str], Token | None]
"""The token at an address of a chain, where somebody knows it."""


def no_tokens(_chain: ChainId | None, _address: str) -> Token | None:
    """Where nobody does."""
    return None


class ChainNames:
    """Finds a chain by any of its names; a selector that nobody named stands for itself."""

    def __init__(self, chains: Iterable[ChainName] = (), *, tokens: TokenFinder = no_tokens) -> None:
        self.all = tuple(chains)
        self._by_key = {chain.key: chain for chain in self.all}
        self._by_selector = {chain.selector: chain for chain in self.all if chain.selector is not None}
        self._by_id = {chain.chain_id: chain for chain in self.all if chain.chain_id is not None}
        self.token = tokens

    def by_key(self, key: str, chain_id: ChainId | None = None) -> ChainName:
        return self._by_key.get(key) or ChainName(key, key, chain_id)

    def by_selector(self, selector: Selector) -> ChainName:
        return self._by_selector.get(selector) or ChainName(str(selector), str(selector), selector=selector)

    def by_chain_id(self, chain_id: ChainId) -> ChainName:
        return self._by_id.get(chain_id) or ChainName(str(chain_id), f"chain {chain_id}", chain_id)

    def of_lane(self, number: str, chain_id: int | None, name: str) -> ChainName:
        """An end of a lane, as a tracker knows it: the protocol's number for the chain, its id, the name in use."""
        known = self._by_id.get(ChainId(chain_id)) if chain_id is not None else None
        if known is not None:
            return known
        selector = Selector(int(number)) if number.isdigit() else None
        if selector is not None and selector in self._by_selector:
            return self._by_selector[selector]
        label = name or number
        return ChainName(name or number, label, None if chain_id is None else ChainId(chain_id), selector)

    def find(self, text: str) -> ChainName | None:
        """By key, label (any case), selector or chain id, as a person types it."""
        wanted = text.strip().lower()
        for chain in self.all:
            spellings = {chain.key.lower(), chain.label.lower(), str(chain.selector), str(chain.chain_id)}
            if wanted in spellings:
                return chain
        return None
