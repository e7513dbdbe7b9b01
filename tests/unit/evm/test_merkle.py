from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.evm.crypto import keccak256
from seamark.evm.merkle import MAX_LEAVES, Proof, merkle_root, prove
from tests.unit.devnet import ccip_golden as golden

INNER = (1).to_bytes(32, "big")


def verify(leaves: list[bytes], proof: Proof) -> bytes:
    """`MerkleMultiProof.merkleRoot` as the contract runs it: one queue of leaves, then of what was computed."""
    total = len(leaves) + len(proof.hashes) - 1
    assert total <= MAX_LEAVES
    if total == 0:
        return leaves[0]
    queue, rest, computed = list(leaves), list(proof.hashes), b""
    for number in range(total):
        known = queue.pop(0) if proof.flags >> number & 1 else rest.pop(0)
        computed = keccak256(INNER + b"".join(sorted((known, queue.pop(0)))))
        queue.append(computed)
    assert not rest, "the contract refuses proofs that are not used up"
    assert queue == [computed], "the contract refuses leaves that are not used up"
    return computed


def leaves_of(count: int) -> list[bytes]:
    return [hashlib.sha256(bytes([number // 256, number % 256])).digest() for number in range(count)]


def test_the_root_and_the_proof_are_those_that_the_contract_accepted():
    assert merkle_root(golden.LEAVES) == golden.ROOT
    assert prove(golden.LEAVES, golden.PROVEN) == Proof(golden.PROOF_HASHES, golden.PROOF_FLAGS)


def test_one_leaf_is_its_own_root_and_needs_no_proof():
    (leaf,) = leaves_of(1)
    assert merkle_root([leaf]) == leaf
    assert prove([leaf], [0]) == Proof((), 0)


def test_the_order_of_a_pair_does_not_matter():
    one, other = leaves_of(2)
    assert merkle_root([one, other]) == merkle_root([other, one])


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 9, 63, 64, 65, 200, 255, 256])
def test_a_proof_of_all_leaves_verifies(count):
    leaves = leaves_of(count)
    assert verify(leaves, prove(leaves, range(count))) == merkle_root(leaves)


@given(st.integers(1, 70).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1), min_size=1))))
def test_a_proof_of_any_leaves_verifies(case):
    count, chosen = case
    leaves, indices = leaves_of(count), sorted(chosen)
    proof = prove(leaves, indices)
    assert verify([leaves[index] for index in indices], proof) == merkle_root(leaves)


@given(st.integers(2, 40), st.data())
def test_a_proof_is_of_these_leaves_only(count, data):
    leaves = leaves_of(count)
    index = data.draw(st.integers(0, count - 1))
    forged = keccak256(leaves[index])
    assert verify([forged], prove(leaves, [index])) != merkle_root(leaves)


def test_any_change_changes_the_root():
    leaves = leaves_of(9)
    roots = {merkle_root(leaves)}
    for index in range(9):
        changed = [*leaves]
        changed[index] = keccak256(leaves[index])
        roots.add(merkle_root(changed))
    roots |= {merkle_root(leaves[:8]), merkle_root(leaves[1:])}
    assert len(roots) == 12


@pytest.mark.parametrize("count", [0, MAX_LEAVES + 1])
def test_a_tree_has_one_to_256_leaves(count):
    with pytest.raises(ValueError, match="1 to 256 leaves"):
        merkle_root(leaves_of(count))


@pytest.mark.parametrize("indices", [[], [1, 0], [0, 0], [-1], [3]])
def test_positions_ascend_and_exist(indices):
    with pytest.raises(ValueError, match="ascending positions"):
        prove(leaves_of(3), indices)
