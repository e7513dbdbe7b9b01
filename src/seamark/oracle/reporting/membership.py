"""Who this node is, and where it stands in a configuration. Pure.

A node is in a configuration when its report signer is; then everything else that the configuration says of it has to be
this node's too, or its observations, its shared secret or its transactions would be refused one by one, silently.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from seamark.core.errors import RejectedError
from seamark.core.ids import Address
from seamark.oracle.reporting.codec import ReportContext
from seamark.oracle.reporting.config import Network, OffchainConfig, read_network
from seamark.oracle.reporting.contract import Announced
from seamark.oracle.reporting.crypto import NodeCrypto
from seamark.oracle.reporting.keys import EncryptionKey, ObservationKey
from seamark.oracle.reporting.machine import Context, Crypto
from seamark.oracle.reporting.plugin import MedianPlugin
from seamark.oracle.reporting.ports import TimeLimits
from seamark.oracle.reporting.schedule import Schedule
from seamark.oracle.reporting.signatures import ReportSignature

__all__ = ["Member", "NotInConfig", "Seat", "find_me", "take_seat"]


class NotInConfig(RejectedError):
    """This node is not part of the configuration, or not as it is."""


@dataclass(frozen=True, slots=True)
class Member:
    """What a configuration says of a node, and the keys behind it.

    `signer` is the account whose key signs reports, `transmitter` the one that pays; `peer` is the node's name in the
    network.
    """

    signer: Address
    transmitter: Address
    peer: str
    observation_key: ObservationKey = field(repr=False)
    encryption_key: EncryptionKey = field(repr=False)


def find_me(network: Network, member: Member) -> int:
    """This node's index.

    Raises:
        NotInConfig: Not there, or something else is said of it than it is; names what.
    """
    index = next((index for index, node in enumerate(network.nodes) if node.signer == member.signer), None)
    if index is None:
        raise NotInConfig(
            f"this node's signer {member.signer} is not in configuration {network.digest.hex()}",
            remedy="have the contract's owner set a configuration with this node, or correct oracle.reporting.signer",
        )
    node = network.nodes[index]
    pairs: Mapping[str, tuple[object, object]] = {
        "transmitter": (node.transmitter, member.transmitter),
        "peer": (node.peer, member.peer),
        "observation key": (node.observation_key.hex(), member.observation_key.public.hex()),
    }
    for name, (said, ours) in pairs.items():
        if said != ours:
            raise NotInConfig(
                f"configuration {network.digest.hex()} gives node {index} the {name} {said}, and ours is {ours}",
                remedy="use the files that this node's public identity was made with, or set the configuration anew",
            )
    return index


@dataclass(frozen=True, slots=True)
class Seat:
    """A node's place in a configuration: all that the protocol needs, and how long each call may take."""

    context: Context
    limits: TimeLimits


@dataclass(frozen=True, slots=True)
class _Counting:
    """`machine.Crypto` that tells of signatures that are wrong."""

    crypto: Crypto
    bad: Callable[[int], None]

    def sign_observation(self, payload: bytes) -> bytes:
        return self.crypto.sign_observation(payload)

    def verify_observation(self, node: int, payload: bytes, signature: bytes) -> bool:
        return self._told(node, right=self.crypto.verify_observation(node, payload, signature))

    def verify_report(self, node: int, context: ReportContext, report: bytes, signature: ReportSignature) -> bool:
        return self._told(node, right=self.crypto.verify_report(node, context, report, signature))

    def _told(self, node: int, *, right: bool) -> bool:
        if not right:
            self.bad(node)
        return right


def take_seat(announced: Announced, member: Member, *, bad_signature: Callable[[int], None]) -> Seat:
    """This node's place.

    Args:
        announced: The configuration.
        member: This node.
        bad_signature: Told the index of the node whose signature is wrong. (A leader that makes up another's signature
            puts it under the other's index.)

    Raises:
        NotInConfig: It has none.
        RejectedError: The configuration is malformed, breaks a bound, or its shared secret cannot be opened.
    """
    network = read_network(announced.digest, announced.config)
    me = find_me(network, member)
    offchain = OffchainConfig.decode(announced.config.offchain)
    schedule = Schedule.from_secret(offchain.secret.open(me, member.encryption_key), network.n)
    plugin = MedianPlugin(network.median, network.bounds, network.digest, network.n, network.f)
    crypto = _Counting(NodeCrypto(member.observation_key, network), bad_signature)
    context = Context(network, me, schedule, plugin, crypto)
    return Seat(context, TimeLimits.of(offchain))
