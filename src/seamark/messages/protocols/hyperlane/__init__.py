"""Hyperlane: messages between Mailboxes, relayed by anybody, paid for at gas paymasters."""

from seamark.messages.protocols.hyperlane.protocol import HyperlaneChain, HyperlaneProtocol, hyperlane_chains
from seamark.messages.protocols.hyperlane.settings import HyperlaneChainSettings, HyperlaneSettings

__all__ = ["HyperlaneChain", "HyperlaneChainSettings", "HyperlaneProtocol", "HyperlaneSettings", "hyperlane_chains"]
