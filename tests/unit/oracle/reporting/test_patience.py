"""Echoes wait, and are left out where the chain has the report; everything else goes at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from seamark.oracle.reporting.messages import Final, FinalEcho, Message, NewEpoch
from seamark.oracle.reporting.patience import PatientEchoes, patience_s
from seamark.oracle.reporting.plugin import ContractView, EpochRound
from seamark.oracle.reporting.signatures import AttestedReport

DIGEST = b"\7" * 32
WAIT_S = 0.01


class Line:
    """A transport that keeps what was said."""

    def __init__(self) -> None:
        self.said: list[Message] = []
        self.sent: list[tuple[int, Message]] = []

    def send(self, to: int, message: Message) -> None:
        self.sent.append((to, message))

    def broadcast(self, message: Message) -> None:
        self.said.append(message)

    def receive(self) -> tuple[int, Message] | None:
        return 2, NewEpoch(5)

    def on_arrival(self, notify: Callable[[], None]) -> None:
        notify()


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def patient(line: Line) -> PatientEchoes:
    return PatientEchoes(line, DIGEST, WAIT_S)


def echo(epoch: int, round_: int) -> FinalEcho:
    return FinalEcho(Final(epoch, round_, bytes(32), AttestedReport(b"report", ())))


def view(at: EpochRound, digest: bytes = DIGEST) -> ContractView:
    return ContractView(digest, at, 1, 1, 1)


async def past() -> None:
    await asyncio.sleep(3 * WAIT_S)


async def test_an_echo_is_said_later(line: Line, patient: PatientEchoes) -> None:
    patient.broadcast(echo(1, 2))
    assert line.said == []
    await past()
    assert line.said == [echo(1, 2)]


@pytest.mark.parametrize(("at", "said"), [((1, 1), True), ((1, 2), False), ((2, 1), False), ((0, 9), True)])
async def test_it_is_not_said_once_the_chain_is_there(
    line: Line, patient: PatientEchoes, at: EpochRound, said: bool
) -> None:
    patient.broadcast(echo(1, 2))
    patient.saw(view(at))
    await past()
    assert (line.said == [echo(1, 2)]) is said


async def test_a_node_that_lags_behind_takes_nothing_back(line: Line, patient: PatientEchoes) -> None:
    patient.saw(view((1, 2)))
    patient.saw(view((1, 1)))
    patient.broadcast(echo(1, 2))
    await past()
    assert line.said == []


async def test_another_configuration_on_chain_says_nothing_about_this_one(line: Line, patient: PatientEchoes) -> None:
    patient.saw(view((9, 9), b"\1" * 32))
    patient.broadcast(echo(1, 2))
    await past()
    assert line.said == [echo(1, 2)]


def test_everything_else_goes_at_once(line: Line, patient: PatientEchoes) -> None:
    patient.broadcast(NewEpoch(3))
    patient.send(2, echo(1, 1))
    assert line.said == [NewEpoch(3)]
    assert line.sent == [(2, echo(1, 1))]
    assert patient.receive() == (2, NewEpoch(5))
    heard: list[bool] = []
    patient.on_arrival(lambda: heard.append(True))
    assert heard == [True]


async def test_nothing_is_said_after_the_end(line: Line, patient: PatientEchoes) -> None:
    patient.broadcast(echo(1, 2))
    patient.close()
    await past()
    assert line.said == []


def test_the_patience_is_a_part_of_a_stage_and_short() -> None:
    assert patience_s(20 * 10**9) == 0.5
    assert patience_s(10**9) == 0.25
    assert patience_s(0) == 0
