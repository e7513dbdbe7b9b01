"""A key signs as the standard says, and never shows itself."""

from __future__ import annotations

import pickle
import traceback

import pytest
from eth_account import Account

from seamark.core.errors import SettingsError
from seamark.evm.crypto import keccak256, recover_address
from seamark.evm.signers import RawKeySigner
from seamark.evm.signers.raw_key import SECP256K1_ORDER

SECRET = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"


@pytest.mark.parametrize("text", [SECRET, "0x" + SECRET, "0X" + SECRET.upper(), f"  {SECRET}\n"])
def test_the_ways_to_write_a_key(text):
    assert RawKeySigner.from_hex(text).address == Account.from_key(SECRET).address.lower()


async def test_signatures_are_those_of_eth_account_and_low():
    signer = RawKeySigner.from_hex(SECRET)
    for number in range(20):
        preimage = bytes([number]) * number
        digest = keccak256(preimage)
        parity, r, s = await signer.sign(preimage)
        expected = Account.unsafe_sign_hash(digest, SECRET)
        assert (parity + 27, r, s) == (expected.v, expected.r, expected.s)
        assert s <= SECP256K1_ORDER // 2
        assert recover_address(digest, parity, r, s) == signer.address


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("0x", "not a hex"),
        (SECRET[:-1], "not a hex"),
        (SECRET + "0", "not a hex"),
        (SECRET[:-1] + "g", "not a hex"),
        (SECRET[:32] + " " + SECRET[32:], "not a hex"),
        ("0" * 64, "cannot be zero"),
        (f"{SECP256K1_ORDER:064x}", "beyond the order"),
        ("f" * 64, "beyond the order"),
    ],
)
def test_what_is_no_key_is_named_but_not_shown(text, problem):
    with pytest.raises(SettingsError, match=problem) as caught:
        RawKeySigner.from_hex(text, setting="PRIVATE_KEY")
    told = "".join(traceback.format_exception(caught.value))
    assert str(caught.value).startswith("PRIVATE_KEY: ")
    assert "\n" not in str(caught.value)
    if len(text.strip()) > 2:
        assert text.strip()[:20] not in told


def test_the_largest_key_is_one():
    RawKeySigner((SECP256K1_ORDER - 1).to_bytes(32, "big"))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_secret_has_32_bytes(length):
    with pytest.raises(SettingsError, match="32 bytes"):
        RawKeySigner(b"\x01" * length)


def test_it_never_shows_its_key():
    signer = RawKeySigner.from_hex(SECRET)
    for shown in (repr(signer), str(signer), f"{signer}", str(signer._key)):
        assert SECRET not in shown
        assert str(int(SECRET, 16)) not in shown
    with pytest.raises(TypeError):
        pickle.dumps(signer)
    assert not hasattr(signer, "__dict__")
