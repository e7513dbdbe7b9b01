"""Frames: several messages in one write, and nothing else is one."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.core.errors import RejectedError
from seamark.oracle.reporting.network.frames import LARGEST_FRAME, entry, next_frame, read_frame
from seamark.oracle.reporting.wire import MAX_MESSAGE_BYTES

digests = st.binary(min_size=32, max_size=32)
messages = st.lists(st.tuples(digests, st.binary(max_size=200)), min_size=1, max_size=20)


@given(messages)
def test_what_is_written_is_read(sent):
    queue = deque(entry(*each) for each in sent)
    got = []
    while queue:
        frame, count = next_frame(queue)
        found = read_frame(frame)
        assert len(found) == count
        got += found
    assert got == sent


def test_a_frame_holds_what_fits_and_always_one():
    large = entry(bytes(32), bytes(MAX_MESSAGE_BYTES))
    queue = deque([large, large, entry(bytes(32), b"x")])
    frame, count = next_frame(queue)
    assert (len(frame), count) == (len(large), 1), "two of them are a little too long"
    assert len(frame) <= LARGEST_FRAME
    assert next_frame(queue)[1] == 2
    assert not queue


@pytest.mark.parametrize("digest", [b"", bytes(31), bytes(33)])
def test_only_a_digest_is_one(digest):
    with pytest.raises(RejectedError):
        entry(digest, b"x")


def test_a_message_that_nobody_would_take_is_not_sent():
    with pytest.raises(RejectedError, match="65537 bytes"):
        entry(bytes(32), bytes(MAX_MESSAGE_BYTES + 1))


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        bytes(35),
        bytes(32) + b"\0\0\0\x02x",
        bytes(32) + b"\xff\xff\xff\xff" + bytes(100),
        bytes(32) + (MAX_MESSAGE_BYTES + 1).to_bytes(4, "big") + bytes(MAX_MESSAGE_BYTES + 1),
        entry(bytes(32), b"well") + b"\0",
    ],
)
def test_anything_else_is_refused(frame):
    with pytest.raises(RejectedError):
        read_frame(frame)


@given(st.binary(max_size=300))
def test_any_bytes_are_messages_or_refused(data):
    try:
        found = read_frame(data)
    except RejectedError:
        return
    assert b"".join(entry(*each) for each in found) == data
