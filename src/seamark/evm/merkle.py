"""The Merkle tree of a CCIP commit, and proofs for any set of its leaves.

As CCIP's oracle nodes build it, the same in 1.2, 1.5 and 1.6 (`MerkleMultiProof.sol` verifies it): an inner node is
the hash of a domain word and its two children in ascending order; a layer of odd length is filled up with one word of
0xff bytes. A proof lists, layer by layer and from left to right, the hashes that cannot be computed, and one flag for
each computed node: 1 when both children are known, 0 when the second comes from the proof.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seamark.evm.crypto import keccak256

__all__ = ["MAX_LEAVES", "Proof", "merkle_root", "prove"]

MAX_LEAVES = 256  # MerkleMultiProof.MAX_NUM_HASHES
_INNER = (1).to_bytes(32, "big")
_FILLER = b"\xff" * 32


@dataclass(frozen=True, slots=True)
class Proof:
    """`flags` has bit i set when the i-th computed node needs nothing of `hashes`."""

    hashes: tuple[bytes, ...]
    flags: int


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """The root over 1 to 256 leaves."""
    return _layers(leaves)[-1][0]


def prove(leaves: Sequence[bytes], indices: Sequence[int]) -> Proof:
    """A proof that the leaves at `indices` (ascending) belong to the root over all leaves."""
    known = list(indices)
    if not known or known != sorted(set(known)) or known[0] < 0 or known[-1] >= len(leaves):
        raise ValueError(f"{known[:10]} are not ascending positions among {len(leaves)} leaves")
    hashes: list[bytes] = []
    flags = computed = 0
    for layer in _layers(leaves)[:-1]:
        parents = []
        at = 0
        while at < len(known):
            index = known[at]
            if at + 1 < len(known) and known[at + 1] == index ^ 1:
                flags |= 1 << computed
                at += 1
            else:
                hashes.append(layer[index ^ 1])
            parents.append(index // 2)
            computed += 1
            at += 1
        known = parents
    return Proof(tuple(hashes), flags)


def _layers(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """All layers, each filled to an even length but the last, which is the root."""
    if not 0 < len(leaves) <= MAX_LEAVES:
        raise ValueError(f"a tree has 1 to {MAX_LEAVES} leaves, not {len(leaves)}")
    layers = [list(leaves)]
    while len(layers[-1]) > 1:
        layer = layers[-1]
        if len(layer) % 2:
            layer.append(_FILLER)
        layers.append([_inner(layer[at], layer[at + 1]) for at in range(0, len(layer), 2)])
    return layers


def _inner(one: bytes, other: bytes) -> bytes:
    low, high = (one, other) if one < other else (other, one)
    return keccak256(_INNER + low + high)
