"""Logs to facts, without a chain."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.core.ids import Address, BlockRef, ChainId, Hash32
from seamark.evm.abi import Event, compile_encoder
from seamark.evm.address import ZERO_ADDRESS
from seamark.evm.ports import Block
from seamark.evm.types import Log
from seamark.messages.model import UNTOLD, Contract, Decoded, Executed, NoticeKind, Sent
from seamark.messages.protocols.hyperlane import events
from seamark.messages.protocols.hyperlane.decode import BlockReader
from seamark.messages.protocols.hyperlane.message import HyperlaneMessage, message_id, pack_message

CHAIN = ChainId(31337)
MAILBOX, PAYMASTER, OTHER = (Address("0x" + digit * 40) for digit in "abc")
SENDER, RECIPIENT = bytes(12) + b"\x51" * 20, bytes(12) + b"\x52" * 20
TX = Hash32("0x" + "77" * 32)
CONTRACTS = {
    MAILBOX: Contract(chain_id=CHAIN, address=MAILBOX, role="mailbox", version="3"),
    PAYMASTER: Contract(chain_id=CHAIN, address=PAYMASTER, role="gas_paymaster"),
}
MESSAGE = HyperlaneMessage(3, 5, 1000, SENDER, 2000, RECIPIENT, b"hi")
RAW = pack_message(MESSAGE)


def word(value: Any) -> Hash32:
    if isinstance(value, int):
        raw = value.to_bytes(32)
    elif isinstance(value, str):
        raw = bytes.fromhex(value[2:]).rjust(32, b"\0")
    else:
        raw = value
    return Hash32("0x" + raw.hex())


def log(event: Event, *values: Any, at: int = 0, emitter: Address = MAILBOX, tx: Hash32 = TX) -> Log:
    """A log of an event with its arguments in order."""
    indexed = [word(value) for param, value in zip(event.inputs, values, strict=True) if param.indexed]
    plain = [(param, value) for param, value in zip(event.inputs, values, strict=True) if not param.indexed]
    data = compile_encoder(tuple(param for param, _ in plain))([value for _, value in plain]) if plain else b""
    return Log(emitter, (event.topic0, *indexed), "0x" + data.hex(), 9, Hash32("0x" + "99" * 32), tx, at, None)


def read(*logs: Log, domain: int = 1000, mailboxes: dict[int, Address] | None = None) -> Decoded:
    ref = BlockRef(9, Hash32("0x" + "99" * 32), Hash32("0x" + "98" * 32), 1_700_000_000)
    return BlockReader(CHAIN, domain, mailboxes or {}, CONTRACTS).read(Block(ref, logs), True)


def dispatch(raw: bytes = RAW, **place: Any) -> Log:
    return log(events.DISPATCH, "0x" + SENDER[12:].hex(), MESSAGE.destination, RECIPIENT, raw, **place)


def processed(first: int = 0, message: bytes = RAW, origin: int = 1000) -> tuple[Log, Log]:
    return (
        log(events.PROCESS, origin, SENDER, "0x" + RECIPIENT[12:].hex(), at=first),
        log(events.PROCESS_ID, bytes.fromhex(message_id(message)[2:]), at=first + 1),
    )


def paid(amount: int, gas: int = 50_000, *, at: int = 4, tx: Hash32 = TX) -> Log:
    key = bytes.fromhex(message_id(RAW)[2:])
    return log(events.GAS_PAYMENT, key, 2000, gas, amount, at=at, emitter=PAYMASTER, tx=tx)


def test_a_send() -> None:
    (sent,) = read(dispatch()).sightings
    assert sent.message_id == message_id(RAW)
    assert tuple(sent.lane) == ("hyperlane", "1000", MAILBOX, "2000")
    assert (sent.sequence, sent.version) == (5, "3")
    assert isinstance(sent.body, Sent)
    assert (sent.body.sender, sent.body.receiver, sent.body.size) == ("0x" + "51" * 20, "0x" + "52" * 20, 2)
    assert (sent.body.fee_token, sent.body.fee_amount, sent.body.details["gas_paid_for"]) == ("", "0", "0")


def test_payments_of_the_same_transaction_are_the_fee() -> None:
    decoded = read(dispatch(), paid(7), paid(8, at=5), paid(100, at=6, tx=Hash32("0x" + "78" * 32)))
    (sent,) = decoded.sightings
    assert isinstance(sent.body, Sent)
    assert (sent.body.fee_token, sent.body.fee_amount) == (ZERO_ADDRESS, "15")
    assert sent.body.details["gas_paid_for"] == "100000"
    assert [notice.details["payment"] for notice in decoded.notices] == ["7", "8", "100"]
    assert {(notice.kind, notice.subject) for notice in decoded.notices} == {(NoticeKind.GAS_PAID, message_id(RAW))}


def test_a_delivery() -> None:
    (run,) = read(*processed(), domain=2000, mailboxes={1000: OTHER}).sightings
    assert tuple(run.lane) == ("hyperlane", "1000", OTHER, "2000")
    assert (run.message_id, run.sequence) == (message_id(RAW), UNTOLD)
    assert run.body == Executed(True, callback=True, details=run.body.details)


def test_deliveries_of_one_transaction_are_told_apart() -> None:
    other = pack_message(HyperlaneMessage(3, 6, 1001, SENDER, 2000, RECIPIENT, b"ho"))
    runs = read(*processed(0), *processed(7, other, origin=1001), domain=2000).sightings
    assert [(run.lane.source, run.message_id) for run in runs] == [
        ("1000", message_id(RAW)),
        ("1001", message_id(other)),
    ]


@pytest.mark.parametrize(
    ("logs", "problem"),
    [
        ([dispatch(b"short")], "shorter than its header"),
        ([processed()[1]], "without the Process log"),
        ([dispatch(pack_message(HyperlaneMessage(3, 5, 1, SENDER, 2000, RECIPIENT, b"")))], "sends for domain 1"),
    ],
)
def test_what_makes_no_sense_is_reported(logs: list[Log], problem: str) -> None:
    decoded = read(*logs)
    assert decoded.sightings == ()
    assert problem in decoded.malformed[0].problem


def test_one_bad_log_does_not_hide_the_others() -> None:
    decoded = read(dispatch(b"short"), dispatch(at=3))
    assert (len(decoded.malformed), len(decoded.sightings)) == (1, 1)


def test_a_new_hook_is_to_be_looked_at() -> None:
    decoded = read(log(events.DEFAULT_HOOK_SET, OTHER))
    (change,) = decoded.changes
    assert (change.event, change.addresses) == ("DefaultHookSet", (OTHER,))
    assert decoded.notices[0].kind is NoticeKind.CONFIGURED


def test_a_new_owner_is_a_role() -> None:
    (notice,) = read(log(events.OWNERSHIP_TRANSFERRED, MAILBOX, OTHER)).notices
    assert notice.kind is NoticeKind.ROLE_CHANGED
    assert notice.details == {"event": "OwnershipTransferred", "previousOwner": MAILBOX, "newOwner": OTHER}


def test_logs_of_strangers_and_other_roles_are_nothing() -> None:
    decoded = read(dispatch(emitter=OTHER), dispatch(emitter=PAYMASTER))
    assert decoded == Decoded()
