"""Off-chain keys: RFC 8032, and the secret that the network shares."""

import pickle
from dataclasses import replace

import pytest

from seamark.core.errors import RejectedError
from seamark.evm.crypto import keccak256
from seamark.oracle.reporting.keys import EncryptionKey, ObservationKey, encrypt_secret, verify_observation

SECRET = bytes(range(16))
NODES = [EncryptionKey(bytes((index,)) * 32) for index in range(1, 5)]
DEALT = encrypt_secret(SECRET, [node.public for node in NODES], EncryptionKey(b"\x63" * 32))


def test_ed25519_as_in_rfc_8032():
    key = ObservationKey(bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
    assert key.public.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert key.sign(b"").hex().startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155")
    assert verify_observation(key.public, b"", key.sign(b""))
    assert not verify_observation(key.public, b"x", key.sign(b""))
    assert not verify_observation(key.public, b"", key.sign(b"")[:-1])
    assert not verify_observation(b"short", b"", key.sign(b""))
    assert not verify_observation(b"\xff" * 32, b"", key.sign(b""))


def test_x25519_as_in_rfc_7748():
    alice = EncryptionKey(b"\x11" * 32)
    bob = EncryptionKey(bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"))
    assert bob.public.hex() == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    assert alice.block_key(bob.public) == bob.block_key(alice.public)


def test_each_node_opens_its_own_block():
    assert DEALT.hash == keccak256(SECRET)
    assert len(set(DEALT.blocks)) == len(NODES)
    assert [DEALT.open(index, node) for index, node in enumerate(NODES)] == [SECRET] * len(NODES)


def test_another_nodes_block_stays_shut():
    with pytest.raises(RejectedError, match="does not match its hash"):
        DEALT.open(0, NODES[1])
    for nobody in (-1, 4):
        with pytest.raises(RejectedError, match="no shared secret"):
            DEALT.open(nobody, NODES[0])


def test_a_dealer_who_gives_nodes_different_secrets_is_found_out():
    other = encrypt_secret(bytes(16), [node.public for node in NODES], EncryptionKey(b"\x63" * 32))
    mixed = replace(DEALT, blocks=(DEALT.blocks[0], *other.blocks[1:]))
    assert mixed.open(0, NODES[0]) == SECRET
    with pytest.raises(RejectedError):
        mixed.open(1, NODES[1])


def test_bad_keys_points_and_secrets_are_refused():
    for make in (ObservationKey, EncryptionKey):
        with pytest.raises(RejectedError, match="32 bytes"):
            make(b"short")
    for point in (bytes(32), b"short"):
        with pytest.raises(RejectedError, match="usable"):
            NODES[0].block_key(point)
    with pytest.raises(RejectedError, match="16 bytes"):
        encrypt_secret(b"short", [], NODES[0])


@pytest.mark.parametrize("key", [ObservationKey(b"\x01" * 32), NODES[0]])
def test_keys_are_never_shown(key):
    assert "01" * 32 not in repr(key)
    assert key.public.hex() in repr(key)
    with pytest.raises(TypeError):
        pickle.dumps(key)
