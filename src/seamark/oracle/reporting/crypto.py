"""The machine's signatures: `machine.Crypto` over the keys of a network.

A signature is looked at more than once: a leader checks an observation when it comes and again in its own request, a
report's signature when it comes, in its own final report, and in each echo of it. So what was found right is
remembered for a while. What was found wrong is not: it costs only who sends it, up to its rate.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from seamark.oracle.reporting.codec import ReportContext
from seamark.oracle.reporting.config import Network
from seamark.oracle.reporting.digest import report_digest
from seamark.oracle.reporting.keys import ObservationKey, is_right
from seamark.oracle.reporting.signatures import ReportSignature, is_signed_by

__all__ = ["NodeCrypto"]

REMEMBERED: Final = 256  # signatures of each kind: some rounds of 31 nodes, 50 kB

Signed = tuple[int, bytes, bytes | ReportSignature]  # node, what was signed, signature


class NodeCrypto:
    """Signs observations with this node's key, verifies everybody's."""

    __slots__ = ("_digest", "_key", "_network", "_publics", "_right")

    def __init__(self, key: ObservationKey, network: Network) -> None:
        self._key = key
        self._network = network
        self._publics = [_public(node.observation_key) for node in network.nodes]
        self._right: dict[Signed, None] = {}
        self._digest: Callable[[ReportContext, bytes], bytes] = lru_cache(maxsize=8)(report_digest)

    def sign_observation(self, payload: bytes) -> bytes:
        return self._key.sign(payload)

    def verify_observation(self, node: int, payload: bytes, signature: bytes) -> bool:
        public = self._publics[node]
        return self._remembered(
            (node, payload, signature), lambda: public is not None and is_right(public, payload, signature)
        )

    def verify_report(self, node: int, context: ReportContext, report: bytes, signature: ReportSignature) -> bool:
        digest = self._digest(context, report)
        signer = self._network.nodes[node].signer
        return self._remembered((node, digest, signature), lambda: is_signed_by(signer, digest, signature))

    def _remembered(self, signed: Signed, check: Callable[[], bool]) -> bool:
        if signed in self._right:
            return True
        if not check():
            return False
        if len(self._right) >= 2 * REMEMBERED:
            del self._right[next(iter(self._right))]
        self._right[signed] = None
        return True


def _public(raw: bytes) -> Ed25519PublicKey | None:
    """None for a key that is none: its node signs nothing."""
    try:
        return Ed25519PublicKey.from_public_bytes(raw)
    except ValueError:
        return None
