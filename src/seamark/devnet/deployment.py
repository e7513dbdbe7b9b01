"""What was deployed where: a JSON file beside the chains' state, read again at the next start.

The hash of a block from the deployment is kept for each chain: a chain that does not have this block is not the one
that the file describes, however alike it looks. Selectors are text in the file, since they exceed 2**53.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from seamark.core.errors import StopError
from seamark.core.ids import Address, ChainId, Hash32, Selector

__all__ = ["FORMAT", "ChainDeployment", "Deployment", "FeedDeployment"]

FORMAT = 1  # raised when the contracts or this file's form change: an older file then means a fresh start


class ChainDeployment(msgspec.Struct, frozen=True, kw_only=True):
    """CCIP on one chain.

    `first_block` is the first block of the deployment, where a reader of its logs may start; `anchor_block` and
    `anchor_hash` are its last one and prove which chain it was.
    """

    name: str
    chain_id: ChainId
    selector_text: str = msgspec.field(name="selector")
    free_gas: bool
    first_block: int
    anchor_block: int
    anchor_hash: Hash32
    wrapped_native: Address
    link: Address
    rmn_remote: Address
    arm_proxy: Address
    router: Address
    token_admin_registry: Address
    nonce_manager: Address
    fee_quoter: Address
    onramp: Address
    offramp: Address
    message_hasher: Address
    test_receiver: Address

    @property
    def selector(self) -> Selector:
        return Selector(int(self.selector_text))


class FeedDeployment(msgspec.Struct, frozen=True, kw_only=True):
    """One price feed: `aggregator` (an OracleWithCCIP) on the home chain, `receiver` on the remote one.

    `fee_currency` is "link" or "native".
    """

    symbol: str
    feed_id: Hash32
    decimals: int
    fee_currency: str
    aggregator: Address
    receiver: Address


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """The whole world. `fingerprint` is a hash of the settings that it was made from."""

    format: int
    fingerprint: str
    home: ChainDeployment
    remote: ChainDeployment
    feeds: tuple[FeedDeployment, ...] = ()

    def chain(self, selector: Selector) -> ChainDeployment:
        """By selector; raises `KeyError`."""
        for chain in (self.home, self.remote):
            if chain.selector == selector:
                return chain
        raise KeyError(selector)

    def feed(self, symbol: str) -> FeedDeployment:
        """By symbol; raises `KeyError`."""
        for feed in self.feeds:
            if feed.symbol == symbol:
                return feed
        raise KeyError(symbol)

    def write(self, path: Path) -> None:
        """Whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".new")
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")
        os.replace(draft, path)  # noqa: PTH105 - the rename that replaces atomically

    @classmethod
    def read(cls, path: Path) -> Deployment | None:
        """None where there is no file, or one of another format.

        Raises:
            StopError: The file cannot be read.
        """
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StopError(f"{path} cannot be read: {error.strerror}", remedy="delete it to deploy afresh") from error
        try:
            form: Any = msgspec.json.decode(raw)
            if not isinstance(form, dict) or form.get("format") != FORMAT:
                return None
            return msgspec.json.decode(raw, type=cls)
        except msgspec.DecodeError as error:
            raise StopError(f"{path} is damaged: {error}", remedy="delete it to deploy afresh") from error
