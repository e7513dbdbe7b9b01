"""What a node must not forget, as bytes: canonical, and sealed so that damage is found before it is believed.

    seal (sha256 over place and body) || body (a Protocol Buffers message)

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
from seamark.oracle.reporting.protobuf import Fields, WireError, data_field, messages_field, packed_field, uint_field
from seamark.oracle.reporting.wire import decode_message, encode_message

__all__ = ["decode_saved", "encode_saved"]

SEAL_BYTES: Constant = 32
_FORM: Constant = b"seamark reporting memory 1"
_EPOCH_BITS: Constant = 32
_TIME_BITS: Constant = 63


def encode_saved(saved: Saved, place: bytes) -> bytes:
    """Sealed bytes for one place (any bytes that name it)."""
    body = b"".join(
        (
            uint_field(1, saved.epoch),
            uint_field(2, saved.sent),
            packed_field(3, saved.received),
            uint_field(4, saved.signed[0]),
            uint_field(5, saved.signed[1]),
            messages_field(6, (_pending(item) for item in saved.pending)),
        )
    )
    return _seal(place, body) + body


def decode_saved(data: bytes, place: bytes) -> Saved:
    """Raises `WireError`: cut, changed, of another place or another form."""
    seal, body = data[:SEAL_BYTES], data[SEAL_BYTES:]
    if seal != _seal(place, body):
        raise WireError("the seal is broken")
    fields = Fields(body, "memory of a node")
    return Saved(
        fields.uint(1, _EPOCH_BITS),
        fields.uint(2, _EPOCH_BITS),
        fields.uints(3, _EPOCH_BITS),
        (fields.uint(4, _EPOCH_BITS), fields.uint(5, 8)),
        tuple(_read_pending(raw) for raw in fields.all_data(6)),
    )


def _seal(place: bytes, body: bytes) -> bytes:
    return hashlib.sha256(b"".join((_FORM, len(place).to_bytes(4, "big"), place, body))).digest()


def _pending(item: Pending) -> bytes:
    return uint_field(1, item.due) + data_field(2, encode_message(item.final))


def _read_pending(raw: bytes) -> Pending:
    fields = Fields(raw, "report to transmit")
    final = decode_message(fields.data(2))
    if not isinstance(final, Final):
        raise RejectedError("report to transmit: another message stands there")
    return Pending(final, fields.uint(1, _TIME_BITS))
