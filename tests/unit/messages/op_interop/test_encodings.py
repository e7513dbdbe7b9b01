"""Hashes and access-list keys against the published vector and an independent encoder."""

from __future__ import annotations

import msgspec
import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from seamark.core.ids import Address, Hash32
from seamark.evm.crypto import keccak256_hex
from seamark.messages.protocols.op_interop import events
from seamark.messages.protocols.op_interop.encodings import (
    access_list_keys,
    checksum,
    message_hash,
    payload_hash,
    split_nonce,
)
from seamark.messages.protocols.op_interop.model import Identifier

PAYLOAD = Hash32("0x239eaa8910efd066ea6bad5057f60ea868da70c49dff4cb09403e90f970a812b")
LOG = Identifier(Address("0x4200000000000000000000000000000000000023"), 14, 2, 1743801675, 901)


def test_keys_of_the_published_vector() -> None:
    """@eth-optimism/viem, its test of encodeAccessList."""
    assert access_list_keys(LOG, PAYLOAD) == [
        "0x010000000000000000000385000000000000000e0000000067f04d4b00000002",
        "0x03c6d2648cef120ce1d7ccf9f8d4042d6b25ff30a02e22d9ea2a47d2677ccb8d",
    ]


def test_a_chain_id_above_64_bits_has_a_key_of_its_own() -> None:
    assert access_list_keys(msgspec.structs.replace(LOG, chain_id=2**64 + 19), PAYLOAD) == [
        "0x010000000000000000000013000000000000000e0000000067f04d4b00000002",
        "0x0200000000000000000000000000000000000000000000000000000000000001",
        "0x03ffd9bcc97d1c56ae1e5727287611dc92241680d1e32e590d919b5b458c9204",
    ]


@pytest.mark.parametrize("change", ["block_number", "log_index", "timestamp", "chain_id"])
def test_the_checksum_binds_every_number(change: str) -> None:
    other = msgspec.structs.replace(LOG, **{change: getattr(LOG, change) + 1})
    assert checksum(other, PAYLOAD) != checksum(LOG, PAYLOAD)


def test_the_checksum_binds_origin_and_payload() -> None:
    assert checksum(msgspec.structs.replace(LOG, origin=events.INBOX), PAYLOAD) != checksum(LOG, PAYLOAD)
    assert checksum(LOG, Hash32("0x" + "00" * 32)) != checksum(LOG, PAYLOAD)


def test_the_payload_is_topics_and_data() -> None:
    topics, data = ("0x" + "01" * 32, "0x" + "02" * 32), "0x0304"
    assert payload_hash(topics, data) == keccak256_hex(b"\x01" * 32 + b"\x02" * 32 + b"\x03\x04")
    assert payload_hash((), "0x") == keccak256_hex(b"")


@given(
    destination=st.integers(0, 2**256 - 1),
    source=st.integers(0, 2**64),
    nonce=st.integers(0, 2**256 - 1),
    message=st.binary(max_size=100),
)
def test_the_message_hash_is_that_of_another_encoder(destination: int, source: int, nonce: int, message: bytes) -> None:
    sender, target = "0x" + "0a" * 20, "0x" + "0b" * 20
    raw = encode(
        ["uint256", "uint256", "uint256", "address", "address", "bytes"],
        [destination, source, nonce, sender, target, message],
    )
    found = message_hash(
        destination=destination, source=source, nonce=nonce, sender=sender, target=target, message=message
    )
    assert found == keccak256_hex(raw)


@given(st.integers(0, 2**256 - 1))
def test_a_nonce_is_version_and_number(nonce: int) -> None:
    version, number = split_nonce(nonce)
    assert (version << 240) + number == nonce
    assert 0 <= version < 2**16


def test_topics_are_those_on_chain() -> None:
    """Observed on a running set of chains, and computed from the published contracts."""
    assert events.EXECUTING.topic0 == "0x5c37832d2e8d10e346e55ad62071a6a2f9fa5130614ef2ec6617555c6f467ba7"
    assert events.SENT.topic0 == "0x382409ac69001e11931a28435afef442cbfd20d9891907e8fa373ba7d351f320"
    assert events.RELAYED.topic0 == "0xc270d73e26d2d39dee7ef92093555927e344e243415547ecc350b2b5385b68a2"
    assert {event.name: event.topic0 for event in events.BRIDGES} == {
        "SendETH": "0xed98a2ff78833375c368471a747cdf0633024dde3f870feb08a934ac5be83402",
        "RelayETH": "0xe5479bb8ebad3b9ac81f55f424a6289cf0a54ff2641708f41dcb2b26f264d359",
        "SendERC20": "0x0247bfe63a1aaa59e073e20b172889babfda8d3273b5798e0e9ac4388e6dd11c",
        "RelayERC20": "0x434965d7426acf45a548f00783c067e9ad789c8c66444f0a5ad8941d5005be93",
        "SentERC20": "0x1fb4bdc8cf8b4fa027fe45a4b6773cb895f0e55becce8204da625888fff7b71a",
        "RelayedERC20": "0x328ec4ab58db913a6e6cddb448d11377ca8a0a84fcb427cfa8375b52d2330459",
    }


def test_predeploys() -> None:
    assert events.INBOX == "0x4200000000000000000000000000000000000022"
    assert events.TOKEN_BRIDGE == "0x4200000000000000000000000000000000000028"
