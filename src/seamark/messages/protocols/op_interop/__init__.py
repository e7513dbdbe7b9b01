"""OP Stack interop: messenger messages through the common tracker, executing messages with verdicts of their own."""

from seamark.messages.protocols.op_interop.model import PROTOCOL
from seamark.messages.protocols.op_interop.network import InteropChain, Network, interop_chains, interop_network
from seamark.messages.protocols.op_interop.protocol import InteropProtocol

__all__ = ["PROTOCOL", "InteropChain", "InteropProtocol", "Network", "interop_chains", "interop_network"]
