"""A node's seat: found by its signer, checked in everything else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from seamark.core.errors import RejectedError
from seamark.core.ids import Address
from seamark.oracle.reporting.codec import ReportContext
from seamark.oracle.reporting.config import OffchainConfig
from seamark.oracle.reporting.contract import Announced
from seamark.oracle.reporting.digest import report_preimage
from seamark.oracle.reporting.membership import Member, NotInConfig, Seat, take_seat
from seamark.oracle.reporting.schedule import Schedule
from seamark.oracle.reporting.signatures import ReportSignature
from tests.support.reporting_config import SECRET, announced, operator

BAD: list[int] = []


def seat(member: Member, item: Announced | None = None) -> Seat:
    BAD.clear()
    return take_seat(item or announced(), member, bad_signature=BAD.append)


@pytest.mark.parametrize("number", [0, 1, 3])
def test_a_node_finds_its_place(number: int) -> None:
    found = seat(operator(number).member)
    assert found.context.me == number
    assert (found.context.n, found.context.f) == (4, 1)
    assert found.context.schedule == Schedule.from_secret(SECRET, 4)
    assert found.limits.observation == 500_000_000


def test_all_nodes_agree_on_every_leader() -> None:
    schedules = {seat(operator(number).member).context.schedule for number in range(4)}
    assert len(schedules) == 1


def test_a_stranger_has_no_place() -> None:
    with pytest.raises(NotInConfig, match=r"is not in configuration .*; have the contract's owner set"):
        seat(operator(9).member)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"transmitter": Address("0x" + "11" * 20)}, "gives node 1 the transmitter 0x"),
        ({"peer": "ab" * 32}, "gives node 1 the peer"),
        ({"observation_key": operator(2).keys.observation}, "gives node 1 the observation key"),
    ],
)
def test_a_node_that_the_configuration_describes_otherwise_does_not_run(change: dict[str, object], words: str) -> None:
    with pytest.raises(NotInConfig, match=words):
        seat(replace(operator(1).member, **change))  # type: ignore[arg-type]


def test_another_encryption_key_is_noticed() -> None:
    member = replace(operator(1).member, encryption_key=operator(2).keys.encryption)
    with pytest.raises(RejectedError, match="shared secret for node 1 does not match its hash"):
        seat(member)


def test_a_broken_configuration_is_refused_as_a_whole() -> None:
    item = announced()
    offchain = OffchainConfig.decode(item.config.offchain)
    long_rounds = replace(offchain, timing=replace(offchain.timing, round=offchain.timing.progress))
    broken = replace(item, config=replace(item.config, offchain=long_rounds.encode()))
    with pytest.raises(RejectedError, match="DeltaRound"):
        seat(operator(0).member, broken)


async def test_signatures_are_checked_and_wrong_ones_told() -> None:
    context = seat(operator(0).member).context
    payload = b"\5" * 32
    signature = operator(2).keys.observation.sign(payload)
    assert context.crypto.verify_observation(2, payload, signature)
    assert not context.crypto.verify_observation(1, payload, signature)
    report_context = ReportContext(context.digest, 1, 2, bytes(32))
    parity, r, s = await operator(3).signer.sign(report_preimage(report_context, b"report"))
    assert context.crypto.verify_report(3, report_context, b"report", ReportSignature(parity, r, s))
    assert not context.crypto.verify_report(2, report_context, b"report", ReportSignature(parity, r, s))
    assert not context.crypto.verify_report(3, report_context, b"other", ReportSignature(parity, r, s))
    assert BAD == [1, 2, 3]


def test_a_node_signs_as_itself() -> None:
    context = seat(operator(1).member).context
    assert context.crypto.sign_observation(b"\1" * 32) == operator(1).keys.observation.sign(b"\1" * 32)
