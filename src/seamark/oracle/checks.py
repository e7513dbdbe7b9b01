"""Questions asked once, before a feed is published: does the contract exist, is it a feed. Whether we may write to it,
its target knows (`targets`).

Each failure is one line that names the setting and says what to do. A node that does not answer is a `TemporaryError`.
"""

from __future__ import annotations

from typing import Final

from seamark.core.errors import RejectedError, SettingsError
from seamark.core.ids import Address
from seamark.evm.address import to_checksum
from seamark.evm.ports import ChainReader
from seamark.oracle.model import FeedState, Pair
from seamark.oracle.targets.aggregator import read_state

__all__ = ["check_contract", "pair_of"]

MOST_DECIMALS: Final = 36
"""Of a feed whose answers we compute: twice the 18 of the finest feeds. An int256 with more has no room for a price."""


async def check_contract(chain: ChainReader, address: Address, *, setting: str) -> FeedState:
    """The feed's state, if there is a feed.

    Raises:
        SettingsError: No code at the address, it does not read like a feed, or its decimals are beyond reason.
        TemporaryError: No node answered.
    """
    shown = to_checksum(address)
    if not await chain.code(address):
        raise SettingsError(
            setting,
            f"there is no contract at {shown} on chain {chain.chain_id}",
            remedy="check the address and that the endpoint is of the right chain",
        )
    try:
        state = await read_state(chain, address)
    except RejectedError as error:
        raise SettingsError(
            setting, f"the contract at {shown} is no price feed: {error}", remedy="give the address of an Aggregator"
        ) from error
    if state.decimals > MOST_DECIMALS:
        raise SettingsError(
            setting,
            f"the feed at {shown} has {state.decimals} decimals",
            remedy=f"give the address of a feed with at most {MOST_DECIMALS}",
        )
    return state


def pair_of(state: FeedState, declared: Pair | None, *, setting: str) -> Pair:
    """The pair a feed prices; a declared one must not contradict the contract's own description.

    Raises:
        SettingsError: The contract describes another pair, or none while none is declared.
    """
    try:
        described = Pair.parse(state.description)
    except ValueError:
        described = None
    if declared is None and described is None:
        raise SettingsError(
            setting, f"the contract describes itself as {state.description!r}, which is no pair", remedy="declare pair"
        )
    if declared is not None and described is not None and declared != described:
        raise SettingsError(
            setting, f"is {declared}, but the contract prices {described}", remedy="check the pair and the address"
        )
    pair = declared or described
    assert pair is not None
    return pair
