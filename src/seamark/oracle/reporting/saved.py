"""What a node must not forget, as bytes: canonical, and sealed so that damage is found before it is believed.

    seal (sha256 over place and body) || body (a Protocol Buffers message)

A report that waits for its turn is sealed by itself: with many of them only what changes is written.

A node that believed in a damaged row could sign a second report of a round. The seal covers whose row it is, so that a
row that was copied to another place is no row either. It is no protection against somebody who writes into the
database: he could have deleted the row as well.
"""

from __future__ import annotations

import hashlib
from typing import Final as Constant

from seamark.core.errors import RejectedError
from seamark.oracle.reporting.machine import Pending, Saved
from seamark.oracle.reporting.messages import Final
from seamark.oracle.reporting.protobuf import Fields, WireError, data_field, packed_field, uint_field
from seamark.oracle.reporting.wire import decode_message, encode_message

__all__ = ["decode_pending", "decode_saved", "encode_pending", "encode_saved"]

SEAL_BYTES: Constant = 32
_MEMORY: Constant = b"seamark reporting memory 1"
_PENDING: Constant = b"seamark reporting pending 1"
_EPOCH_BITS: Constant = 32
_TIME_BITS: Constant = 63


def encode_saved(saved: Saved, place: bytes) -> bytes:
    """All but the reports that wait, sealed for one place (any bytes that name it)."""
    body = b"".join(
        (
            uint_field(1, saved.epoch),
            uint_field(2, saved.sent),
            packed_field(3, saved.received),
            uint_field(4, saved.signed[0]),
            uint_field(5, saved.signed[1]),
        )
    )
    return _seal(_MEMORY, place, body) + body


def decode_saved(data: bytes, place: bytes, pending: tuple[Pending, ...] = ()) -> Saved:
    """With the reports that wait, read before. Raises `RejectedError`: cut, changed, of another place or form."""
    fields = Fields(_open(_MEMORY, place, data), "memory of a node")
    return Saved(
        fields.uint(1, _EPOCH_BITS),
        fields.uint(2, _EPOCH_BITS),
        fields.uints(3, _EPOCH_BITS),
        (fields.uint(4, _EPOCH_BITS), fields.uint(5, 8)),
        pending,
    )


def encode_pending(item: Pending, place: bytes) -> bytes:
    """One report that waits for its turn, sealed."""
    body = uint_field(1, item.due) + data_field(2, encode_message(item.final))
    return _seal(_PENDING, place, body) + body


def decode_pending(data: bytes, place: bytes) -> Pending:
    """Raises `RejectedError`, as `decode_saved`."""
    fields = Fields(_open(_PENDING, place, data), "report to transmit")
    final = decode_message(fields.data(2))
    if not isinstance(final, Final):
        raise RejectedError("report to transmit: another message stands there")
    return Pending(final, fields.uint(1, _TIME_BITS))


def _open(form: bytes, place: bytes, data: bytes) -> bytes:
    seal, body = data[:SEAL_BYTES], data[SEAL_BYTES:]
    if seal != _seal(form, place, body):
        raise WireError("the seal is broken")
    return body


def _seal(form: bytes, place: bytes, body: bytes) -> bytes:
    return hashlib.sha256(b"".join((form, len(place).to_bytes(4, "big"), place, body))).digest()
