"""Chainlink CCIP."""

from seamark.messages.protocols.ccip.protocol import CcipChain, CcipProtocol, ccip_chains

__all__ = ["CcipChain", "CcipProtocol", "ccip_chains"]
