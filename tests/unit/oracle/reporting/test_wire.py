"""Messages as bytes."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.core.errors import RejectedError
from seamark.oracle.reporting.messages import (
    Final,
    FinalEcho,
    NewEpoch,
    Observe,
    ObserveRequest,
    ReportReply,
    ReportRequest,
    SignedObservation,
)
from seamark.oracle.reporting.protobuf import WireError, data_field, messages_field, uint_field
from seamark.oracle.reporting.signatures import AttestedReport, ReportSignature
from seamark.oracle.reporting.wire import decode_message, encode_message

epochs = st.integers(0, 2**32 - 1)
bytes_ = st.integers(0, 255)
raw = st.binary(max_size=80)
words = st.integers(0, 2**256 - 1)
signed = st.builds(SignedObservation, raw, raw)
signatures = st.builds(ReportSignature, st.integers(0, 1), words, words)
attested = st.builds(AttestedReport, raw, st.lists(st.tuples(bytes_, signatures), max_size=4).map(tuple))
finals = st.builds(Final, epochs, bytes_, st.binary(min_size=32, max_size=32), attested)
messages = st.one_of(
    st.builds(NewEpoch, epochs),
    st.builds(ObserveRequest, epochs, bytes_, raw),
    st.builds(Observe, epochs, bytes_, signed),
    st.builds(ReportRequest, epochs, bytes_, raw, st.lists(st.tuples(bytes_, signed), max_size=31).map(tuple)),
    st.builds(ReportReply, epochs, bytes_, raw, signatures),
    st.builds(ReportReply, epochs, bytes_, st.none(), st.none()),
    finals,
    st.builds(FinalEcho, finals),
)
FINAL = Final(1, 2, bytes(32), AttestedReport(b"r", ((0, ReportSignature(0, 1, 2)),)))


@given(messages)
def test_what_is_written_is_read(message):
    assert decode_message(encode_message(message)) == message


def test_bytes_of_the_envelope():
    assert encode_message(NewEpoch(5)).hex() == "12020805"
    assert encode_message(NewEpoch(0)).hex() == "1200"
    assert encode_message(ObserveRequest(5, 3)).hex() == "1a0408051003"
    assert encode_message(ReportReply(5, 3, None, None)).hex() == "3208080510031a021801"


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_be_refused(data):
    try:
        message = decode_message(data)
    except RejectedError:
        return
    assert decode_message(encode_message(message)) == message


@given(messages, st.data())
def test_a_changed_byte_is_refused_or_another_message(message, data):
    written = bytearray(encode_message(message))
    at = data.draw(st.integers(0, len(written) - 1))
    written[at] ^= data.draw(st.integers(1, 255))
    try:
        read = decode_message(bytes(written))
    except RejectedError:
        return
    assert decode_message(encode_message(read)) == read


MANY = tuple((0, SignedObservation(b"", b"")) for _ in range(32))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        data_field(9, b"x"),
        encode_message(NewEpoch(1)) + encode_message(ObserveRequest(1, 1)),
        uint_field(2, 5),
        messages_field(2, [uint_field(1, 2**32)]),
        messages_field(3, [uint_field(1, 1) + uint_field(2, 256)]),
        encode_message(ReportRequest(1, 1, b"", MANY)),
        encode_message(replace(FINAL, extra_hash=bytes(31))),
        encode_message(FINAL).replace(ReportSignature(0, 1, 2).encode(), bytes(64) + b"\x1b"),
        messages_field(6, [messages_field(3, [uint_field(3, 1) + data_field(4, b"report")])]),
        bytes(65_537),
    ],
)
def test_what_is_no_message_is_refused(data):
    with pytest.raises(WireError if b"\x1b" not in data else RejectedError):
        decode_message(data)
