"""Frames: what goes over a connection, several messages of any configurations in one.

    digest (32 bytes) || length (4 bytes) || message, once or more

So one connection serves all feeds of two nodes, and what gathered while it was slow leaves in one write.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from seamark.core.errors import RejectedError
from seamark.oracle.reporting.wire import MAX_MESSAGE_BYTES

__all__ = ["LARGEST_FRAME", "Entry", "entry", "next_frame", "read_frame"]

Entry = bytes  # of one message, ready for a frame

DIGEST_BYTES: Final = 32
_LENGTH_BYTES: Final = 4
_HEAD: Final = DIGEST_BYTES + _LENGTH_BYTES
LARGEST_FRAME: Final = 2 * MAX_MESSAGE_BYTES  # holds the largest message with its head


def entry(digest: bytes, message: bytes) -> Entry:
    """A message for a frame; raises `RejectedError`: too long for any node to take."""
    if len(digest) != DIGEST_BYTES or len(message) > MAX_MESSAGE_BYTES:
        raise RejectedError(f"{len(message)} bytes are no message between nodes")
    return digest + len(message).to_bytes(_LENGTH_BYTES, "big") + message


def next_frame(queue: deque[Entry]) -> tuple[bytes, int]:
    """Take what fits from the front of a queue that is not empty: (frame, how many messages)."""
    taken, size = [queue.popleft()], 0
    size = len(taken[0])
    while queue and size + len(queue[0]) <= LARGEST_FRAME:
        taken.append(queue.popleft())
        size += len(taken[-1])
    return (taken[0] if len(taken) == 1 else b"".join(taken)), len(taken)


def read_frame(frame: bytes) -> list[tuple[bytes, bytes]]:
    """(digest, message) of each. Raises `RejectedError`: empty, cut short, or a message that is too long."""
    found: list[tuple[bytes, bytes]] = []
    at = 0
    while at < len(frame):
        digest, size = frame[at : at + DIGEST_BYTES], int.from_bytes(frame[at + DIGEST_BYTES : at + _HEAD], "big")
        at += _HEAD
        if size > MAX_MESSAGE_BYTES or at + size > len(frame):
            raise RejectedError("a frame that is cut short")
        found.append((digest, frame[at : at + size]))
        at += size
    if not found:
        raise RejectedError("an empty frame")
    return found
