"""The machine's signatures: `machine.Crypto` over the keys of a network. (The interface; the body follows.)"""

from __future__ import annotations

from seamark.oracle.reporting.codec import ReportContext
from seamark.oracle.reporting.config import Network
from seamark.oracle.reporting.digest import report_digest
from seamark.oracle.reporting.keys import ObservationKey, verify_observation
from seamark.oracle.reporting.signatures import ReportSignature, is_signed_by

__all__ = ["NodeCrypto"]


class NodeCrypto:
    """Signs observations with this node's key, verifies everybody's."""

    def __init__(self, key: ObservationKey, network: Network) -> None:
        self._key = key
        self._network = network

    def sign_observation(self, payload: bytes) -> bytes:
        return self._key.sign(payload)

    def verify_observation(self, node: int, payload: bytes, signature: bytes) -> bool:
        return verify_observation(self._network.nodes[node].observation_key, payload, signature)

    def verify_report(self, node: int, context: ReportContext, report: bytes, signature: ReportSignature) -> bool:
        return is_signed_by(self._network.nodes[node].signer, report_digest(context, report), signature)
