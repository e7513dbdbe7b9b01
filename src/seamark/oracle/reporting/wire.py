"""Messages between nodes as bytes: the fields and numbers of libocr's own messages, each in an envelope that names it.

Reading distrusts: a number out of range, a field too many in the envelope, a signature that is none is refused, and the
message is dropped by whoever reads it. Signatures are not checked here.

Source: libocr `internal/ocr2/serialization/offchainreporting2_messages.proto` (MIT).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final as Constant

from seamark.oracle.reporting.codec import MAX_ORACLES
from seamark.oracle.reporting.messages import (
    Final,
    FinalEcho,
    Message,
    NewEpoch,
    Observe,
    ObserveRequest,
    ReportReply,
    ReportRequest,
    SignedObservation,
)
from seamark.oracle.reporting.protobuf import Fields, WireError, data_field, messages_field, uint_field
from seamark.oracle.reporting.signatures import AttestedReport, ReportSignature

__all__ = ["decode_message", "encode_message", "is_echo"]

MAX_MESSAGE_BYTES: Constant = 65_536  # a request for 31 reports has about 5,000
HASH_BYTES: Constant = 32
EPOCH_BITS: Constant = 32
BYTE: Constant = 8

_NEW_EPOCH: Constant = 2
_OBSERVE_REQUEST: Constant = 3
_OBSERVE: Constant = 4
_REPORT_REQUEST: Constant = 5
_REPORT_REPLY: Constant = 6
_FINAL: Constant = 7
_FINAL_ECHO: Constant = 8
_ECHO_BEGINS: Constant = messages_field(_FINAL_ECHO, [b""])[:1]


def encode_message(message: Message) -> bytes:
    """A message in its envelope."""
    number, body = _encode(message)
    return messages_field(number, [body])


def is_echo(data: bytes) -> bool:
    """Whether this begins as a `FinalEcho`; for who has better things to do than to read all of them."""
    return data[:1] == _ECHO_BEGINS


def decode_message(data: bytes) -> Message:
    """Raises `RejectedError`: not exactly one known message."""
    if len(data) > MAX_MESSAGE_BYTES:
        raise WireError(f"a message of {len(data)} bytes is longer than {MAX_MESSAGE_BYTES}")
    envelope = Fields(data, "message")
    if len(envelope.numbers) != 1 or envelope.numbers[0] not in _DECODERS:
        raise WireError("an envelope holds exactly one message")
    number = envelope.numbers[0]
    return _DECODERS[number](Fields(envelope.data(number), "message"))


# ---- writing --------------------------------------------------------------------------------------------------------


def _encode(message: Message) -> tuple[int, bytes]:
    match message:
        case NewEpoch(epoch=epoch):
            return _NEW_EPOCH, uint_field(1, epoch)
        case FinalEcho(final=final):
            return _FINAL_ECHO, messages_field(1, [_encode(final)[1]])
        case _:
            number, rest = _encode_rest(message)
            return number, uint_field(1, message.epoch) + uint_field(2, message.round) + rest


def _encode_rest(message: ObserveRequest | Observe | ReportRequest | ReportReply | Final) -> tuple[int, bytes]:
    """What follows epoch and round."""
    match message:
        case ObserveRequest():
            return _OBSERVE_REQUEST, data_field(3, message.query)
        case Observe():
            return _OBSERVE, messages_field(3, [_signed(message.signed)])
        case ReportRequest():
            each = (
                messages_field(1, [_signed(signed)]) + uint_field(2, observer)
                for observer, signed in message.observations
            )
            return _REPORT_REQUEST, data_field(3, message.query) + messages_field(4, each)
        case ReportReply():
            return _REPORT_REPLY, messages_field(3, [_reply(message)])
        case Final():
            return _FINAL, data_field(4, message.extra_hash) + messages_field(5, [_attested(message.attested)])


def _signed(signed: SignedObservation) -> bytes:
    return data_field(1, signed.observation) + data_field(2, signed.signature)


def _reply(message: ReportReply) -> bytes:
    if message.report is None or message.signature is None:
        return uint_field(3, value=True)
    return data_field(4, message.report) + data_field(5, message.signature.encode())


def _attested(attested: AttestedReport) -> bytes:
    each = (data_field(1, signature.encode()) + uint_field(2, signer) for signer, signature in attested.signatures)
    return data_field(3, attested.report) + messages_field(4, each)


# ---- reading --------------------------------------------------------------------------------------------------------


def _place(fields: Fields) -> tuple[int, int]:
    return fields.uint(1, EPOCH_BITS), fields.uint(2, BYTE)


def _read_signed(fields: Fields, number: int) -> SignedObservation:
    inner = Fields(fields.data(number), "signed observation")
    return SignedObservation(inner.data(1), inner.data(2))


def _read_observe(fields: Fields) -> Observe:
    return Observe(*_place(fields), _read_signed(fields, 3))


def _read_report_request(fields: Fields) -> ReportRequest:
    each = [Fields(raw, "attributed observation") for raw in _few(fields, 4)]
    return ReportRequest(
        *_place(fields), fields.data(3), tuple((one.uint(2, BYTE), _read_signed(one, 1)) for one in each)
    )


def _read_reply(fields: Fields) -> ReportReply:
    inner = Fields(fields.data(3), "attested report")
    if not inner.boolean(3):
        return ReportReply(*_place(fields), inner.data(4), ReportSignature.decode(inner.data(5)))
    if inner.data(4) or inner.data(5):
        raise WireError("a reply without a report has none")
    return ReportReply(*_place(fields), None, None)


def _read_final(fields: Fields) -> Final:
    inner = Fields(fields.data(5), "attested report")
    each = [Fields(raw, "attributed signature") for raw in _few(inner, 4)]
    signatures = tuple((one.uint(2, BYTE), ReportSignature.decode(one.data(1))) for one in each)
    return Final(*_place(fields), fields.fixed(4, HASH_BYTES), AttestedReport(inner.data(3), signatures))


def _few(fields: Fields, number: int) -> tuple[bytes, ...]:
    """No more than there can be nodes, so that nobody makes us check a million signatures."""
    values = fields.all_data(number)
    if len(values) > MAX_ORACLES:
        raise WireError(f"{fields.name}: {len(values)} entries for at most {MAX_ORACLES} nodes")
    return values


_DECODERS: Constant[dict[int, Callable[[Fields], Message]]] = {
    _NEW_EPOCH: lambda fields: NewEpoch(fields.uint(1, EPOCH_BITS)),
    _OBSERVE_REQUEST: lambda fields: ObserveRequest(*_place(fields), fields.data(3)),
    _OBSERVE: _read_observe,
    _REPORT_REQUEST: _read_report_request,
    _REPORT_REPLY: _read_reply,
    _FINAL: _read_final,
    _FINAL_ECHO: lambda fields: FinalEcho(_read_final(Fields(fields.data(1), "final report"))),
}
