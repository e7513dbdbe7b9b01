"""Amounts of tokens for people, as far as somebody has told their symbols and decimals; base units otherwise. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from seamark.evm.address import ZERO_ADDRESS
from seamark.messages.reports.render.amounts import LINK_DECIMALS, amount_text
from seamark.messages.reports.render.document import account

__all__ = ["LINK_DECIMALS", "Tokens", "account", "amount_text"]

NATIVE_DECIMALS: Final = 18


class Tokens:
    """Fee tokens by (chain id, address)."""

    def __init__(self, known: Mapping[tuple[int, str], tuple[str, int]] | None = None) -> None:
        self._known = known or {}

    def knows(self, chain_id: int | None, token: str) -> bool:
        return token == ZERO_ADDRESS or (chain_id or 0, token) in self._known

    def text(self, chain_id: int | None, token: str, amount: str) -> str:
        """As in 0.0412 LINK; base units and the token's address where nobody knows it."""
        if token == ZERO_ADDRESS:
            return amount_text(int(amount), NATIVE_DECIMALS, "native")
        known = self._known.get((chain_id or 0, token))
        if known is None:
            return f"{int(amount):,} base units" + (f" of {account(token)[:8]}…" if token else "")
        return amount_text(int(amount), known[1], known[0])

    def symbol(self, chain_id: int | None, token: str) -> str:
        if token == ZERO_ADDRESS:
            return "native"
        known = self._known.get((chain_id or 0, token))
        return known[0] if known else account(token)
