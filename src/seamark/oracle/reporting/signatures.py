"""Signatures under a report: f + 1 of distinct nodes, in any order, none twice.

A signature on the wire is 65 bytes, r, s, v, with v 0 or 1 (the contract adds 27). Nothing may be keyed by these
bytes: a valid signature can be turned into another valid one (s negated), and the contract accepts both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from seamark.core.errors import RejectedError
from seamark.core.ids import Address
from seamark.evm.crypto import recover_address
from seamark.oracle.reporting.codec import ReportContext, Transmission

__all__ = ["AttestedReport", "ReportSignature", "check_attested", "is_signed_by", "transmission"]

_SIGNATURE_BYTES: Final = 65
_WORD: Final = 32

Verify = Callable[[int, "ReportSignature"], bool]


@dataclass(frozen=True, slots=True)
class ReportSignature:
    """ECDSA on secp256k1; `parity` is 0 or 1."""

    parity: int
    r: int
    s: int

    def encode(self) -> bytes:
        return self.r.to_bytes(_WORD, "big") + self.s.to_bytes(_WORD, "big") + bytes((self.parity,))

    @classmethod
    def decode(cls, data: bytes) -> ReportSignature:
        """Raises `RejectedError`: not 65 bytes, or a v other than 0 and 1."""
        if len(data) != _SIGNATURE_BYTES or data[-1] > 1:
            raise RejectedError("a signature of a report has 65 bytes, and its last one is 0 or 1")
        return cls(data[-1], int.from_bytes(data[:_WORD], "big"), int.from_bytes(data[_WORD : 2 * _WORD], "big"))


@dataclass(frozen=True, slots=True)
class AttestedReport:
    """A report with signatures: (index of the node, its signature)."""

    report: bytes
    signatures: tuple[tuple[int, ReportSignature], ...]


def is_signed_by(address: Address, digest: bytes, signature: ReportSignature) -> bool:
    """Whether this account made the signature over a 32-byte digest."""
    try:
        return recover_address(digest, signature.parity, signature.r, signature.s) == address
    except RejectedError:
        return False


def check_attested(attested: AttestedReport, *, n: int, f: int, verify: Verify) -> str | None:
    """What is wrong with the signatures, or None: the contract takes exactly f + 1, each of another node."""
    signers = [signer for signer, _ in attested.signatures]
    if len(signers) != f + 1:
        return f"{len(signers)} signatures instead of {f + 1}"
    if len(set(signers)) != len(signers):
        return "two signatures of one node"
    if not all(0 <= signer < n for signer in signers):
        return "a signature of an unknown node"
    wrong = (signer for signer, signature in attested.signatures if not verify(signer, signature))
    first = next(wrong, None)  # one is enough: who sends junk shall not cost us f + 1 checks
    return None if first is None else f"no signature of node {first}"


def transmission(context: ReportContext, report: bytes, signatures: Sequence[ReportSignature]) -> Transmission:
    """The call that carries a report with these signatures."""
    return Transmission(
        context,
        report,
        tuple(signature.r for signature in signatures),
        tuple(signature.s for signature in signatures),
        tuple(signature.parity for signature in signatures),
    )
