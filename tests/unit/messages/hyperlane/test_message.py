"""The packed form of a message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.messages.protocols.hyperlane.message import (
    HyperlaneMessage,
    account,
    message_id,
    pack_message,
    parse_message,
)

WORDS, NUMBERS = st.binary(min_size=32, max_size=32), st.integers(0, 2**32 - 1)
MESSAGES = st.builds(
    HyperlaneMessage,
    version=st.integers(0, 255),
    nonce=NUMBERS,
    origin=NUMBERS,
    sender=WORDS,
    destination=NUMBERS,
    recipient=WORDS,
    body=st.binary(max_size=100),
)


@given(MESSAGES)
def test_there_and_back(message: HyperlaneMessage) -> None:
    assert parse_message(pack_message(message)) == message


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    if len(raw) < 77:
        with pytest.raises(ValueError, match="shorter than its header"):
            parse_message(raw)
    else:
        assert pack_message(parse_message(raw)) == raw


def test_the_offsets_of_the_library() -> None:
    """`libs/Message.sol`: version at 0, nonce 1, origin 5, sender 9, destination 41, recipient 45, body 77."""
    raw = bytes(range(77)) + b"body"
    message = parse_message(raw)
    assert message.version == 0
    assert message.nonce == int.from_bytes(raw[1:5])
    assert message.origin == int.from_bytes(raw[5:9])
    assert message.sender == raw[9:41]
    assert message.destination == int.from_bytes(raw[41:45])
    assert message.recipient == raw[45:77]
    assert message.body == b"body"


def test_accounts_of_both_sizes() -> None:
    assert account(bytes(12) + b"\x11" * 20) == "0x" + "11" * 20
    assert account(b"\x22" * 32) == "0x" + "22" * 32


def test_the_id_is_the_hash_of_the_bytes() -> None:
    assert message_id(b"") == "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
