"""Nodes talk to each other over gRPC with mutual TLS 1.3: who a node is, is its key.

identity              a node's key and certificate: made, kept, read; its name is the fingerprint of its key
network               the connections of one process, shared by all its configurations
link                  one configuration's view of them: the transport of a driver
outgoing, incoming    one stream to each peer, one from each
frames, rates         bytes on a stream, how fast a peer is read: pure
"""

import os

os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # before its import: what peers do goes to our log, not to stderr

from seamark.oracle.reporting.network.identity import Identity, create_identity, fingerprint, load_identity
from seamark.oracle.reporting.network.link import Link
from seamark.oracle.reporting.network.network import PeerNetwork
from seamark.oracle.reporting.network.ports import UNCOUNTED, NetworkLimits, NetworkObserver, Peer

__all__ = [
    "UNCOUNTED",
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
