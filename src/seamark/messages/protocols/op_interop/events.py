"""What the interop predeploys emit, and where they live: the same addresses on every OP Stack chain.

Source: ethereum-optimism/specs, `interop/predeploys.md` and `interop/messaging.md`; the contracts of the same names in
contracts-bedrock. The token bridge's events are spelt `SendERC20` and `RelayERC20` in the contract, `SentERC20` and
`RelayedERC20` in the specification: both are read.
"""

from __future__ import annotations

from typing import Final

from seamark.core.ids import Address, Hash32
from seamark.evm.abi import Event

__all__ = [
    "BRIDGES",
    "ETH_BRIDGE",
    "EXECUTING",
    "INBOX",
    "MESSENGER",
    "RECEIVED",
    "RELAYED",
    "SENT",
    "SENT_OFF",
    "TOKEN_BRIDGE",
    "WATCHED_ADDRESSES",
    "WATCHED_TOPICS",
]


def _predeploy(number: int) -> Address:
    return Address(f"0x42{number:038x}")


INBOX: Final = _predeploy(0x22)
MESSENGER: Final = _predeploy(0x23)
ETH_BRIDGE: Final = _predeploy(0x24)
TOKEN_BRIDGE: Final = _predeploy(0x28)

EXECUTING = Event.parse(
    "event ExecutingMessage(bytes32 indexed msgHash, "
    "(address origin, uint256 blockNumber, uint256 logIndex, uint256 timestamp, uint256 chainId) id)"
)
SENT = Event.parse(
    "event SentMessage(uint256 indexed destination, address indexed target, uint256 indexed messageNonce, "
    "address sender, bytes message)"
)
RELAYED = Event.parse(
    "event RelayedMessage(uint256 indexed source, uint256 indexed messageNonce, bytes32 indexed messageHash, "
    "bytes32 returnDataHash)"
)
_ETH = "(address indexed from, address indexed to, uint256 amount, uint256 chain)"
_ERC20 = "(address indexed token, address indexed from, address indexed to, uint256 amount, uint256 chain)"
SENT_OFF: Final = tuple(
    Event.parse(f"event {name}") for name in (f"SendETH{_ETH}", f"SendERC20{_ERC20}", f"SentERC20{_ERC20}")
)
"""A bridge took money for another chain."""
RECEIVED: Final = tuple(
    Event.parse(f"event {name}") for name in (f"RelayETH{_ETH}", f"RelayERC20{_ERC20}", f"RelayedERC20{_ERC20}")
)
"""A bridge paid out."""
BRIDGES: Final = (*SENT_OFF, *RECEIVED)

WATCHED_ADDRESSES: Final[tuple[Address, ...]] = (INBOX, MESSENGER, ETH_BRIDGE, TOKEN_BRIDGE)
WATCHED_TOPICS: Final[tuple[Hash32, ...]] = tuple(event.topic0 for event in (EXECUTING, SENT, RELAYED, *BRIDGES))
