"""Small questions for big blocks.

`eth_getBlockByNumber` sends the hash of every transaction along: 70 bytes each that nobody here reads. Many nodes also
know `eth_getHeaderByNumber` (geth, op-geth, erigon, reth; not anvil), which does not. Whether an endpoint does is
learned when it begins to pay: after the first large block, one question is put both ways in one batch, and the answers
must be of the same block.

From then on one block's logs are asked by its hash, with the count of its transactions as proof that the endpoint has
that very block, instead of with one more header.

Where anything of this fails, the endpoint is asked in the old way, and again in the new one some time later.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from seamark.evm.hexdata import to_quantity
from seamark.evm.types import BlockTag
from seamark.runtime.clock import Clock

__all__ = ["HEADER", "Lean"]

HEADER: Final = "eth_getHeaderByNumber"
BLOCK: Final = "eth_getBlockByNumber"
WORTH_BYTES: Final = 3_000  # a header alone is some 1,750 bytes; twenty transactions' hashes are as much again
TRY_AGAIN_S: Final = 600.0  # another node may answer behind the same address by then


class Lean:
    """What is known of one endpoint."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.known = False
        self._worth_it = False
        self._refused_at: float | None = None
        self._unpinned_at: float | None = None

    @property
    def to_be_tried(self) -> bool:
        """Whether the next question is to be put both ways."""
        if self.known or not self._worth_it:
            return False
        return not self._is_recent(self._refused_at)

    @property
    def pins(self) -> bool:
        """Whether to ask for one block's logs by its hash."""
        return self._worth_it and not self._is_recent(self._unpinned_at)

    def unpinned(self) -> None:
        """The endpoint could not be asked so."""
        self._unpinned_at = self._clock.monotonic()

    def _is_recent(self, at: float | None) -> bool:
        return at is not None and self._clock.monotonic() - at <= TRY_AGAIN_S

    def question(self, block: BlockTag) -> tuple[str, tuple[Any, ...]]:
        """Method and parameters for a header."""
        return self.asked(block) if self.known else self.full(block)

    @staticmethod
    def asked(block: BlockTag) -> tuple[str, tuple[Any, ...]]:
        return HEADER, (_block(block),)

    @staticmethod
    def full(block: BlockTag) -> tuple[str, tuple[Any, ...]]:
        return BLOCK, (_block(block), False)

    def saw(self, raw: msgspec.Raw) -> None:
        """Note the size of a block's reply."""
        self._worth_it = self._worth_it or len(bytes(raw)) > WORTH_BYTES

    def learned(self, *, works: bool) -> None:
        """How the endpoint answered the small question."""
        self.known = works
        self._refused_at = None if works else self._clock.monotonic()


def _block(block: BlockTag) -> str:
    return to_quantity(block) if isinstance(block, int) else block
