"""Nodes talk to each other over gRPC with mutual TLS 1.3: who a node is, is its certificate.

identity   a node's key and certificate: made, kept, read; what a node is called (the fingerprint of its key)
network    the connections of one process, shared by all its configurations
"""

from seamark.oracle.reporting.network.identity import Identity, create_identity, fingerprint, load_identity
from seamark.oracle.reporting.network.network import Link, NetworkLimits, NetworkObserver, Peer, PeerNetwork

__all__ = [
    "Identity",
    "Link",
    "NetworkLimits",
    "NetworkObserver",
    "Peer",
    "PeerNetwork",
    "create_identity",
    "fingerprint",
    "load_identity",
]
