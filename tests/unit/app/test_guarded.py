"""The steps of a guarded sequence: recorded before they are sent, and found again after an interruption."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from seamark.app.guarded import _Failed, _Sequence
from seamark.app.sending import Delivery
from seamark.core.errors import TemporaryError
from seamark.core.ids import Address, Hash32
from seamark.evm.signers import RawKeySigner
from seamark.evm.types import Receipt
from seamark.oracle.administration.store import Operation, Step

SIGNER = RawKeySigner.from_hex("11" * 32)
CONTRACT = Address("0x" + "22" * 20)
HASH = Hash32("0x" + "01" * 32)
TEST = "test message to 5"


def receipt(*, succeeded: bool = True) -> Receipt:
    return Receipt(HASH, 1, HASH, succeeded, 1, 0, ())


class Office:
    """Keeps what it is told to write down and to send."""

    def __init__(self, answer: Receipt | None) -> None:
        self.answer = answer
        self.sent: list[tuple[str, bytes]] = []

    async def note(self, operation: Operation, step: Step) -> Operation:
        return msgspec.structs.replace(operation, steps=(*operation.steps, step))

    async def send(
        self, _place: Any, _signer: Any, key: str, _to: Any, data: bytes, _wait: float, **_: Any
    ) -> Delivery:
        self.sent.append((key, data))
        return Delivery(key, HASH, self.answer)


class Place:
    address = CONTRACT


def sequence(office: Any, *steps: Step) -> _Sequence:
    operation = Operation(
        id=7, kind="configure", chain_id=1, subject=CONTRACT, operator="ada", why="", begun_ms=0, ended_ms=None,
        outcome="", amount="0", steps=steps,
    )  # fmt: skip
    place: Any = Place()
    return _Sequence(office, place, operation, 1.0)


async def test_a_recorded_step_is_the_same_transaction() -> None:
    office = Office(receipt())
    begun = Step(TEST, "", SIGNER.address, "0a")
    again = sequence(office, Step("pause sending"), begun)
    assert again.call_of(TEST) == b"\x0a"  # the round of then, whatever round it is now
    await again.step(TEST, b"\x0a", None, SIGNER)
    assert office.sent == [("operation:7:1", b"\x0a")]
    assert len(again.operation.steps) == 2


async def test_a_new_step_is_recorded_before_it_is_sent() -> None:
    office = Office(receipt())
    fresh = sequence(office)
    assert fresh.call_of(TEST) is None
    await fresh.step(TEST, b"\x0b", b"\x0c", SIGNER)
    assert fresh.operation.steps == (Step(TEST, "0c", SIGNER.address, "0b"),)
    assert office.sent == [("operation:7:0", b"\x0b")]


@pytest.mark.parametrize(("answer", "error"), [(None, TemporaryError), (receipt(succeeded=False), _Failed)])
async def test_what_is_in_no_block_is_not_taken_for_a_failure(answer: Receipt | None, error: type[Exception]) -> None:
    with pytest.raises(error):
        await sequence(Office(answer)).step(TEST, b"\x0b", None, SIGNER)
