"""MessageV1 as the published contracts write it: what is read is written back, and nothing else is read."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seamark.messages.protocols.ccip.v2_0.codec import (
    BASE_SIZE,
    Finality,
    FinalityMode,
    MessageError,
    MessageV1,
    TokenTransferV1,
    allowed_finality,
    ccv_and_executor_hash,
    decode_message,
    encode_message,
    message_id,
)
from tests.unit.messages.ccip_v2_0.golden import ENCODED, HOME, IDS, REMOTE

EMPTY = MessageV1(1, 2, 3, 4, 5, bytes(4), bytes(32), b"", b"", b"", b"")
NARROW, WIDE = 255, 65_535

PRE_RELEASE = bytes.fromhex(
    "01304611b6affba76a8f90b8876dee6538000000000000000d00058490000000000000fc76ef6af690994784894d58b10eecf323c6140cf609"
    "ff501c1052b935fefa0520000000000000000000000000639c66c134293be91bc2263cc96f59fe5b2a143b143039886f3e597dfd3171aa6397"
    "b709a4f68956ac200000000000000000000000009d087fc03ae39b088326b67fa3c788236645b717149d087fc03ae39b088326b67fa3c78823"
    "6645b717000000af0100000000000000000000000000000000000000000000000000000000000003e820000000000000000000000000c012c4"
    "cb0acb2a859e10a0ed04ffacac60ac2b2c20000000000000000000000000dd39c3e7ebaec7739a55250275ddb44b1b37230f14c82ee0dac12f"
    "2d9460d2ae0edc0789a92ac2e674149d087fc03ae39b088326b67fa3c788236645b71700200000000000000000000000000000000000000000"
    "0000000000000000000000120000"
)
"""From a test network, before the release: its finality has two bytes."""

shorts = st.binary(max_size=40)
transfers = st.builds(
    TokenTransferV1,
    amount=st.integers(0, 2**256 - 1),
    source_pool=shorts,
    source_token=shorts,
    destination_token=shorts,
    receiver=shorts,
    extra_data=st.binary(max_size=300),
)
messages = st.builds(
    MessageV1,
    source=st.integers(0, 2**64 - 1),
    destination=st.integers(0, 2**64 - 1),
    number=st.integers(0, 2**64 - 1),
    execution_gas=st.integers(0, 2**32 - 1),
    callback_gas=st.integers(0, 2**32 - 1),
    finality=st.binary(min_size=4, max_size=4),
    ccv_and_executor_hash=st.binary(min_size=32, max_size=32),
    on_ramp=st.binary(max_size=NARROW),
    off_ramp=shorts,
    sender=shorts,
    receiver=shorts,
    destination_blob=st.binary(max_size=300),
    transfer=st.none() | transfers,
    data=st.binary(max_size=600),
)


class TestRecorded:
    @pytest.mark.parametrize("fate", ENCODED)
    def test_id_and_bytes_of_the_contracts_messages(self, fate: str) -> None:
        encoded = ENCODED[fate]
        assert message_id(encoded) == IDS[fate]
        assert encode_message(decode_message(encoded)) == encoded

    def test_the_fields_of_a_message(self) -> None:
        message = decode_message(ENCODED["delivered"])
        assert (message.source, message.destination) == (int(HOME["selector"]), int(REMOTE["selector"]))
        assert (message.number, message.callback_gas, message.data) == (1, 200_000, b"hello")
        assert message.on_ramp == bytes(12) + bytes.fromhex(HOME["contracts"]["on_ramp"][2:])
        assert message.off_ramp == bytes.fromhex(REMOTE["contracts"]["off_ramp"][2:])
        assert message.receiver == bytes.fromhex(REMOTE["contracts"]["receiver"][2:])
        assert message.transfer is None
        assert Finality.read(message.finality) == Finality(FinalityMode.FINALIZED)

    def test_the_token_of_a_message(self) -> None:
        message = decode_message(ENCODED["tokens alone"])
        assert message.transfer is not None
        assert message.transfer.amount == 5
        assert message.transfer.source_token == bytes(12) + bytes.fromhex(HOME["contracts"]["token"][2:])
        assert message.transfer.destination_token == bytes.fromhex(REMOTE["contracts"]["token"][2:])
        assert (message.data, message.callback_gas) == (b"", 0)

    def test_who_verifies_and_executes_is_hashed_into_the_message(self) -> None:
        ccvs = [bytes.fromhex(HOME["contracts"]["resolver"][2:])]
        executor = bytes.fromhex(HOME["contracts"]["fee_executor"][2:])
        assert decode_message(ENCODED["delivered"]).ccv_and_executor_hash == ccv_and_executor_hash(ccvs, executor)


class TestStrict:
    def test_the_shortest_message(self) -> None:
        assert len(encode_message(EMPTY)) == BASE_SIZE
        assert decode_message(encode_message(EMPTY)) == EMPTY

    @settings(max_examples=150, deadline=None)
    @given(messages)
    def test_what_is_written_is_read_back(self, message: MessageV1) -> None:
        assert decode_message(encode_message(message)) == message

    @settings(max_examples=200, deadline=None)
    @given(st.data())
    def test_what_is_read_from_damaged_bytes_is_what_they_say(self, data: st.DataObject) -> None:
        raw = bytearray(data.draw(st.sampled_from([*ENCODED.values()])))
        for _ in range(data.draw(st.integers(1, 3))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        try:
            read = decode_message(bytes(raw))
        except MessageError:
            return
        assert encode_message(read) == bytes(raw)

    @settings(max_examples=60, deadline=None)
    @given(st.sampled_from([*ENCODED.values()]), st.data())
    def test_a_part_of_a_message_is_none(self, encoded: bytes, data: st.DataObject) -> None:
        cut = data.draw(st.integers(0, len(encoded) - 1))
        with pytest.raises(MessageError):
            decode_message(encoded[:cut])

    @settings(max_examples=60, deadline=None)
    @given(st.binary(max_size=400))
    def test_any_bytes_are_refused_or_written_back(self, tail: bytes) -> None:
        raw = b"\x01" + tail
        with contextlib.suppress(MessageError):
            assert encode_message(decode_message(raw)) == raw

    def test_bytes_behind_the_end(self) -> None:
        with pytest.raises(MessageError, match="1 bytes behind the end of the message"):
            decode_message(ENCODED["delivered"] + b"\x00")

    def test_bytes_behind_the_end_of_the_token_transfer(self) -> None:
        message = decode_message(ENCODED["tokens alone"])
        assert message.transfer is not None
        encoded = encode_message(message)
        with_one_more = encoded.replace(message.transfer.extra_data + bytes(2), message.transfer.extra_data + bytes(3))
        at = encoded.index(message.receiver) + len(message.receiver) + 2
        length = int.from_bytes(encoded[at : at + 2]) + 1
        with pytest.raises(MessageError, match="1 bytes behind the end of the token transfer"):
            decode_message(with_one_more[:at] + length.to_bytes(2) + with_one_more[at + 2 :])

    @pytest.mark.parametrize("version", [0, 2, 255])
    def test_another_version(self, version: int) -> None:
        with pytest.raises(MessageError, match=f"version {version}"):
            decode_message(bytes([version]) + ENCODED["delivered"][1:])

    @pytest.mark.parametrize(
        "change",
        [
            {"source": 2**64},
            {"number": -1},
            {"callback_gas": 2**32},
            {"finality": bytes(3)},
            {"ccv_and_executor_hash": bytes(31)},
            {"on_ramp": bytes(NARROW + 1)},
            {"receiver": bytes(NARROW + 1)},
            {"data": bytes(WIDE + 1)},
            {"destination_blob": bytes(WIDE + 1)},
            {"transfer": TokenTransferV1(2**256, b"", b"", b"", b"")},
            {"transfer": TokenTransferV1(1, bytes(NARROW + 1), b"", b"", b"")},
            {"transfer": TokenTransferV1(1, b"", b"", b"", b"", bytes(WIDE + 1))},
            {"transfer": TokenTransferV1(1, b"", b"", b"", b"", bytes(WIDE))},
        ],
    )
    def test_values_that_do_not_fit(self, change: dict[str, Any]) -> None:
        with pytest.raises(MessageError):
            encode_message(dataclasses.replace(EMPTY, **change))

    def test_the_widest_values_fit(self) -> None:
        wide = dataclasses.replace(EMPTY, source=2**64 - 1, on_ramp=bytes(NARROW), data=bytes(WIDE))
        assert decode_message(encode_message(wide)) == wide

    def test_only_bare_addresses_are_hashed(self) -> None:
        with pytest.raises(MessageError):
            ccv_and_executor_hash([bytes(32)], bytes(20))


class TestPreRelease:
    """Contracts of test networks wrote the finality in two bytes before 2.0.0 was released."""

    def test_its_id_is_made_the_same_way(self) -> None:
        assert message_id(PRE_RELEASE) == "0x985661989074adde4b0c45fdfa4de9c5bc4a6c1c553e93e9303b150bc514fc51"

    def test_it_is_refused_and_not_misread(self) -> None:
        with pytest.raises(MessageError):
            decode_message(PRE_RELEASE)

    def test_with_two_bytes_more_it_is_a_message_of_today(self) -> None:
        at = 1 + 8 + 8 + 8 + 4 + 4
        message = decode_message(PRE_RELEASE[:at] + bytes(2) + PRE_RELEASE[at:])
        assert message.number == 13
        assert message.on_ramp[12:].hex() == "639c66c134293be91bc2263cc96f59fe5b2a143b"
        assert message.transfer is not None
        assert (message.transfer.amount, message.transfer.extra_data[-1]) == (1000, 18)


class TestFinality:
    @pytest.mark.parametrize(
        ("raw", "finality", "words", "fast"),
        [
            ("00000000", Finality(FinalityMode.FINALIZED), "finalized", False),
            ("00010000", Finality(FinalityMode.SAFE), "safe", True),
            ("00000001", Finality(FinalityMode.BLOCKS, 1), "1 blocks", True),
            ("0000ffff", Finality(FinalityMode.BLOCKS, 65_535), "65535 blocks", True),
            ("00020000", Finality(FinalityMode.UNKNOWN), "unknown", True),
            ("00010001", Finality(FinalityMode.UNKNOWN), "unknown", True),
        ],
    )
    def test_modes(self, raw: str, finality: Finality, words: str, fast: bool) -> None:
        read = Finality.read(bytes.fromhex(raw))
        assert (read, str(read), read.is_fast) == (finality, words, fast)

    @pytest.mark.parametrize(
        ("raw", "words"),
        [
            ("00000000", "finalized"),
            ("00010000", "finalized or safe"),
            ("00000005", "finalized or 5 or more blocks"),
            ("00010005", "finalized or safe or 5 or more blocks"),
        ],
    )
    def test_what_a_contract_accepts(self, raw: str, words: str) -> None:
        assert allowed_finality(bytes.fromhex(raw)) == words
