"""What a node must not forget, as bytes: what goes in comes out, and nothing else ever does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.core.errors import RejectedError
from seamark.oracle.reporting.machine import Pending, Saved
from seamark.oracle.reporting.messages import Final, NewEpoch
from seamark.oracle.reporting.protobuf import data_field, uint_field
from seamark.oracle.reporting.saved import (
    _MEMORY,
    _PENDING,
    _seal,
    decode_pending,
    decode_saved,
    encode_pending,
    encode_saved,
)
from seamark.oracle.reporting.signatures import AttestedReport, ReportSignature
from seamark.oracle.reporting.wire import encode_message

PLACE = b"31337:0x01|aa|2"

epochs = st.integers(0, 2**32 - 1)
signatures = st.builds(ReportSignature, st.integers(0, 1), st.integers(0, 2**256 - 1), st.integers(0, 2**256 - 1))
finals = st.builds(
    Final,
    epochs,
    st.integers(0, 255),
    st.binary(min_size=32, max_size=32),
    st.builds(
        AttestedReport,
        st.binary(max_size=300),
        st.lists(st.tuples(st.integers(0, 30), signatures), max_size=3).map(tuple),
    ),
)
memories = st.builds(
    Saved,
    epochs,
    epochs,
    st.lists(epochs, max_size=31).map(tuple),
    st.tuples(epochs, st.integers(0, 255)),
    st.lists(st.builds(Pending, finals, st.integers(0, 2**63 - 1)), max_size=3).map(tuple),
)
FINAL = Final(7, 3, bytes(32), AttestedReport(b"report", ((1, ReportSignature(1, 5, 6)),)))
MEMORY = Saved(7, 8, (7, 8, 9, 0), (7, 2), (Pending(FINAL, 1_700_000_000_000_000_000),))


def encode(saved, place):
    return encode_saved(saved, place), [encode_pending(item, place) for item in saved.pending]


def decode(encoded, place):
    return decode_saved(encoded[0], place, tuple(decode_pending(each, place) for each in encoded[1]))


@given(memories, st.binary(max_size=40))
def test_what_goes_in_comes_out(saved, place):
    assert decode(encode(saved, place), place) == saved


@pytest.mark.parametrize(
    ("data", "read"),
    [(encode_saved(MEMORY, PLACE), decode_saved), (encode_pending(MEMORY.pending[0], PLACE), decode_pending)],
)
def test_every_changed_byte_and_every_cut_is_found(data, read):
    for at in range(len(data)):
        for bit in (1, 0x80):
            changed = bytearray(data)
            changed[at] ^= bit
            with pytest.raises(RejectedError):
                read(bytes(changed), PLACE)
        with pytest.raises(RejectedError):
            read(data[:at], PLACE)
    with pytest.raises(RejectedError):
        read(data + b"\0", PLACE)


def test_another_nodes_row_is_no_row():
    with pytest.raises(RejectedError, match="seal"):
        decode_saved(encode_saved(MEMORY, PLACE), b"31337:0x01|aa|3")
    with pytest.raises(RejectedError, match="seal"):
        decode_pending(encode_pending(MEMORY.pending[0], PLACE), b"31337:0x01|aa|3")
    with pytest.raises(RejectedError, match="seal"):
        decode_pending(encode_saved(MEMORY, PLACE), PLACE)


@pytest.mark.parametrize(
    ("form", "read", "body"),
    [
        pytest.param(_MEMORY, decode_saved, uint_field(1, 1 << 32), id="an epoch of 33 bits"),
        pytest.param(_MEMORY, decode_saved, uint_field(5, 256), id="a round beyond a byte"),
        pytest.param(_MEMORY, decode_saved, b"\x0a", id="cut short"),
        pytest.param(
            _PENDING,
            decode_pending,
            uint_field(1, 5) + data_field(2, encode_message(NewEpoch(5))),
            id="another message",
        ),
        pytest.param(_PENDING, decode_pending, uint_field(1, 5), id="no report"),
    ],
)
def test_a_sealed_body_that_is_none_is_refused_too(form, read, body):
    with pytest.raises(RejectedError):
        read(_seal(form, PLACE, body) + body, PLACE)
