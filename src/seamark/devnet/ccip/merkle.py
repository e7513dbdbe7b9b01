"""The tree of a commit, where it is shared with recovery: `seamark.evm.merkle`."""

from seamark.evm.merkle import MAX_LEAVES, Proof, merkle_root, prove

__all__ = ["MAX_LEAVES", "Proof", "merkle_root", "prove"]
